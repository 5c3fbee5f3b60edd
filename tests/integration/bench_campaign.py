"""A campaign: `rmhil program` on a twin is struck at random moments, resumed, and held against the twin's own records.

`python -m tests.integration.bench_campaign 300 --out campaign` strikes 300 times, and writes the table that
docs/explanation/surviving-faults.md keeps.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final

import numpy as np

from rmhil.backend import Floats, Operation
from rmhil.bench.config import bench_config
from rmhil.bench.config_text import config_text
from rmhil.journal import Fate, Journal, Kind
from rmhil.store import Run
from rmhil.units import Seconds, Siemens
from sim_backend.twin import Twin, start_twin
from sim_backend.twin.backend import twin_config
from tests.held_sim import started_command
from tests.integration.bench_faults import Blow, Listener, Phase, Position, Trap
from tests.integration.led_links import LedLinks, Link
from tests.integration.pulse_account import Account, account, without_reason

TOLERANCE: Final[Siemens] = 4e-6

SEEDS: Final = (7, 8, 9, 10)
"""Of the chips of a campaign."""

AGAIN: Final = 0.33
"""1: share of the jobs of a campaign that are struck a second time, while they are resumed."""

_READ_AGAIN: Final[Siemens] = 3e-6
"""S by which a cell that was good may have drifted, and its reading have been off (estimate)."""

_LOOK: Final[Seconds] = 0.01
"""s between two looks at the outputs."""

_HANGS_AFTER: Final[Seconds] = 60.0
"""s after which a program counts as hanging; none of its own waits is half as long."""

_OFF_WITHIN: Final[Seconds] = 5.0
"""s from a fault until all outputs are off."""

_RESUMED: Final = "resumed"
_PHASES: Final = (*Phase, _RESUMED)

_CODES: Final = {Blow.CTRL_C: 130, Blow.CTRL_C_TWICE: 130, Blow.SIGTERM: 143, Blow.SIGKILL: -signal.SIGKILL}
"""Exit codes where the fault cuts the program short; 2 for all others."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program came to its end.

    Attributes:
        code: exit code; minus the signal's number where one killed it.
        out, err: what it said.
        off_at: s on `time.monotonic`: since when all outputs are off.
    """

    code: int
    out: str
    err: str
    off_at: Seconds


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, and what came of it.

    Attributes:
        phase: what the program was at; None of one that was going on with a job.
        code: its exit code.
        off_after: s until all outputs were off for good; None where it went on.
        maybe: pulses of which its journal does not say whether they were given.
        said: its last words.
    """

    blow: Blow
    phase: Phase | None
    code: int
    off_after: Seconds | None
    maybe: int
    said: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One map: its faults, and what became of its pulses."""

    struck: tuple[Struck, ...]
    account: Account


@dataclass
class Campaign:
    """A bench, and a job on it that is done again and again.

    Attributes:
        twin, links: of the bench; programs use the links.
        folder: everything is kept there.
        shape: lines of the array.
    """

    twin: Twin
    links: LedLinks
    folder: Path
    shape: tuple[int, int]

    @property
    def target(self) -> Floats:
        """S, what is to be written."""
        wanted: Floats = np.random.default_rng(0).uniform(10e-6, 80e-6, self.shape)
        return wanted

    def undisturbed(self, seed: int) -> dict[Phase, list[Position]]:
        """A job that nothing happens to: the places of its phases in the talk with the instruments."""
        folder, arguments = self._prepared(f"chip-{seed}", seed)
        listener = Listener()
        self.links.watcher = listener
        ended = self.run(folder, arguments)
        assert ended.code == 0, ended.err
        run = Run.open("latest", folder / "runs")
        account(run, self.twin.pulses())
        assert not without_reason(run, self.target, TOLERANCE)
        forming = [
            one.pulses.operation[0] == Operation.FORM for one in run.journal.transactions() if one.pulses is not None
        ]
        return listener.phases(forming)

    def trial(self, number: int, seed: int, phases: dict[Phase, list[Position]], blows: Sequence[Blow]) -> Trial:
        """A new chip, a job, faults one after the other, and what the job comes to.

        Args:
            number: of the trial; seeds what is left to chance.
            seed: of the chip.
            phases: of the undisturbed job on the same chip.
            blows: the first hits the job, each further one the program that goes on with it.
        """
        rng = random.Random(number)
        folder, anew = self._prepared(f"trial-{number}", seed)
        self.links.plug_in()
        arguments, struck = anew, list[Struck]()
        for blow in blows:
            phase = None if struck else rng.choice(list(Phase))
            moment = Position(rng.randint(0, 5), rng.randint(1, 20)) if phase is None else rng.choice(phases[phase])
            trap = Trap(blow, moment, rng.random() < 0.5, self.links, self.twin, rng)
            ended = self.run(folder, arguments, trap)
            if trap.struck_at is None:
                break  # it was over before
            off_after = max(ended.off_at - trap.struck_at, 0.0) if ended.code else None
            _check_end(blow, ended, off_after)
            self.links.plug_in()
            journal = _opened_journal(folder)
            maybe = 0 if journal is None else sum(one.fate is Fate.MAYBE for one in journal.transactions())
            struck.append(Struck(blow, phase, ended.code, off_after, maybe, ended.err))
            if _is_done(journal):
                break  # the map is finished; what came late hit the end of the program alone
            assert maybe <= 1
            arguments = anew if journal is None else ["program", "--resume", "latest", "--json"]
        self.links.watcher = None
        if not _is_done(_opened_journal(folder)):
            ended = self.run(folder, arguments)
            assert ended.code == 0, ended.err
        return Trial(tuple(struck), self._check_job(Run.open("latest", folder / "runs")))

    def _prepared(self, name: str, seed: int) -> tuple[Path, list[str]]:
        """A virgin chip, a folder with its bench and a target, and the command."""
        self.twin.renew(seed=seed, n_bl=self.shape[0], n_sl=self.shape[1], off=("stuck-cells",))
        folder = self.folder / name
        folder.mkdir()
        np.save(folder / "target.npy", self.target)
        tables = twin_config(self.twin).model_dump(mode="json", exclude_none=True)
        tables["analyser"] |= {
            "resource": re.sub(r",\d+", f",{self.links.ports[Link.ANALYSER]}", self.twin.analyser),
            "patience_s": 0.5,
        }
        tables["board"]["url"] = f"socket://127.0.0.1:{self.links.ports[Link.BOARD]}"
        tables["lock"] = {"file": str(folder / "bench.lock")}
        tables["paths"] = {"chips": str(folder / "chips")}
        (folder / "bench.toml").write_text(config_text(bench_config(tables)))
        options = ["--tolerance", str(TOLERANCE), "--backend", "twin", "--config", str(folder / "bench.toml")]
        return folder, ["program", "target.npy", *options, "--json"]

    def run(self, folder: Path, arguments: Sequence[str], trap: Trap | None = None) -> Ended:
        """Run a command in a process of its own, and look at the outputs all the time."""
        process = started_command(folder, arguments)
        if trap is not None:
            assert process.pid is not None
            trap.process = process.pid
            self.links.watcher = trap
        until, off_at = time.monotonic() + _HANGS_AFTER, None
        while not wait([process.sentinel], _LOOK) or off_at is None:
            off_at = (off_at or time.monotonic()) if self.twin.records().outputs_off else None
            if time.monotonic() > until:
                process.kill()
                raise AssertionError(f"{arguments} hangs, or its outputs stay on: {(folder / 'stderr').read_text()}")
        process.join()
        assert process.exitcode is not None
        return Ended(process.exitcode, (folder / "stdout").read_text(), (folder / "stderr").read_text(), off_at)

    def _check_job(self, run: Run) -> Account:
        """Hold the finished job against the array."""
        report = [step.detail for step in run.steps() if step.kind == "program"][-1]
        found = account(run, self.twin.pulses())
        told = sum(one.kind is Kind.PULSE and one.fate is Fate.DONE for one in run.journal.transactions())
        assert report["cells"] == self.target.size
        assert report["converged_fraction"] == 1.0
        assert sum(report["pulses"].values()) == told
        assert not without_reason(run, self.target, TOLERANCE)
        np.testing.assert_allclose(self.twin.true_conductance(), self.target, rtol=0.0, atol=TOLERANCE + _READ_AGAIN)
        records = self.twin.records()
        assert records.outputs_off
        assert records.violations == ()
        return found


def _check_end(blow: Blow, ended: Ended, off_after: Seconds | None) -> None:
    """Exit code, words and outputs of a program that was struck."""
    assert "Traceback" not in ended.err, ended.err
    assert ended.code in (0, _CODES.get(blow, 2)), (blow, ended)
    if ended.code == 2:
        assert "error:" in ended.err, (blow, ended)
    if ended.code in (130, 143):
        assert "interrupted" in ended.err, (blow, ended)
    if off_after is not None:
        assert off_after < _OFF_WITHIN, (blow, ended)


def _is_done(journal: Journal | None) -> bool:
    """Whether the job has come to its end."""
    return journal is not None and journal.jobs()[-1].status == "complete"


def _opened_journal(folder: Path) -> Journal | None:
    """The journal of the run, which is sound; None where the program did not come so far as to have one."""
    journals = list((folder / "runs").glob("*/journal.sqlite"))
    if not journals:
        return None
    (path,) = journals
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return Run.open(path.parent).journal


@contextmanager
def campaign(twin: Twin, folder: Path, shape: tuple[int, int]) -> Iterator[Campaign]:
    """A campaign on a twin."""
    analyser = re.search(r",(\d+)", twin.analyser)
    assert analyser is not None
    with closing(LedLinks(int(analyser[1]), int(twin.board_url.rpartition(":")[2]))) as links:
        yield Campaign(twin, links, folder, shape)


def table(trials: Sequence[Trial]) -> str:
    """What was tried and what came of it, in Markdown."""
    head = ["what happens", "tried", *_PHASES, "went on", "exit code", "outputs off after, s", "maybe applied"]
    struck = [one for trial in trials for one in trial.struck]
    rows = [head, ["---"] * len(head), *(_row(blow, [one for one in struck if one.blow is blow]) for blow in Blow)]
    given, unsure, of_these = (
        sum(getattr(trial.account, name) for trial in trials) for name in ("given", "unsure", "unsure_given")
    )
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    total = f"{len(struck)} faults in {len(trials)} jobs with {given:,} pulses. "
    return "\n".join([*lines, "", f"{total}Maybe applied: {unsure} pulses, of which {of_these} were given.", ""])


def _row(blow: Blow, struck: Sequence[Struck]) -> list[str]:
    where = [str(sum((one.phase or _RESUMED) == phase for one in struck)) for phase in _PHASES]
    cut = [one.off_after for one in struck if one.off_after is not None]
    off = f"{np.median(cut):.2f}, at most {max(cut):.2f}" if cut else ""
    codes = ", ".join(str(code) for code in sorted({one.code for one in struck if one.code}))
    went_on, maybe = sum(one.code == 0 for one in struck), sum(one.maybe for one in struck)
    return [blow.value, str(len(struck)), *where, str(went_on), codes, off, str(maybe)]


def strike(
    work: Campaign, faults: int, seeds: Sequence[int], again: float, failures: list[str] | None = None
) -> Iterator[Trial]:
    """Strike at least so many times: kind after kind, chip after chip.

    Args:
        work: to be struck.
        faults: how many.
        seeds: of the chips.
        again: share of the jobs that are struck a second time, by any kind, while they are resumed.
        failures: takes what failed; None raises it.

    Raises:
        AssertionError: something was lost, done twice, or left on.
    """
    phases = {seed: work.undisturbed(seed) for seed in seeds}
    kinds, rng, done = list(Blow), random.Random(0), 0
    for number in itertools.count():
        if done >= faults:
            return
        blows = [kinds[number % len(kinds)], *([rng.choice(kinds)] if rng.random() < again else [])]
        seed = seeds[number // len(kinds) % len(seeds)]
        try:
            trial = work.trial(number, seed, phases[seed], blows)
        except AssertionError as error:
            if failures is None:
                raise
            failures.append(f"trial {number}, chip {seed}, {[blow.name for blow in blows]}: {error}")
            done += 1
        else:
            done += len(trial.struck)
            yield trial


def main() -> int:
    """Run a campaign of one's own. Returns an exit status."""
    parser = argparse.ArgumentParser(description="Strike `rmhil program` on a twin, and see what becomes of it.")
    parser.add_argument("faults", type=int, help="how many")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to make: the table, and everything that was done"
    )
    parser.add_argument("--shape", type=int, nargs=2, default=(3, 2), help="lines of the array")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True)
    failures: list[str] = []
    trials: list[Trial] = []
    with start_twin(tied=True) as twin, campaign(twin, asked.out, tuple(asked.shape)) as work:
        for trial in strike(work, asked.faults, SEEDS, AGAIN, failures):
            trials.append(trial)
            (asked.out / "table.md").write_text(table(trials))
            (asked.out / "failures.txt").write_text("\n\n".join(failures))
    (asked.out / "failures.txt").write_text("\n\n".join(failures))
    sys.stdout.write("\n\n".join([table(trials), *failures]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
