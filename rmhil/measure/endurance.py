"""SET and RESET in turn, many thousand times: how long the window stays open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from rmhil.backend import Cells, Floats, Ints
from rmhil.checks import check_pulses, whole_number
from rmhil.measure.labelled import cells_of, labelled
from rmhil.measure.pulsing import in_the_backend, refuse_virgin, reset_fully, reset_pulses, set_pulses
from rmhil.program_report import Progress
from rmhil.units import Volts
from rmhil.wear.counts import CYCLES

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.crossbar import Crossbar

GATE: Final[Volts] = 2.5
"""V on the gate of every SET: the middle of the window (estimate, range 2 to 3.3)."""

AMPLITUDE: Final[Volts] = 2.1
"""V of every RESET: no stronger than it takes to open the window (estimate, range 1.8 to 2.4)."""

OPEN: Final = 3.0
"""1: a cell's window counts as open while LRS / HRS is above this, less than half of what it is when new (ours)."""

_POINTS_A_DECADE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """Both states of some cells against the number of cycles.

    Attributes:
        cells: by their numbers in the backend.
        cycle: numbers of the cycles read, from 1, shape (points,).
        low, high: S after the SET (LRS) and after the RESET (HRS) of those cycles, shape (points, cells).
        provenance: of the backend.
    """

    cells: Cells
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
            "cells": len(self.cells),
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

    def dataset(self) -> xr.Dataset:
        """The readings over `cycle` and `cell`."""
        over = ("cycle", "cell")
        return labelled(
            "endurance",
            self.provenance,
            self.cells,
            {
                "lrs": (over, self.low, "S", "conductance after the SET of the cycle"),
                "hrs": (over, self.high, "S", "conductance after the RESET of the cycle"),
            },
            {"cycle": (("cycle",), self.cycle, "1", "number of the cycle, from 1")},
        )

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self:
        """The measurement that `dataset` wrote."""
        return cls(
            cells=cells_of(dataset),
            cycle=dataset["cycle"].values,
            low=dataset["lrs"].values,
            high=dataset["hrs"].values,
            provenance=str(dataset.attrs["provenance"]),
        )


class EnduranceTest:
    """SET/RESET cycles of some cells side by side; what was measured is there at any moment.

    Args:
        crossbar: that holds the cells.
        cells: formed ones, by their numbers in the crossbar.
        cycles: how many; those kept lie evenly in the logarithm.
        gate: V on the WL of every SET.
        amplitude: V of every RESET.

    Raises:
        ConfigError, OutOfRangeError: a setting leaves the limits; nothing was driven.
    """

    def __init__(
        self, crossbar: Crossbar, cells: Cells, cycles: int = CYCLES, gate: Volts = GATE, amplitude: Volts = AMPLITUDE
    ) -> None:
        self._crossbar, self._cells, self._cycles = crossbar, cells, whole_number("cycles", cycles)
        spec, count = crossbar.spec, len(cells)
        self._set, self._reset = set_pulses(spec, count, gate), reset_pulses(spec, count, amplitude)
        for pulses in (self._set, self._reset, reset_pulses(spec, count)):
            check_pulses(spec, cells, pulses)
        self._kept = read_cycles(cycles)
        self._low, self._high = np.zeros((len(self._kept), count)), np.zeros((len(self._kept), count))
        self._points = 0

    def run(self, progress: Progress) -> None:
        """Cycle the cells.

        Args:
            progress: told after each cycle.

        Raises:
            ConfigError: a cell is virgin; nothing was pulsed.
        """
        refuse_virgin(self._crossbar, self._cells)
        reset_fully(self._crossbar, self._cells)
        for cycle in range(1, self._cycles + 1):
            after_set = self._crossbar.apply(self._cells, self._set).conductance
            after_reset = self._crossbar.apply(self._cells, self._reset).conductance
            if cycle == self._kept[self._points]:
                self._low[self._points], self._high[self._points] = after_set, after_reset
                self._points += 1
            progress(cycle, self._cycles, "cycles")

    def measured(self) -> Endurance | None:
        """The cycles read so far; None before the first."""
        if not self._points:
            return None
        return self._built()

    def _built(self) -> Endurance:
        return Endurance(
            cells=in_the_backend(self._crossbar, self._cells),
            cycle=self._kept[: self._points],
            low=self._low[: self._points],
            high=self._high[: self._points],
            provenance=self._crossbar.spec.provenance,
        )


def read_cycles(cycles: int) -> Ints:
    """Numbers of the cycles to keep, from 1 to the last, evenly in the logarithm."""
    count = max(2, round(_POINTS_A_DECADE * np.log10(max(cycles, 2))))
    return np.unique(np.geomspace(1, cycles, count).round().astype(np.int64))


def measure_endurance(crossbar: Crossbar, cells: Cells, progress: Progress, cycles: int = CYCLES) -> Endurance:
    """Cycle cells to the end; arguments as `EnduranceTest` and its `run`."""
    test = EnduranceTest(crossbar, cells, cycles)
    test.run(progress)
    return test._built()
