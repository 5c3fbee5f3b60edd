from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from rmhil import adapt
from rmhil.adapt.objectives import forgetting_objective, wrong_labels
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.tensor([0, 1, 2, 2, 3, 1])
    return torch.randn(6, 4, generator=generator, dtype=torch.float64), y, y == 2


def test_gradient_ascent_weighs_both_kinds_in_one_mean(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    logits, y, forget = batch
    loss, watched = adapt.GradientAscent(0.5)(logits, y, forget, torch.Generator())
    each = F.cross_entropy(logits, y, reduction="none")
    expected = (each[[0, 1, 4, 5]].sum() - 0.5 * each[[2, 3]].sum()) / 6
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(watched, each[[0, 1, 4, 5]].mean())


def test_a_batch_of_nothing_but_samples_to_forget_has_nothing_to_watch(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    logits, y, _ = batch
    everything = torch.ones(6, dtype=torch.bool)
    for objective in (adapt.GradientAscent(), adapt.LabelObfuscation()):
        assert objective(logits, y, everything, torch.Generator()).watched is None


def test_obfuscation_keeps_the_labels_of_what_is_kept(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    logits, y, forget = batch
    nothing = torch.zeros_like(forget)
    loss, _ = adapt.LabelObfuscation()(logits, y, nothing, torch.Generator())
    torch.testing.assert_close(loss, F.cross_entropy(logits, y))


def test_obfuscation_draws_fresh_labels_every_step(batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    logits, y, forget = batch
    generator = torch.Generator().manual_seed(1)
    losses = {float(adapt.LabelObfuscation()(logits, y, forget, generator).loss) for _ in range(20)}
    assert len(losses) > 3


def test_wrong_labels_are_never_right_and_uniform() -> None:
    y = torch.randint(0, 5, (20_000,), generator=torch.Generator().manual_seed(0))
    wrong = wrong_labels(y, 5, torch.Generator().manual_seed(1))
    assert not (wrong == y).any()
    shares = torch.bincount((wrong - y) % 5, minlength=5)[1:] / len(y)
    spread = math.sqrt(0.25 * 0.75 / len(y))
    assert (shares - 0.25).abs().max() < 4 * spread


def test_the_squared_error_takes_class_numbers_as_one_hot() -> None:
    outputs = torch.tensor([[0.5, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(adapt.squared_error(outputs, torch.tensor([0, 1])), torch.tensor([0.125, 0.0]))
    torch.testing.assert_close(adapt.squared_error(outputs, outputs + 1), torch.ones(2))


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_a_forget_weight_is_above_0(weight: float) -> None:
    with pytest.raises(OutOfRangeError, match="forget_weight"):
        adapt.GradientAscent(weight)


def test_an_unknown_way_to_forget_is_refused() -> None:
    with pytest.raises(ConfigError, match="known: gradient-ascent, label-obfuscation"):
        forgetting_objective("amnesia", 0.5, adapt.cross_entropy)


def test_obfuscation_needs_classes() -> None:
    with pytest.raises(ShapeError, match="class number"):
        adapt.LabelObfuscation()(
            torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3, dtype=torch.bool), torch.Generator()
        )
