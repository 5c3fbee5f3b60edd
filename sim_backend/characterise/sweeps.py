"""Quasi-static I-V sweeps of one cell: SET and RESET, again and again on the same cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rmhil.backend import Backend, Biases, Cells, Floats
from rmhil.line_model import series_resistance
from rmhil.program_report import Progress
from rmhil.units import Amperes, Ohms, Seconds, Volts
from sim_backend.characterise.cells import reset_fully
from sim_backend.fit.tables import Table, cell_names, sweep_table

SWEEPS: Final = 50
"""Sweeps laid over one another in arXiv 2601.10037."""

SET_STOP: Final[Volts] = 1.6
RESET_STOP: Final[Volts] = 2.4
"""V: ends of the two branches, which must take every cell all the way (estimates, the published axes were not at hand;
range 1.4 to 2 for SET and 2.2 to 2.5 for RESET: with 2 V, a cell that RESETs late keeps a window of 2 only)."""

SET_GATE: Final[Volts] = 2.0
"""V on the gate during the SET branch: the transistor limits the current to some 35 uA (estimate, range 1.5 to 3)."""

_STEP: Final[Volts] = 0.025
_DWELL: Final[Seconds] = 1e-3
"""V and s of a step: a staircase of an SMU."""

_READ_AT: Final[Volts] = 0.2
"""V at which the resistance states are compared, on the way back of each branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeps:
    """Traces of one cell.

    Attributes:
        cell: its name.
        bl, sl, wl: V at each step, shape (steps,).
        current: A, positive from BL to SL, shape (sweeps, steps).
        dwell: s at each step.
        compliance: A.
        series: ohm between the drivers and the cell, by the wiring.
        provenance: of the backend.
    """

    cell: str
    bl: Floats
    sl: Floats
    wl: Floats
    current: Floats
    dwell: Seconds
    compliance: Amperes
    series: Ohms
    provenance: str

    @property
    def voltage(self) -> Floats:
        """V, BL over SL, at each step."""
        return self.bl - self.sl

    def set_voltages(self) -> Floats:
        """V of each sweep, where the conductance passes the geometric mean of what it was and becomes."""
        up = self._part(0)
        volts, conductance = self.voltage[up], self.current[:, up] / self.voltage[up]
        # At the first steps the instrument's noise is as large as the current.
        started = volts >= _READ_AT
        volts, conductance = volts[started], conductance[:, started]
        middle = np.sqrt(self.high_resistance() * self.low_resistance())
        return np.asarray(volts[np.argmax(conductance >= middle[:, None], axis=1)])

    def reset_voltages(self) -> Floats:
        """V of each sweep (negative), where the current of the RESET branch is largest."""
        down = self._part(2)
        return np.asarray(self.voltage[down][np.argmin(self.current[:, down], axis=1)])

    def low_resistance(self) -> Floats:
        """S of each sweep in the low-resistance state: at 0.2 V on the way back from the SET."""
        return self._conductance_at(self._part(1), _READ_AT)

    def high_resistance(self) -> Floats:
        """S of each sweep in the high-resistance state: at 0.2 V on the way up to the SET."""
        return self._conductance_at(self._part(0), _READ_AT)

    def _part(self, number: int) -> slice:
        """Steps of one quarter: up and back of SET, then of RESET."""
        top, bottom = int(np.argmax(self.voltage)), int(np.argmin(self.voltage))
        between = int(np.flatnonzero(self.sl > 0)[0])
        ends = (0, top + 1, between, bottom + 1, len(self.voltage))
        return slice(ends[number], ends[number + 1])

    def _conductance_at(self, part: slice, volts: Volts) -> Floats:
        at = part.start + int(np.argmin(np.abs(self.voltage[part] - volts)))
        return np.asarray(self.current[:, at] / self.voltage[at])

    def summary(self) -> dict[str, Any]:
        """Voltages of SET and RESET and both states: mean and standard deviation over the sweeps."""
        low, high = self.low_resistance(), self.high_resistance()
        numbers = {
            "set_v": self.set_voltages(),
            "reset_v": self.reset_voltages(),
            "lrs_siemens": low,
            "hrs_siemens": high,
        }
        spread = {f"{name}_{kind}": float(fun(values)) for name, values in numbers.items() for kind, fun in _KINDS}
        return {
            "sweeps": len(self.current),
            **spread,
            "smallest_lrs_over_largest_hrs": float(low.min() / high.max()),
            "median_spread_of_log10_current": self._spread_of_current(),
        }

    def _spread_of_current(self) -> float:
        """1: standard deviation of log10 |I| over the sweeps, the median of the steps above the reading voltage."""
        steps = np.abs(self.voltage) >= _READ_AT
        return float(np.median(np.log10(np.abs(self.current[:, steps])).std(axis=0)))

    def tables(self) -> dict[str, Table]:
        """The traces as `rmhil fit` reads them."""
        count, steps = self.current.shape
        return {
            "sweeps": sweep_table(
                self.provenance,
                cell=self.cell,
                sweep=np.repeat(np.arange(count), steps),
                step=np.tile(np.arange(steps), count),
                bl_v=np.tile(self.bl, count),
                sl_v=np.tile(self.sl, count),
                wl_v=np.tile(self.wl, count),
                dwell_s=self.dwell,
                current_a=self.current.reshape(-1),
                compliance_a=self.compliance,
                series_ohm=self.series,
            )
        }


_KINDS = (("mean", np.mean), ("std", np.std))


def measure_sweeps(
    backend: Backend, cell: Cells, progress: Progress, sweeps: int = SWEEPS, step: Volts = _STEP
) -> Sweeps:
    """Sweep one working cell: 0 to SET and back at a fixed gate voltage, then 0 to RESET and back, gate open.

    Args:
        backend: an open backend.
        cell: one formed cell.
        progress: told how many sweeps are done.
        sweeps: how many.
        step: V from step to step.
    """
    limits = backend.spec.limits
    up, down = _triangle(SET_STOP, step), _triangle(RESET_STOP, step)
    biases = Biases.of(
        bl=np.concatenate([up, np.zeros_like(down)]),
        sl=np.concatenate([np.zeros_like(up), down]),
        wl=np.repeat([SET_GATE, limits.gate_voltage], [len(up), len(down)]),
        dwell=_DWELL,
        compliance=limits.current,
    )
    reset_fully(backend, cell)
    backend.sweep(cell, biases)  # the state before the first one is that of a pulse, not of a sweep
    current = np.zeros((sweeps, len(biases)))
    for number in range(sweeps):
        progress(number, sweeps, "sweeps")
        current[number] = backend.sweep(cell, biases).current
    progress(sweeps, sweeps, "sweeps")
    return Sweeps(
        cell=str(cell_names(cell)[0]),
        bl=biases.bl,
        sl=biases.sl,
        wl=biases.wl,
        current=current,
        dwell=biases.dwell,
        compliance=biases.compliance,
        series=float(series_resistance(backend.spec, cell.bl, cell.sl)[0]),
        provenance=backend.spec.provenance,
    )


def _triangle(stop: Volts, step: Volts) -> Floats:
    """V: from one step above 0 to `stop` and back to one step above 0."""
    up = np.linspace(step, stop, round(stop / step))
    return np.concatenate([up, up[-2::-1]])
