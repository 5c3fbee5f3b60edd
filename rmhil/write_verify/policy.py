"""What a write-verify policy is: a pure function from readings to next pulses, over many cells at once.

A policy knows the backend's `ArraySpec`, its own settings, the targets and the readings; nothing
else. Cells do not influence one another, so that the pulses of a cell are the same whether it is
programmed alone or together with a whole array.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses
from rmhil.units import Siemens

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PerCell:
    """A frozen set of arrays with one element a cell; other fields are common to all cells."""

    def __getitem__(self, chosen: Ints | Mask) -> Self:
        """The same for some of the cells."""
        parts = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(part[chosen] if isinstance(part, np.ndarray | PerCell) else part for part in parts))


class PolicyState(Protocol):
    """What a policy remembers of each cell between pulses; never changed, only replaced."""

    @property
    def stuck(self) -> Mask:
        """Cells that answered no strong pulse of either kind; they are pulsed no more."""

    def __getitem__(self, chosen: Ints | Mask) -> Self:
        """The same for some of the cells."""


State = TypeVar("State", bound=PolicyState)


class Policy(Protocol[State]):
    """Chooses the next pulse of each cell from its readings so far."""

    @property
    def name(self) -> str:
        """What `Crossbar.program(policy=...)` calls it, and reports say."""

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, conductance: Floats) -> State:
        """The state before the first pulse.

        Args:
            spec: of the backend.
            target: S, one a cell.
            tolerance: S, allowed distance from the target.
            conductance: S, the first reading of each cell.
        """

    def step(self, state: State, conductance: Floats, status: Ints) -> tuple[State, Pulses]:
        """Learn from the last pulse and choose the next one.

        Args:
            state: what `start` or the last `step` returned.
            conductance: S, reading after the last pulse (at the first step: the first reading).
            status: `Status` codes of those readings.

        Returns:
            The next state, and one pulse a cell. The pulses of cells that are stuck are not given.
        """


AnyPolicy = Policy[Any]
"""A policy with whatever state it keeps."""


@dataclass(frozen=True, slots=True)
class Silence(PerCell):
    """Which kinds of strong pulse each cell did not answer; both means that it is stuck."""

    to_set: Mask
    to_reset: Mask

    @classmethod
    def none(cls, n_cells: int) -> Silence:
        """No cell has been silent so far."""
        return cls(np.zeros(n_cells, dtype=bool), np.zeros(n_cells, dtype=bool))

    @property
    def both(self) -> Mask:
        """Cells that answered neither."""
        return self.to_set & self.to_reset

    def after(self, operation: Ints, strong: Mask, moved: Mask) -> Silence:
        """The record after one more pulse; a cell that moved is silent no more."""
        silent = strong & ~moved
        return Silence(
            to_set=(self.to_set & ~moved) | (silent & (operation == Operation.SET)),
            to_reset=(self.to_reset & ~moved) | (silent & (operation == Operation.RESET)),
        )

    def choose(self, wanted: Ints) -> Ints:
        """The wanted operation, or the other one where the wanted one was not answered."""
        ignored = np.where(wanted == Operation.SET, self.to_set, self.to_reset)
        other = np.where(wanted == Operation.SET, Operation.RESET, Operation.SET)
        return np.where(ignored, other, wanted).astype(np.int64)
