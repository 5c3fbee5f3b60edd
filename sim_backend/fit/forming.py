"""FORM: the voltage at which first filaments nucleate, and the cells before that."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Floats, Operation
from sim_backend.fit.population import Unknown
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.statistics import most_likely
from sim_backend.fit.tables import Table

_FORMED = 0.1
"""1: reading over the window's lower end from which a cell counts as formed."""

_NODES = 41
"""1: points of a mean over the population."""

_CELLS_MIN = 8
"""1: cells below which nothing is said of a population."""


def fit_forming(pulses: Table, found: Findings) -> None:
    """FORM voltage, its spread and scale from the pulses it took, and the conductance of virgin cells."""
    start = found.start
    rows = pulses.rows(np.flatnonzero(pulses["operation"] == Operation.FORM))
    floor = _FORMED * start.conductance_min
    virgin = ~(rows["conductance_before_siemens"] > floor)
    rows = rows.rows(np.flatnonzero(virgin))
    names, cell = np.unique(rows.cell, return_inverse=True)
    if names.size < _CELLS_MIN:
        found.leave(_FORM + _VIRGIN, f"no FORM pulses on at least {_CELLS_MIN} virgin cells")
        return
    _fit_voltage(rows, names, cell, rows["conductance_after_siemens"] > floor, found)
    _fit_virgin(rows, names, cell, floor, found)


_FORM = ("form_voltage", "form_voltage_spread", "form_voltage_scale")
_VIRGIN = ("virgin_conductance", "virgin_spread")


def _nodes() -> tuple[Floats, Floats]:
    places, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return places, weights / weights.sum()


def _fit_voltage(rows: Table, names: np.ndarray, cell: np.ndarray, formed: np.ndarray, found: Findings) -> None:
    start = found.start
    amplitude, log_dose = rows["amplitude_v"], np.log(rows["width_s"] / start.reference_time)
    places, weights = _nodes()
    if not formed.any():
        found.leave(_FORM, "no FORM pulse formed a cell")
        return

    def loss(values: Floats) -> float:
        voltage, spread, scale = values
        exponent = (amplitude[:, None] - voltage - spread * places) / scale + log_dose[:, None]
        dose = np.exp(np.clip(exponent, -700.0, 5.0))
        # A nucleus appears after an exponentially distributed dose: what was not enough before counts no more.
        logs = np.where(formed[:, None], np.log(np.maximum(-np.expm1(-dose), 1e-300)), -dose)
        each = np.zeros((names.size, _NODES))
        np.add.at(each, cell, logs)
        top = each.max(axis=1)
        return -float((np.log(np.exp(each - top[:, None]) @ weights) + top).sum())

    unknowns = (
        Unknown(name="form_voltage", start=float(np.median(amplitude[formed])), width=0.7, centre=start.form_voltage),
        Unknown(name="form_voltage_spread", start=max(start.form_voltage_spread, 0.02), width=1.0, log=True),
        Unknown(name="form_voltage_scale", start=start.form_voltage_scale, width=0.8, log=True),
    )
    fit = most_likely(loss, unknowns)
    source = f"{len(rows)} FORM pulses on {names.size} cells"
    for place, unknown in enumerate(unknowns):
        if fit.determined[place]:
            found.add(
                unknown.name, float(fit.values[place]), float(fit.errors[place]), source, int(formed.sum()),
                log=unknown.log,
            )  # fmt: skip
        else:
            found.leave([unknown.name], "FORM pulses of two widths a decade apart tell spread and scale apart")
    found.residuals.append(_form_residual(rows, formed, fit.values))
    left = names.size - np.unique(cell[formed]).size
    if left:
        found.notes.append(f"{left} of {names.size} cells were never formed; they count as needing more than they got")


def _form_residual(rows: Table, formed: np.ndarray, values: Floats) -> Residual:
    """Share of the pulses that form, by amplitude and width, against the model's."""
    voltage, spread, scale = values
    places, weights = _nodes()
    kinds, kind = np.unique(
        np.stack([np.round(rows["amplitude_v"], 6), np.log10(rows["width_s"])]), axis=1, return_inverse=True
    )
    # Survivors of weaker pulses form less easily than the population; the cells' own history says by how much.
    dose = (
        rows["width_s"][:, None]
        / 1e-3
        * np.exp(np.clip((rows["amplitude_v"][:, None] - voltage - spread * places) / scale, -700, 50))
    )
    order = np.lexsort((rows["pulse"], rows.cell))
    weight = np.zeros((len(rows), _NODES))
    belief, last = weights, ""
    for row in order:
        belief = weights if rows.cell[row] != last else belief
        last = rows.cell[row]
        weight[row] = belief
        left = belief * np.exp(-dose[row])
        belief = left / left.sum() if left.sum() > 0 else belief
    chance = (weight * -np.expm1(-dose)).sum(axis=1)
    count = np.bincount(kind)
    modelled = np.bincount(kind, chance) / count
    variance = np.bincount(kind, chance * (1 - chance)) / count**2
    return Residual(
        part="FORM", cell=np.array([f"{10.0 ** width:g} s" for width in kinds[1]]),
        measured=np.bincount(kind, formed) / count, modelled=modelled,
        expected=np.sqrt(variance + 1e-3), along=kinds[0], label="FORM amplitude (V)", unit="",
    )  # fmt: skip


def _fit_virgin(rows: Table, names: np.ndarray, cell: np.ndarray, floor: float, found: Findings) -> None:
    """Median and spread of virgin conductances, the error of the readings taken off."""
    still = rows["conductance_after_siemens"] <= floor
    values, used = rows["conductance_after_siemens"][still], rows["averages"][still]
    weight = np.bincount(cell[still], used, minlength=names.size)
    mean = np.bincount(cell[still], used * values, minlength=names.size)[weight > 0] / weight[weight > 0]
    slack = still.sum() - (weight > 0).sum()
    if slack < _CELLS_MIN or mean.size < _CELLS_MIN or mean.mean() <= 0:
        found.leave(_VIRGIN, "too few readings of virgin cells")
        return
    place = np.cumsum(weight > 0) - 1
    scatter = float((used * (values - mean[place[cell[still]]]) ** 2).sum() / slack)
    error = np.sqrt(scatter / weight[weight > 0])
    places, weights = _nodes()

    def loss(parameters: Floats) -> float:
        median, spread = parameters
        away = (mean[:, None] - median * np.exp(np.clip(spread * places, -50, 50))) / error[:, None]
        return -float(np.log(np.maximum((np.exp(-0.5 * away**2)) @ weights, 1e-300)).sum())

    start = found.start
    unknowns = (
        Unknown(name="virgin_conductance", start=float(mean.mean()), width=1.5, log=True,
                centre=start.virgin_conductance),
        Unknown(name="virgin_spread", start=max(start.virgin_spread, 0.05), width=0.7, log=True),
    )  # fmt: skip
    fit = most_likely(loss, unknowns)
    for name, value, sd, known in zip(_VIRGIN, fit.values, fit.errors, fit.determined, strict=True):
        if known:
            found.add(name, float(value), float(sd), f"readings of {mean.size} virgin cells", mean.size, log=True)
        else:
            found.leave([name], "the readings' noise hides it; average more of them")
