"""The SQLite file of a journal: its schema, its versions, and how it is opened.

Write-ahead mode: a reader never blocks the writer, and a killed process loses nothing that was committed. A commit is
flushed to the disk where that is asked for, and survives a power cut then; the others do once the next one is flushed.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from rmhil.errors import RunDirectoryError

SCHEMA_VERSION: Final = 1
"""`PRAGMA user_version`. 0 has the table `steps` alone, and is brought up to date. Later ones are refused."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, target BLOB,
    status TEXT NOT NULL, ended TEXT);
CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs, time TEXT NOT NULL, kind TEXT NOT NULL,
    cells INTEGER NOT NULL, array_number, bl, sl, operation, amplitude_v, width_s, gate_voltage_v, compliance_a,
    read_voltage_v REAL, read_gate_voltage_v REAL, averages INTEGER);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY REFERENCES transactions, time TEXT NOT NULL, fate TEXT NOT NULL,
    conductance_siemens, current_a, pulse_current_a, status, pulse_status, clock_s);
CREATE VIEW IF NOT EXISTS history AS
    SELECT transactions.*, results.time AS result_time, coalesce(fate, 'maybe') AS fate, conductance_siemens, current_a,
    pulse_current_a, status, pulse_status, clock_s FROM transactions LEFT JOIN results USING (id);
"""

_BUSY: Final = 10.0
"""s to wait for another process that writes (only ever `info` or a history beside a run, which read)."""

_LOG_PAGES: Final = 8192
"""Pages of 4 kB after which the write-ahead log is copied into the file, which waits for the disk twice: 32 MB."""


class JournalFile:
    """One SQLite file, opened when it is first written to.

    Args:
        path: the file; it is made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._flushing = True

    @contextmanager
    def writing(self, flushed: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, undone when it raises.

        Args:
            flushed: whether the commit waits until the disk has it, and so survives a power cut.

        Raises:
            RunDirectoryError: the file is not a journal, is of a later version, or cannot be written.
        """
        try:
            connection = self._open()
            if flushed != self._flushing:
                connection.execute(f"PRAGMA synchronous = {'FULL' if flushed else 'NORMAL'}")
                self._flushing = flushed
            with connection:
                yield connection
        except sqlite3.Error as error:
            raise RunDirectoryError(f"{self.path}: the journal cannot be written: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that writes nothing; None where nothing was written yet.

        Raises:
            RunDirectoryError: the file is damaged, of a later version, or cannot be read.
        """
        try:
            if not self.path.exists() or not self.path.stat().st_size:
                yield None
                return
            with closing(self._open_for_reading()) as connection:
                self._check_version(connection)
                yield connection
        except (OSError, sqlite3.Error, ValueError, TypeError) as error:
            raise RunDirectoryError(f"{self.path}: the journal is damaged or not readable: {error}") from error

    def close(self) -> None:
        """Let go of the file; the next call opens it again. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check_version(self, connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise RunDirectoryError(
                f"{self.path}: written by a later rmhil (journal version {version}; this one reads up to "
                f"{SCHEMA_VERSION}): use that one"
            )
        return int(version)

    def _open_for_reading(self) -> sqlite3.Connection:
        """Without a write-ahead log nothing is pending, and the file is read without the log's side files."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro{'' if log.exists() else '&immutable=1'}", uri=True, timeout=_BUSY
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self.path, timeout=_BUSY)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
                connection.execute("PRAGMA synchronous = FULL")
                self._flushing = True
                if self._check_version(connection) < SCHEMA_VERSION:
                    _bring_up_to_date(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make what is missing, all or nothing: a new file, or one that knows only `steps`."""
    name = uuid.uuid4().hex
    connection.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} INSERT OR IGNORE INTO meta VALUES ('id', '{name}');"
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )
