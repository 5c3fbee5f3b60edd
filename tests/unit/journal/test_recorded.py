"""Promises of a backend that records: the intent first, the result after, and nothing changed in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Biases, Cells, Operation, Pulses, Read, Readings, StateSaving, Status
from rmhil.errors import BackendUnavailableError, OutOfRangeError, ResumeError, RunDirectoryError, WearError
from rmhil.journal import Fate, Journal, Kind, RecordedBackend, Replay, recorded
from sim_backend import SimBackend
from tests.arrays import random_target
from tests.held_array import HeldArray, HeldBackend
from tests.recording import Recording

CELL = Cells.of(0, 1, 1)
READ = Read(voltage=0.2, gate_voltage=5.0)


def pulse(amplitude: float = 2.0, operation: Operation = Operation.SET) -> Pulses:
    return Pulses.of(1, operation, amplitude, 1e-3, 2.0, 1e-3)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


@pytest.fixture
def array() -> HeldArray:
    return HeldArray()


def fates(journal: Journal) -> list[tuple[Kind, Fate]]:
    return [(one.kind, one.fate) for one in Journal(journal.path).transactions()]


class Witness(HeldBackend):
    """Looks into the journal while it is driven."""

    def __init__(self, array: HeldArray, journal: Journal) -> None:
        super().__init__(array)
        self._journal = journal
        self.seen: list[tuple[Kind, Fate]] = []

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        self.seen = fates(self._journal)
        return super().apply(cells, pulses, read)


class Failing(HeldBackend):
    """Breaks off in each transaction."""

    error: BaseException = BackendUnavailableError("no answer")

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        raise self.error


def test_the_intent_is_committed_before_the_pulse_and_the_result_after_it(array: HeldArray, journal: Journal) -> None:
    witness = Witness(array, journal)
    backend = recorded(witness, journal, journal.begin_job("program", {}))
    backend.apply(CELL, pulse(), READ)
    assert witness.seen == [(Kind.PULSE, Fate.MAYBE)]
    assert fates(journal) == [(Kind.PULSE, Fate.DONE)]


def test_readings_pass_unchanged(array: HeldArray, journal: Journal) -> None:
    backend = recorded(HeldBackend(array), journal, journal.begin_job("program", {}))
    given = backend.apply(CELL, pulse(3.5, Operation.FORM), READ)
    (kept,) = journal.transactions()
    assert kept.readings is not None
    for readings in (given, kept.readings):
        assert readings.conductance == array.conductance[CELL.index]
        assert readings.time == array.clock


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (BackendUnavailableError("no answer"), Fate.MAYBE),
        (KeyboardInterrupt(), Fate.MAYBE),
        (OutOfRangeError("amplitude", 9.0, 0.0, 3.0, "V"), Fate.REFUSED),
    ],
)
def test_a_transaction_without_readings_may_have_been_applied_unless_it_was_refused(
    array: HeldArray, journal: Journal, error: BaseException, fate: Fate
) -> None:
    inner = Failing(array)
    inner.error = error
    backend = recorded(inner, journal, journal.begin_job("program", {}))
    with pytest.raises(type(error)):
        backend.apply(CELL, pulse(), READ)
    assert fates(journal) == [(Kind.PULSE, fate)]


def test_an_error_that_says_that_nothing_was_sent_is_believed(array: HeldArray, journal: Journal) -> None:
    inner = Failing(array)
    inner.error = BackendUnavailableError("the link was down before the pulse")
    inner.error.pulse_sent = False
    backend = recorded(inner, journal, journal.begin_job("program", {}))
    crossbar = Crossbar(backend)
    with pytest.raises(BackendUnavailableError):
        crossbar.apply(CELL, pulse())
    assert fates(journal) == [(Kind.PULSE, Fate.REFUSED)]


def test_nothing_is_driven_that_cannot_be_recorded(array: HeldArray, journal: Journal) -> None:
    job = journal.begin_job("program", {})
    journal.close()
    journal.path.write_bytes(b"no journal any more" * 999)
    for log in journal.path.parent.glob("*-wal"):
        log.unlink()
    with pytest.raises(RunDirectoryError, match="cannot be written") as caught:
        recorded(HeldBackend(array), journal, job).apply(CELL, pulse(), READ)
    assert caught.value.pulse_sent is False
    assert array.given == []


def test_worn_cells_are_refused_before_the_pulse_is_written_down(array: HeldArray, journal: Journal) -> None:
    class Worn:
        def refuse_worn(self, cells: Cells, pulses: Pulses) -> None:
            raise WearError((0, 1, 1), 1, 30_000, 30_000)

        def count(self, cells: Cells, pulses: Pulses) -> None:
            raise AssertionError("nothing was given")

    backend = recorded(HeldBackend(array), journal, journal.begin_job("program", {}), Worn())
    with pytest.raises(WearError, match=r"wear of cell \(0, 1, 1\) = 30000 SET/RESET cycles, allowed 30,000"):
        backend.apply(CELL, pulse(), READ)
    up = Biases.of(np.linspace(0.0, 2.0, 5), 0.0, 2.0, 1e-3, 1e-3)
    with pytest.raises(WearError):
        backend.sweep(CELL, up)
    assert fates(journal) == []
    assert array.given == []


def test_a_sweep_counts_as_one_drive_for_each_polarity(array: HeldArray, journal: Journal) -> None:
    backend = recorded(HeldBackend(array), journal, journal.begin_job("sweep", {}))
    volts = np.array([0.0, 1.0, 2.0, 1.0, 0.0, -1.0, -1.5, 0.0, 0.1])
    backend.sweep(CELL, Biases.of(np.maximum(volts, 0.0), np.maximum(-volts, 0.0), 2.0, 1e-3, 1e-3))
    drives = list(journal.transactions())
    assert [(one.kind, one.fate) for one in drives] == [(Kind.SWEEP, Fate.DONE)] * 2
    said = [(one.pulses.operation[0], one.pulses.amplitude[0]) for one in drives if one.pulses is not None]
    assert said == [(Operation.SET, 2.0), (Operation.RESET, 1.5)]


def test_a_sweep_below_the_read_voltage_wears_nothing(array: HeldArray, journal: Journal) -> None:
    backend = recorded(HeldBackend(array), journal, journal.begin_job("sweep", {}))
    backend.sweep(CELL, Biases.of(np.linspace(0.0, 0.2, 5), 0.0, 2.0, 1e-3, 1e-3))
    assert fates(journal) == []


def test_only_what_can_save_its_state_seems_to(
    array: HeldArray, journal: Journal, open_sim: Callable[..., SimBackend]
) -> None:
    job = journal.begin_job("program", {})
    assert isinstance(recorded(open_sim(), journal, job), StateSaving)
    assert not isinstance(recorded(HeldBackend(array), journal, job), StateSaving)


def test_recording_changes_nothing_that_is_driven(journal: Journal, open_sim: Callable[..., SimBackend]) -> None:
    target = random_target((4, 3))
    bare, behind = Recording(open_sim(n_bl=4, n_sl=3)), Recording(open_sim(n_bl=4, n_sl=3))
    expected = Crossbar(bare).program(target)
    found = Crossbar(recorded(behind, journal, journal.begin_job("program", {}))).program(target)
    np.testing.assert_array_equal(found.achieved, expected.achieved)
    assert len(behind.applied) == len(bare.applied) == len(list(journal.transactions()))


class TestReplay:
    @pytest.fixture
    def done(self, array: HeldArray, journal: Journal) -> int:
        """A job of a FORM, a read and a SET whose result is missing."""
        job = journal.begin_job("program", {})
        backend = recorded(HeldBackend(array), journal, job)
        backend.apply(CELL, pulse(3.5, Operation.FORM), READ)
        backend.apply(CELL, None, READ)
        journal.write_intents(job, Kind.PULSE, [(CELL, pulse(), READ)])
        return job

    def resumed(self, array: HeldArray, journal: Journal, job: int) -> RecordedBackend:
        return recorded(HeldBackend(array), journal, job, replay=Replay(journal.transactions(job)))

    def test_what_has_a_result_is_not_driven_again(self, array: HeldArray, journal: Journal, done: int) -> None:
        pulsed, read = len(array.given), array.reads
        backend = self.resumed(array, journal, done)
        formed = backend.apply(CELL, pulse(3.5, Operation.FORM), READ)
        backend.wait(1.0)
        backend.apply(CELL, None, READ)
        assert (len(array.given), array.reads) == (pulsed, read)
        assert formed.conductance == 30e-6

    def test_what_may_have_been_applied_is_read_and_said_to_be_uncertain(
        self, array: HeldArray, journal: Journal, done: int
    ) -> None:
        pulsed, read = len(array.given), array.reads
        for attempt in range(2):  # the second one finds a result
            backend = self.resumed(array, journal, done)
            backend.apply(CELL, pulse(3.5, Operation.FORM), READ)
            backend.apply(CELL, None, READ)
            readings = backend.apply(CELL, pulse(), READ)
            assert readings.pulse_status == Status.UNCERTAIN, attempt
        assert (len(array.given), array.reads) == (pulsed, read + 1)
        assert fates(journal)[-1] == (Kind.PULSE, Fate.DONE)
        backend.apply(CELL, pulse(), READ)
        assert len(array.given) == pulsed + 1

    def test_a_job_that_goes_another_way_is_refused(self, array: HeldArray, journal: Journal, done: int) -> None:
        for cells, pulses, read in (
            (Cells.of(0, 0, 1), pulse(3.5, Operation.FORM), READ),
            (CELL, pulse(3.6, Operation.FORM), READ),
            (CELL, None, READ),
            (CELL, pulse(3.5, Operation.FORM), Read(voltage=0.1, gate_voltage=5.0)),
        ):
            with pytest.raises(ResumeError, match=r"transaction 1 is FORM at 3\.5 V, gate 2 V on 1 cells from \(0, 1"):
                self.resumed(array, journal, done).apply(cells, pulses, read)
        assert len(array.given) == 1

    def test_a_clock_that_begins_again_goes_on_where_the_journal_ended(
        self, array: HeldArray, journal: Journal, done: int
    ) -> None:
        last, array.clock = array.clock, 0.0
        backend = self.resumed(array, journal, done)
        replayed = [backend.apply(CELL, pulse(3.5, Operation.FORM), READ), backend.apply(CELL, None, READ)]
        live = [backend.apply(CELL, pulse(), READ) for _ in range(3)]
        times = [float(readings.time[0]) for readings in replayed + live]
        assert times == sorted(times)
        assert times[1] == last
        assert [one.readings.time[0] for one in journal.transactions() if one.readings is not None][-1] == array.clock
