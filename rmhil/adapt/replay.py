"""A bounded memory of old samples, so that learning something new does not cost what was learnt before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch

from rmhil.adapt.data import Data, DataLike, as_data
from rmhil.errors import ConfigError, OutOfRangeError, UnknownNameError

Features: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Inputs to features, samples first."""

ReplaySelection: TypeAlias = Literal["random", "herding"]

SELECTIONS: tuple[str, ...] = ("random", "herding")


class ReplayBuffer:
    """At most `size` samples, as evenly spread over the classes as they allow.

    `herding` picks, one after the other, the samples whose mean features stay closest to the mean of their
    class (Rebuffi et al., arXiv 1611.07725). Either way the samples of a class are ordered, so that a smaller
    buffer holds the first of a larger one.

    Args:
        dataset: what to choose from.
        size: samples, at least one a class.
        selection: `random` or `herding`.
        seed: of `random`.
        features: what herding compares; the inputs themselves unless told otherwise. Called once a class.

    Attributes:
        data: the samples kept, class by class.
        size: the bound.
        selection: how they were chosen.

    Raises:
        OutOfRangeError: `size` is below the number of classes.
        UnknownNameError: no such selection.
        ConfigError: features were given, but nothing looks at them.
        ShapeError: there are no samples, or targets are no class numbers.
    """

    def __init__(
        self,
        dataset: DataLike,
        size: int,
        selection: ReplaySelection = "random",
        *,
        seed: int = 0,
        features: Features | None = None,
    ) -> None:
        if selection not in SELECTIONS:
            raise UnknownNameError("selection", selection, SELECTIONS)
        if features is not None and selection != "herding":
            raise ConfigError("features are looked at by the selection herding only")
        self.size, self.selection = size, selection
        self._seed, self._features = seed, features
        self.data, self._seen = self._choose(as_data("dataset", dataset))

    def __len__(self) -> int:
        return len(self.data)

    def __str__(self) -> str:
        counts = [int((self.data.y == each).sum()) for each in self.data.classes]
        each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        return (
            f"{len(self)} of {self._seen} samples ({self.selection}, at most {self.size}): {each} of each of "
            f"{len(counts)} classes"
        )

    def with_new(self, new: DataLike) -> ReplayBuffer:
        """A buffer of the same bound, chosen from what this one holds and new samples.

        Raises: as the constructor.
        """
        return ReplayBuffer(
            self.data + as_data("new", new), self.size, self.selection, seed=self._seed, features=self._features
        )

    def _choose(self, dataset: Data) -> tuple[Data, int]:
        numbers = dataset.class_numbers()
        members = [(numbers == each).nonzero()[:, 0] for each in dataset.classes]
        if not self.size >= len(members):
            raise OutOfRangeError("size", self.size, len(members), math.inf, "samples")
        generator = torch.Generator().manual_seed(self._seed)
        chosen = []
        for own, quota in zip(members, quotas([len(own) for own in members], self.size), strict=True):
            order = self._order(dataset.x[own], quota, generator)
            chosen.append(own[order.to(own.device)])
        return dataset[torch.cat(chosen)], len(dataset)

    def _order(self, x: torch.Tensor, quota: int, generator: torch.Generator) -> torch.Tensor:
        if self.selection == "random":
            return torch.randperm(len(x), generator=generator)[:quota]
        with torch.no_grad():
            features = x if self._features is None else self._features(x)
        return herd(features.flatten(1), quota)


def quotas(available: Sequence[int], size: int) -> list[int]:
    """How many of each class to keep: the same of each, unless a class has fewer; then the others get its share."""
    shares = [0] * len(available)
    order = sorted(range(len(available)), key=lambda number: available[number])
    left = size
    for place, number in enumerate(order):
        shares[number] = min(available[number], left // (len(order) - place))
        left -= shares[number]
    return shares


def herd(features: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of `count` rows whose running mean stays closest to the mean of all; the best first."""
    rows = features.double()
    mean, total = rows.mean(0), torch.zeros_like(rows[0])
    free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    chosen = []
    for number in range(1, count + 1):
        distance = (mean - (total + rows) / number).square().sum(1)
        best = int(distance.masked_fill(~free, math.inf).argmin())
        free[best] = False
        total = total + rows[best]
        chosen.append(best)
    return torch.tensor(chosen, dtype=torch.int64)
