"""What a training step minimises: plain losses, and the two that make a network forget.

An objective gets one batch, of which some samples may be marked as those to forget. Losses are per sample
(shape `(batch,)`), so that each can be weighed by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch.nn import functional as F

from rmhil.errors import ConfigError, OutOfRangeError, ShapeError

SampleLoss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""`(outputs, targets)` of a batch to one loss a sample."""


def cross_entropy(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of logits `(batch, classes)` against class numbers, one a sample.

    Raises:
        ConfigError: a class number that the logits have no place for.
    """
    if not y.is_floating_point():
        _check_labels(y, outputs.shape[1] if outputs.dim() > 1 else len(outputs))
    return F.cross_entropy(outputs, y, reduction="none")


def squared_error(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared error over everything but the batch, one a sample; class numbers count as one-hot.

    Raises:
        ConfigError: a class number that the outputs have no place for.
    """
    wanted = y
    if not y.is_floating_point() and y.dim() + 1 == outputs.dim():
        _check_labels(y, outputs.shape[-1])
        wanted = F.one_hot(y, outputs.shape[-1])
    return (outputs - wanted.to(outputs.dtype)).square().flatten(1).mean(1)


class Objective(Protocol):
    """A rule that turns outputs of a batch into the number to minimise."""

    def __call__(
        self, outputs: torch.Tensor, y: torch.Tensor, forget: torch.Tensor, generator: torch.Generator
    ) -> Terms:
        """The terms of one batch.

        Args:
            outputs: of the model, batch first.
            y: targets of the batch.
            forget: bool, `(batch,)`: the samples to forget.
            generator: for random choices; on the CPU.
        """


class Terms(NamedTuple):
    """What an objective says of one batch.

    Attributes:
        loss: to minimise.
        watched: mean loss of the samples that are not to be forgotten, which must stay small whatever
            `loss` does; None if the batch has none.
    """

    loss: torch.Tensor
    watched: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Fit:
    """The mean loss over the batch: ordinary training."""

    loss: SampleLoss = cross_entropy

    def __call__(
        self, outputs: torch.Tensor, y: torch.Tensor, forget: torch.Tensor, generator: torch.Generator
    ) -> Terms:
        """The mean loss of the batch."""
        mean = self.loss(outputs, y).mean()
        return Terms(mean, mean.detach())


@dataclass(frozen=True, slots=True)
class GradientAscent:
    """Down on what is kept, up on what is to be forgotten (eq. 6 of arXiv 2601.10037).

    The mean over the batch of w x loss, with w = 1 for kept samples and -`forget_weight` for the others: both
    share one mean.

    Attributes:
        forget_weight: lambda of eq. 6, above 0.
        loss: of each sample.
    """

    forget_weight: float = 0.5
    loss: SampleLoss = cross_entropy

    def __post_init__(self) -> None:
        if not 0 < self.forget_weight < math.inf:
            raise OutOfRangeError("forget_weight", self.forget_weight, 0, math.inf, "", above=True)

    def __call__(
        self, outputs: torch.Tensor, y: torch.Tensor, forget: torch.Tensor, generator: torch.Generator
    ) -> Terms:
        """The weighted mean of the batch."""
        each = self.loss(outputs, y)
        weighted = torch.where(forget, -self.forget_weight * each, each)
        return Terms(weighted.mean(), _mean_of(each, ~forget))


@dataclass(frozen=True, slots=True)
class LabelObfuscation:
    """Fit what is to be forgotten to wrong classes (eq. 7 of arXiv 2601.10037).

    Each step draws a fresh class for each such sample, uniformly among the wrong ones.

    Attributes:
        loss: of each sample.
    """

    loss: SampleLoss = cross_entropy

    def __call__(
        self, outputs: torch.Tensor, y: torch.Tensor, forget: torch.Tensor, generator: torch.Generator
    ) -> Terms:
        """The mean loss of the batch against the targets so changed.

        Raises:
            ShapeError: outputs and targets are not logits and class numbers of at least two classes.
            ConfigError: a class number that the logits have no place for.
        """
        if outputs.dim() != 2 or outputs.shape[1] < 2 or y.dim() != 1 or y.is_floating_point():
            raise ShapeError("outputs", outputs.shape, "(batch, at least 2 classes), with one class number a sample")
        _check_labels(y, outputs.shape[1])
        each = self.loss(outputs, torch.where(forget, wrong_labels(y, outputs.shape[1], generator), y))
        return Terms(each.mean(), _mean_of(each, ~forget))


def wrong_labels(y: torch.Tensor, classes: int, generator: torch.Generator) -> torch.Tensor:
    """For each label one of the others, uniformly drawn."""
    shift = torch.randint(1, classes, y.shape, generator=generator)
    return (y + shift.to(y.device)) % classes


FORGETTING = ("gradient-ascent", "label-obfuscation")
"""Names of the ways to forget."""


def forgetting_objective(method: str, forget_weight: float, loss: SampleLoss) -> Objective:
    """The objective of this name.

    Raises:
        ConfigError: there is none of this name.
        OutOfRangeError: `forget_weight` is not above 0.
    """
    if method == "gradient-ascent":
        return GradientAscent(forget_weight, loss)
    if method == "label-obfuscation":
        return LabelObfuscation(loss)
    raise ConfigError(f"unknown way to forget {method!r}; known: {', '.join(FORGETTING)}")


def _check_labels(y: torch.Tensor, outputs: int) -> None:
    """Refuse class numbers beyond the outputs; torch says it less clearly, and takes -100 for no class at all."""
    outside = y[(y < 0) | (y >= outputs)]
    if outside.numel():
        raise ConfigError(
            f"y holds class number {int(outside[0])}, but the model has {outputs} outputs: classes 0 to {outputs - 1}"
        )


def _mean_of(each: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor | None:
    return each.detach()[chosen].mean() if bool(chosen.any()) else None
