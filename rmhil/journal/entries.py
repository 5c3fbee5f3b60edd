"""The entries of a journal as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np

from rmhil.backend import Cells, Floats, Ints, Pulses, Read, Readings, Status
from rmhil.journal.columns import Column, floats, packed, whole
from rmhil.run_record import RunStatus


class Kind(StrEnum):
    """What a transaction is."""

    PULSE = "pulse"
    """One pulse for each cell, then a reading of each."""
    READ = "read"
    """A reading of each cell."""
    SWEEP = "sweep"
    """Steps of one polarity of a sweep of one cell, beyond what a read may apply."""


class Fate(StrEnum):
    """What became of a transaction."""

    DONE = "done"
    """It has its readings. A pulse of which it is not known whether it was given says so in its pulse status."""
    REFUSED = "refused"
    """Nothing was driven."""
    MAYBE = "maybe"
    """It has no result: maybe applied."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        id: ascending from 1.
        time: ISO 8601, UTC.
        kind: what was done: `program`, `verify`, `train` ...
        detail: its settings and its outcome.
    """

    id: int
    time: str
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work on the array, to which transactions belong.

    Attributes:
        id: ascending from 1.
        time: ISO 8601, UTC, when it began.
        kind: the command.
        detail: its settings.
        target: S, where it has one.
        status: `running` until it ends; one that is found so later was killed.
    """

    id: int
    time: str
    kind: str
    detail: dict[str, Any]
    target: Floats | None
    status: RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One entry of the array's history, with its result as far as there is one.

    Attributes:
        id: ascending over the whole journal.
        job: number of its job.
        time: ISO 8601, UTC: before a pulse, after a read.
        kind: what it is.
        cells: the cells.
        pulses: one a cell; None for a read.
        read: the verify read; None for a sweep.
        fate: what became of it.
        readings: None where there are none.
    """

    id: int
    job: int
    time: str
    kind: Kind
    cells: Cells
    pulses: Pulses | None
    read: Read | None
    fate: Fate
    readings: Readings | None

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """From the columns `TRANSACTION_COLUMNS`.

        Raises:
            ValueError: they hold no transaction.
        """
        number, job, time, kind, count = row[:5]
        cells = Cells(*(whole(column, count) for column in row[5:8]))
        fate = Fate(row[16] or Fate.MAYBE)
        return cls(
            id=number,
            job=job,
            time=time,
            kind=Kind(kind),
            cells=cells,
            pulses=None if row[8] is None else _pulses(row[8:13], count),
            read=None if row[15] is None else Read(voltage=row[13], gate_voltage=row[14], averages=row[15]),
            fate=fate,
            readings=_readings(row[17:23], count) if fate is Fate.DONE else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What a transaction did to the wear of its cells: int64 arrays, one element a cell.

    Attributes:
        cells: that were pulsed, or may have been.
        operation: `Operation` codes.
        unsure: 1 where nobody knows whether the pulse was given, 0 where it was.
    """

    cells: Cells
    operation: Ints
    unsure: Ints

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """From the columns `DRIVE_COLUMNS`.

        Raises:
            ValueError: they hold no drive.
        """
        count, *cells, operation, fate, pulse_status = row
        done = Fate(fate) is Fate.DONE
        unsure = whole(pulse_status, count) == Status.UNCERTAIN if done else np.ones(count, dtype=bool)
        return cls(
            cells=Cells(*(whole(column, count) for column in cells)),
            operation=whole(operation, count),
            unsure=unsure.astype(np.int64),
        )


DRIVE_COLUMNS: Final = "cells, array_number, bl, sl, operation, fate, pulse_status"
"""Of the view `history`, in the order that `Drive.of_row` takes."""

TRANSACTION_COLUMNS: Final = (
    "id, job, time, kind, cells, array_number, bl, sl, operation, amplitude_v, width_s, gate_voltage_v, compliance_a, "
    "read_voltage_v, read_gate_voltage_v, averages, fate, conductance_siemens, current_a, pulse_current_a, status, "
    "pulse_status, clock_s"
)
"""Of the view `history`, in the order that `Transaction.of_row` takes."""


def _pulses(row: Sequence[Column], count: int) -> Pulses:
    return Pulses(
        operation=whole(row[0], count),
        amplitude=floats(row[1], count),
        width=floats(row[2], count),
        gate_voltage=floats(row[3], count),
        compliance=floats(row[4], count),
    )


def _readings(row: Sequence[Column], count: int) -> Readings:
    return Readings(
        conductance=floats(row[0], count),
        current=floats(row[1], count),
        pulse_current=floats(row[2], count),
        status=whole(row[3], count),
        pulse_status=whole(row[4], count),
        time=floats(row[5], count),
    )


def cell_columns(cells: Cells) -> tuple[Column, ...]:
    """`cells, array_number, bl, sl`."""
    return (len(cells), packed(cells.array), packed(cells.bl), packed(cells.sl))


def pulse_columns(pulses: Pulses | None) -> tuple[Column, ...]:
    """`operation, amplitude_v, width_s, gate_voltage_v, compliance_a`."""
    if pulses is None:
        return (None,) * 5
    parts = (pulses.operation, pulses.amplitude, pulses.width, pulses.gate_voltage, pulses.compliance)
    return tuple(packed(part) for part in parts)


def read_columns(read: Read | None) -> tuple[Column, ...]:
    """`read_voltage_v, read_gate_voltage_v, averages`."""
    return (None,) * 3 if read is None else (read.voltage, read.gate_voltage, read.averages)


def reading_columns(readings: Readings) -> tuple[Column, ...]:
    """`conductance_siemens, current_a, pulse_current_a, status, pulse_status, clock_s`."""
    parts = (readings.conductance, readings.current, readings.pulse_current, readings.status, readings.pulse_status)
    return tuple(packed(np.asarray(part)) for part in (*parts, readings.time))
