"""The journal of a run: one line for each step, committed before the next one begins.

SQLite in write-ahead mode, so that a reader never blocks the writer and a killed process loses
nothing that was committed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rmhil.errors import RunDirectoryError
from rmhil.plain import plain

_SCHEMA = "CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL)"  # noqa: E501


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the journal.

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


class Journal:
    """Appends steps to one SQLite file and reads them back.

    Args:
        path: the file; it is made when the first step is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def append(self, kind: str, detail: Mapping[str, Any]) -> int:
        """Commit one step and return its number.

        Raises:
            RunDirectoryError: the file is not a journal, or cannot be written.
        """
        row = (datetime.now(UTC).isoformat(timespec="milliseconds"), kind, json.dumps(plain(detail)))
        try:
            connection = self._open()
            with connection:
                cursor = connection.execute("INSERT INTO steps (time, kind, detail) VALUES (?, ?, ?)", row)
        except sqlite3.Error as error:
            raise RunDirectoryError(f"{self.path}: the journal cannot be written: {error}") from error
        return int(cursor.lastrowid or 0)

    def steps(self) -> list[Step]:
        """All steps, oldest first; none when nothing was written yet. Nothing is written by it.

        Raises:
            RunDirectoryError: the file is damaged, or cannot be read.
        """
        try:
            if not self.path.exists() or not self.path.stat().st_size:
                return []
            with closing(self._open_for_reading()) as connection:
                rows = connection.execute("SELECT id, time, kind, detail FROM steps ORDER BY id").fetchall()
            return [Step(number, time, kind, json.loads(detail)) for number, time, kind, detail in rows]
        except (OSError, sqlite3.Error, json.JSONDecodeError) as error:
            raise RunDirectoryError(f"{self.path}: the journal is damaged or not readable: {error}") from error

    def close(self) -> None:
        """Let go of the file; the next call opens it again. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open_for_reading(self) -> sqlite3.Connection:
        """Without a write-ahead log nothing is pending, and the file is read without the log's side files."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro{'' if log.exists() else '&immutable=1'}", uri=True
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self.path)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection
