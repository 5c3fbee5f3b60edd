"""Sweeps: the voltage at which a SET stops, from the plateau of its current and the conductance it leaves."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Floats
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.tables import Table

_PLATEAU = 0.97
"""1: current over the largest one of the sweep from which a step counts as on the plateau."""

_PLATEAU_STEPS = 4
"""1: steps that a plateau has at least."""

_PLATEAU_RISE = 1.15
"""1: largest over smallest voltage of a plateau, at least: an ohmic cell would show as much in its current."""

_OHMIC = 0.6
"""1: current over the plateau's below which a step on the way back shows the cell and not its transistor."""

_SWEEPS_MIN = 3
"""1: sweeps below which no error can be told."""


def fit_sweeps(table: Table, found: Findings) -> None:
    """Voltage at which a SET stops by itself (the transistor saturates at the level times this)."""
    names, sweep = np.unique(
        np.array([f"{cell} / {number:g}" for cell, number in zip(table.cell, table["sweep"], strict=True)]),
        return_inverse=True,
    )
    parts = []
    for number in range(names.size):
        rows = np.flatnonzero(sweep == number)
        one = _one_sweep(table.rows(rows[np.argsort(table["step"][rows])]))
        if one is not None:
            parts.append((names[number], *one))
    if len(parts) < _SWEEPS_MIN:
        found.leave(["set_stop_voltage"], f"needs {_SWEEPS_MIN} SET sweeps up and back, with a plateau of the current")
        return
    plateau, conductance = np.array([part[1] for part in parts]), np.array([part[2] for part in parts])
    ratio = plateau / conductance
    # The cells' levels scatter about what the transistor carries; the scatter of the ratio shows by how much.
    value = float(ratio.mean())
    error = float(ratio.std(ddof=1) / len(parts) ** 0.5)
    found.add("set_stop_voltage", value, error / value, f"plateaus of {len(parts)} sweeps", len(parts), log=True)
    found.residuals.append(
        Residual(
            part="sweep plateaus", cell=np.array([part[0] for part in parts]), measured=plateau,
            modelled=value * conductance, expected=conductance * float(ratio.std(ddof=1)), along=conductance,
            label="conductance on the way back (S)", unit="A",
        )
    )  # fmt: skip


def _one_sweep(rows: Table) -> tuple[float, float] | None:
    """Current of the plateau (A) and conductance on the way back (S); None where there is no plateau."""
    voltage, current = rows["bl_v"] - rows["sl_v"], rows["current_a"]
    rising = voltage > 0
    if rising.sum() < 2 * _PLATEAU_STEPS:
        return None
    last = int(np.argmax(np.where(rising, voltage, -np.inf)))
    top = float(current[rising].max())
    at_limit = current > 0.98 * rows["compliance_a"]
    flat = rising & (current > _PLATEAU * top) & ~at_limit
    back = np.arange(len(rows)) > last
    ohmic = back & rising & (current < _OHMIC * top) & (voltage > 0.1 * voltage[last])
    if flat.sum() < _PLATEAU_STEPS or ohmic.sum() < 2:
        return None
    if voltage[flat].max() < _PLATEAU_RISE * voltage[flat].min():
        return None
    series: Floats = rows["series_ohm"]
    total = float((current[ohmic] @ voltage[ohmic]) / (voltage[ohmic] @ voltage[ohmic]))
    return float(current[flat].mean()), total / (1.0 - total * float(series[0]))
