"""SET and RESET in turn, many thousand times: how long the window stays open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Backend, Cells, Floats, Ints, Read
from rmhil.program_report import Progress
from rmhil.units import Volts
from sim_backend.characterise.cells import reset_fully, reset_pulses, set_pulses
from sim_backend.characterise.raw_data import RawData
from sim_backend.fit.pulsing import transact
from sim_backend.fit.tables import cell_names

CYCLES: Final = 30_000
"""SET/RESET cycles in arXiv 2601.10037."""

GATE: Final[Volts] = 2.5
"""V on the gate of every SET: the middle of the window (estimate, range 2 to 3.3)."""

_AMPLITUDE: Final[Volts] = 2.1
"""V of every RESET: no stronger than it takes to open the window (estimate, range 1.8 to 2.4)."""

_POINTS_A_DECADE: Final = 20
_BURST: Final = 20
"""Cycles between two reports of progress."""

OPEN: Final = 3.0
"""1: a cell's window counts as open while LRS / HRS is above this, less than half of what it is when new (ours)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """Both states of some cells against the number of cycles.

    Attributes:
        cell: names, shape (cells,).
        cycle: numbers of the cycles read, from 1, shape (points,).
        low, high: S after the SET (LRS) and after the RESET (HRS) of those cycles, shape (points, cells).
        provenance: of the backend.
    """

    cell: NDArray[np.str_]
    cycle: Ints
    low: Floats
    high: Floats
    provenance: str

    def window(self) -> Floats:
        """1: LRS over HRS conductance, shape (points, cells)."""
        return self.low / self.high

    def open_share(self) -> Floats:
        """1: share of the cells whose window is open at each point."""
        return np.asarray((self.window() > OPEN).mean(axis=1))

    def summary(self) -> dict[str, Any]:
        """Medians at the first and the last cycle, and how far the window is open."""
        window, share = np.median(self.window(), axis=1), self.open_share()
        closed = np.flatnonzero(share < 0.5)
        return {
            "cells": len(self.cell),
            "cycles": int(self.cycle[-1]),
            "lrs_siemens_first": float(np.median(self.low[0])),
            "lrs_siemens_last": float(np.median(self.low[-1])),
            "hrs_siemens_first": float(np.median(self.high[0])),
            "hrs_siemens_last": float(np.median(self.high[-1])),
            "window_first": float(window[0]),
            "window_last": float(window[-1]),
            "open_fraction_last": float(share[-1]),
            "cycles_half_closed": int(self.cycle[closed[0]]) if closed.size else None,
        }

    def tables(self) -> dict[str, RawData]:
        """One row a cell and cycle."""
        return {
            "endurance": RawData.of(
                cell=self.cell[None, :],
                cycle=self.cycle[:, None],
                lrs_siemens=self.low,
                hrs_siemens=self.high,
            )
        }


def read_cycles(cycles: int) -> Ints:
    """Numbers of the cycles to keep, from 1 to the last, evenly in the logarithm."""
    count = max(2, round(_POINTS_A_DECADE * np.log10(max(cycles, 2))))
    return np.unique(np.geomspace(1, cycles, count).round().astype(np.int64))


def measure_endurance(backend: Backend, cells: Cells, progress: Progress, cycles: int = CYCLES) -> Endurance:
    """Cycle some working cells side by side: one SET, one RESET, and so on.

    Args:
        backend: an open backend.
        cells: formed cells.
        progress: told how many cycles are done.
        cycles: how many; those read lie evenly in the logarithm.
    """
    read, count = Read.default(backend.spec), len(cells)
    up, down = set_pulses(backend, count, GATE), reset_pulses(backend, count, _AMPLITUDE)
    kept = read_cycles(cycles)
    low, high = np.zeros((len(kept), count)), np.zeros((len(kept), count))
    reset_fully(backend, cells)
    point = 0
    for cycle in range(1, cycles + 1):
        after_set = transact(backend, cells, up, read).conductance
        after_reset = transact(backend, cells, down, read).conductance
        if cycle == kept[point]:
            low[point], high[point] = after_set, after_reset
            point += 1
        if cycle % _BURST == 0:
            progress(cycle, cycles, "cycles")
    progress(cycles, cycles, "cycles")
    return Endurance(cell=cell_names(cells), cycle=kept, low=low, high=high, provenance=backend.spec.provenance)
