"""How good a model is on named groups of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import nn

from rmhil.adapt.data import Data, DataLike, as_data
from rmhil.adapt.objectives import SampleLoss, cross_entropy
from rmhil.errors import ConfigError, UnknownNameError

EVALUATION_BATCH = 512
"""Samples given to a model at once when it is evaluated; bounds the memory it takes."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a model does on one group of samples.

    Attributes:
        loss: mean over the samples.
        accuracy: share of samples whose largest output is the target, 0 to 1; None where targets are no classes.
    """

    loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model at one moment of its training.

    Attributes:
        step: optimiser steps taken until then; 0 is the start.
        groups: metrics by name of the group.
    """

    step: int
    groups: Mapping[str, Metrics]

    def of(self, group: str) -> Metrics:
        """The metrics of one group.

        Raises:
            UnknownNameError: there is no such group.
        """
        if group not in self.groups:
            raise UnknownNameError("validation group", group, list(self.groups))
        return self.groups[group]

    def accuracy(self, group: str) -> float:
        """Accuracy on one group, 0 to 1.

        Raises:
            UnknownNameError: there is no such group.
            ConfigError: its targets are no classes, so that it has no accuracy.
        """
        found = self.of(group).accuracy
        if found is None:
            raise ConfigError(f"validation group {group!r} has no accuracy: its targets are no class numbers")
        return found

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {"step": self.step, "groups": {name: asdict(metrics) for name, metrics in self.groups.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The evaluation that `to_dict` wrote."""
        return cls(data["step"], {name: Metrics(**metrics) for name, metrics in data["groups"].items()})


def outputs_of(model: nn.Module, x: torch.Tensor, batch_size: int = EVALUATION_BATCH) -> torch.Tensor:
    """Outputs of a model in eval mode, without gradients; the mode is as it was afterwards."""
    with evaluating(model), torch.no_grad():
        return torch.cat([model(part) for part in torch.split(x, batch_size)])


def predict(model: nn.Module, x: torch.Tensor, batch_size: int = EVALUATION_BATCH) -> torch.Tensor:
    """The class number of the largest output of each sample, int64."""
    return outputs_of(model, x, batch_size).argmax(1)


def evaluate(
    model: nn.Module, data: DataLike, loss: SampleLoss = cross_entropy, batch_size: int = EVALUATION_BATCH
) -> Metrics:
    """Mean loss and accuracy of a model on samples, in eval mode.

    Raises:
        ShapeError: there are no samples.
    """
    samples = as_data("data", data)
    return _metrics(outputs_of(model, samples.x, batch_size), samples.y, loss)


def evaluate_groups(
    model: nn.Module, groups: Mapping[str, Data], loss: SampleLoss, step: int, batch_size: int = EVALUATION_BATCH
) -> Evaluation:
    """Metrics of each group; all groups go through the model together."""
    outputs = outputs_of(model, torch.cat([data.x for data in groups.values()]), batch_size)
    parts = torch.split(outputs, [len(data) for data in groups.values()])
    metrics = {name: _metrics(out, data.y, loss) for (name, data), out in zip(groups.items(), parts, strict=True)}
    return Evaluation(step, metrics)


def _metrics(outputs: torch.Tensor, y: torch.Tensor, loss: SampleLoss) -> Metrics:
    classes = y.dim() == 1 and not y.is_floating_point() and outputs.dim() == 2
    accuracy = float((outputs.argmax(1) == y).double().mean()) if classes else None
    return Metrics(float(loss(outputs, y).double().mean()), accuracy)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; afterwards each module is in the mode it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
