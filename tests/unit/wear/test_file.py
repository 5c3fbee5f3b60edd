"""Promises of the chip file: nothing is lost, nothing counted twice, nothing silently begun anew."""

from __future__ import annotations

import json
import multiprocessing
import platform
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from rmhil.backend import Cells, Operation, Pulses, Read, Readings, Status
from rmhil.errors import OutOfRangeError, RunDirectoryError, WearFileError
from rmhil.journal import Kind
from rmhil.store import Run
from rmhil.wear import WearBudget, WearFile
from rmhil.wear.file import VERSION

READ = Read(voltage=0.2, gate_voltage=5.0)


def readings(count: int, pulse_status: Status = Status.NORMAL) -> Readings:
    values, none = np.full(count, 40e-6), np.zeros(count, dtype=np.int64)
    return Readings(
        conductance=values, current=values, pulse_current=values, status=none, pulse_status=none + pulse_status,
        time=values,
    )  # fmt: skip


def pulse(run: Run, operation: Operation, cells: Cells, times: int = 1) -> list[int]:
    """Intents of pulses on some cells."""
    given = Pulses.of(len(cells), operation, 2.0, 1e-3, 1.5, 1e-3)
    return run.journal.write_intents(1, Kind.PULSE, [(cells, given, READ)] * times)


def finished(run: Run, operation: Operation, cells: Cells, times: int = 1, status: Status = Status.NORMAL) -> None:
    for number in pulse(run, operation, cells, times):
        run.journal.write_result(number, readings(len(cells), status))


def new_run(root: Path) -> Run:
    run = Run.create(root, command="test")
    run.journal.begin_job("program", {})
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return new_run(tmp_path / "runs")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chips" / "chip-1.sqlite"


ONE = Cells.of(0, 2, 3)
ROW = Cells.of(0, 2, np.arange(4))


def test_pulses_are_counted_by_kind_and_cell(run: Run, path: Path) -> None:
    finished(run, Operation.FORM, ROW)
    finished(run, Operation.SET, ROW, times=3)
    finished(run, Operation.RESET, ONE, times=2)
    run.journal.write_reading(1, ROW, READ, readings(4))
    with WearFile.open(path) as chip:
        chip.register(run.path)
        chip.take_in(run.path)
        counts = chip.counts()
    assert list(zip(*(index.tolist() for index in counts.cells.index), strict=True)) == [(0, 2, sl) for sl in range(4)]
    assert counts.form.tolist() == [1, 1, 1, 1]
    assert counts.set.tolist() == [3, 3, 3, 3]
    assert counts.reset.tolist() == [0, 0, 0, 2]
    assert counts.cycles.tolist() == [2, 2, 2, 3]


def test_what_may_have_been_applied_counts_and_what_was_refused_does_not(run: Run, path: Path) -> None:
    finished(run, Operation.SET, ONE)
    finished(run, Operation.SET, ONE, status=Status.UNCERTAIN)
    run.journal.write_refusals(pulse(run, Operation.SET, ONE))
    pulse(run, Operation.SET, ONE)
    with WearFile.open(path) as chip:
        chip.register(run.path)
        chip.take_in(run.path)
        counts = chip.counts()
    assert (counts.set.tolist(), counts.maybe.tolist()) == ([3], [2])


def test_a_journal_is_taken_in_once_however_often_it_is_offered(run: Run, path: Path) -> None:
    with WearFile.open(path) as chip:
        chip.register(run.path)
        for given in range(1, 4):
            finished(run, Operation.SET, ONE)
            for _ in range(3):
                chip.register(run.path)
                chip.take_in(run.path, settled=True)
                assert chip.counts().set.tolist() == [given]


@pytest.mark.parametrize("dies_after", range(4))
def test_a_crash_while_a_journal_is_taken_in_loses_and_doubles_nothing(
    run: Run, path: Path, dies_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between any two of the statements that take a journal in."""
    finished(run, Operation.SET, ROW, times=2)
    with WearFile.open(path) as chip:
        chip.register(run.path)

    class Dying(sqlite3.Connection):
        left = dies_after

        def _step(self) -> None:
            if Dying.left <= 0:
                raise KeyboardInterrupt
            Dying.left -= 1

        def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            self._step()
            return super().execute(*arguments)  # type: ignore[arg-type]

        def executemany(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            self._step()
            return super().executemany(*arguments)  # type: ignore[arg-type]

    with WearFile(path, sqlite3.connect(path, factory=Dying)) as dying, pytest.raises(KeyboardInterrupt):
        dying.take_in(run.path)
    with WearFile.open(path) as chip:
        assert len(chip.counts().set) == 0
        chip.take_in(run.path)
        assert chip.counts().set.tolist() == [2, 2, 2, 2]


def _take_in(path: Path, run: Path, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    with WearFile.open(path) as chip:
        chip.register(run)
        for _ in range(5):
            chip.take_in(run)


def test_two_processes_may_take_in_at_once(tmp_path: Path, path: Path) -> None:
    """Also the file itself is made by both at the same moment."""
    runs = [new_run(tmp_path / f"runs-{number}") for number in range(2)]
    for run in runs:
        finished(run, Operation.RESET, ROW, times=20)
        run.close()
    context = multiprocessing.get_context("forkserver")
    start = context.Barrier(2)
    processes = [context.Process(target=_take_in, args=(path, run.path, start)) for run in runs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with WearFile.open(path) as chip:
        assert chip.counts().reset.tolist() == [40, 40, 40, 40]
        assert len(chip.runs()) == 2


def test_a_run_that_was_killed_is_taken_in_by_the_next_one(tmp_path: Path, path: Path) -> None:
    killed, working, mine = (new_run(tmp_path / name) for name in ("killed", "working", "mine"))
    for run in (killed, working, mine):
        finished(run, Operation.SET, ONE)
    killed.close()
    owner = {"pid": 999_999_999, "host": platform.node(), "time": "then"}
    (killed.path / "lock").write_text(json.dumps(owner))
    with WearFile.open(path) as chip:
        for run in (killed, working, mine):
            chip.register(run.path)
        chip.take_in_the_killed(but=mine.path)
        assert chip.counts().set.tolist() == [1]
        working.close()
        chip.take_in_the_killed(but=mine.path)
        assert chip.counts().set.tolist() == [2]


def test_a_run_that_is_gone_is_said_loudly_and_once(run: Run, path: Path, tmp_path: Path) -> None:
    said: list[str] = []
    logger.enable("rmhil")
    sink = logger.add(said.append, format="{message}", level="WARNING")
    try:
        with WearFile.open(path) as chip:
            chip.register(run.path)
            run.discard()
            for _ in range(2):
                chip.take_in_the_killed(but=tmp_path)
    finally:
        logger.remove(sink)
        logger.disable("rmhil")
    assert len(said) == 1
    assert f"{run.path} is gone" in said[0]


def test_a_run_that_did_nothing_leaves_no_trace(run: Run, path: Path) -> None:
    with WearFile.open(path) as chip:
        chip.register(run.path)
        chip.forget(run.path)
        assert chip.runs() == []


def test_the_budget_is_that_of_the_paper_until_it_is_changed_and_stays(path: Path) -> None:
    with WearFile.open(path) as chip:
        assert (chip.budget.cycles, chip.budget.pulses) == (30_000, 60_000)
        chip.set_budget(WearBudget(cycles=50, warn_share=0.5))
    with WearFile.open(path, WearBudget(cycles=7)) as chip:
        assert chip.budget == WearBudget(cycles=50, warn_share=0.5)


@pytest.mark.parametrize("wrong", [{"cycles": 0}, {"warn_share": 0.0}, {"warn_share": 1.1}, {"warn_share": np.nan}])
def test_a_budget_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OutOfRangeError):
        WearBudget(**wrong)  # type: ignore[arg-type]


def spoil_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def spoil_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def spoil_other(path: Path) -> None:
    path.write_bytes(b"wear of chip 1: plenty" * 500)


def spoil_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\x55" * 4096
    path.write_bytes(bytes(content))


def spoil_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE wear")


def spoil_budget(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = 'lots' WHERE key = 'budget_cycles'")


@pytest.mark.parametrize("spoil", [spoil_nothing_left, spoil_half, spoil_other, spoil_page, spoil_table, spoil_budget])
def test_a_damaged_file_is_an_error_that_says_what_to_do_and_is_left_alone(run: Run, path: Path, spoil: object) -> None:
    finished(run, Operation.SET, Cells.of(0, *np.divmod(np.arange(600), 30)))
    with WearFile.open(path) as chip:
        chip.register(run.path)
        chip.take_in(run.path)
    spoil(path)  # type: ignore[operator]
    damaged = path.read_bytes()
    with (
        pytest.raises(WearFileError, match=r"chip-1\.sqlite: the chip file is damaged: .*--rebuild"),
        WearFile.open(path) as chip,
    ):
        assert chip.budget
    assert path.read_bytes() == damaged


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    WearFile.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(WearFileError, match="later rmhil"):
        WearFile.open(path)


def test_a_file_is_made_anew_from_the_runs(tmp_path: Path, path: Path) -> None:
    runs = [new_run(tmp_path / f"runs-{number}") for number in range(3)]
    for run in runs:
        finished(run, Operation.SET, ROW, times=2)
        run.close()
    with WearFile.rebuild(path, [run.path for run in runs], WearBudget(cycles=9)) as chip:
        assert chip.counts().set.tolist() == [6, 6, 6, 6]
        assert chip.budget.cycles == 9
    with pytest.raises(WearFileError, match="exists; move it away first"):
        WearFile.rebuild(path, [])


def test_a_file_that_cannot_be_made_of_all_runs_is_not_made_of_some(run: Run, path: Path, tmp_path: Path) -> None:
    """Else it would pass for whole, and the pulses of the other runs would be forgotten."""
    finished(run, Operation.SET, ONE)
    with pytest.raises(RunDirectoryError, match="no journal"):
        WearFile.rebuild(path, [run.path, tmp_path / "mistyped"])
    assert list(path.parent.iterdir()) == []
    with WearFile.rebuild(path, [run.path]) as chip:
        assert chip.counts().set.tolist() == [1]


def test_a_folder_without_a_journal_is_no_run_of_the_chip(tmp_path: Path, path: Path) -> None:
    with WearFile.open(path) as chip, pytest.raises(RunDirectoryError, match="no journal"):
        chip.register(tmp_path)
