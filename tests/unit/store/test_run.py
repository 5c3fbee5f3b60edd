from __future__ import annotations

import getpass
import json
import os
import platform
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from rmhil.errors import ConfigError, RunDirectoryError
from rmhil.ledger import Ledger
from rmhil.store import LATEST, Run
from rmhil.whole_files import replacing


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, command="test", seed=3, config={"tolerance": 1e-6})


def test_a_new_run_never_takes_an_existing_directory(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path, command="test") for _ in range(12)]
    assert len({run.path for run in runs}) == 12


def test_latest_is_the_newest_even_within_one_second(tmp_path: Path) -> None:
    for _ in range(11):  # the eleventh name sorts before the third as text
        last = Run.create(tmp_path, command="test")
    assert Run.open(LATEST, tmp_path).path == last.path


def test_a_folder_without_a_record_is_not_the_latest_run(tmp_path: Path) -> None:
    """An interrupt may come before the record of a new run is written."""
    run = Run.create(tmp_path, command="test")
    (tmp_path / "2999-01-01T00-00-00").mkdir()
    assert Run.open(LATEST, tmp_path).path == run.path


def test_a_file_that_breaks_off_leaves_the_one_before_it(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    with replacing(file) as unfinished:
        unfinished.write_text("whole")
    with pytest.raises(UnicodeEncodeError), replacing(file) as unfinished:
        unfinished.write_text("half of it" * 10_000 + "\udcff", encoding="utf-8")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(RunDirectoryError, match="cannot be written"), replacing(tmp_path / "no" / "file") as unfinished:
        unfinished.write_text("lost")


def test_the_record_comes_back_as_written(run: Run) -> None:
    opened = Run.open(run.path)
    assert opened.record == run.record
    assert opened.record.seed == 3
    assert opened.record.config == {"tolerance": 1e-6}
    assert opened.record.versions["numpy"] == np.__version__


def test_a_run_is_found_by_name_under_its_root(run: Run) -> None:
    assert Run.open(run.name, run.path.parent).path == run.path


def test_a_run_says_how_it_ended(tmp_path: Path) -> None:
    with Run.create(tmp_path, command="good") as good:
        assert Run.open(good.path).status == "running"
    assert Run.open(good.path).status == "complete"

    with pytest.raises(KeyboardInterrupt), Run.create(tmp_path, command="cut") as cut:
        raise KeyboardInterrupt
    assert Run.open(cut.path).status == "interrupted"

    with pytest.raises(ZeroDivisionError), Run.create(tmp_path, command="bad") as bad:
        raise ZeroDivisionError("by zero")
    assert Run.open(bad.path).status == "failed"
    assert Run.open(bad.path).record.error == "ZeroDivisionError: by zero"


def test_a_reopened_run_is_running_again_until_it_ends(run: Run) -> None:
    run.finish("failed", error="once")
    with Run.open(run.path) as again:
        assert Run.open(run.path).status == "running"
        again.step("verify")
    ended = Run.open(run.path).record
    assert (ended.status, ended.error) == ("complete", None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_work_that_fails_leaves_the_record_of_an_earlier_run(run: Run, error: type[BaseException]) -> None:
    run.finish("failed", error="once")
    before = (run.path / "run.json").read_bytes()
    again = Run.open(run.path)
    again.asked = {"command": "rmhil read"}
    with pytest.raises(error), again:
        raise error
    assert (run.path / "run.json").read_bytes() == before
    noted = run.steps()[-1]
    assert noted.kind == ("interrupted" if error is KeyboardInterrupt else "failed")
    assert noted.detail["command"] == "rmhil read"


class TestLock:
    def test_a_run_at_work_is_refused_to_another_process(self, run: Run) -> None:
        code = "import sys; from rmhil.store import Run\nwith Run.open(sys.argv[1]): pass"
        command = [sys.executable, "-c", code, str(run.path)]
        refused = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (
            f"process {os.getpid()} of {getpass.getuser()} on {platform.node()} works on this run since"
            in refused.stderr
        )
        assert "delete" in refused.stderr
        run.finish()
        subprocess.run(command, check=True)
        assert not (run.path / "lock").exists()

    def test_a_run_at_work_can_be_read(self, run: Run) -> None:
        run.step("program")
        assert [step.kind for step in Run.open(run.path).steps()] == ["program"]

    def test_the_lock_of_a_dead_process_is_taken_over(self, tmp_path: Path) -> None:
        code = "import os, sys; from rmhil.store import Run; Run.create(sys.argv[1], command='test'); os._exit(9)"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
        killed = Run.open(LATEST, tmp_path)
        assert (killed.path / "lock").exists()
        said: list[str] = []
        logger.enable("rmhil")
        sink = logger.add(said.append, format="{message}")
        try:
            with killed:
                assert json.loads((killed.path / "lock").read_text())["pid"] == os.getpid()
        finally:
            logger.remove(sink)
            logger.disable("rmhil")
        assert any("taking over the lock" in line for line in said)
        assert {path.name for path in killed.path.glob("lock*")} == set()

    def test_an_earlier_process_of_the_same_number_is_gone(self, run: Run) -> None:
        run.finish()
        owner = {"pid": os.getpid(), "host": platform.node(), "time": "then"}
        (run.path / "lock").write_text(json.dumps(owner))
        with Run.open(run.path):
            pass

    @pytest.mark.parametrize("content", ["", "[]", '{"pid": 1, "host": "elsewhere", "time": "then"}'])
    def test_a_lock_of_an_unknown_process_or_machine_stands(self, run: Run, content: str) -> None:
        run.finish()
        (run.path / "lock").write_text(content)
        with pytest.raises(RunDirectoryError, match="works on this run"), Run.open(run.path):
            pass
        assert (run.path / "lock").read_text() == content
        assert Run.open(run.path).status == "complete"


def test_reading_the_journal_writes_nothing(run: Run) -> None:
    run.step("program")
    run.finish()
    opened = Run.open(run.path)
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert len(opened.steps()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_what_cannot_be_written_is_named_with_the_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    for method in ("mkdir", "open", "write_text", "replace"):
        monkeypatch.setattr(Path, method, refuse)
    for write in (
        lambda: run.save_results({}),
        lambda: run.save_ledger(Ledger()),
        lambda: run.save_arrays("x", y=np.zeros(1)),
        lambda: run.directory("model"),
        lambda: run.finish(),
    ):
        with pytest.raises(RunDirectoryError, match="cannot be written: Permission denied"):
            write()


def test_steps_come_back_in_order_with_their_details(run: Run) -> None:
    run.step("program", cells=np.int64(4), path=Path("a/b"), loss=float("nan"))
    run.step("verify", within=[True, np.bool_(False)])
    steps = Run.open(run.path).steps()
    assert [step.id for step in steps] == [1, 2]
    assert steps[0].detail == {"cells": 4, "path": "a/b", "loss": None}
    assert steps[1].detail == {"within": [True, False]}


def test_a_killed_process_loses_no_step(tmp_path: Path) -> None:
    code = (
        "import os, sys; from rmhil.store import Run\n"
        "run = Run.create(sys.argv[1], command='test'); run.step('pulse', number=1); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    killed = Run.open(LATEST, tmp_path)
    assert killed.status == "running"
    assert [step.detail for step in killed.steps()] == [{"number": 1}]


def test_results_and_arrays_come_back(run: Run) -> None:
    run.save_results({"accuracy": {"learn": np.float64(0.5), "new": float("nan")}})
    run.save_arrays("embeddings", learn=np.eye(3), labels=np.arange(3))
    opened = Run.open(run.path)
    assert opened.results() == {"accuracy": {"learn": 0.5, "new": None}}
    assert opened.array_names() == ["embeddings"]
    np.testing.assert_array_equal(opened.arrays("embeddings")["learn"], np.eye(3))


def test_what_was_not_saved_is_none(run: Run) -> None:
    assert run.results() is None
    assert run.ledger() is None
    assert run.steps() == []
    assert run.map_names() == []


@pytest.mark.parametrize(
    "name", ["../escape", "", "a/b", ".hidden", "con", "NUL.old", "com1", "Lpt9.x", "prn ", "dot.", "blank "]
)
def test_a_name_never_leads_out_of_the_run(run: Run, name: str) -> None:
    with pytest.raises(ConfigError, match="file name"):
        run.save_arrays(name, x=np.zeros(1))
    with pytest.raises(ConfigError, match="file name"):
        run.directory(name)


@pytest.mark.parametrize("name", ["a", "contour", "com", "nul-2", "v1.2 b", "COM10"])
def test_a_usual_name_is_taken(run: Run, name: str) -> None:
    assert run.directory(name).is_dir()


def test_an_unknown_status_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="finished"):
        run.finish("finished")  # type: ignore[arg-type]


class TestDamage:
    def test_no_runs_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(RunDirectoryError, match="no runs in"):
            Run.open(LATEST, tmp_path / "none")

    def test_no_such_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunDirectoryError, match="no run directory nowhere"):
            Run.open("nowhere", tmp_path)

    def test_not_a_run_directory(self, tmp_path: Path) -> None:
        with pytest.raises(RunDirectoryError, match=r"run\.json is missing"):
            Run.open(tmp_path)

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("{", "not readable"),
            ("[1]", "holds a list"),
            ('{"format": 99}', "format 99"),
            ('{"format": 1, "command": "x"}', "'created'"),
            ('{"format": 1, "command": "x", "created": "now", "status": "odd"}', "'status'"),
            ("\x00\xff", "not readable"),
        ],
    )
    def test_a_damaged_record_is_named(self, run: Run, content: str, complaint: str) -> None:
        (run.path / "run.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(RunDirectoryError, match=complaint):
            Run.open(run.path)

    def test_a_damaged_journal_is_named(self, run: Run) -> None:
        (run.path / "journal.sqlite").write_bytes(b"not a database, but long enough to look at" * 40)
        with pytest.raises(RunDirectoryError, match=r"journal\.sqlite"):
            run.steps()
        with pytest.raises(RunDirectoryError, match=r"journal\.sqlite"):
            run.step("program")

    def test_a_journal_with_damaged_details_is_named(self, run: Run) -> None:
        run.step("program")
        run.close()
        connection = sqlite3.connect(run.path / "journal.sqlite")
        with connection:
            connection.execute("UPDATE steps SET detail = '{'")
        connection.close()
        with pytest.raises(RunDirectoryError, match="damaged"):
            run.steps()
        run.close()

    def test_damaged_results_and_ledger_are_named(self, run: Run) -> None:
        (run.path / "results.json").write_text("{")
        (run.path / "ledger.json").write_text('{"nothing": 1}')
        with pytest.raises(RunDirectoryError, match=r"results\.json"):
            run.results()
        with pytest.raises(RunDirectoryError, match=r"ledger\.json"):
            run.ledger()

    def test_damaged_arrays_are_named(self, run: Run) -> None:
        path = run.save_arrays("x", y=np.arange(1000))
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(RunDirectoryError, match=r"x\.npz"):
            run.arrays("x")

    def test_pickled_arrays_are_refused(self, run: Run) -> None:
        np.savez(run.directory("arrays") / "x.npz", y=np.array([{}], dtype=object))
        with pytest.raises(RunDirectoryError, match=r"x\.npz"):
            run.arrays("x")

    def test_a_missing_map_lists_those_there_are(self, run: Run) -> None:
        run.save_map("program", {"conductance": np.full((2, 3), 1e-5)})
        with pytest.raises(RunDirectoryError, match="there are: program"):
            run.load_map("verify")

    def test_a_damaged_map_is_named(self, run: Run) -> None:
        path = run.save_map("program", {"conductance": np.full((64, 64), 1e-5)})
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(RunDirectoryError, match=r"program\.nc"):
            run.load_map("program")

    def test_another_netcdf_file_is_no_map(self, run: Run) -> None:
        path = run.save_map("program", {"conductance": np.full((4, 4), 1e-5)})
        run.load_map("program").drop_vars("bl").to_netcdf(path, engine="h5netcdf")
        with pytest.raises(RunDirectoryError, match="no coordinate bl"):
            run.load_map("program")
