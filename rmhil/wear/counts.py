"""What a chip file counts: the budget of a cell, the counts of all cells, and how journals add to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from rmhil.backend import Cells, Ints, Operation
from rmhil.errors import OutOfRangeError
from rmhil.journal.entries import Drive

CYCLES: Final = 30_000
"""SET/RESET cycles that the cells are shown to stand (arXiv 2601.10037)."""

WARN_SHARE: Final = 0.8
"""1: share of the budget from which a warning is given (estimate: leaves time to move the weights elsewhere)."""

PULSES_A_CYCLE: Final = 2
"""1: a SET and a RESET. A gentle pulse of write-verify is counted as a whole one, which errs on the safe side."""

_DENSE_MAX: Final = 1 << 22
"""Cells between the first and the last of a batch that are counted without sorting: 130 MB."""

_BATCH: Final = 1 << 18
"""Pulses of cells that are summed at once: some 10 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WearBudget:
    """How much a cell may be written.

    Attributes:
        cycles: SET/RESET cycles; a pulse beyond them is refused.
        warn_share: 1, share of them from which a warning is given.
    """

    cycles: int = CYCLES
    warn_share: float = WARN_SHARE

    def __post_init__(self) -> None:
        if not self.cycles >= 1:
            raise OutOfRangeError("wear budget", self.cycles, 1, np.inf, "cycles")
        if not 0.0 < self.warn_share <= 1.0:  # written this way, NaN fails too
            raise OutOfRangeError("warn_share", self.warn_share, 0.0, 1.0, "of the budget", above=True)

    @property
    def pulses(self) -> int:
        """SET and RESET pulses that a cell may have in all."""
        return self.cycles * PULSES_A_CYCLE


@dataclass(frozen=True, slots=True, kw_only=True)
class WearCounts:
    """Pulses of the cells that have had any: int64 arrays, one element a cell.

    Attributes:
        cells: the cells.
        form, set, reset: pulses of each kind, those that may have been applied included.
        maybe: how many of them may have been applied: nobody knows.
    """

    cells: Cells
    form: Ints
    set: Ints
    reset: Ints
    maybe: Ints

    @property
    def pulses(self) -> Ints:
        """SET and RESET pulses of each cell."""
        return self.set + self.reset

    @property
    def cycles(self) -> Ints:
        """SET/RESET cycles that they come to, rounded up."""
        return -(-self.pulses // PULSES_A_CYCLE)


def worn(drives: Iterable[Drive]) -> Iterator[list[tuple[int, ...]]]:
    """Rows to add, a batch after the other: the cell; FORM, SET and RESET pulses; those that may have been applied."""
    batch: list[Ints] = []
    size = 0
    for drive in drives:
        batch.append(np.stack([*drive.cells.index, drive.operation, drive.unsure]))
        size += len(drive.cells)
        if size >= _BATCH:
            yield _summed(batch)
            batch.clear()
            size = 0
    if batch:
        yield _summed(batch)


def _summed(batch: list[Ints]) -> list[tuple[int, ...]]:
    *index, operation, unsure = np.concatenate(batch, axis=1)
    low = [int(part.min()) for part in index]
    shape = [int(part.max()) - least + 1 for part, least in zip(index, low, strict=True)]
    place = np.ravel_multi_index([part - least for part, least in zip(index, low, strict=True)], shape)
    if np.prod(shape) > _DENSE_MAX:  # few cells, far apart
        places, place = np.unique(place, return_inverse=True)
    else:
        places = np.arange(np.prod(shape))
    counts = [np.bincount(place[operation == kind], minlength=len(places)) for kind in Operation]
    counts.append(np.bincount(place[unsure > 0], minlength=len(places)))
    pulsed = np.flatnonzero(sum(counts[:-1]))
    cells = np.unravel_index(places[pulsed], shape)
    rows = [part + least for part, least in zip(cells, low, strict=True)] + [count[pulsed] for count in counts]
    return [tuple(row) for row in np.stack(rows, axis=1).tolist()]
