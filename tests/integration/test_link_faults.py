"""Host and daemon over lines that flip, drop, double, swap and cut frames: no pulse is applied twice, nothing hangs.

A thousand frames run by default, on the daemon with sanitizers; a hundred thousand on each kind of line, and on the
board's own binary under qemu, with `-m long`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from rmhil.bench.board_map import CONTROL_KEY, REGISTERS, Opcode, State
from rmhil.bench.link import Link
from rmhil.bench.link_errors import BoardLinkError, RequestRefusedError
from rmhil.bench.messages import Command, Read, Wait, Write
from tests.daemons import Build, Faults, build_daemon, faulty_link, results_of_memory

FRAMES = 1_000
"""1: frames of a run by default, there and back; `-m long` runs `CAMPAIGN_FRAMES`."""

CAMPAIGN_FRAMES = 100_000
FAULT_RATE = 0.05
"""1: share of the frames that are damaged."""

PATIENCE = 0.02
ATTEMPTS = 40
"""s, 1: how long an answer is waited for, and how often a request is sent; bad luck ends the link, not the test."""

PULSE_CLOCKS = 100
"""1: 1 us, as short as no test waits for."""

_ROUTE = Command(Opcode.ROUTE_MVM, (0, *(0xFFFF_FFFF,) * 4))
_ARM = [
    Write(REGISTERS["CONTROL"], CONTROL_KEY << 16 | 2),
    Write(REGISTERS["CONTROL"], CONTROL_KEY << 16 | 1),
    Wait(REGISTERS["STATUS"], State.READY, 0xF, 1.0),
    Write(REGISTERS["WATCHDOG_MS"], 1000),
]


@dataclass
class Campaign:
    """Works on a board over a bad line, and knows after every step how many pulses it must have had.

    Attributes:
        pulses: applied for certain.
        failures: typed errors that came up.
    """

    url: str
    faults: Faults
    pulses: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def run(self, frames: int) -> None:
        rng = np.random.default_rng(self.faults.seed)
        while self.faults.frames < frames:
            try:
                with Link(self.url, patience=PATIENCE, attempts=ATTEMPTS, link_timeout=3.0) as link:
                    self._check_pulses(link, unsure=False)
                    link.transact(_ARM)
                    link.run_commands([_ROUTE])
                    while self.faults.frames < frames:
                        self._step(link, rng)
            except BoardLinkError as error:
                self._count(error)

    def _count(self, error: BoardLinkError) -> None:
        assert not isinstance(error, RequestRefusedError), error  # nothing that is asked for here is wrong
        name = type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1

    def _step(self, link: Link, rng: np.random.Generator) -> None:
        """Vectors and a pulse under way together, and a register."""
        vectors = rng.integers(0, 1 << 16, (int(rng.integers(1, 70)), 64), dtype=np.uint16)
        pending = link.submit_vectors(vectors)
        self._pulse(link, int(rng.integers(1, 1 << 16)))
        np.testing.assert_array_equal(pending.result(), results_of_memory(vectors))
        value = int(rng.integers(0, 16))
        register = REGISTERS["IRQ_ENABLE"]
        assert link.transact([Write(register, value), Read(register)]) == [value]

    def _pulse(self, link: Link, tag: int) -> None:
        cell = Command(Opcode.ROUTE_CELL, (5 | 9 << 16,))
        try:
            report = link.run_commands([cell, Command(Opcode.PULSE, (PULSE_CLOCKS,), tag), _ROUTE])
        except BoardLinkError as error:
            with suppress(BoardLinkError):
                link.close()
            self._settle_pulse(error)
            raise
        self.pulses += 1
        assert report.pulses == self.pulses

    def _settle_pulse(self, error: BoardLinkError) -> None:
        """After a failure: ask the board over an undamaged line, and compare with what the error said."""
        self.faults.active = False
        with Link(self.url, patience=PATIENCE, attempts=ATTEMPTS) as link:
            self._check_pulses(link, unsure=error.executed is None)
        self.faults.active = True

    def _check_pulses(self, link: Link, unsure: bool) -> None:
        (found,) = link.transact([Read(REGISTERS["PULSES_TOTAL"])])
        assert found in ((self.pulses, self.pulses + 1) if unsure else (self.pulses,))
        self.pulses = found


def _run(build: Build, line: Literal["tcp", "tty"], frames: int) -> None:
    faults = Faults(seed=20, rate=FAULT_RATE)
    with faulty_link(build_daemon(build), line, faults) as url:
        campaign = Campaign(url, faults)
        campaign.run(frames)
    assert campaign.pulses > frames // 200
    assert set(faults.done) == {"flip", "drop", "duplicate", "reorder", "truncate"}


@pytest.mark.parametrize("line", ["tcp", "tty"])
def test_no_pulse_is_applied_twice_on_a_bad_line(line: Literal["tcp", "tty"]) -> None:
    _run("sanitize", line, FRAMES)


@pytest.mark.long
@pytest.mark.parametrize("build", ["sanitize", "armhf"])
@pytest.mark.parametrize("line", ["tcp", "tty"])
def test_no_pulse_is_applied_twice_in_a_hundred_thousand_frames(build: Build, line: Literal["tcp", "tty"]) -> None:
    _run(build, line, CAMPAIGN_FRAMES)
