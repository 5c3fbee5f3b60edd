"""Samples with their targets, and how they are taken apart by class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from rmhil.errors import NotFiniteError, ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Inputs and targets, samples first.

    Attributes:
        x: inputs, shape `(samples, ...)`.
        y: targets, shape `(samples, ...)`; int64 class numbers of shape `(samples,)` for everything that
            speaks of classes.
    """

    x: torch.Tensor
    y: torch.Tensor

    def __post_init__(self) -> None:
        if self.x.dim() == 0 or self.y.dim() == 0 or len(self.x) != len(self.y):
            raise ShapeError("y", self.y.shape, f"one target for each of the samples of x, {tuple(self.x.shape)}")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, chosen: torch.Tensor | slice) -> Data:
        return Data(self.x[chosen], self.y[chosen])

    def __add__(self, other: Data) -> Data:
        return Data(torch.cat((self.x, other.x)), torch.cat((self.y, other.y)))

    @property
    def classes(self) -> list[int]:
        """Class numbers that occur, ascending."""
        return [int(each) for each in torch.unique(self.class_numbers())]

    def of(self, classes: int | Iterable[int]) -> Data:
        """The samples of one class, or of several, in their order."""
        wanted = [classes] if isinstance(classes, int) else list(classes)
        numbers = self.class_numbers()
        return self[torch.isin(numbers, torch.tensor(wanted, dtype=torch.int64, device=numbers.device))]

    def without(self, classes: int | Iterable[int]) -> Data:
        """All samples but those of these classes, in their order."""
        left_out = {classes} if isinstance(classes, int) else set(classes)
        return self.of(each for each in self.classes if each not in left_out)

    def class_numbers(self) -> torch.Tensor:
        """`y`, if it holds class numbers.

        Raises:
            ShapeError: it holds something else.
        """
        if self.y.dim() != 1 or self.y.is_floating_point():
            raise ShapeError("y", self.y.shape, "(samples,), whole class numbers")
        return self.y


DataLike: TypeAlias = Data | tuple[torch.Tensor, torch.Tensor]
"""`Data`, or its two tensors."""


def as_data(name: str, given: DataLike) -> Data:
    """`Data` of what was given under a name.

    Raises:
        ShapeError: it is empty, or inputs and targets do not fit together.
        NotFiniteError: an input or a target is NaN or infinite.
    """
    data = given if isinstance(given, Data) else Data(*given)
    if not len(data):
        raise ShapeError(name, data.x.shape, "at least one sample")
    for part, values in (("x", data.x), ("y", data.y)):
        bad = int((~values.isfinite()).sum()) if values.is_floating_point() else 0
        if bad:
            raise NotFiniteError(f"{part} of {name}", bad, values.numel())
    return data
