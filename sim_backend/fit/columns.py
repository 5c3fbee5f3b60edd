"""Columns of the measured tables: name with unit, what may stand in them, and what they mean.

A table is a CSV file with a header. Units are part of the names; there is no other place for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rmhil.backend import Operation

Kind: TypeAlias = Literal["text", "number", "whole", "operation"]

UNITS = {"v": "V", "s": "s", "a": "A", "ohm": "ohm", "siemens": "S"}
"""Last part of a column's name -> its unit. Conductances spell theirs out: `_s` is seconds."""


CONDUCTANCE_MOST = 10e-3
"""S: largest reading of a cell that is believed; numbers in uS, and most in mS, lie above. No cell conducts more than
its selection transistor, of some kilohms (estimate, range 1 to 100 mS)."""

CURRENT_MOST = 1.0
"""A: largest current that is believed; numbers in uA lie above. An SMU of the B1500A gives 0.1 A, or 1 A at high
power (its data sheet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        name: as in the header, unit included.
        kind: text, a real number, a whole number from 0, or FORM / SET / RESET.
        meaning: one line.
        low, high: what a number must lie within.
        default: of every row of a table that lacks the column; None if the column must be there.
        slip: what is probably wrong where a number lies outside.
    """

    name: str
    kind: Kind
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    default: float | None = None
    slip: str = ""

    @property
    def unit(self) -> str:
        """Unit in its usual letters; empty for what has none."""
        return UNITS.get(self.name.rpartition("_")[2], "") if "_" in self.name else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of one kind of table.

    Attributes:
        name: of the kind, also that of the file in the documentation.
        columns: those it may have, in order.
        order: columns by which rows are numbered: no two rows have the same values in all of them.
    """

    name: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


def _conductance(name: str, meaning: str, default: float | None = None) -> Column:
    return Column(
        name=name, kind="number", low=-CONDUCTANCE_MOST, high=CONDUCTANCE_MOST, meaning=meaning, default=default,
        slip="is the number in uS or mS? The column is in S: 31 uS is 3.1e-5",
    )  # fmt: skip


_CELL = Column(name="cell", kind="text", meaning="name of the cell, the same in all tables")
_SERIES = Column(
    name="series_ohm", kind="number", low=0.0, default=math.nan,
    meaning="resistance between the drivers and the cell; without the column, that of the option `series`",
)  # fmt: skip
_COMPLIANCE = Column(
    name="compliance_a", kind="number", low=0.0, default=math.inf, meaning="current limit of the source; else none"
)
_AVERAGES = Column(
    name="averages", kind="whole", low=1, default=1.0, meaning="readings averaged for one conductance; else 1"
)
_READ = "with the wiring's resistance removed"

PULSES = Layout(
    name="pulses",
    columns=(
        _CELL,
        Column(name="pulse", kind="whole", meaning="number of the pulse, ascending in time within a cell"),
        Column(name="operation", kind="operation", meaning="FORM, SET or RESET"),
        Column(name="amplitude_v", kind="number", low=0.0, meaning="magnitude between BL and SL, at the drivers"),
        Column(name="width_s", kind="number", low=1e-12, meaning="width at half amplitude"),
        Column(name="gate_voltage_v", kind="number", meaning="WL during the pulse"),
        _conductance(
            "conductance_before_siemens", default=math.nan,
            meaning="verify read before the pulse; else what the cell's previous pulse left",
        ),
        _conductance("conductance_after_siemens", f"verify read after the pulse, {_READ}"),
        _COMPLIANCE,
        _SERIES,
        _AVERAGES,
    ),
    order=("cell", "pulse"),
)  # fmt: skip
"""One row a programming pulse."""

SWEEPS = Layout(
    name="sweeps",
    columns=(
        _CELL,
        Column(name="sweep", kind="whole", meaning="number of the sweep of that cell"),
        Column(name="step", kind="whole", meaning="number of the step within the sweep"),
        Column(name="bl_v", kind="number", meaning="bit line, at the driver"),
        Column(name="sl_v", kind="number", meaning="source line, at the driver"),
        Column(name="wl_v", kind="number", meaning="word line (gate)"),
        Column(name="dwell_s", kind="number", low=1e-12, meaning="time at the step"),
        Column(
            name="current_a", kind="number", low=-CURRENT_MOST, high=CURRENT_MOST,
            meaning="current at the end of the step, positive from BL to SL",
            slip="is the number in uA or mA? The column is in A: 31 uA is 3.1e-5",
        ),
        _COMPLIANCE,
        _SERIES,
    ),
    order=("cell", "sweep", "step"),
)  # fmt: skip
"""One row a step of a quasi-static sweep."""

RETENTION = Layout(
    name="retention",
    columns=(
        _CELL,
        Column(
            name="write", kind="whole", low=0, default=0.0,
            meaning="number of the write that the reads follow; else there is one a cell",
        ),
        Column(name="time_since_write_s", kind="number", low=0.0, meaning="from the end of the last pulse"),
        _conductance("conductance_siemens", f"reading, {_READ}"),
        _AVERAGES,
    ),
    order=("cell", "write", "time_since_write_s"),
)  # fmt: skip
"""One row a reading of a cell that was written and then left alone."""

READS = Layout(
    name="reads",
    columns=(
        _CELL,
        Column(name="read", kind="whole", meaning="number of the reading of that cell"),
        _conductance("conductance_siemens", f"reading, {_READ}"),
        _AVERAGES,
    ),
    order=("cell", "read"),
)
"""One row a reading of a cell that is read again and again with no pulse between."""

LAYOUTS = {layout.name: layout for layout in (PULSES, SWEEPS, RETENTION, READS)}

OPERATIONS = {operation.name: operation for operation in Operation}
"""What may stand in a column of operations."""
