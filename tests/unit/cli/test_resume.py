"""`rmhil program --resume`: the same job goes on, nothing else, and only where it can; `rmhil wear`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from rmhil.backend import Cells, Pulses, Read, Readings
from rmhil.journal import Journal
from rmhil.store import Run
from sim_backend import SimBackend
from tests.unit.cli.conftest import SIZE, CommandLine

INTERRUPTED = 130


@contextmanager
def broken_off(at: int, after: bool = False) -> Iterator[None]:
    """Ctrl-C inside one transaction of a simulated array: before it is driven, or after."""
    apply, count = SimBackend.apply, 0

    def breaking(self: SimBackend, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        nonlocal count
        count += 1
        if count == at and not after:
            raise KeyboardInterrupt
        readings = apply(self, cells, pulses, read)
        if count == at:
            raise KeyboardInterrupt
        return readings

    with patch.object(SimBackend, "apply", breaking):
        yield


@pytest.fixture
def resume(command_line: CommandLine) -> tuple[object, ...]:
    return ("--resume", "latest", "--out", command_line.folder / "runs")


@pytest.fixture
def cut(command_line: CommandLine, target: Path) -> Run:
    """A run whose job was cut short in the middle of its pulses."""
    with broken_off(at=15):
        command_line("program", target, *command_line.small, "--tolerance", 1e-6, code=INTERRUPTED)
    return Run.open("latest", command_line.folder / "runs")


def counts(report: dict[str, object]) -> dict[str, object]:
    return {name: report[name] for name in report if name not in ("run", "maybe_applied", "backend_seconds")}


@pytest.mark.parametrize("options", [("--rewrite",), ("--pilot", "16")])
def test_a_resumed_job_ends_as_if_it_had_never_been_cut(
    command_line: CommandLine, target: Path, resume: tuple[object, ...], options: tuple[str, ...]
) -> None:
    """Cut in its first wait, so that no pulse is in doubt; with a pilot, that is in the midst of learning."""
    given = ("program", target, *command_line.small, *options)
    whole = command_line.json(*given)
    with patch.object(SimBackend, "wait", side_effect=KeyboardInterrupt):
        command_line(*given, code=INTERRUPTED)
    resumed = command_line.json("program", *resume)
    assert counts(resumed) == counts(whole)
    assert resumed["maybe_applied"] == 0
    run = Run.open("latest", command_line.folder / "runs")
    assert run.status == "complete"
    assert run.journal.jobs()[-1].status == "complete"
    ledger = run.ledger()
    assert ledger is not None
    pilot = resumed.get("pilot", {"pulses": 0, "form_pulses": 0})
    assert ledger.counts.pulses == sum(resumed["pulses"].values()) + pilot["pulses"] + pilot["form_pulses"]


def test_info_names_a_job_that_was_cut_short_until_it_is_resumed(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...]
) -> None:
    (named,) = command_line.json("info", *command_line.again)["unfinished_jobs"]
    assert named.startswith("program of ")
    assert named.endswith("(interrupted)")
    command_line("program", *resume)
    assert command_line.json("info", *command_line.again)["unfinished_jobs"] == []


def test_what_broke_off_is_said_and_counted(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...], target: Path
) -> None:
    resumed = command_line.json("program", *resume)
    assert resumed["maybe_applied"] > 0
    wear = command_line.json("wear", "--out", command_line.folder / "runs")
    assert wear["maybe_applied"] == resumed["maybe_applied"]
    assert sum(wear["pulses"].values()) == sum(resumed["pulses"].values())
    verified = command_line.json("verify", target, *command_line.again, "--averages", 8, "--tolerance", 2e-6)
    assert verified["within_fraction"] > 0.9


REFUSED = {
    ("--tolerance", "2e-6"): "--tolerance is 2e-06, but the job was begun with 1e-06",
    ("--policy", "incremental"): "--policy is 'incremental', but the job was begun with 'adaptive'",
    ("--max-pulses", "50"): "--max-pulses is 50, but the job was begun with 200",
    ("--averages", "2"): "--averages is 2, but the job was begun with 1",
    ("--pilot", "16"): "--pilot is 16, but the job was begun with None",
    ("--region", "0:2,0:2"): "--region is '0:2,0:2', but the job was begun with None",
    ("--cell", "1,1"): "--cell is ['1,1'], but the job was begun with None",
    ("--rewrite",): "--rewrite is True, but the job was begun with False",
    ("--seed", "7"): "--seed cannot be given with --resume",
    ("--backend", "sim"): "--backend cannot be given with --resume",
    ("--run", "latest"): "--run and --resume exclude one another",
}


def test_another_job_is_refused_and_nothing_is_driven(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...]
) -> None:
    before = cut.journal.identity()
    for options, said in REFUSED.items():
        assert said in command_line("program", *resume, *options, code=2)
    other = command_line.save("other.npy", np.full((SIZE, SIZE), 33e-6))
    assert "TARGET is" in command_line("program", other, *resume, "--json", code=2)
    assert cut.journal.identity() == before


def test_the_same_settings_may_be_typed_again(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...], target: Path
) -> None:
    resumed = command_line.json("program", target, *resume, "--tolerance", 1e-6, "--policy", "adaptive")
    assert resumed["outcomes"]["unfinished"] == 0


def test_the_target_of_the_job_is_kept_and_its_file_is_not_needed(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...], target: Path
) -> None:
    target.unlink()
    assert command_line.json("program", *resume)["cells"] == SIZE**2


def test_a_job_that_ended_before_it_drove_anything_begins_by_its_options(
    command_line: CommandLine, target: Path, resume: tuple[object, ...]
) -> None:
    with patch.object(Journal, "describe_job", side_effect=KeyboardInterrupt):
        command_line("program", target, *command_line.small, "--tolerance", 1e-6, code=INTERRUPTED)
    resumed = command_line.json("program", *resume)
    assert resumed["tolerance_siemens"] == 1e-6
    assert resumed["outcomes"]["unfinished"] == 0


def test_a_job_that_is_complete_is_not_resumed(
    command_line: CommandLine, target: Path, resume: tuple[object, ...]
) -> None:
    command_line("program", target, *command_line.small)
    assert "job 1 (`rmhil program`) is complete" in command_line("program", *resume, code=2)
    assert "no job of `rmhil program`" in (
        command_line("read", *command_line.small) and command_line("program", *resume, code=2)
    )


def test_a_job_whose_cells_were_pulsed_since_is_not_resumed(
    command_line: CommandLine, target: Path, resume: tuple[object, ...]
) -> None:
    with broken_off(at=3, after=True):  # hardly any cell is formed yet
        command_line("program", target, *command_line.small, code=INTERRUPTED)
    command_line("read", *command_line.again)
    command_line("form", *command_line.again)
    said = command_line("program", *resume, code=2)
    assert "was followed by job 3 (`rmhil form`) with pulses" in said


def test_cells_whose_state_is_older_than_the_journal_are_not_taken_for_those_of_the_job(
    command_line: CommandLine, cut: Run, resume: tuple[object, ...]
) -> None:
    with closing(sqlite3.connect(cut.path / "journal.sqlite")) as connection, connection:
        connection.execute("UPDATE meta SET value = '3' WHERE key = 'state'")
    said = command_line("program", *resume, code=2)
    assert "the simulated cells died with their process" in said
    assert "kept after transaction 3" in said


def test_another_array_is_refused(command_line: CommandLine, cut: Run, resume: tuple[object, ...]) -> None:
    record = json.loads((cut.path / "run.json").read_text())
    record["backend"]["limits"]["set_voltage"] = 2.5
    (cut.path / "run.json").write_text(json.dumps(record))
    assert "the array is not the one of the job: limits" in command_line("program", *resume, code=2)


def test_no_target_and_no_run_is_an_error_that_names_both(command_line: CommandLine) -> None:
    assert "Name a TARGET, or a run to go on with by --resume" in command_line("program", code=2)


def test_worn_cells_are_refused_and_the_budget_can_be_raised(
    command_line: CommandLine, target: Path, resume: tuple[object, ...]
) -> None:
    runs = ("--out", command_line.folder / "runs")
    command_line("program", target, *command_line.small)
    command_line("wear", "--budget", 1, *runs)
    said = command_line("program", target, *command_line.again, "--rewrite", "--json", code=2)
    assert "SET/RESET cycles, allowed 1" in said
    given = command_line.json("wear", *runs)
    assert given["cells_at_the_budget"] > 0
    assert given["budget_cycles"] == 1
    command_line("wear", "--budget", 30_000, "--warn-share", 0.9, *runs)
    assert command_line.json("program", *resume)["converged_fraction"] > 0.9


def test_a_lost_chip_file_is_made_anew_from_the_runs(command_line: CommandLine, target: Path) -> None:
    runs = ("--out", command_line.folder / "runs")
    command_line("program", target, *command_line.small)
    run = command_line.runs[0]
    before = command_line.json("wear", *runs)
    chip = run / "chip-wear.sqlite"
    chip.write_bytes(b"")
    assert "the chip file is damaged: the file is empty" in command_line("read", *command_line.again, code=2)
    chip.rename(run / "damaged")
    assert "no chip file" in command_line("wear", *runs, code=2)
    assert command_line.json("wear", "--chip", chip, "--rebuild", run) == before
