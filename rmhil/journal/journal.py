"""`Journal`: what is written to the file, and read back from it."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from rmhil.backend import Cells, Floats, Pulses, Read, Readings
from rmhil.journal.entries import (
    DRIVE_COLUMNS,
    TRANSACTION_COLUMNS,
    Drive,
    Fate,
    Job,
    Kind,
    Step,
    Transaction,
    cell_columns,
    pulse_columns,
    read_columns,
    reading_columns,
)
from rmhil.journal.file import JournalFile
from rmhil.plain import plain
from rmhil.run_record import RunStatus

_TRANSACTION: Final = f"INSERT INTO transactions VALUES ({', '.join('?' * 16)})"
_STEP: Final = "INSERT INTO steps (time, kind, detail) VALUES (?, ?, ?)"
_JOB: Final = "INSERT INTO jobs (time, kind, detail, status) VALUES (?, ?, ?, 'running')"
_RESULT: Final = f"INSERT INTO results VALUES ({', '.join('?' * 9)})"
_JOBS: Final = "SELECT id, time, kind, detail, target, status FROM jobs ORDER BY id"
_ROWS_AT_ONCE: Final = 256

Entry = TypeVar("Entry")

Intent: TypeAlias = tuple[Cells, Pulses, Read | None]
"""Cells, one pulse a cell, and the read that follows; a sweep has none."""


class Journal:
    """The journal of one run directory. One process writes it, that which holds the run's lock.

    Args:
        path: the file; it is made when something is first written.

    Attributes:
        durable: whether what must survive a power cut waits for the disk. Where the cells live in this machine and
            would be lost with it, waiting protects nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.durable = True
        self._file = JournalFile(path)

    def _writing(self, flushed: bool = True) -> AbstractContextManager[sqlite3.Connection]:
        return self._file.writing(flushed and self.durable)

    # Commands -----------------------------------------------------------------------------------

    def append(self, kind: str, detail: Mapping[str, Any]) -> int:
        """Commit one step and return its number.

        Raises:
            RunDirectoryError: the file is not a journal, or cannot be written.
        """
        return self._insert(_STEP, kind, detail)

    def steps(self) -> list[Step]:
        """All steps, oldest first; none when nothing was written yet. Nothing is written by it.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        return list(self._read("SELECT id, time, kind, detail FROM steps ORDER BY id", _step, of_version=0))

    # Jobs ---------------------------------------------------------------------------------------

    def begin_job(self, kind: str, detail: Mapping[str, Any]) -> int:
        """Commit the beginning of a job and return its number; the detail is turned into JSON.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        return self._insert(_JOB, kind, detail)

    def set_job_status(self, job: int, status: RunStatus) -> None:
        """Commit how a job ended, or that it is running again.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        ended = None if status == "running" else _now()
        with self._writing() as connection:
            connection.execute("UPDATE jobs SET status = ?, ended = ? WHERE id = ?", (status, ended, job))

    def describe_job(self, job: int, detail: Mapping[str, Any], target: Floats) -> None:
        """Commit what a job is to do exactly, before it does anything; the detail joins what was there.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        with self._writing() as connection:
            row = (json.dumps(plain(detail)), _npy(target), job)
            connection.execute("UPDATE jobs SET detail = json_patch(detail, ?), target = ? WHERE id = ?", row)

    def jobs(self) -> list[Job]:
        """All jobs, oldest first.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        return list(self._read(_JOBS, _job))

    # Transactions -------------------------------------------------------------------------------

    def write_intents(self, job: int, kind: Kind, intents: Sequence[Intent]) -> list[int]:
        """Commit what is about to be driven, and return its numbers.

        Args:
            job: it belongs to.
            kind: pulse or sweep.
            intents: cells, one pulse a cell, and the read that follows.

        Raises:
            RunDirectoryError: it cannot be written, and must not be driven.
        """
        now = _now()
        with self._writing() as connection:
            return [
                int(connection.execute(_TRANSACTION, _row(job, now, kind, *intent)).lastrowid or 0)
                for intent in intents
            ]

    def write_result(self, transaction: int, readings: Readings) -> None:
        """Commit the readings of an intent.

        Raises:
            RunDirectoryError: they cannot be written.
        """
        with self._writing(flushed=False) as connection:
            connection.execute(_RESULT, (transaction, _now(), Fate.DONE, *reading_columns(readings)))

    def write_refusals(self, transactions: list[int]) -> None:
        """Commit that nothing was driven of some intents.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        now = _now()
        with self._writing(flushed=False) as connection:
            connection.executemany(_RESULT, [(number, now, Fate.REFUSED, *(None,) * 6) for number in transactions])

    def write_reading(self, job: int, cells: Cells, read: Read, readings: Readings) -> None:
        """Commit a reading that follows no pulse.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        now = _now()
        with self._writing(flushed=False) as connection:
            cursor = connection.execute(_TRANSACTION, _row(job, now, Kind.READ, cells, None, read))
            connection.execute(_RESULT, (cursor.lastrowid, now, Fate.DONE, *reading_columns(readings)))

    def transactions(self, job: int | None = None, after: int = 0) -> Iterator[Transaction]:
        """What was done, in order, as it was when this is first asked for the next one.

        Args:
            job: of this job alone; None: of all.
            after: number of the transaction after which to begin.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        query = f"SELECT {TRANSACTION_COLUMNS} FROM history WHERE id > ? AND (? IS NULL OR job = ?) ORDER BY id"
        return self._read(query, Transaction.of_row, (after, job, job))

    def drives(self, after: int = 0) -> Iterator[Drive]:
        """What wore the cells, in order: pulses that were given or may have been, and nothing of what was refused.

        Args:
            after: number of the transaction after which to begin.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        query = (
            f"SELECT {DRIVE_COLUMNS} FROM history WHERE id > ? AND operation IS NOT NULL AND fate != 'refused' "
            "ORDER BY id"
        )
        return self._read(query, Drive.of_row, (after,))

    def pulsed_after(self, job: int) -> int | None:
        """The first of the later jobs that pulsed cells after the last transaction of this one; None if none has.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        query = (
            "SELECT job FROM history WHERE kind != 'read' AND fate != 'refused' AND job > ? AND id > "
            "(SELECT coalesce(max(id), 0) FROM transactions WHERE job = ?) ORDER BY id LIMIT 1"
        )
        return next(self._read(query, lambda row: int(row[0]), (job, job)), None)

    def identity(self) -> tuple[str, int]:
        """The journal's own id, and the number of its last transaction; an empty id where nothing was written yet.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        query = "SELECT value, (SELECT coalesce(max(id), 0) FROM transactions) FROM meta WHERE key = 'id'"
        return next(self._read(query, lambda row: (str(row[0]), int(row[1]))), ("", 0))

    def state_kept_at(self) -> int:
        """Number of the last transaction when the state of simulated cells was last kept; 0: never.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        return next(self._read("SELECT value FROM meta WHERE key = 'state'", lambda row: int(row[0])), 0)

    def note_state(self) -> None:
        """Commit that the state of simulated cells was kept as it is after all transactions so far.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta SELECT 'state', CAST(coalesce(max(id), 0) AS TEXT) FROM transactions"
            )

    def chip_file(self) -> str | None:
        """Path of the chip file that takes in this journal, from the run's directory; None where there is none.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        return next(self._read("SELECT value FROM meta WHERE key = 'chip'", lambda row: str(row[0])), None)

    def set_chip_file(self, path: str) -> None:
        """Commit which chip file takes in this journal.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('chip', ?)", (path,))

    def close(self) -> None:
        """Let go of the file; the next call opens it again. Idempotent."""
        self._file.close()

    def _insert(self, query: str, kind: str, detail: Mapping[str, Any]) -> int:
        row = (_now(), kind, json.dumps(plain(detail)))
        with self._writing() as connection:
            return int(connection.execute(query, row).lastrowid or 0)

    def _read(
        self, query: str, make: Callable[[tuple[Any, ...]], Entry], values: tuple[Any, ...] = (), of_version: int = 1
    ) -> Iterator[Entry]:
        """Entries one after the other; none of a file that is older than the tables asked for."""
        with self._file.reading() as connection:
            if connection is None or connection.execute("PRAGMA user_version").fetchone()[0] < of_version:
                return
            cursor = connection.execute(query, values)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from map(make, rows)


def _row(job: int, now: str, kind: Kind, cells: Cells, pulses: Pulses | None, read: Read | None) -> tuple[Any, ...]:
    return (None, job, now, kind, *cell_columns(cells), *pulse_columns(pulses), *read_columns(read))


def _step(row: tuple[Any, ...]) -> Step:
    number, time, kind, detail = row
    return Step(number, time, kind, json.loads(detail))


def _job(row: tuple[Any, ...]) -> Job:
    number, time, kind, detail, target, status = row
    return Job(number, time, kind, json.loads(detail), None if target is None else _array(target), status)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _npy(values: Floats) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _array(content: bytes) -> Floats:
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), dtype=np.float64)
