"""Pulses of formed cells as arrays, with what their lines leave of the voltage and how noisy their readings are."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from rmhil.backend import Floats, Ints, Operation
from rmhil.units import Siemens
from sim_backend.fit.report import Findings
from sim_backend.fit.tables import Table

_FORMED = 0.1
"""1: reading over the window's lower end from which a cell counts as formed."""

_STUCK = 0.05
"""1: range of a cell's readings over the window below which it counts as stuck."""

_STUCK_PULSES = 3
"""1: pulses of SET and of RESET that a cell must have had to be called stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseRows:
    """Pulses of one operation on formed cells, arrays of one length.

    Attributes:
        names: of the cells, of any length; `cell` counts in it.
        cell: int64.
        across: V at the cell at the start of the pulse, the transistor left out.
        amplitude, gate: V.
        width: s.
        compliance: A.
        before, after: S.
        noise, noise_before: S, standard deviations of the two readings.
    """

    names: np.ndarray
    cell: Ints
    across: Floats
    amplitude: Floats
    gate: Floats
    width: Floats
    compliance: Floats
    before: Floats
    after: Floats
    noise: Floats
    noise_before: Floats

    def __len__(self) -> int:
        return len(self.cell)

    def chosen(self, rows: np.ndarray) -> PulseRows:
        """Some of the rows."""
        parts = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "names"}
        return PulseRows(names=self.names, **parts)


def with_before(pulses: Table) -> Table:
    """The table in order of cell and pulse, each missing reading before a pulse filled in from the previous pulse."""
    table = pulses.rows(np.lexsort((pulses["pulse"], pulses.cell)))
    before = table["conductance_before_siemens"].copy()
    follows = np.zeros(len(table), dtype=bool)
    follows[1:] = table.cell[1:] == table.cell[:-1]
    fill = np.isnan(before) & follows & (np.roll(table["pulse"], 1) == table["pulse"] - 1)
    before[fill] = np.roll(table["conductance_after_siemens"], 1)[fill]
    return table.with_column("conductance_before_siemens", before)


def switching_rows(pulses: Table, instrument: Siemens, found: Findings) -> tuple[PulseRows, PulseRows]:
    """SET and RESET pulses of the cells that are formed and answer.

    Args:
        pulses: as `with_before` gives it.
        instrument: S, noise of one reading that does not go with the conductance.
        found: what is known so far; stuck cells are counted in it.
    """
    names, cell = np.unique(pulses.cell, return_inverse=True)
    before, after = pulses["conductance_before_siemens"], pulses["conductance_after_siemens"]
    switching = (pulses["operation"] != Operation.FORM) & (before > _FORMED * found.start.conductance_min)
    stuck = _stuck(pulses, names, cell, switching, found)
    kept = switching & ~(stuck | np.isin(names, list(found.restless)))[cell]
    relative, averages = found.value("read_noise"), pulses["averages"]

    def noise(conductance: Floats) -> Floats:
        return np.asarray(np.hypot(relative * conductance, instrument) / np.sqrt(averages))

    amplitude = pulses["amplitude_v"]
    rows = PulseRows(
        names=names, cell=cell.astype(np.int64), amplitude=amplitude, gate=pulses["gate_voltage_v"],
        across=amplitude / (1.0 + pulses["series_ohm"] * before), width=pulses["width_s"],
        compliance=pulses["compliance_a"], before=before, after=after, noise=noise(after), noise_before=noise(before),
    )  # fmt: skip
    operation = pulses["operation"]
    return rows.chosen(kept & (operation == Operation.SET)), rows.chosen(kept & (operation == Operation.RESET))


def _stuck(pulses: Table, names: np.ndarray, cell: np.ndarray, switching: np.ndarray, found: Findings) -> np.ndarray:
    """Which cells had pulses of both kinds and moved by nothing; they are counted."""
    low, high = np.full(names.size, np.inf), np.full(names.size, -np.inf)
    np.minimum.at(low, cell[switching], pulses["conductance_after_siemens"][switching])
    np.maximum.at(high, cell[switching], pulses["conductance_after_siemens"][switching])
    tried = np.ones(names.size, dtype=bool)
    for operation in (Operation.SET, Operation.RESET):
        of_kind = switching & (pulses["operation"] == operation)
        tried &= np.bincount(cell[of_kind], minlength=names.size) >= _STUCK_PULSES
    window = found.start.conductance_max - found.start.conductance_min
    stuck: np.ndarray = tried & (high - low < _STUCK * window)
    if stuck.any():
        found.notes.append(
            f"{int(stuck.sum())} of {int(tried.sum())} cells answer to no pulse (stuck) and are left out: "
            + ", ".join(str(name) for name in names[stuck][:5])
        )
    _count_stuck(int(stuck.sum()), int(tried.sum()), found)
    return stuck


def _count_stuck(stuck: int, tried: int, found: Findings) -> None:
    """Share of stuck cells with its exact (Clopper-Pearson) interval, if there is any among enough cells."""
    from scipy.stats import beta

    if stuck < 3:
        most = 1.0 if tried == 0 else float(beta.ppf(0.975, stuck + 1, max(tried - stuck, 1e-9)))
        found.leave(["stuck_share"], f"{stuck} of {tried} cells stuck: between 0 and {most:.1%}")
        return
    found.add("stuck_share", stuck / tried, 0.0, f"{tried} cells", tried)
    one = found.estimates["stuck_share"]
    found.estimates["stuck_share"] = type(one)(
        name=one.name, value=one.value, low=float(beta.ppf(0.025, stuck, tried - stuck + 1)),
        high=float(beta.ppf(0.975, stuck + 1, tried - stuck)), source=one.source, count=tried, kept=one.kept,
    )  # fmt: skip
