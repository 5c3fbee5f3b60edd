"""From measured tables to a device preset: every part of the tables in the order in which it builds on another."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rmhil.errors import ConfigError
from rmhil.program_report import Progress
from rmhil.units import Ohms
from sim_backend.fit.drift import fit_retention
from sim_backend.fit.forming import fit_forming
from sim_backend.fit.kinetics import fit_reset, fit_set_rate
from sim_backend.fit.levels import fit_levels, guess_onset
from sim_backend.fit.noise import INSTRUMENT_NOISE, fit_reads
from sim_backend.fit.pulse_rows import switching_rows, with_before
from sim_backend.fit.report import Findings, FitReport
from sim_backend.fit.sweeps import fit_sweeps
from sim_backend.fit.tables import Table
from sim_backend.preset_file import find_preset
from sim_backend.presets import DEVICE_PRESETS, DevicePreset

_FIXED = {
    "conductance_min": "a choice of the user: the window",
    "conductance_max": "a choice of the user: the window",
    "reference_time": "a convention: the time in which rates are stated",
    "n_bl": "the array, not the cell",
    "n_sl": "the array, not the cell",
    "pulse_width_min": "the bench, not the cell",
    "cycle_level_share": "needs many SET levels below the window",
    "telegraph_dwell": "needs reads of many time steps; not fitted",
    "drift_energy": "needs several temperatures",
    "switching_energy": "needs several temperatures",
    "conductance_temperature": "needs several temperatures",
    "gate_threshold_temperature": "needs several temperatures",
    "endurance": "needs cycling until the window closes",
    "endurance_spread": "needs cycling until the window closes",
    "endurance_shape": "needs cycling until the window closes",
    "stuck_conductance_max": "needs many stuck cells",
    "filament_bend": "needs currents at several read voltages",
    "selector_gain": "needs currents at several read voltages",
}
"""Fields that no table determines -> why."""

_NO_TABLE = "no table of"


def fit_cell(
    pulses: Table | None = None,
    sweeps: Table | None = None,
    retention: Table | None = None,
    reads: Table | None = None,
    *,
    start: str | DevicePreset = "taox180",
    name: str = "fitted",
    series: Ohms | None = None,
    progress: Progress | None = None,
) -> FitReport:
    """Fit the parameters of the simulated cell to measured tables.

    Args:
        pulses: table of FORM, SET and RESET pulses; at least one of the tables is given.
        sweeps: table of quasi-static sweeps.
        retention: table of reads after a write.
        reads: table of repeated reads.
        start: preset whose values stay where the data say nothing; also the centre of weak priors.
        name: of the new preset.
        series: ohm between drivers and cell, for rows without `series_ohm`.
        progress: called with (done, total, text).

    Raises:
        ConfigError: no table, a row without a series resistance where none is given, or a name that is taken.
        UnknownNameError: no such start preset.
    """
    begun = find_preset(start)
    _refuse_taken(name, begun)
    tables = {"reads": reads, "sweeps": sweeps, "pulses": pulses, "retention": retention}
    if all(table is None for table in tables.values()):
        raise ConfigError("nothing to fit: give at least one of the tables pulses, sweeps, retention and reads")
    found = Findings(begun)
    instrument = INSTRUMENT_NOISE
    steps: list[tuple[str, Callable[[], None]]] = []
    if reads is not None:
        instrument = fit_reads(reads, found)
    if sweeps is not None:
        steps.append(("sweeps", lambda: fit_sweeps(_with_series(sweeps, series), found)))
    if pulses is not None:
        steps += _pulse_steps(with_before(_with_series(pulses, series)), instrument, found)
    if retention is not None:
        steps.append(("retention", lambda: fit_retention(retention, instrument, found)))
    for number, (text, step) in enumerate(steps):
        if progress is not None:
            progress(number, len(steps), text)
        step()
    if progress is not None:
        progress(len(steps), len(steps), "")
    for kind, table in tables.items():
        if table is not None and table.unused:
            found.notes.append(f"{kind}: columns not used: {', '.join(table.unused)}")
    return _report(found, name, tables)


def missing(report: FitReport) -> str:
    """What the tables given would need to determine something, in one line; empty if they determine all they can."""
    reasons = [why for name, why in report.undetermined.items() if name not in _FIXED and not why.startswith(_NO_TABLE)]
    return "; ".join(dict.fromkeys(reasons))


def _refuse_taken(name: str, start: DevicePreset) -> None:
    """Two kinds of cells of one name would be mistaken for one another."""
    if name in DEVICE_PRESETS:
        raise ConfigError(f"name {name!r} is that of a built-in preset ({', '.join(DEVICE_PRESETS)}); give another one")
    if name == start.name:
        raise ConfigError(f"name {name!r} is that of the preset that the fit starts from; give another one")


def _pulse_steps(pulses: Table, instrument: float, found: Findings) -> list[tuple[str, Callable[[], None]]]:
    def switching() -> None:
        sets, resets = switching_rows(pulses, instrument, found)
        onset = guess_onset(sets, found.start)
        levels = fit_levels(sets, onset, found)
        fit_set_rate(sets, levels, onset, found)
        fit_reset(resets, found)

    return [("FORM", lambda: fit_forming(pulses, found)), ("SET and RESET", switching)]


def _with_series(table: Table, series: Ohms | None) -> Table:
    """The table with the resistance given wherever it states none."""
    stated = table["series_ohm"]
    if series is None and np.isnan(stated).any():
        raise ConfigError(
            f"{table.source}: no series_ohm in {table.place[np.isnan(stated)][0]}; "
            "add the column, or give the resistance between the drivers and the cell (0 for none)"
        )
    if series is not None and not (0.0 <= series < math.inf):
        raise ConfigError(f"series = {series} ohm, expected 0 or more")
    filled = np.where(np.isnan(stated), 0.0 if series is None else series, stated)
    return table.with_column("series_ohm", filled)


def _report(found: Findings, name: str, tables: dict[str, Table | None]) -> FitReport:
    absent = ", ".join(kind for kind, table in tables.items() if table is None)
    undetermined = {}
    for field in DevicePreset.model_fields:
        if field == "name" or field in found.estimates:
            continue
        undetermined[field] = found.undetermined.get(field) or _FIXED.get(field) or f"{_NO_TABLE} {absent}"
    values = {one.name: one.value for one in found.estimates.values()}
    preset = DevicePreset.model_validate(found.start.model_dump() | values | {"name": name})
    return FitReport(
        preset=preset, start=found.start.name, estimates=found.estimates, undetermined=undetermined,
        residuals=found.residuals, notes=found.notes,
    )  # fmt: skip
