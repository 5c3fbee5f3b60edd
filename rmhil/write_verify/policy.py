"""What a write-verify policy is: a pure function from readings to what is done next, over many cells at once.

A policy knows the backend's `ArraySpec`, its own settings, the targets and the readings; nothing
else. Cells do not influence one another, so that the pulses of a cell are the same whether it is
programmed alone or together with a whole array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses
from rmhil.units import Seconds, Siemens

Mask = NDArray[np.bool_]


class Verdict(IntEnum):
    """What a policy wants for a cell after a reading."""

    PULSE = 0
    """It is not at its target: `Policy.step` chooses a pulse."""
    READ = 1
    """One more reading, at once."""
    REST = 2
    """It is good for now: it is read again after the policy's pause, and judged again."""
    DONE = 3
    """It is at its target."""
    STUCK = 4
    """It answered no strong pulse of either kind; it is pulsed no more."""


@dataclass(frozen=True, slots=True)
class PerCell:
    """A frozen set of arrays with one element a cell; other fields are common to all cells."""

    def __getitem__(self, chosen: Ints | Mask) -> Self:
        """The same for some of the cells."""
        parts = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(part[chosen] if isinstance(part, np.ndarray | PerCell) else part for part in parts))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several lists of cells as one; what is common to all cells is taken from the first."""
        columns: list[Any] = []
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            first = values[0]
            if isinstance(first, PerCell):
                columns.append(type(first).joined(values))
            else:
                columns.append(np.concatenate(values) if isinstance(first, np.ndarray) else first)
        return cls(*columns)


State = TypeVar("State", bound=PerCell)


class Policy(Protocol[State]):
    """Judges each cell by its readings so far, and chooses its next pulse."""

    @property
    def name(self) -> str:
        """What `Crossbar.program(policy=...)` calls it, and reports say."""

    @property
    def pause(self) -> Seconds:
        """S to wait, once all cells are good for now, before those with the verdict REST are read again."""

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, averages: int = 1) -> State:
        """What is known of each cell before its first reading.

        Args:
            spec: of the backend.
            target: S, one a cell.
            tolerance: S, allowed distance from the target.
            averages: readings of the cell that are averaged for each reading that it will be given.

        Raises:
            RmhilError: it cannot work with that; nothing was driven.
        """

    def judge(self, state: State, conductance: Floats, status: Ints) -> tuple[State, Ints]:
        """Take in one reading of each cell.

        Args:
            state: what `start`, `step` or the last `judge` returned.
            conductance: S, the reading after the last pulse, a further one, or that after the pause.
            status: `Status` codes of those readings.

        Returns:
            The next state, and `Verdict` codes, one a cell.
        """

    def step(self, state: State) -> tuple[State, Pulses]:
        """Choose the next pulse of cells whose verdict was PULSE.

        Returns:
            The next state, and one pulse a cell.
        """

    def believed(self, state: State) -> Floats:
        """S: what each cell is taken to hold, from all readings that count for it; NaN before the first."""


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
