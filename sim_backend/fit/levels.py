"""SET levels: a line against the gate voltage for each cell, `G = k (Vg - Vt)`, from pulses that ran their course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmhil.backend import Floats
from sim_backend.fit.pulse_rows import PulseRows
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.statistics import mean_and_spread
from sim_backend.presets import DevicePreset

_CELLS_MIN = 8
"""1: cells below which nothing is said of a population."""

_GATES_MIN = 3
"""1: gate voltages that a cell's line needs at least."""

_RISE_MIN = 0.07
"""1: least rise of a SET that shows its level, over the width of the window."""

_SHARES = (0.1, 0.8)
"""1: shares of its rise between which a pulse tells the rate."""

MISSING_MIN = 0.2
"""1: least distance to the level, over the width of the window, of a pulse that tells the rate: the level's own scatter
must not look like a rise."""

_SPREAD_MIN = 0.005
"""V: least spread of a first guess."""

_CERTAIN = 3.0
"""1: exponent of the rate beyond which a pulse has run its course, e^3 time constants."""

_NAMES = ("compliance_slope", "compliance_slope_spread", "gate_threshold", "gate_threshold_spread", "cycle_level")


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """First guess of the SET rate: its median voltage, scale and spread (V); None where no pulse shows it."""

    voltage: float
    scale: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Lines of the cells.

    Attributes:
        slope: S/V, one a cell; NaN where the cell has none of its own.
        threshold: V, likewise.
        scatter: S, from pulse to pulse.
    """

    slope: Floats
    threshold: Floats
    scatter: float

    def at(self, rows: PulseRows) -> Floats:
        """S, level of each row."""
        return self.slope[rows.cell] * np.maximum(rows.gate - self.threshold[rows.cell], 0.0)


def guess_onset(rows: PulseRows, start: DevicePreset) -> Onset | None:
    """What SET pulses that stop half way say of the rate.

    Args:
        rows: SET pulses.
        start: preset, for a first guess of the scale.
    """
    scale, reference_time = start.set_voltage_scale, start.reference_time
    window = start.conductance_max - start.conductance_min
    keys, group = np.unique(np.stack([rows.cell, np.round(rows.gate, 6)]), axis=1, return_inverse=True)
    top = np.full(keys.shape[1], -np.inf)
    np.maximum.at(top, group, rows.after)
    missing = top[group] - rows.before
    share = (rows.after - rows.before) / np.where(missing > 0, missing, np.inf)
    shown = (share > _SHARES[0]) & (share < _SHARES[1]) & (missing > MISSING_MIN * window)
    if shown.sum() < 2 * _CELLS_MIN:
        return None
    exponent = np.log(-np.log1p(-share[shown])) - np.log(rows.width[shown] / reference_time)
    cell = rows.cell[shown]
    guesses = []
    for factor in np.geomspace(0.25, 4.0, 33):
        voltage = rows.across[shown] - factor * scale * exponent
        own = np.array([np.median(voltage[cell == one]) for one in np.unique(cell)])
        inner = _robust(voltage - own[np.unique(cell, return_inverse=True)[1]])
        guesses.append((inner, factor * scale, float(np.median(voltage)), float(np.hypot(inner, _robust(own)))))
    _, best, voltage, spread = min(guesses)
    return Onset(voltage=voltage, scale=float(best), spread=max(spread, _SPREAD_MIN))


def _robust(values: Floats) -> float:
    """Standard deviation of the middle of a sample."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def fit_levels(rows: PulseRows, onset: Onset | None, found: Findings) -> Levels | None:
    """Compliance slope, gate threshold, their spreads and the scatter of levels; None where there are no lines.

    Args:
        rows: SET pulses.
        onset: first guess of the rate; None takes every pulse as having run its course.
        found: what is known so far; the estimates are added.
    """
    start = found.start
    done = np.ones(len(rows), dtype=bool)
    if onset is not None:
        exponent = (rows.across - onset.voltage) / onset.scale + np.log(rows.width / start.reference_time)
        done = exponent > _CERTAIN + 4.0 * onset.spread / onset.scale
    window = start.conductance_max - start.conductance_min
    keys, group = np.unique(np.stack([rows.cell, np.round(rows.gate, 6)]), axis=1, return_inverse=True)
    top = np.full(keys.shape[1], -np.inf)
    rising = done & (rows.after - rows.before > _RISE_MIN * window)
    np.maximum.at(top, group[rising], rows.after[rising])
    used = done & (top[group] - rows.before > _RISE_MIN * window)
    used &= rows.after < 0.9 * rows.compliance / found.value("set_stop_voltage")
    return _lines(rows.chosen(used), rows.names.size, found)


def _lines(rows: PulseRows, cells: int, found: Findings) -> Levels | None:
    slope, threshold = np.full(cells, np.nan), np.full(cells, np.nan)
    slope_error, threshold_error = np.full(cells, np.nan), np.full(cells, np.nan)
    residual, leverage = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    pieces = []
    for cell in range(cells):
        at = np.flatnonzero(rows.cell == cell)
        if np.unique(np.round(rows.gate[at], 6)).size < _GATES_MIN:
            continue
        pieces.append((cell, at))
        middle, mean = rows.gate[at].mean(), rows.after[at].mean()
        away = rows.gate[at] - middle
        lever = float(away @ away)
        slope[cell] = float(away @ rows.after[at]) / lever
        threshold[cell] = middle - mean / slope[cell]
        residual[at] = rows.after[at] - slope[cell] * (rows.gate[at] - threshold[cell])
        leverage[at] = 1.0 - 1.0 / at.size - away**2 / lever
        slope_error[cell] = lever**-0.5
        threshold_error[cell] = float(np.hypot(at.size**-0.5, (mean / slope[cell]) * lever**-0.5) / slope[cell])
    if len(pieces) < _CELLS_MIN:
        found.leave(_NAMES, f"needs SET levels at {_GATES_MIN} gate voltages on {_CELLS_MIN} cells")
        return None
    valid = np.isfinite(residual)
    total = float(np.sqrt((residual[valid] ** 2).sum() / leverage[valid].sum()))
    known = np.isfinite(slope) & (slope > 0)
    source = f"SET levels: {int(valid.sum())} pulses on {len(pieces)} cells"
    found.add_spread(
        "compliance_slope", mean_and_spread(slope[known], total * slope_error[known]), source, relative=True
    )
    found.add_spread("gate_threshold", mean_and_spread(threshold[known], total * threshold_error[known]), source)
    scatter = _cycle_level(rows, residual, leverage, total, source, found)
    spread = np.hypot(np.minimum(scatter, found.start.cycle_level_share * np.abs(rows.after)), rows.noise)
    found.residuals.append(
        Residual(
            part="SET levels", cell=rows.names[rows.cell[valid]], measured=rows.after[valid],
            modelled=(rows.after - residual)[valid], expected=spread[valid], along=rows.gate[valid],
            label="gate voltage (V)",
        )
    )  # fmt: skip
    return Levels(slope=slope, threshold=threshold, scatter=scatter)


def _cycle_level(
    rows: PulseRows, residual: Floats, leverage: Floats, total: float, source: str, found: Findings
) -> float:
    """Scatter (S) of the level from pulse to pulse, where it does not go with the level, read noise taken off."""
    high = np.isfinite(residual) & (rows.after * found.start.cycle_level_share > 1.1 * total)
    freedom = float(leverage[high].sum())
    if freedom < 2 * _CELLS_MIN:
        found.leave(["cycle_level"], "too few SET levels high enough to show it")
        return found.start.cycle_level
    variance = float((residual[high] ** 2).sum() / freedom)
    reading = float((rows.noise[high] ** 2 * leverage[high]).sum() / freedom)
    excess = variance - reading
    if excess <= 2.0 * variance * (2.0 / freedom) ** 0.5:
        found.leave(["cycle_level"], "hidden by read noise")
        return found.start.cycle_level
    relative = 0.5 * variance / excess * (2.0 / freedom) ** 0.5
    found.add("cycle_level", excess**0.5, relative, source, int(high.sum()), log=True)
    return float(excess**0.5)
