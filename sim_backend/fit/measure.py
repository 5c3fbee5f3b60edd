"""Measure what a fit needs, on any backend: staircases, ramps, sweeps, repeated reads and retention.

The plan knows nothing of the cells but the limits of their array. Where a ramp must begin and end it finds from a
coarse one, whose pulses are data like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.backend import ArraySpec, Backend, Biases, Cells, Floats, Ints, Operation, Pulses, Read, Readings
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.ledger import Ledger
from rmhil.line_model import series_resistance
from rmhil.measure.pulsing import reset_until_low
from rmhil.program_report import Progress
from rmhil.units import Seconds, Volts
from sim_backend.fit.columns import LAYOUTS
from sim_backend.fit.pulsing import transact
from sim_backend.fit.recorder import Recorder
from sim_backend.fit.tables import Table, make_table

_FORMED = 0.1
"""1: reading relative to the window's lower end above which a cell counts as formed."""

_CELLS_MIN = 8
"""1: cells below which no spread can be told."""

_STAGES = 7
"""1: parts of the plan, for its progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """What is measured; `FitPlan.of` fills in voltages that suit the limits of an array.

    Attributes:
        widths: s, the two pulse widths of FORM, SET and RESET ramps; their ratio tells a rate's voltage scale.
        form_amplitudes: V, of the FORM ramp.
        form_gate: V, gate while forming.
        set_amplitude: V, of a SET that runs its course.
        reset_amplitude: V, of a RESET that reaches the floor, and where RESET ramps end.
        reset_gate: V, gate during RESET.
        gates: V, of the SET staircase; it ends where the median cell has left the window.
        step: V, of the SET ramps; the coarse ramps and RESET ramps have steps two and a half times as large.
        repeats: staircases, and ramps of each width.
        averages: readings averaged while cells are virgin and for retention.
        sweep_cells: cells that are swept.
        reads: repeated readings of each cell.
        read_interval: s, between two of them.
        retention_times: s after a write, ascending; none leaves retention out.
        writes: times that retention is measured on each cell.
    """

    widths: tuple[Seconds, Seconds]
    form_amplitudes: tuple[Volts, ...]
    form_gate: Volts
    set_amplitude: Volts
    reset_amplitude: Volts
    reset_gate: Volts
    gates: tuple[Volts, ...]
    step: Volts = 0.02
    repeats: int = 2
    averages: int = 16
    sweep_cells: int = 4
    reads: int = 100
    read_interval: Seconds = 10.0
    retention_times: tuple[Seconds, ...] = tuple(np.logspace(-1, 5, 13))
    writes: int = 2

    @classmethod
    def of(cls, spec: ArraySpec) -> FitPlan:
        """A plan for arrays with these limits: voltages are shares of the largest ones allowed."""
        limits = spec.limits
        first = max(spec.pulse_width, limits.pulse_width_min)
        return cls(
            widths=(first, min(10.0 * first, limits.pulse_width_max)),
            form_amplitudes=tuple(np.arange(0.4, 1.0001, 0.02) * limits.form_voltage),
            form_gate=0.4 * limits.gate_voltage,
            set_amplitude=0.65 * limits.set_voltage,
            reset_amplitude=0.75 * limits.reset_voltage,
            reset_gate=limits.gate_voltage,
            gates=tuple(np.arange(0.16, 1.0001, 0.04) * limits.gate_voltage),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Tables of one measurement.

    Attributes:
        pulses, sweeps, retention, reads: as `sim_backend.fit.columns` describes them; None where left out.
    """

    pulses: Table | None = None
    sweeps: Table | None = None
    retention: Table | None = None
    reads: Table | None = None

    def write(self, folder: str | Path) -> dict[str, Path]:
        """Write `pulses.csv`, `sweeps.csv`, `retention.csv` and `reads.csv` into a folder.

        Raises:
            InputFileError: a file cannot be written.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        tables = {name: getattr(self, name) for name in ("pulses", "sweeps", "retention", "reads")}
        return {name: table.write(target / f"{name}.csv") for name, table in tables.items() if table is not None}


def measure_for_fit(
    backend: Backend,
    cells: Cells,
    plan: FitPlan | None = None,
    *,
    ledger: Ledger | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Take all tables of a fit from some cells; virgin ones are formed, and all are left programmed anyhow.

    Args:
        backend: that holds the cells.
        cells: at least 8; 64 tell spreads to about 15 %. Spread them over the array.
        plan: what is measured; None suits the backend's limits.
        ledger: where pulses and reads are counted.
        progress: called after each part with (done, total, text).

    Raises:
        ConfigError: too few cells.
        OutOfRangeError: no gate level of the plan brings the cells into the upper half of their window.
    """
    if len(cells) < _CELLS_MIN:
        raise ConfigError(f"{len(cells)} cell(s) to measure; a population needs at least {_CELLS_MIN}")
    run = _Run(backend, cells, FitPlan.of(backend.spec) if plan is None else plan, ledger)
    stages = (run.form, run.levels, run.set_ramps, run.reset_ramps, run.sweeps, run.repeated_reads, run.retention)
    names = ("FORM ramp", "SET levels", "SET ramps", "RESET ramps", "sweeps", "repeated reads", "retention")
    for number, (stage, name) in enumerate(zip(stages, names, strict=True)):
        if progress is not None:
            progress(number, _STAGES, name)
        stage()
    if progress is not None:
        progress(_STAGES, _STAGES, "")
    return run.measured()


class _Run:
    """One measurement: the cells, what is known of them, and the rows taken so far."""

    def __init__(self, backend: Backend, cells: Cells, plan: FitPlan, ledger: Ledger | None) -> None:
        self._backend, self._cells, self._plan = Recorder(backend, ledger), cells, plan
        self._names = cells.names
        self._gates: Floats = np.array([])
        self._rows: dict[str, list[dict[str, ArrayLike]]] = {"sweeps": [], "reads": [], "retention": []}

    def measured(self) -> Measured:
        """All tables."""
        source, tables = self._backend.spec.provenance, {}
        for name, parts in self._rows.items():
            if parts:
                columns = {column: np.concatenate([_filled(part, column) for part in parts]) for column in parts[0]}
                tables[name] = make_table(LAYOUTS[name], source, columns)
        return Measured(pulses=self._backend.table() if self._backend.recorded else None, **tables)

    def _read(self, averages: int = 1) -> Readings:
        """Read all cells."""
        return transact(self._backend, self._cells, None, Read.default(self._backend.spec, averages))

    def _pulse(
        self,
        operation: Operation,
        amplitude: Volts,
        width: ArrayLike,
        gate: ArrayLike,
        chosen: Ints | None = None,
        averages: int = 1,
    ) -> Readings:
        """One pulse for each chosen cell (None: all)."""
        cells = self._cells if chosen is None else self._cells[chosen]
        pulses = Pulses.of(len(cells), operation, amplitude, width, gate, self._backend.spec.limits.current)
        return transact(self._backend, cells, pulses, Read.default(self._backend.spec, averages))

    def _deep_reset(self) -> None:
        plan, limits = self._plan, self._backend.spec.limits
        pulses = Pulses.of(
            len(self._cells), Operation.RESET, plan.reset_amplitude, plan.widths[0], plan.reset_gate, limits.current
        )
        reset_until_low(Crossbar(self._backend), self._cells, pulses)

    def _full_set(self, gate: ArrayLike) -> Readings:
        return self._pulse(Operation.SET, self._plan.set_amplitude, self._plan.widths[0], gate)

    def form(self) -> None:
        """Ramp the FORM voltage on what is virgin, every other cell with the longer pulses."""
        plan, floor = self._plan, _FORMED * self._backend.spec.conductance_min
        self._read(plan.averages)
        for amplitude in plan.form_amplitudes:
            virgin = np.flatnonzero(self._backend.last(self._cells) < floor)
            if not virgin.size:
                return
            width = np.array(plan.widths)[virgin % 2]
            self._pulse(Operation.FORM, amplitude, width, plan.form_gate, virgin, plan.averages)

    def levels(self) -> None:
        """Climb the gate voltage, a RESET before each SET."""
        top, reached = self._backend.spec.conductance_max, []
        for repeat in range(self._plan.repeats):
            for gate in self._plan.gates:
                self._deep_reset()
                level = float(np.median(self._full_set(gate).conductance))
                if repeat == 0:
                    reached.append((gate, level))
                if level > top:
                    break
        gates, levels = np.array(reached).T
        within = (levels > 0.5 * self._backend.spec.conductance_min) & (levels <= 1.1 * top)
        if not np.any(within & (levels > 0.5 * top)):
            raise OutOfRangeError("median level of the strongest SET", float(levels.max()), 0.5 * top, top, "S")
        self._gates = gates[within]

    @property
    def _middle_gate(self) -> float:
        return float(self._gates[len(self._gates) // 2])

    def set_ramps(self) -> None:
        """Raise the SET amplitude from below the onset, at both widths, without RESET in between."""
        gate = self._middle_gate
        for width in self._plan.widths:
            coarse = np.arange(0.25 * self._plan.set_amplitude, self._plan.set_amplitude, 2.5 * self._plan.step)
            risen = self._ramp(Operation.SET, coarse, width, gate)
            half = 0.5 * (risen[0] + risen[-1])
            onset = coarse[np.argmax(risen > half, axis=0)]
            low, high = np.quantile(onset, [0.03, 0.97])
            fine = np.arange(low - 8 * self._plan.step, high + 6 * self._plan.step, self._plan.step)
            for _ in range(self._plan.repeats):
                self._ramp(Operation.SET, fine[(fine > 0) & (fine <= self._plan.set_amplitude)], width, gate)

    def reset_ramps(self) -> None:
        """Raise the RESET amplitude on cells that a SET has brought to the top of the window."""
        steps = np.arange(0.2 * self._plan.reset_amplitude, self._plan.reset_amplitude, 2.5 * self._plan.step)
        for width in self._plan.widths:
            for _ in range(self._plan.repeats):
                self._deep_reset()
                self._full_set(float(self._gates[-1]))
                self._ramp(Operation.RESET, steps, width, self._plan.reset_gate, prepare=False)

    def _ramp(
        self, operation: Operation, amplitudes: Floats, width: Seconds, gate: Volts, *, prepare: bool = True
    ) -> Floats:
        """Readings (S), one row an amplitude."""
        if prepare:
            self._deep_reset()
        return np.array([self._pulse(operation, one, width, gate).conductance for one in amplitudes])

    def sweeps(self) -> None:
        """Quasi-static sweeps of some cells, SET with a middle gate and RESET with the highest."""
        plan = self._plan
        up = np.arange(0.0, plan.set_amplitude, 2.0 * plan.step)
        down = -np.arange(0.0, plan.reset_amplitude, 2.0 * plan.step)
        bl_over_sl = np.concatenate([up, up[::-1], down, down[::-1]])
        gate = np.where(np.arange(bl_over_sl.size) < 2 * up.size, self._middle_gate, plan.reset_gate)
        biases = Biases.of(
            np.maximum(bl_over_sl, 0.0), np.maximum(-bl_over_sl, 0.0), gate,
            plan.widths[0], self._backend.spec.limits.current,
        )  # fmt: skip
        self._deep_reset()
        for cell in np.linspace(0, len(self._cells) - 1, min(plan.sweep_cells, len(self._cells))).astype(int):
            for number in range(plan.repeats):
                self._sweep(int(cell), number, biases)

    def _sweep(self, cell: int, number: int, biases: Biases) -> None:
        swept = self._cells[np.array([cell])]
        trace = self._backend.sweep(swept, biases)
        self._rows["sweeps"].append({
            "cell": self._names[np.full(len(biases), cell)], "sweep": number, "step": np.arange(len(biases)),
            "bl_v": biases.bl, "sl_v": biases.sl, "wl_v": biases.wl, "dwell_s": biases.dwell,
            "current_a": trace.current, "compliance_a": biases.compliance,
            "series_ohm": float(series_resistance(self._backend.spec, swept.bl, swept.sl)[0]),
        })  # fmt: skip

    def _spread_levels(self, shift: int) -> Readings:
        """Bring the cells to levels all over the window, each to another one than with another shift."""
        place = (np.arange(len(self._cells)) + shift * (len(self._gates) // 2)) % len(self._gates)
        self._deep_reset()
        return self._full_set(self._gates[place])

    def repeated_reads(self) -> None:
        """Read every cell again and again."""
        self._spread_levels(0)
        for number in range(self._plan.reads):
            self._backend.wait(self._plan.read_interval)
            conductance = self._read().conductance
            self._rows["reads"].append({"cell": self._names, "read": number, "conductance_siemens": conductance})

    def retention(self) -> None:
        """Write the cells and read them at growing times."""
        for write in range(self._plan.writes if self._plan.retention_times else 0):
            written = self._spread_levels(write).time
            passed = 0.0
            for moment in self._plan.retention_times:
                self._backend.wait(max(moment - passed, 0.0))
                readings = self._read(self._plan.averages)
                since = readings.time - written
                passed = max(moment, float(since.min()))
                self._rows["retention"].append({
                    "cell": self._names, "write": write, "time_since_write_s": since,
                    "conductance_siemens": readings.conductance, "averages": self._plan.averages,
                })  # fmt: skip


def _filled(part: Mapping[str, ArrayLike], column: str) -> NDArray[Any]:
    """A column of some rows; a scalar holds for all of them."""
    return np.broadcast_to(np.asarray(part[column]), np.shape(part["cell"]))
