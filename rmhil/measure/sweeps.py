"""Quasi-static I-V sweeps of cells: SET and RESET, again and again on the same cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from rmhil.backend import ArraySpec, Biases, Cells, Floats
from rmhil.checks import check_biases, check_pulses, whole_number
from rmhil.errors import OutOfRangeError
from rmhil.line_model import series_resistance
from rmhil.measure.labelled import cells_of, labelled
from rmhil.measure.pulsing import check_volts, in_the_backend, refuse_virgin, reset_fully, reset_pulses
from rmhil.program_report import Progress
from rmhil.units import Amperes, Seconds, Volts

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.crossbar import Crossbar

SWEEPS: Final = 50
"""Sweeps laid over one another in arXiv 2601.10037."""

SET_STOP: Final[Volts] = 1.6
RESET_STOP: Final[Volts] = 2.4
"""V: ends of the two branches, which must take every cell all the way (estimates, the published axes were not at hand;
range 1.4 to 2 for SET and 2.2 to 2.5 for RESET: with 2 V, a cell that RESETs late keeps a window of 2 only)."""

SET_GATE: Final[Volts] = 2.0
"""V on the gate during the SET branch: the transistor limits the current to some 35 uA (estimate, range 1.5 to 3)."""

STEP: Final[Volts] = 0.025
DWELL: Final[Seconds] = 1e-3
"""V and s of a step: a staircase of an SMU."""

_READ_AT: Final[Volts] = 0.2
"""V at which the resistance states are compared, on the way back of each branch."""

_KINDS = (("mean", np.mean), ("std", np.std))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """What one sweep is: 0 to SET and back at a fixed gate voltage, then 0 to RESET and back with the gate open.

    Attributes:
        set_stop, reset_stop: V, ends of the branches.
        gate: V on the WL during the SET branch.
        step: V from step to step.
        dwell: s at each step.
    """

    set_stop: Volts = SET_STOP
    reset_stop: Volts = RESET_STOP
    gate: Volts = SET_GATE
    step: Volts = STEP
    dwell: Seconds = DWELL

    def biases(self, spec: ArraySpec) -> Biases:
        """The steps of one sweep.

        Raises:
            OutOfRangeError, NotFiniteError: a value leaves the limits of the array; nothing was driven.
        """
        limits = spec.limits
        check_volts("set_stop", self.set_stop, max(limits.set_voltage, limits.form_voltage))
        check_volts("reset_stop", self.reset_stop, limits.reset_voltage)
        largest = min(self.set_stop, self.reset_stop) / 2
        if not 0.0 < self.step <= largest:
            raise OutOfRangeError("step", self.step, 0.0, largest, "V", above=True)
        up, down = _triangle(self.set_stop, self.step), _triangle(self.reset_stop, self.step)
        biases = Biases.of(
            bl=np.concatenate([up, np.zeros_like(down)]),
            sl=np.concatenate([np.zeros_like(up), down]),
            wl=np.repeat([self.gate, limits.gate_voltage], [len(up), len(down)]),
            dwell=self.dwell,
            compliance=limits.current,
        )
        check_biases(spec, biases)
        return biases


def _triangle(stop: Volts, step: Volts) -> Floats:
    """V: from one step above 0 to `stop` and back to one step above 0."""
    up = np.linspace(step, stop, round(stop / step))
    return np.concatenate([up, up[-2::-1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeps:
    """Traces of cells.

    Attributes:
        cells: by their numbers in the backend.
        bl, sl, wl: V at each step, shape (steps,).
        current: A, positive from BL to SL, shape (cells, sweeps, steps); NaN: not swept any more.
        dwell: s at each step.
        compliance: A.
        series: ohm between the drivers and each cell, by the wiring, shape (cells,).
        provenance: of the backend.
    """

    cells: Cells
    bl: Floats
    sl: Floats
    wl: Floats
    current: Floats
    dwell: Seconds
    compliance: Amperes
    series: Floats
    provenance: str

    @property
    def voltage(self) -> Floats:
        """V, BL over SL, at each step."""
        return self.bl - self.sl

    def traces(self) -> Floats:
        """A, all whole sweeps of all cells, shape (traces, steps)."""
        every = self.current.reshape(-1, self.current.shape[2])
        return every[np.isfinite(every).all(axis=1)]

    def set_voltages(self) -> Floats:
        """V of each trace, where the conductance passes the geometric mean of what it was and becomes."""
        up = self._part(0)
        volts, conductance = self.voltage[up], self.traces()[:, up] / self.voltage[up]
        # At the first steps the instrument's noise is as large as the current.
        started = volts >= _READ_AT
        volts, conductance = volts[started], conductance[:, started]
        # A virgin cell reads about zero, and by its noise below it.
        middle = np.sqrt(np.maximum(self.high_resistance() * self.low_resistance(), 0.0))
        return np.asarray(volts[np.argmax(conductance >= middle[:, None], axis=1)])

    def reset_voltages(self) -> Floats:
        """V of each trace (negative), where the current of the RESET branch is largest."""
        down = self._part(2)
        return np.asarray(self.voltage[down][np.argmin(self.traces()[:, down], axis=1)])

    def low_resistance(self) -> Floats:
        """S of each trace in the low-resistance state: at 0.2 V on the way back from the SET."""
        return self._conductance_at(self._part(1), _READ_AT)

    def high_resistance(self) -> Floats:
        """S of each trace in the high-resistance state: at 0.2 V on the way up to the SET."""
        return self._conductance_at(self._part(0), _READ_AT)

    def _part(self, number: int) -> slice:
        """Steps of one quarter: up and back of SET, then of RESET."""
        top, bottom = int(np.argmax(self.voltage)), int(np.argmin(self.voltage))
        between = int(np.flatnonzero(self.sl > 0)[0])
        ends = (0, top + 1, between, bottom + 1, len(self.voltage))
        return slice(ends[number], ends[number + 1])

    def _conductance_at(self, part: slice, volts: Volts) -> Floats:
        at = part.start + int(np.argmin(np.abs(self.voltage[part] - volts)))
        return np.asarray(self.traces()[:, at] / self.voltage[at])

    def summary(self) -> dict[str, Any]:
        """Voltages of SET and RESET and both states: mean and standard deviation over the traces."""
        low, high = self.low_resistance(), self.high_resistance()
        numbers = {
            "set_v": self.set_voltages(),
            "reset_v": self.reset_voltages(),
            "lrs_siemens": low,
            "hrs_siemens": high,
        }
        spread = {f"{name}_{kind}": float(fun(values)) for name, values in numbers.items() for kind, fun in _KINDS}
        return {
            "cells": len(self.cells),
            "sweeps": len(self.traces()),
            **spread,
            "smallest_lrs_over_largest_hrs": float(low.min() / high.max()),
            "median_spread_of_log10_current": self._spread_of_current(),
        }

    def _spread_of_current(self) -> float:
        """1: standard deviation of log10 |I| over the traces, the median of the steps above the reading voltage."""
        steps = np.abs(self.voltage) >= _READ_AT
        return float(np.median(np.log10(np.abs(self.traces()[:, steps])).std(axis=0)))

    def dataset(self) -> xr.Dataset:
        """The traces over `cell`, `sweep` and `step`, named as the tables that `rmhil fit` reads."""
        _, sweeps, steps = self.current.shape
        step, over = ("step",), ("cell", "sweep", "step")
        return labelled(
            "sweeps",
            self.provenance,
            self.cells,
            {"current": (over, self.current, "A", "at the end of the step, positive from BL to SL")},
            {
                "sweep": (("sweep",), np.arange(sweeps), "1", "number of the sweep of that cell"),
                "step": (step, np.arange(steps), "1", "number of the step within the sweep"),
                "bl_v": (step, self.bl, "V", "bit line, at the driver"),
                "sl_v": (step, self.sl, "V", "source line, at the driver"),
                "wl_v": (step, self.wl, "V", "word line (gate)"),
                "dwell": (step, np.full(steps, self.dwell), "s", "time at the step"),
                "compliance": (step, np.full(steps, self.compliance), "A", "current limit of the source"),
                "series": (("cell",), self.series, "ohm", "resistance between the drivers and the cell"),
            },
        )

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self:
        """The measurement that `dataset` wrote."""
        return cls(
            cells=cells_of(dataset),
            bl=dataset["bl_v"].values,
            sl=dataset["sl_v"].values,
            wl=dataset["wl_v"].values,
            current=dataset["current"].values,
            dwell=float(dataset["dwell"][0]),
            compliance=float(dataset["compliance"][0]),
            series=dataset["series"].values,
            provenance=str(dataset.attrs["provenance"]),
        )


class SweepTest:
    """Sweeps of cells, one after the other; what was measured is there at any moment.

    Args:
        crossbar: that holds the cells.
        cells: by their numbers in the crossbar.
        sweeps: of each cell.
        plan: what one sweep is.
        as_is: sweep the cells in whatever state they are, virgin ones too; else they are RESET and swept once before,
            so that the first trace that is kept follows a sweep and not a pulse.

    Raises:
        ConfigError, OutOfRangeError, NotFiniteError: a setting leaves the limits; nothing was driven.
    """

    def __init__(
        self,
        crossbar: Crossbar,
        cells: Cells,
        sweeps: int = SWEEPS,
        plan: SweepPlan | None = None,
        *,
        as_is: bool = False,
    ) -> None:
        self._crossbar, self._cells, self._as_is = crossbar, cells, as_is
        self._biases = (plan or SweepPlan()).biases(crossbar.spec)
        check_pulses(crossbar.spec, cells, reset_pulses(crossbar.spec, len(cells)))
        self._current = np.full((len(cells), whole_number("sweeps", sweeps), len(self._biases)), np.nan)

    def run(self, progress: Progress) -> None:
        """Sweep the cells.

        Args:
            progress: told after each sweep.

        Raises:
            ConfigError: a cell is virgin, and is not to be swept as it is; nothing was pulsed.
        """
        cells, sweeps, _ = self._current.shape
        if not self._as_is:
            refuse_virgin(self._crossbar, self._cells)
            reset_fully(self._crossbar, self._cells)
        for cell in range(cells):
            if not self._as_is:
                self._sweep(cell)
            for number in range(sweeps):
                self._current[cell, number] = self._sweep(cell)
                progress(cell * sweeps + number + 1, cells * sweeps, "sweeps")

    def _sweep(self, cell: int) -> Floats:
        array, bl, sl = (int(numbers[cell]) for numbers in self._cells.index)
        return self._crossbar.sweep(bl, sl, self._biases, array).current

    def measured(self) -> Sweeps | None:
        """The traces so far; None before the first."""
        if np.isnan(self._current).all():
            return None
        return self._built()

    def _built(self) -> Sweeps:
        cells = in_the_backend(self._crossbar, self._cells)
        return Sweeps(
            cells=cells,
            bl=self._biases.bl,
            sl=self._biases.sl,
            wl=self._biases.wl,
            current=self._current,
            dwell=self._biases.dwell,
            compliance=self._biases.compliance,
            series=series_resistance(self._crossbar.spec, cells.bl, cells.sl),
            provenance=self._crossbar.spec.provenance,
        )


def measure_sweeps(
    crossbar: Crossbar, cells: Cells, progress: Progress, sweeps: int = SWEEPS, plan: SweepPlan | None = None
) -> Sweeps:
    """Sweep cells to the end; arguments as `SweepTest` and its `run`."""
    test = SweepTest(crossbar, cells, sweeps, plan)
    test.run(progress)
    return test._built()
