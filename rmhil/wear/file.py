"""The chip file: pulses that each cell of one chip has had, over all its runs.

It counts nothing by itself: it takes in the journals of the runs, each entry once. What it holds of a journal and how
far it has come in it change in one transaction, so that a crash at any moment neither loses nor doubles a count.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from loguru import logger

from rmhil.backend import Cells
from rmhil.errors import RunDirectoryError, WearFileError
from rmhil.journal.journal import Journal
from rmhil.owner_lock import Owner
from rmhil.run_lock import LOCK_NAME
from rmhil.run_record import JOURNAL_NAME
from rmhil.wear.counts import WearBudget, WearCounts, worn

VERSION: Final = 1
"""`PRAGMA user_version` of the file."""

_BUSY: Final = 30.0
"""s to wait for another process that takes its journal in."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journals (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, taken_to INTEGER NOT NULL, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE wear (
    array_number INTEGER NOT NULL, bl INTEGER NOT NULL, sl INTEGER NOT NULL,
    form_pulses INTEGER NOT NULL CHECK (form_pulses >= 0), set_pulses INTEGER NOT NULL CHECK (set_pulses >= 0),
    reset_pulses INTEGER NOT NULL CHECK (reset_pulses >= 0), maybe_applied INTEGER NOT NULL CHECK (maybe_applied >= 0),
    PRIMARY KEY (array_number, bl, sl)) WITHOUT ROWID;
"""

_ADD: Final = """
INSERT INTO wear VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    form_pulses = form_pulses + excluded.form_pulses, set_pulses = set_pulses + excluded.set_pulses,
    reset_pulses = reset_pulses + excluded.reset_pulses, maybe_applied = maybe_applied + excluded.maybe_applied
"""

_COUNTS: Final = "SELECT array_number, bl, sl, form_pulses, set_pulses, reset_pulses, maybe_applied FROM wear"


class WearFile:
    """One chip file. Several processes may use it at once; it is a context manager.

    Made by `open`, not by its constructor.

    Args:
        path: of the file.
        connection: to it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str | Path, budget: WearBudget | None = None, durable: bool = True) -> Self:
        """Open a chip file, or make one for a chip that has none yet.

        Args:
            path: of the file.
            budget: of a new file; None takes the default. That of an existing file stands.
            durable: whether what is written waits for the disk, and so survives a power cut.

        Raises:
            WearFileError: it is damaged or of a later version, or cannot be written; the message says what to do.
        """
        path = Path(path)
        with _translated(path):
            if not path.exists():
                _create(path, budget or WearBudget(), durable)
            if not path.stat().st_size:
                raise sqlite3.DatabaseError("the file is empty")
            connection = sqlite3.connect(path, timeout=_BUSY)
            try:
                _check(path, connection)
                connection.execute(_pace(durable))
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def rebuild(cls, path: str | Path, runs: Iterable[Path], budget: WearBudget | None = None) -> Self:
        """Make a chip file anew from the journals of its runs, in the place of one that was lost or is damaged.

        It is made of all of them or not at all: one that lacks a run would pass for whole.

        Args:
            path: of the file; there is none any more.
            runs: directories of all runs of the chip.
            budget: as for `open`.

        Raises:
            WearFileError: the file exists, or cannot be written.
            RunDirectoryError: a journal is damaged.
        """
        path = Path(path)
        if path.exists():
            raise WearFileError(f"{path}: exists; move it away first")
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.rebuilt")
        try:
            with cls.open(unfinished, budget) as chip:
                for run in runs:
                    chip.register(Path(run))
                    chip.take_in(Path(run))
            with _translated(path):
                os.link(unfinished, path)  # unlike a renaming, this never takes the place of a file
        finally:
            unfinished.unlink(missing_ok=True)
        return cls.open(path)

    @property
    def budget(self) -> WearBudget:
        """How much each cell may be written."""
        with _translated(self.path):
            meta = dict(self._connection.execute("SELECT key, value FROM meta"))
            return WearBudget(cycles=int(meta["budget_cycles"]), warn_share=float(meta["warn_share"]))

    def set_budget(self, budget: WearBudget) -> None:
        """Allow more, or less.

        Raises:
            WearFileError: it cannot be written.
        """
        with self._writing():
            self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _meta(budget).items())

    def counts(self) -> WearCounts:
        """What each cell has had, as far as its runs were taken in.

        Raises:
            WearFileError: the file is damaged.
        """
        with _translated(self.path):
            rows = self._connection.execute(_COUNTS).fetchall()
        columns = np.array(rows, dtype=np.int64).reshape(-1, 7).T
        array, bl, sl, form, set_, reset, maybe = columns
        return WearCounts(cells=Cells(array, bl, sl), form=form, set=set_, reset=reset, maybe=maybe)

    def runs(self) -> list[Path]:
        """Directories of the runs that have worked on the chip, in the order of their names.

        Raises:
            WearFileError: the file is damaged.
        """
        with _translated(self.path):
            return [Path(run) for (run,) in self._connection.execute("SELECT run FROM journals ORDER BY run")]

    def register(self, run: Path) -> None:
        """Take note of a run before it pulses anything, so that its pulses are found even if it is killed.

        Raises:
            RunDirectoryError: it has no journal.
            WearFileError: it cannot be written.
        """
        name, _ = Journal(run / JOURNAL_NAME).identity()
        if not name:
            raise RunDirectoryError(f"{run}: the run has no journal, so its pulses cannot be counted")
        with self._writing():
            self._connection.execute(
                "INSERT INTO journals VALUES (?, ?, 0, 0) ON CONFLICT DO UPDATE SET run = excluded.run, settled = 0",
                (name, str(run.resolve())),
            )

    def forget(self, run: Path) -> None:
        """Strike a run out that has done nothing.

        Raises:
            WearFileError: it cannot be written.
        """
        with self._writing():
            self._connection.execute("DELETE FROM journals WHERE run = ? AND taken_to = 0", (str(run.resolve()),))

    def take_in(self, run: Path, settled: bool = False) -> None:
        """Add what a run has done since it was last taken in. A pulse without a result counts as one that was given.

        Args:
            run: registered; nobody is pulsing for it.
            settled: whether the run has ended, so that it need not be looked at again.

        Raises:
            RunDirectoryError: its journal is damaged.
            WearFileError: it cannot be written.
        """
        journal = Journal(run / JOURNAL_NAME)
        name, last = journal.identity()
        with self._writing():
            (taken_to,) = self._connection.execute("SELECT taken_to FROM journals WHERE id = ?", (name,)).fetchone()
            if taken_to >= last and not settled:
                return
            for rows in worn(journal.drives(after=taken_to)):
                self._connection.executemany(_ADD, rows)
            self._connection.execute(
                "UPDATE journals SET taken_to = ?, settled = ? WHERE id = ?", (max(last, taken_to), settled, name)
            )

    def take_in_the_killed(self, but: Path) -> None:
        """Add what runs have done that ended without a word; runs that are at work are left for their own end.

        A run whose directory is gone is named in a warning, once: its last pulses cannot be counted any more.

        Args:
            but: directory of the run that asks.

        Raises:
            RunDirectoryError: a journal is damaged.
            WearFileError: it cannot be written.
        """
        with _translated(self.path):
            open_runs = self._connection.execute("SELECT id, run FROM journals WHERE NOT settled").fetchall()
        for name, run in ((name, Path(run)) for name, run in open_runs):
            if run == but.resolve() or _is_at_work(run):
                continue
            if (run / JOURNAL_NAME).is_file():
                self.take_in(run, settled=True)
            else:
                logger.warning("{}: the run {} is gone; pulses that it may have given last are not counted", self, run)
                with self._writing():
                    self._connection.execute("UPDATE journals SET settled = 1 WHERE id = ?", (name,))

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, which no other process comes between."""
        with _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, read-only, disk full: the file itself is sound
        raise WearFileError(f"{path}: the chip file cannot be used: {error}") from error
    except OSError as error:
        raise WearFileError(f"{path}: the chip file cannot be used: {error.strerror or error}") from error
    except (sqlite3.DatabaseError, KeyError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())  # SQLite's reports of damage have several lines
        raise WearFileError(
            f"{path}: the chip file is damaged: {why}. Nothing was changed. Move it away, and put a copy of it "
            "back or make it anew from the runs of the chip: rmhil wear --chip FILE --rebuild RUN ..."
        ) from error


def _pace(durable: bool) -> str:
    return f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}"


def _create(path: Path, budget: WearBudget, durable: bool) -> None:
    """Make the file whole or not at all; where another process was quicker, its file stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        connection = sqlite3.connect(unfinished)
        try:
            connection.execute(_pace(durable))
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            with connection:
                connection.executemany("INSERT INTO meta VALUES (?, ?)", _meta(budget).items())
        finally:
            connection.close()
        with suppress(FileExistsError):
            os.link(unfinished, path)  # unlike a renaming, this never takes the place of a file
    finally:
        unfinished.unlink(missing_ok=True)


def _meta(budget: WearBudget) -> dict[str, str]:
    return {"budget_cycles": str(budget.cycles), "warn_share": repr(budget.warn_share)}


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(said)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise WearFileError(f"{path}: written by a later rmhil (version {version}, not {VERSION}): use that one")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version != VERSION or not {"meta", "journals", "wear"} <= tables:
        raise sqlite3.DatabaseError("it is no chip file")


def _is_at_work(run: Path) -> bool:
    """Whether a process works on a run, or may."""
    try:
        return not Owner.read(run / LOCK_NAME).is_gone
    except FileNotFoundError:
        return False
