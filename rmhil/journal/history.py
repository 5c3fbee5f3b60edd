"""The life of one cell: every pulse and every reading of it, over any number of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmhil.backend import Operation, Status
from rmhil.journal.entries import Fate, Kind, Transaction
from rmhil.journal.journal import Journal
from rmhil.run_record import JOURNAL_NAME
from rmhil.units import Amperes, Seconds, Siemens, Volts


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEvent:
    """One transaction of a cell. What does not apply is None, and NaN where it is a number that was not sensed.

    Attributes:
        run: directory of the run.
        job: kind of the job, e.g. `program`.
        transaction: its number in the run's journal.
        time: ISO 8601, UTC: before a pulse, after a read.
        kind: pulse, read or sweep (steps of one polarity, whose peak is given as a pulse).
        fate: done, maybe applied (it has no result), or refused (nothing was driven).
        operation, amplitude, gate_voltage, width, compliance: of the pulse; V, V, s, A.
        read_voltage, read_gate_voltage, averages: of the reading; V.
        conductance: S.
        current, pulse_current: A.
        status, pulse_status: of the reading and the pulse.
        clock: s on the backend's clock at the reading.
    """

    run: Path
    job: str
    transaction: int
    time: str
    kind: Kind
    fate: Fate
    operation: Operation | None = None
    amplitude: Volts | None = None
    gate_voltage: Volts | None = None
    width: Seconds | None = None
    compliance: Amperes | None = None
    read_voltage: Volts | None = None
    read_gate_voltage: Volts | None = None
    averages: int | None = None
    conductance: Siemens | None = None
    current: Amperes | None = None
    pulse_current: Amperes | None = None
    status: Status | None = None
    pulse_status: Status | None = None
    clock: Seconds | None = None


def cell_history(runs: Iterable[Path], array: int, bl: int, sl: int) -> list[CellEvent]:
    """Every pulse and reading of one cell, oldest first.

    Args:
        runs: run directories; `rmhil.wear.WearFile.runs` names those of a chip.
        array: number of the cell's array.
        bl: number of its bit line.
        sl: number of its source line.

    Raises:
        RunDirectoryError: a journal is damaged, or cannot be read.
    """
    found = [event for run in runs for event in _events(Path(run), array, bl, sl)]
    return sorted(found, key=lambda event: event.time)  # stable: those of one run stay in order


def _events(run: Path, array: int, bl: int, sl: int) -> Iterator[CellEvent]:
    journal = Journal(run / JOURNAL_NAME)
    kinds = {job.id: job.kind for job in journal.jobs()}
    for done in journal.transactions():
        cells = done.cells
        for at in np.flatnonzero((cells.array == array) & (cells.bl == bl) & (cells.sl == sl)):
            yield _event(run, kinds.get(done.job, "?"), done, int(at))


def _event(run: Path, job: str, done: Transaction, at: int) -> CellEvent:
    pulses, read, readings = done.pulses, done.read, done.readings
    return CellEvent(
        run=run,
        job=job,
        transaction=done.id,
        time=done.time,
        kind=done.kind,
        fate=done.fate,
        operation=None if pulses is None else Operation(pulses.operation[at]),
        amplitude=None if pulses is None else float(pulses.amplitude[at]),
        gate_voltage=None if pulses is None else float(pulses.gate_voltage[at]),
        width=None if pulses is None else float(pulses.width[at]),
        compliance=None if pulses is None else float(pulses.compliance[at]),
        read_voltage=None if read is None else read.voltage,
        read_gate_voltage=None if read is None else read.gate_voltage,
        averages=None if read is None else read.averages,
        conductance=None if readings is None else float(readings.conductance[at]),
        current=None if readings is None else float(readings.current[at]),
        pulse_current=None if readings is None else float(readings.pulse_current[at]),
        status=None if readings is None else Status(readings.status[at]),
        pulse_status=None if readings is None else Status(readings.pulse_status[at]),
        clock=None if readings is None else float(readings.time[at]),
    )
