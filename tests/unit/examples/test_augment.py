from __future__ import annotations

import pytest
import torch
from rmhil_examples.augment import Augmentation, views
from torch.nn import functional as F

STILL = Augmentation(rotation=0.0, mirrored=0.0, area=(1.0, 1.0), aspect=1.0)
INTERPOLATION = 1e-5
"""Rounding of float32 coordinates times the largest step between pixels."""


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))


def made(pictures: torch.Tensor, how: Augmentation, count: int = 5, side: int = 64, seed: int = 1) -> torch.Tensor:
    return views(pictures, count, side, torch.Generator().manual_seed(seed), how)


def test_the_first_view_is_the_picture_itself(pictures: torch.Tensor) -> None:
    assert torch.equal(made(pictures, Augmentation())[:, 0, 0], pictures)


def test_views_are_resized_without_a_low_pass(pictures: torch.Tensor) -> None:
    small = made(pictures, Augmentation(), count=1, side=16)[:, 0]
    expected = F.interpolate(pictures[:, None], size=16, mode="bilinear", align_corners=False)
    assert torch.equal(small, expected)


def test_without_any_freedom_every_view_is_the_picture(pictures: torch.Tensor) -> None:
    found = made(pictures, STILL)
    torch.testing.assert_close(found, pictures[:, None, None].expand_as(found), rtol=0, atol=INTERPOLATION)


def test_mirroring_swaps_left_and_right(pictures: torch.Tensor) -> None:
    how = Augmentation(rotation=0.0, mirrored=1.0, area=(1.0, 1.0), aspect=1.0)
    found = made(pictures, how)[:, 1:]
    torch.testing.assert_close(found, pictures.flip(-1)[:, None, None].expand_as(found), rtol=0, atol=INTERPOLATION)


def test_rotating_blackens_corners_and_keeps_the_centre() -> None:
    white = torch.ones(1, 64, 64)
    found = made(white, Augmentation(rotation=30.0, mirrored=0.0, area=(1.0, 1.0), aspect=1.0), count=40)[0, 1:, 0]
    assert float((found[:, 0, 0] < 0.5).float().mean()) > 0.7
    assert bool((found[:, 16:48, 16:48] > 0.999).all())


def test_crops_are_shares_of_the_picture_and_fill_the_view() -> None:
    slope = torch.linspace(0, 1, 64).expand(1, 64, 64)
    how = Augmentation(rotation=0.0, mirrored=0.0, area=(0.5, 0.5), aspect=1.0)
    found = made(slope, how, count=30)[0, 1:, 0]
    inner = found[:, 1:-1, 1:-1]  # the outermost pixels may blend with the black beyond the picture
    spans = inner[:, 32, -1] - inner[:, 32, 0]
    assert float((spans - 0.5**0.5).abs().max()) < 3 / 64
    assert bool((inner > 0).all())


def test_the_same_seed_draws_the_same_views(pictures: torch.Tensor) -> None:
    one, two, other = (made(pictures, Augmentation(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
