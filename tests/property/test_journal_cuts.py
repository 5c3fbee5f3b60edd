"""Wherever a job is cut, between any two commits, before or after its pulse: the journal resumes it to the same end."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmhil import Crossbar
from rmhil.backend import Cells, Pulses, Read, Readings
from rmhil.journal import Job, Journal, Kind, recorded
from rmhil.journal.file import JournalFile
from rmhil.journal.replay import Replay
from rmhil.ledger import Ledger
from rmhil.program_report import Outcome, ProgramReport
from rmhil.recording import recording, resumable_job
from rmhil.run_record import JOURNAL_NAME
from rmhil.store import Run
from rmhil.wear import WearFile, chip_file_of
from rmhil.wear.place import CHIPS_VARIABLE
from tests.held_array import HeldArray, HeldBackend

TARGET = np.array([[20e-6, 65e-6]])
TOLERANCE = 1e-6


class DeadError(BaseException):
    """The process was killed: nothing of it runs any more."""


class Life:
    """Lets a process live for so many commits and drives, and then nothing of it reach the disk or the array."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> None:
        if self.left <= 0:
            raise DeadError
        self.left -= 1


class Mortal(HeldBackend):
    """Every drive takes a bit of life, and so does the way of its answer."""

    def __init__(self, array: HeldArray, life: Life) -> None:
        super().__init__(array)
        self._life = life

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        self._life.spend()
        readings = super().apply(cells, pulses, read)
        self._life.spend()
        return readings


@contextmanager
def mortal_commits(life: Life) -> Iterator[None]:
    """Commits of a journal take life too; without any, they are undone."""
    writing = JournalFile.writing

    @contextmanager
    def spending(self: JournalFile, flushed: bool = True) -> Iterator[sqlite3.Connection]:
        with writing(self, flushed) as connection:
            yield connection
            life.spend()

    JournalFile.writing = spending  # type: ignore[method-assign]
    try:
        yield
    finally:
        JournalFile.writing = writing  # type: ignore[method-assign]


def attempt(run: Run, array: HeldArray, life: Life, policy: str, resumed: Job | None = None) -> ProgramReport | None:
    """Program, as far as life lasts."""
    try:
        with (
            mortal_commits(life),
            run,
            recording(run, Mortal(array, life), "program", {}, Ledger(), resumed) as (backend, job),
        ):
            if resumed is None:
                run.journal.describe_job(job, {}, TARGET)
            return Crossbar(backend).program(TARGET, TOLERANCE, policy)
    except DeadError:
        return None


def pulses_on_record(run: Run) -> list[tuple[object, ...]]:
    journal = Journal(run.path / JOURNAL_NAME)
    return [
        (int(one.cells.bl[0]), int(one.cells.sl[0]), int(one.pulses.operation[0]), float(one.pulses.amplitude[0]),
         float(one.pulses.gate_voltage[0]), one.readings is None or one.readings.pulse_status[0] == 3)
        for one in journal.transactions()
        if one.kind is Kind.PULSE and one.pulses is not None
    ]  # fmt: skip


@cache
def uncut(policy: str) -> ProgramReport:
    """The same job without a cut, and without a record."""
    return Crossbar(HeldBackend(HeldArray(*TARGET.shape))).program(TARGET, TOLERANCE, policy)


FAR = 10_000
"""Lives longer than any job here."""


@given(st.lists(st.integers(0, 250), min_size=1, max_size=4), st.sampled_from(["incremental", "adaptive"]))
@example([0], "adaptive")
@example([3], "adaptive")
@example([4, 0, 1, 5], "adaptive")
@settings(max_examples=6, deadline=None)
def test_a_job_that_is_cut_anywhere_and_often_comes_to_its_end(cuts: list[int], policy: str) -> None:
    array = HeldArray(*TARGET.shape)
    with TemporaryDirectory() as folder, patch.dict(os.environ, {CHIPS_VARIABLE: folder}):
        expected = uncut(policy)
        run = Run.create(folder, command="test", backend_spec=array.spec)
        report = attempt(run, array, Life(cuts[0]), policy)
        for cut in [*cuts[1:], FAR]:
            if report is None:
                run = Run.open(run.path)
                begun = [job for job in run.journal.jobs() if job.target is not None]
                report = attempt(run, array, Life(cut), policy, resumable_job(run, "program") if begun else None)
        assert report is not None
        on_record = pulses_on_record(run)
        given_to_cells = [(one.bl, one.sl, one.operation, one.amplitude, one.gate_voltage) for one in array.given]
        certain = [pulse[:5] for pulse in on_record if not pulse[5]]
        uncertain = sum(bool(pulse[5]) for pulse in on_record)
        # no pulse with a result was given twice, none got lost, and of the others at most one each was given
        assert is_part(certain, given_to_cells)
        assert is_part(given_to_cells, [pulse[:5] for pulse in on_record])
        # the report is of the whole job
        assert sum(int(count.sum()) for count in report.pulses.values()) == len(on_record)
        assert np.all(report.outcome == Outcome.CONVERGED)
        assert report.maybe_pulsed.sum() <= uncertain
        # cells without a doubt went the very same way
        sure = ~report.maybe_pulsed
        for kind in expected.pulses:
            np.testing.assert_array_equal(report.pulses[kind][sure], expected.pulses[kind][sure])
        np.testing.assert_array_equal(report.achieved[sure], expected.achieved[sure])
        # wear: everything that was given or may have been, once
        with WearFile.open(chip_file_of(run)) as chip:
            counts = chip.counts()
        assert int((counts.pulses + counts.form).sum()) == len(on_record)
        assert int(counts.maybe.sum()) == uncertain


def is_part(some: list[tuple[object, ...]], of: list[tuple[object, ...]]) -> bool:
    """Whether all of one list are in the other, in that order."""
    following = iter(of)
    return all(any(one == other for other in following) for one in some)


def test_a_resumed_job_that_is_over_asks_for_nothing_more(tmp_path: Path) -> None:
    """The journal of a whole job answers all of it."""
    array = HeldArray(*TARGET.shape)
    journal = Journal(tmp_path / JOURNAL_NAME)
    job = journal.begin_job("program", {})
    first = Crossbar(recorded(HeldBackend(array), journal, job)).program(TARGET, TOLERANCE)
    pulsed, reads = len(array.given), array.reads
    replay = Replay(journal.transactions(job))
    again = Crossbar(recorded(HeldBackend(array), journal, job, replay=replay)).program(TARGET, TOLERANCE)
    assert (len(array.given), array.reads) == (pulsed, reads)
    assert replay.is_over
    np.testing.assert_array_equal(again.achieved, first.achieved)
