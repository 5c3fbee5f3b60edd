"""Promises of the journal's file: what is committed is there, whatever happens next; other versions are told apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from rmhil.backend import Cells, Operation, Pulses, Read, Readings
from rmhil.errors import RunDirectoryError
from rmhil.journal import SCHEMA_VERSION, Fate, Journal, Kind
from rmhil.journal.file import JournalFile

READ = Read(voltage=0.2, gate_voltage=5.0, averages=2)


def cells(count: int) -> Cells:
    return Cells.of(0, np.arange(count), 3)


def pulses(count: int) -> Pulses:
    return Pulses.of(count, Operation.SET, 2.0, 1e-3, np.linspace(1.0, 2.0, count), 1e-3)


def readings(count: int) -> Readings:
    values, status = np.linspace(10e-6, 80e-6, count), np.arange(count) % 2
    return Readings(
        conductance=values, current=0.2 * values, pulse_current=np.full(count, np.nan), status=status,
        pulse_status=0 * status, time=np.arange(1.0, count + 1),
    )  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_transaction_comes_back_as_it_was(journal: Journal, count: int) -> None:
    job = journal.begin_job("program", {"tolerance": 2e-6})
    (number,) = journal.write_intents(job, Kind.PULSE, [(cells(count), pulses(count), READ)])
    journal.write_result(number, readings(count))
    journal.write_reading(job, cells(count), READ, readings(count))
    pulsed, read = journal.transactions()
    assert (pulsed.id, pulsed.job, pulsed.kind, pulsed.fate) == (number, job, Kind.PULSE, Fate.DONE)
    assert (read.kind, read.pulses, read.read) == (Kind.READ, None, READ)
    assert pulsed.pulses is not None
    assert pulsed.readings is not None
    for name in ("operation", "amplitude", "width", "gate_voltage", "compliance"):
        np.testing.assert_array_equal(getattr(pulsed.pulses, name), getattr(pulses(count), name))
    for name in ("conductance", "current", "pulse_current", "status", "pulse_status", "time"):
        np.testing.assert_array_equal(getattr(pulsed.readings, name), getattr(readings(count), name))
    np.testing.assert_array_equal(read.cells.index, cells(count).index)


def test_an_intent_is_on_record_before_anything_came_of_it(journal: Journal) -> None:
    """Another process sees it at once; so does the next one, if this process is killed now."""
    job = journal.begin_job("program", {})
    numbers = journal.write_intents(job, Kind.PULSE, [(cells(1), pulses(1), READ)] * 2)
    assert [one.fate for one in Journal(journal.path).transactions()] == [Fate.MAYBE, Fate.MAYBE]
    journal.write_refusals(numbers[:1])
    assert [one.fate for one in Journal(journal.path).transactions()] == [Fate.REFUSED, Fate.MAYBE]


def test_a_job_comes_back_with_its_target(journal: Journal) -> None:
    job = journal.begin_job("program", {"tolerance": 2e-6, "pilot": None})
    target = np.array([[40e-6, np.nan], [10e-6, 80e-6]])
    journal.describe_job(job, {"lines": {"bl": np.arange(2)}}, target)
    (begun,) = journal.jobs()
    assert begun.status == "running"
    assert begun.detail == {"tolerance": 2e-6, "pilot": None, "lines": {"bl": [0, 1]}}
    np.testing.assert_array_equal(begun.target, target)
    journal.set_job_status(job, "complete")
    assert journal.jobs()[0].status == "complete"


def test_transactions_can_be_asked_for_by_job_and_from_a_place_on(journal: Journal) -> None:
    first, second = journal.begin_job("program", {}), journal.begin_job("read", {})
    for job in (first, second, first):
        journal.write_reading(job, cells(1), READ, readings(1))
    assert [one.id for one in journal.transactions(first)] == [1, 3]
    assert [one.id for one in journal.transactions(after=1)] == [2, 3]
    assert journal.identity()[1] == 3


def test_pulses_of_a_later_job_are_seen_and_reads_and_refusals_are_not(journal: Journal) -> None:
    job, later = journal.begin_job("program", {}), journal.begin_job("form", {})
    journal.write_reading(job, cells(1), READ, readings(1))
    journal.write_reading(later, cells(1), READ, readings(1))
    journal.write_refusals(journal.write_intents(later, Kind.PULSE, [(cells(1), pulses(1), READ)]))
    assert journal.pulsed_after(job) is None
    journal.write_intents(later, Kind.PULSE, [(cells(1), pulses(1), READ)])
    assert journal.pulsed_after(job) == later


def test_pulses_of_earlier_jobs_do_not_follow_a_job_that_has_driven_nothing(journal: Journal) -> None:
    """The link was lost before its first reading, say."""
    before, job = journal.begin_job("form", {}), journal.begin_job("program", {})
    journal.write_intents(before, Kind.PULSE, [(cells(1), pulses(1), READ)])
    assert journal.pulsed_after(job) is None


def test_every_journal_has_an_id_of_its_own(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / f"{number}.sqlite") for number in range(3)]
    assert journals[0].identity() == ("", 0)
    for journal in journals:
        journal.append("read", {})
    names = {journal.identity()[0] for journal in journals}
    assert len(names) == 3


def test_a_journal_of_the_first_version_is_read_and_brought_up_to_date(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        connection.execute(
            "CREATE TABLE steps (id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL)"
        )
        connection.execute("INSERT INTO steps VALUES (1, '2026-01-01', 'verify', '{}')")
    assert [step.kind for step in journal.steps()] == ["verify"]
    assert journal.jobs() == []
    assert list(journal.transactions()) == []
    journal.begin_job("program", {})
    assert [step.kind for step in journal.steps()] == ["verify"]
    assert len(journal.jobs()) == 1


def test_a_journal_of_a_later_version_is_refused_and_left_alone(journal: Journal) -> None:
    journal.append("read", {})
    journal.close()
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = journal.path.read_bytes()
    with pytest.raises(RunDirectoryError, match=f"journal version {SCHEMA_VERSION + 1}"):
        journal.steps()
    with pytest.raises(RunDirectoryError, match="later rmhil"):
        journal.append("read", {})
    journal.close()
    assert journal.path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE results SET conductance_siemens = x'00'",
        "UPDATE transactions SET kind = 'dance'",
        "UPDATE transactions SET bl = NULL",
        "UPDATE results SET fate = 'unknown'",
        "DROP VIEW history",
    ],
)
def test_a_damaged_journal_is_an_error_that_names_the_file(journal: Journal, damage: str) -> None:
    job = journal.begin_job("program", {})
    journal.write_reading(job, cells(3), READ, readings(3))
    journal.close()
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        connection.execute(damage)
    with pytest.raises(RunDirectoryError, match=r"journal\.sqlite: the journal is damaged"):
        list(journal.transactions())


def test_the_state_of_simulated_cells_is_noted_with_the_last_transaction(journal: Journal) -> None:
    assert journal.state_kept_at() == 0
    job = journal.begin_job("program", {})
    journal.write_reading(job, cells(1), READ, readings(1))
    journal.note_state()
    assert journal.state_kept_at() == 1


def test_the_tables_can_be_read_by_others_with_plain_sql(journal: Journal) -> None:
    """As `docs/reference/journal.md` shows: one cell a transaction means plain numbers."""
    job = journal.begin_job("program", {})
    (number,) = journal.write_intents(job, Kind.PULSE, [(cells(1), pulses(1), READ)])
    journal.write_result(number, readings(1))
    with closing(sqlite3.connect(journal.path)) as connection:
        row = connection.execute(
            "SELECT bl, sl, operation, amplitude_v, gate_voltage_v, conductance_siemens, fate FROM history"
        ).fetchone()
    assert row == (0, 3, Operation.SET, 2.0, 1.0, 10e-6, "done")


@pytest.mark.parametrize(("durable", "expected"), [(True, [2, 1, 2]), (False, [1, 1, 1])])
def test_an_intent_waits_for_the_disk_and_a_result_does_not(
    journal: Journal, durable: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FULL (2) and NORMAL (1) of SQLite's `synchronous`, on a chip and on a simulated array."""
    journal.durable = durable
    job, paces = journal.begin_job("program", {}), []
    writing = JournalFile.writing

    @contextmanager
    def watched(self: JournalFile, flushed: bool = True) -> Iterator[sqlite3.Connection]:
        with writing(self, flushed) as connection:
            yield connection
        paces.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    monkeypatch.setattr(JournalFile, "writing", watched)
    (number,) = journal.write_intents(job, Kind.PULSE, [(cells(1), pulses(1), READ)])
    journal.write_result(number, readings(1))
    journal.write_intents(job, Kind.PULSE, [(cells(1), pulses(1), READ)])
    assert paces == expected
