"""`kill -9` of `rmhil program`, at any moment and again and again: `--resume` brings the whole job to its end.

The array is a simulated one that lives in the test, so that it outlives the killed processes as a chip does. What it
was given is its own account, against which the journal is held.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rmhil.journal import Fate, Journal, Kind
from rmhil.store import Run
from rmhil.wear import WearFile, chip_file_of
from sim_backend import SimBackend
from tests.held_sim import Holder, Moment, install, started_command

SIZE = 3

KILLS = [
    pytest.param(7, 5, id="5 kills"),
    pytest.param(11, 60, id="60 kills", marks=pytest.mark.long),
]
"""Seed of the moments, and how many there are."""

Command = Callable[..., tuple[int | None, str]]


@pytest.fixture
def holder(tmp_path: Path, open_sim: Callable[..., SimBackend]) -> Iterator[Holder]:
    held = Holder(open_sim(n_bl=SIZE, n_sl=SIZE, cells_at_once=1, off=("stuck-cells",)))
    with closing(held.serve(tmp_path)):
        yield held


@pytest.fixture
def command(tmp_path: Path, holder: Holder) -> Command:
    """Runs a command in a process of its own; gives its exit code (minus the signal that killed it) and output."""
    site, config = install(tmp_path)
    np.save(tmp_path / "target.npy", np.random.default_rng(0).uniform(10e-6, 80e-6, (SIZE, SIZE)))

    def run(*arguments: str, new: bool = False) -> tuple[int | None, str]:
        given = [*arguments, *(("--backend", "held", "--config", str(config)) if new else ()), "--json"]
        process = started_command(tmp_path, given, site)
        process.join()
        return process.exitcode, (tmp_path / ("stdout" if process.exitcode == 0 else "stderr")).read_text()

    return run


@pytest.mark.parametrize(("seed", "kills"), KILLS)
def test_a_job_that_is_killed_again_and_again_comes_to_its_end(
    tmp_path: Path, holder: Holder, command: Command, seed: int, kills: int
) -> None:
    rng, before, killed = np.random.default_rng(seed), 0, 0
    arguments, new = ("program", "target.npy", "--rewrite"), True
    while killed < kills or not new:
        holder.kill_at = int(rng.integers(1, 12)) if killed < kills else None
        holder.moment = Moment(rng.integers(3))
        ended, said = command(*arguments, new=new)
        if ended == 0:  # it came to its end before its moment: another job follows
            before += check(tmp_path, holder, json.loads(said), before)
            holder.given.clear()
            arguments, new = ("program", "target.npy", "--rewrite"), True
        else:
            assert ended == -signal.SIGKILL, said
            killed += 1
            arguments, new = ("program", "--resume", "latest"), False
    assert killed == kills


def check(folder: Path, holder: Holder, report: dict[str, object], before: int) -> int:
    """Hold the journal, the report and the chip file against the array's own account.

    Args:
        folder: of the test.
        holder: has kept account of this job alone.
        report: of the job.
        before: pulses of earlier jobs on the chip.

    Returns:
        Pulses of this job.
    """
    run = Run.open("latest", folder / "runs")
    pulsed = [one for one in run.journal.transactions() if one.kind is Kind.PULSE and one.pulses is not None]
    assert {one.fate for one in pulsed} == {Fate.DONE}
    told = [
        (int(one.cells.bl[0]), int(one.cells.sl[0]), int(one.pulses.operation[0]), float(one.pulses.amplitude[0]),
         float(one.pulses.gate_voltage[0]))
        for one in pulsed if one.pulses is not None
    ]  # fmt: skip
    unsure = [one.readings is not None and one.readings.pulse_status[0] == 3 for one in pulsed]
    following = iter(holder.given)
    for pulse, maybe in zip(told, unsure, strict=True):
        if not maybe:  # what has a result was given, once, in this order; of the others some were
            assert any(pulse == other for other in following), f"{pulse} is on record and was not given, or given twice"
    assert len(told) - sum(unsure) <= len(holder.given) <= len(told)
    assert report["converged_fraction"] == 1.0
    assert report["cells"] == SIZE**2
    assert sum(report["pulses"].values()) == len(told)  # type: ignore[attr-defined]
    ledger = run.ledger()
    assert ledger is not None
    assert ledger.counts.pulses == len(told)
    with WearFile.open(chip_file_of(run)) as chip:
        counts = chip.counts()
    assert int((counts.pulses + counts.form).sum()) == before + len(told)
    assert int(counts.maybe.sum()) >= sum(unsure)
    return len(told)


def test_finished_cells_are_not_touched_by_a_resumed_job(tmp_path: Path, holder: Holder, command: Command) -> None:
    """Killed when the first cells are good for now: they are not formed again, and written only after their pause."""
    holder.kill_at, holder.moment = 40, Moment.AFTER
    ended, _ = command("program", "target.npy", new=True)
    assert ended == -signal.SIGKILL
    before = len(holder.given)
    started = {pulse[:2] for pulse in holder.given}
    last = holder.given[-1][:2]
    holder.kill_at = None
    ended, said = command("program", "--resume", "latest")
    assert ended == 0, said
    again = [pulse for pulse in holder.given[before:] if pulse[:2] in started - {last}]
    assert len(started) > 2
    # forming is over for them; some are written again after the pause, by a pulse or two, as in a job without a cut
    assert all(operation != 0 for _, _, operation, _, _ in again)


def test_another_chip_file_counts_what_a_killed_run_left(tmp_path: Path, holder: Holder, command: Command) -> None:
    """The next command on the same chip takes the killed run in, also without resuming it."""
    holder.kill_at, holder.moment = 20, Moment.BEFORE
    ended, _ = command("program", "target.npy", new=True)
    assert ended == -signal.SIGKILL
    killed = Run.open("latest", tmp_path / "runs")
    on_record = sum(one.kind is Kind.PULSE for one in killed.journal.transactions())
    holder.kill_at = None
    ended, said = command("read", new=True)
    assert ended == 0, said
    with WearFile.open(chip_file_of(killed)) as chip:
        counts = chip.counts()
        assert len(chip.runs()) == 2
    assert int((counts.pulses + counts.form).sum()) == on_record
    assert counts.maybe.sum() == 1


def test_a_simulated_array_that_died_with_its_process_is_not_resumed(tmp_path: Path, command: Command) -> None:
    """An ordinary `sim` keeps its cells in the run at the end of each command: a killed one loses those of its last."""
    small = tmp_path / "small.toml"
    small.write_text("n_bl = 3\nn_sl = 3\ncells_at_once = 1\n")
    arguments = ["program", "target.npy", "--config", str(small)]
    process = started_command(tmp_path, arguments)
    while not pulses_on_record(tmp_path / "runs"):
        assert process.is_alive()
        process.join(0.02)
    process.kill()
    process.join()
    ended, said = command("program", "--resume", "latest")
    assert ended == 2
    assert "the state of the simulated cells (chip-state.npz) is missing" in said


def pulses_on_record(runs: Path) -> int:
    """Pulses in the journal of the only run, which another process writes."""
    journals = [Journal(path) for path in runs.glob("*/journal.sqlite")]
    return sum(one.kind is Kind.PULSE for journal in journals for one in journal.transactions())
