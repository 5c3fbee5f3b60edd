"""A campaign: `rmhil program` on a twin is struck at random moments, resumed, and held against the twin's own records.

    python -m tests.integration.bench_campaign --trials 300

prints the table that docs/explanation/surviving-faults.md keeps.
"""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

import numpy as np

from rmhil.backend import Floats, Operation
from rmhil.bench.config import bench_config
from rmhil.bench.config_text import config_text
from rmhil.journal import Fate, Kind
from rmhil.store import Run
from rmhil.units import Seconds, Siemens
from sim_backend.twin import Twin
from sim_backend.twin.backend import twin_config
from tests.held_sim import SPAWNING, run_command
from tests.integration.bench_faults import Blow, Listener, Phase, Position, Trap
from tests.integration.led_links import LedLinks, Link
from tests.integration.pulse_account import Account, account, without_reason

TOLERANCE: Final[Siemens] = 4e-6

_READ_AGAIN: Final[Siemens] = 3e-6
"""S by which a cell that was good may have drifted, and its reading have been off (estimate)."""

_LOOK: Final[Seconds] = 0.01
"""s between two looks at the outputs."""

_HANGS_AFTER: Final[Seconds] = 60.0
"""s after which a program counts as hanging; none of its own waits is half as long."""

_OFF_WITHIN: Final[Seconds] = 5.0
"""s from a fault until all outputs are off."""

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
        said: its last words.
    """

    blow: Blow
    phase: Phase | None
    code: int
    off_after: Seconds | None
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
        arguments, struck = anew, []
        for blow in blows:
            phase = None if struck else rng.choice(list(Phase))
            moment = Position(rng.randint(0, 5), rng.randint(1, 20)) if phase is None else rng.choice(phases[phase])
            trap = Trap(blow, moment, rng.random() < 0.5, self.links, self.twin, rng)
            ended = self.run(folder, arguments, trap)
            if trap.struck_at is None:
                break  # it was over before
            off_after = None if ended.code == 0 else ended.off_at - trap.struck_at
            struck.append(Struck(blow, phase, ended.code, off_after, ended.err))
            _check_end(blow, ended, off_after)
            self.links.plug_in()
            if ended.code == 0:
                break
            arguments = _following(folder, anew)
        self.links.watcher = None
        if ended.code:
            ended = self.run(folder, arguments)
            assert ended.code == 0, ended.err
        return Trial(tuple(struck), self._check_job(folder, json.loads(ended.out)))

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
        process = SPAWNING.Process(target=run_command, args=(None, folder, arguments))
        process.start()
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

    def _check_job(self, folder: Path, report: dict[str, Any]) -> Account:
        """Hold the finished job against the array."""
        run = Run.open("latest", folder / "runs")
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
        assert "error:" in ended.err
    if ended.code in (130, 143):
        assert "interrupted" in ended.err
    if off_after is not None:
        assert off_after < _OFF_WITHIN, (blow, ended)


def _following(folder: Path, anew: Sequence[str]) -> list[str]:
    """The command that brings a job to its end: it goes on with the run, if it came so far as to have one."""
    journals = list((folder / "runs").glob("*/journal.sqlite"))
    if not journals:
        return list(anew)
    (journal,) = journals
    with closing(sqlite3.connect(journal)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    open_ends = sum(one.fate is Fate.MAYBE for one in Run.open(journal.parent).journal.transactions())
    assert open_ends <= 1
    return ["program", "--resume", "latest", "--json"]
