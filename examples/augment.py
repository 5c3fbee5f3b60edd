"""Random views of pictures, as the face workload was published with: rotated, mirrored, cropped and resized."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

MISSES = 10
"""Draws of a crop after which the whole picture is taken (published recipe)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What a random view may look like. Defaults: the published recipe (arXiv 2601.10037, face).

    Attributes:
        rotation: degrees, to either side; corners that come into view are black.
        mirrored: share of views that are mirrored.
        area: smallest and largest share of the picture's area that a crop has; draws that do not fit
            the picture are redrawn.
        aspect: largest ratio of the sides of a crop.
    """

    rotation: float = 30.0
    mirrored: float = 0.5
    area: tuple[float, float] = (0.8, 1.2)
    aspect: float = 4 / 3


def views(
    pictures: torch.Tensor, count: int, side: int, generator: torch.Generator, how: Augmentation = Augmentation()
) -> torch.Tensor:
    """The picture itself and `count - 1` random views of each, resized.

    Args:
        pictures: shape `(n, size, size)`.
        count: views of each, at least 1.
        side: pixels on a side of the result; resized bilinearly, corners not aligned, without a low-pass.
        generator: of the random choices.
        how: how much they vary.

    Returns:
        Shape `(n, count, 1, side, side)`; view 0 is the picture itself.
    """
    n, size = len(pictures), pictures.shape[-1]
    made = pictures[:, None, None]
    if count > 1:
        sources = pictures.repeat_interleave(count - 1, 0)[:, None]
        grid = F.affine_grid(_maps(len(sources), size, generator, how), list(sources.shape), align_corners=False)
        random_views = F.grid_sample(sources, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        made = torch.cat((made, random_views.reshape(n, count - 1, 1, size, size)), 1)
    small = F.interpolate(made.flatten(0, 1), size=(side, side), mode="bilinear", align_corners=False)
    return small.reshape(n, count, 1, side, side)


def _maps(count: int, size: int, generator: torch.Generator, how: Augmentation) -> torch.Tensor:
    """Affine maps `(count, 2, 3)` from a view to its picture, both with sides from -1 to 1."""
    angle = _uniform(count, -how.rotation, how.rotation, generator) * math.pi / 180
    flip = torch.where(torch.rand(count, generator=generator) < how.mirrored, -1.0, 1.0)
    width, height = _crops(count, size, generator, how)
    left = torch.floor(torch.rand(count, generator=generator) * (size - width + 1))
    top = torch.floor(torch.rand(count, generator=generator) * (size - height + 1))
    # A view is cut from the mirrored and rotated picture: crop first, then mirror, then rotate the coordinates.
    scale_x, scale_y = flip * width / size, height / size
    shift_x, shift_y = flip * ((2 * left + width) / size - 1), (2 * top + height) / size - 1
    cos, sin = angle.cos(), angle.sin()
    rows = (
        torch.stack((cos * scale_x, -sin * scale_y, cos * shift_x - sin * shift_y), 1),
        torch.stack((sin * scale_x, cos * scale_y, sin * shift_x + cos * shift_y), 1),
    )
    return torch.stack(rows, 1)


def _crops(count: int, size: int, generator: torch.Generator, how: Augmentation) -> tuple[torch.Tensor, torch.Tensor]:
    """Widths and heights of random crops in pixels."""
    width = torch.full((count,), float(size))
    height = width.clone()
    missing = torch.ones(count, dtype=torch.bool)
    for _ in range(MISSES):
        area = size**2 * _uniform(count, *how.area, generator)
        ratio = _uniform(count, -math.log(how.aspect), math.log(how.aspect), generator).exp()
        w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = missing & (w <= size) & (h <= size)
        width, height = torch.where(fits, w, width), torch.where(fits, h, height)
        missing &= ~fits
    return width, height


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
