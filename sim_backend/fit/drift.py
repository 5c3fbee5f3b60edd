"""Retention: slopes of the conductance against the logarithm of time, cell by cell and write by write."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmhil.backend import Floats
from rmhil.units import Siemens
from sim_backend.fit.population import Unknown
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.statistics import SmallFit, most_likely
from sim_backend.fit.tables import Table

_READINGS_MIN = 4
"""1: readings of one write below which they say nothing of its slope."""

_WRITES_MIN = 8
"""1: writes below which nothing is said of a population."""

_QUIET = 3.0
"""1: scatter about the line over that of the readings beyond which a trap is at work; such writes are left out."""

_NAMES = ("drift", "drift_spread", "relaxation", "drift_time")


@dataclass(frozen=True, slots=True)
class _Lines:
    """Least-squares lines through the readings of each write.

    Attributes:
        written: S, at time zero.
        slope, error: S a decade.
        misfit: 1, sum of squares of the scaled residuals.
    """

    written: Floats
    slope: Floats
    error: Floats
    misfit: Floats


class _Writes:
    """Readings by write: cell and number of the write."""

    def __init__(self, table: Table, noise: Floats) -> None:
        pairs = np.array([f"{name}\x00{write:g}" for name, write in zip(table.cell, table["write"], strict=True)])
        self.names, self.row = np.unique(pairs, return_inverse=True)
        self.cells, self.cell = np.unique([name.split("\x00")[0] for name in self.names], return_inverse=True)
        self.time, self.value, self.noise = table["time_since_write_s"], table["conductance_siemens"], noise
        self.counts = np.bincount(self.row)

    def lines(self, drift_time: float) -> _Lines:
        """Lines for one time at which the drift begins (s)."""
        decades = np.log10(1.0 + self.time / drift_time)
        weight = self.noise**-2.0

        def total(values: Floats) -> Floats:
            return np.bincount(self.row, values).astype(np.float64)

        mass = total(weight)
        middle = total(weight * decades) / mass
        mean = total(weight * self.value) / mass
        away = decades - middle[self.row]
        leverage = np.maximum(total(weight * away**2), 1e-300)
        slope = total(weight * away * self.value) / leverage
        fitted = mean[self.row] + slope[self.row] * away
        misfit = total(weight * (self.value - fitted) ** 2)
        return _Lines(mean - slope * middle, slope, leverage**-0.5, misfit)


def fit_retention(table: Table, instrument: Siemens, found: Findings) -> None:
    """Mean drift, its spread from cell to cell, relaxation from write to write, and when the drift begins.

    Args:
        table: readings after writes.
        instrument: S, noise of one reading that does not go with the conductance.
        found: what is known so far; the estimates are added.
    """
    noise = np.hypot(found.value("read_noise") * table["conductance_siemens"], instrument) / np.sqrt(table["averages"])
    data = _Writes(table, np.maximum(noise, 1e-12))
    lines = data.lines(found.start.drift_time)
    quiet = (data.counts >= _READINGS_MIN) & (lines.misfit <= _QUIET**2 * np.maximum(data.counts - 2, 1))
    if quiet.sum() < _WRITES_MIN:
        found.leave(_NAMES, f"needs {_READINGS_MIN} readings after each of {_WRITES_MIN} writes")
        return
    if not quiet.all():
        found.notes.append(
            f"{int((~quiet).sum())} of {quiet.size} writes left out of retention: too few reads, or restless"
        )
    fit = _population(data, quiet, found)
    source = f"{int(quiet.sum())} writes of {np.unique(data.cell[quiet]).size} cells"
    reasons = {
        "drift_time": "readings must begin about when the drift does",
        "drift_spread": "hidden by relaxation; write each cell more than once, at high conductance",
    }
    for place, unknown in enumerate(fit.unknowns):
        if fit.determined[place]:
            found.add(unknown.name, float(fit.values[place]), float(fit.errors[place]), source, int(quiet.sum()),
                      log=unknown.log)  # fmt: skip
        else:
            found.leave([unknown.name], reasons.get(unknown.name, "the readings' noise hides it"))
    found.residuals.append(_residual(data, quiet, fit["drift_time"]))


def _population(data: _Writes, quiet: np.ndarray, found: Findings) -> SmallFit:
    start = found.start
    cells = data.cells.size

    def loss(values: Floats) -> float:
        drift, spread, relaxation, begin = values
        lines = data.lines(begin)
        variance = (relaxation**2 + lines.error**2)[quiet]
        away = (lines.slope - drift * lines.written)[quiet]
        lever, cell = lines.written[quiet], data.cell[quiet]

        def total(terms: Floats) -> Floats:
            return np.bincount(cell, terms, minlength=cells).astype(np.float64)

        # The writes of one cell share its drift: one common term beside independent ones.
        common = 1.0 + spread**2 * total(lever**2 / variance)
        square = away**2 / variance
        cross = spread**2 * total(lever * away / variance) ** 2 / common
        marginal = 0.5 * (np.log(variance) + square).sum() + 0.5 * (np.log(common) - cross).sum()
        return float(marginal + 0.5 * lines.misfit[quiet].sum() - np.log(lines.error[quiet]).sum())

    lines = data.lines(start.drift_time)
    relative = float(np.median(lines.slope[quiet] / lines.written[quiet]))
    scatter = float(np.std((lines.slope - relative * lines.written)[quiet]))
    unknowns = (
        Unknown(name="drift", start=relative, width=0.005, centre=start.drift),
        Unknown(name="drift_spread", start=max(0.5 * scatter / float(lines.written[quiet].mean()), 1e-5), width=1.0,
                log=True, centre=max(start.drift_spread, 1e-5)),
        Unknown(name="relaxation", start=max(0.7 * scatter, 1e-10), width=1.0, log=True,
                centre=max(start.relaxation, 1e-9)),
        Unknown(name="drift_time", start=start.drift_time, width=2.0, log=True),
    )  # fmt: skip
    return most_likely(loss, unknowns)


def _residual(data: _Writes, quiet: np.ndarray, drift_time: float) -> Residual:
    """Readings about each write's own line, relative to the conductance as written."""
    lines = data.lines(drift_time)
    kept = quiet[data.row]
    row = data.row[kept]
    modelled = lines.written[row] + lines.slope[row] * np.log10(1.0 + data.time[kept] / drift_time)
    return Residual(
        part="retention", cell=data.cells[data.cell[row]], measured=data.value[kept], modelled=modelled,
        expected=data.noise[kept], along=data.time[kept], label="time since write (s)",
    )  # fmt: skip
