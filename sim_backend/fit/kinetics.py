"""SET and RESET rates: voltages, scales and spreads from the pulses that show them."""

from __future__ import annotations

import numpy as np
import torch

from rmhil.backend import Floats
from sim_backend.fit.levels import MISSING_MIN, Levels, Onset
from sim_backend.fit.population import PopulationFit, Unknown, fit_population
from sim_backend.fit.pulse_rows import PulseRows
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.switching import PulseData, reset_loss, reset_response, set_loss, set_onsets
from sim_backend.presets import DevicePreset

_CELLS_MIN = 8
"""1: cells below which nothing is said of a population."""

_PULSES_PER_CELL = 40
"""1: pulses of a cell that a fit uses at most, drawn evenly: more add little and take long."""

_SEED = 0
"""Of the choice of those pulses."""

_MARGIN = 1.2
"""1: by how much more the transistor must be able to carry than a RESET draws: the cell then takes the voltage."""

_SPREAD_MIN = 1e-3
"""1 and V: smallest spread that a search starts from or is drawn to."""

_SET = ("set_voltage", "set_voltage_spread", "set_voltage_scale", "cycle_set_voltage")
_RESET = (
    "reset_voltage", "reset_slope", "reset_floor", "reset_voltage_spread", "reset_slope_spread",
    "reset_floor_spread", "reset_voltage_scale", "cycle_reset_voltage",
)  # fmt: skip


def fit_set_rate(rows: PulseRows, levels: Levels | None, onset: Onset | None, found: Findings) -> None:
    """SET voltage and its spreads, and the scale of the rate, from pulses that stop on their way to a known level."""
    if levels is None or onset is None:
        found.leave(_SET, "needs SET pulses that stop half way, and the levels they go to")
        return
    start = found.start
    window = start.conductance_max - start.conductance_min
    level = np.minimum(levels.at(rows), rows.compliance / found.value("set_stop_voltage"))
    exponent = (rows.across - onset.voltage) / onset.scale + np.log(rows.width / start.reference_time)
    reach = 5.0 + 5.0 * onset.spread / onset.scale
    shows = np.isfinite(level) & (np.abs(exponent) < reach) & (level - rows.before > MISSING_MIN * window)
    used = _thinned(rows.chosen(shows))
    if np.unique(used.cell).size < _CELLS_MIN:
        found.leave(_SET, "too few SET pulses that stop half way")
        return
    level = np.minimum(levels.at(used), used.compliance / found.value("set_stop_voltage"))
    data, units = _pulse_data(
        used, level, np.minimum(levels.scatter, start.cycle_level_share * level), start.reference_time
    )
    spread = max(onset.spread / 1.5, 0.01)
    unknowns = (
        Unknown(name="set_voltage", start=onset.voltage, width=0.4, centre=start.set_voltage),
        _spread_of(start, "set_voltage_spread", spread, 1.2),
        Unknown(name="set_voltage_scale", start=onset.scale, width=0.8, log=True, centre=start.set_voltage_scale),
        _spread_of(start, "cycle_set_voltage", spread, 1.0),
    )
    fit = fit_population(set_loss(data, units.size), units.size, 1, unknowns)
    _note(fit, found, f"{len(used)} SET pulses on {units.size} cells")
    voltage, spread, scale, cycle = fit.values
    own = voltage + spread * fit.latent[:, 0]
    shown, expected, seen = (part.numpy() for part in set_onsets(data, scale, cycle))
    found.residuals.append(
        Residual(
            part="SET", cell=used.names[used.cell][seen], measured=shown[seen],
            modelled=own[data.unit.numpy()][seen], expected=expected[seen], along=used.across[seen],
            label="SET voltage at the cell (V)", unit="V",
        )
    )  # fmt: skip


def fit_reset(rows: PulseRows, found: Findings) -> None:
    """RESET voltage, slope and floor with their spreads, and the scale of the rate."""
    start = found.start
    slope, threshold = found.value("compliance_slope"), found.value("gate_threshold")
    carried = slope * np.maximum(rows.gate - threshold, 0.0) * found.value("set_stop_voltage")
    free = np.minimum(carried, rows.compliance) > _MARGIN * rows.across * rows.before
    used = rows.chosen(free)
    guess = _guess_reset(used, found)
    if guess is None:
        found.leave(_RESET, f"needs RESET pulses of several amplitudes on {_CELLS_MIN} cells, at a high gate voltage")
        return
    begin, guessed_slope, floor, scale, spread = guess
    log_dose = np.log(used.width / start.reference_time)
    would_end = start.conductance_max - guessed_slope * (used.across - begin + scale * log_dose)
    reach = 6.0 * guessed_slope * spread + 6.0 * guessed_slope * scale
    used = _thinned(used.chosen(would_end - reach < used.before))
    data, units = _pulse_data(used, np.zeros(len(used)), np.zeros(len(used)), start.reference_time)
    if units.size < _CELLS_MIN:
        found.leave(_RESET, "too few RESET pulses that move a cell")
        return
    unknowns = (
        Unknown(name="reset_voltage", start=begin, width=0.4, centre=start.reset_voltage),
        Unknown(name="reset_slope", start=guessed_slope, width=0.8, log=True, centre=start.reset_slope),
        Unknown(name="reset_floor", start=floor, width=0.8, log=True, centre=start.reset_floor),
        _spread_of(start, "reset_voltage_spread", spread, 1.2),
        _spread_of(start, "reset_slope_spread", 0.1, 1.2),
        _spread_of(start, "reset_floor_spread", 0.15, 1.2),
        Unknown(name="reset_voltage_scale", start=scale, width=0.8, log=True, centre=start.reset_voltage_scale),
        _spread_of(start, "cycle_reset_voltage", 0.5 * spread, 1.0),
    )
    fit = fit_population(reset_loss(data, units.size, start.conductance_max), units.size, 3, unknowns)
    _note(fit, found, f"{len(used)} RESET pulses on {units.size} cells")
    mean, variance = _reset_moments(fit, data, start.conductance_max)
    found.residuals.append(
        Residual(
            part="RESET", cell=used.names[used.cell], measured=used.after, modelled=mean.numpy(),
            expected=variance.sqrt().numpy(), along=used.across, label="RESET voltage at the cell (V)",
        )
    )  # fmt: skip


def _reset_moments(fit: PopulationFit, data: PulseData, top: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each reading with the cells' own most likely parameters."""
    voltage, slope, floor, *spreads, scale, cycle = fit.values
    own = torch.from_numpy(fit.latent)
    one = torch.ones(len(data), dtype=torch.float64)
    return reset_response(
        data,
        (voltage + spreads[0] * own[:, 0])[data.unit],
        (slope * (1.0 + spreads[1] * own[:, 1]).clamp_min(0.2))[data.unit],
        (floor * (1.0 + spreads[2] * own[:, 2]).clamp_min(0.2))[data.unit],
        scale * one,
        cycle * one,
        top,
    )


def _guess_reset(rows: PulseRows, found: Findings) -> tuple[float, float, float, float, float] | None:
    """First guess: voltage, slope, floor, scale and spread of the voltage, from a plane through what pulses leave."""
    start = found.start
    window = start.conductance_max - start.conductance_min
    if len(rows) < 4 * _CELLS_MIN:
        return None
    floor = float(np.clip(np.quantile(rows.after, 0.05), 0.1 * start.conductance_min, start.conductance_min))
    moved = (rows.before - rows.after > 0.02 * window) & (rows.after > floor + 0.2 * window)
    if moved.sum() < 2 * _CELLS_MIN or np.unique(np.round(rows.amplitude[moved], 3)).size < 3:
        return None
    at = rows.chosen(moved)
    log_dose = np.log(at.width / start.reference_time)
    wide = np.ptp(log_dose) > 0.5
    columns = [np.ones(len(at)), at.across] + ([log_dose] if wide else [])
    solved, *_ = np.linalg.lstsq(np.stack(columns, axis=1), at.after, rcond=None)
    slope = -float(solved[1])
    if slope <= 0:
        return None
    scale = (
        float(np.clip(-solved[2] / slope, 0.1 * start.reset_voltage_scale, 10 * start.reset_voltage_scale))
        if wide
        else start.reset_voltage_scale
    )
    begin = (float(solved[0]) - start.conductance_max) / slope
    spread = float(np.std(at.after - np.stack(columns, axis=1) @ solved)) / slope
    return begin, slope, floor, scale, max(spread, 0.01)


def _thinned(rows: PulseRows) -> PulseRows:
    """At most so many pulses of each cell, drawn evenly."""
    order = np.random.default_rng(_SEED).permutation(len(rows))
    by_cell = order[np.argsort(rows.cell[order], kind="stable")]
    cell = rows.cell[by_cell]
    rank = np.arange(len(rows)) - np.searchsorted(cell, cell)
    return rows.chosen(np.sort(by_cell[rank < _PULSES_PER_CELL]))


def _pulse_data(rows: PulseRows, level: Floats, scatter: Floats, reference_time: float) -> tuple[PulseData, np.ndarray]:
    """The pulses as tensors, and which cells the units are."""
    units, unit = np.unique(rows.cell, return_inverse=True)

    def tensor(values: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))

    data = PulseData(
        unit=torch.from_numpy(unit.astype(np.int64)), across=tensor(rows.across),
        log_dose=tensor(np.log(rows.width / reference_time)), level=tensor(level), level_spread=tensor(scatter),
        before=tensor(rows.before), after=tensor(rows.after), noise=tensor(rows.noise),
        noise_before=tensor(rows.noise_before),
    )  # fmt: skip
    return data, units


def _spread_of(start: DevicePreset, name: str, guess: float, width: float) -> Unknown:
    """A spread as an unknown; one that the start preset has not is not drawn to nothing."""
    return Unknown(name=name, start=guess, width=width, log=True, centre=max(float(getattr(start, name)), _SPREAD_MIN))


def _note(fit: PopulationFit, found: Findings, source: str) -> None:
    """Add what is determined, and say of the rest that it is not."""
    errors = np.sqrt(np.diag(fit.covariance))
    count = fit.latent.shape[0]
    for unknown, value, error, known in zip(fit.unknowns, fit.values, errors, fit.determined, strict=True):
        if known:
            found.add(unknown.name, float(value), float(error), source, count, log=unknown.log)
        else:
            found.leave([unknown.name], "the pulses do not tell it; vary width and amplitude")
