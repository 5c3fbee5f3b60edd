"""Clocks that the simulation leaves out: what they would have left is there, to the bit and to the clock."""

from __future__ import annotations

import random
import shutil
import time
from enum import IntEnum

import numpy as np
import pytest

from rmhil.bench import board_map as rm
from tests.firmware.board import BUILD, FIRMWARE, Board, Floats, Sample, build, codes_around, opened

BOARDS = ("adc64", "adc8")
CLOCK_NS = 10
ALL = 0xFFFF_FFFF


class Skipping(IntEnum):
    """`board_sim_skipping`."""

    EVERY_CLOCK = 0
    SKIP = 1
    CHECK = 2


Seen = list[tuple[object, ...]]


class Walk:
    """Commands, looks and stops in an order drawn by chance; keeps all that a board shows meanwhile."""

    def __init__(self, board: Board, seed: int) -> None:
        self.board = board
        self.seen: Seen = []
        self._random = random.Random(seed)
        self._codes = np.random.default_rng(seed)
        board.set_array(self._array)

    def _array(self, sample: Sample) -> Floats:
        self.seen.append((sample.time_ns, sample.epoch, sample.dac_level.tolist(), sample.sl_source.tolist()))
        return np.asarray(sample.dac_level[sample.tia] % 500, dtype=np.float64)

    def run(self, steps: int) -> Seen:
        """So many of them, from power-on to a stop by the watchdog."""
        self._read_a_dac()
        steps_known = (self._batch, self._pulse, self._gate, self._wait, self._abort, self._look)
        for number in range(steps):
            self._make_ready()
            steps_known[number % len(steps_known) if number < len(steps_known) else self._random.randrange(6)]()
            self._note()
        self._make_ready()
        self.board.write("WATCHDOG_MS", 1)
        self.board.kick()
        self.board.step(self._random.randrange(200_000, 250_000))
        assert self.board.field("STATUS.CAUSE") == rm.Cause.WATCHDOG
        self._note()
        return self.seen

    def _make_ready(self) -> None:
        if self.board.state is not rm.State.READY:
            self.board.wait_for(lambda: self.board.state is not rm.State.STOPPING)
            self.board.control(disarm=1)
            self.board.step(1000)
            self.board.arm()
        self.board.write("WATCHDOG_MS", 900)
        self.board.kick()

    def _note(self) -> None:
        board = self.board
        registers = [board.read(name) for name in rm.REGISTERS]
        outputs = board.outputs()
        levels = (outputs.outputs_enabled, outputs.gate, outputs.lines_driven, outputs.dacs_off_rest)
        self.seen.append((board.time_ns, registers, levels, board.violation_times()))

    def _command(self, opcode: rm.Opcode, *words: int) -> None:
        """Rung, and looked at now and then while it runs."""
        self.board.queue(opcode, *words, notify=1)
        self.board.ring()
        self.board.step(2)
        while not self.board.field("STATUS.IDLE"):
            self.board.step(self._random.choice((1, 7, 40, 333, 2500)))

    def _batch(self) -> None:
        vectors, bank = self._random.randrange(1, 4), self._random.randrange(2)
        sl_mask = self._random.choice((2**64 - 1, 1 << 13 | 1 << 62))
        self._command(rm.Opcode.ROUTE_MVM, 0x0100 * bank, ALL, ALL, sl_mask & ALL, sl_mask >> 32)
        limit = self.board.limit_codes
        self.board.load(codes_around(self.board.rest_code, self._codes.integers(-limit, limit, (vectors, 64))), bank)
        self._command(rm.Opcode.MVM, vectors | bank << 16)
        self.seen.append((self.board.results(vectors, bank).tolist(),))

    def _pulse(self) -> None:
        self._command(rm.Opcode.ROUTE_CELL, self._random.randrange(128) | self._random.randrange(128) << 16)
        self._command(rm.Opcode.PULSE, self._random.choice((72, 73, 1000, 30_000)))

    def _gate(self) -> None:
        self._command(rm.Opcode.ROUTE_CELL, 3 | 5 << 16, self._random.randrange(4))
        self._command(rm.Opcode.GATE, 1)
        self.board.step(self._random.randrange(5000))
        self._command(rm.Opcode.GATE, 0)

    def _wait(self) -> None:
        self._command(rm.Opcode.WAIT, self._random.choice((0, 1, 2, 3, 5000)))

    def _abort(self) -> None:
        """At any moment of a batch."""
        self._command(rm.Opcode.ROUTE_MVM, 0, ALL, ALL, ALL, ALL)
        self.board.queue(rm.Opcode.MVM, 2)
        self.board.ring()
        self.board.step(self._random.randrange(4000))
        self.board.control(abort=1)
        self.board.step(self._random.randrange(2, 1000))

    def _look(self) -> None:
        self.board.step(self._random.choice((1, 2, 3, 1000, 20_000)))

    def _read_a_dac(self) -> None:
        """The only thing for which a DAC gives an answer, and it gives it late."""
        slow = 1 << 24
        self._command(rm.Opcode.DAC_FRAME, 0x810000, 0xFF)
        self._command(rm.Opcode.DAC_FRAME, 0x000000 | slow, 0xFF | 5 << 8)
        assert self.board.read("DAC_ANSWER") == 0x810880
        self._note()


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_left_out_would_have_left_the_same_state(name: str) -> None:
    with opened(build(name), seed=2) as board:
        board.set_skipping(Skipping.CHECK)
        Walk(board, seed=2).run(steps=10)
        assert board.clocks_skipped > 0.5 * board.time_ns / CLOCK_NS
        assert board.wrong_skips == 0


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_that_skips_shows_what_one_shows_that_does_not(name: str) -> None:
    seen = []
    for skipping in (Skipping.EVERY_CLOCK, Skipping.SKIP):
        with opened(build(name), seed=3) as board:
            board.set_skipping(skipping)
            at_reset = board.clocks_skipped
            seen.append(Walk(board, seed=3).run(steps=10))
            assert (board.clocks_skipped > at_reset) is (skipping is Skipping.SKIP)
    assert seen[0] == seen[1]


@pytest.mark.long
@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("seed", range(10, 20))
def test_what_is_left_out_is_the_same_in_many_orders(name: str, seed: int) -> None:
    with opened(build(name), seed) as board:
        board.set_skipping(Skipping.CHECK)
        Walk(board, seed).run(steps=25)
        assert board.wrong_skips == 0


def test_a_pulse_of_half_a_second_is_exact_and_takes_no_time(board_64: Board) -> None:
    board, clocks = board_64, 50_000_000
    board.write("WATCHDOG_MS", 1000)
    board.arm()
    board.route_cell(1, 2)
    board.queue(rm.Opcode.PULSE, clocks)
    board.ring()
    while not board.outputs().gate:
        board.step(1)
    started = time.process_time()
    board.step(clocks - 1)
    assert board.outputs().gate
    board.step(1)
    assert not board.outputs().gate
    assert time.process_time() - started < 2.0  # every clock worked through: 20


@pytest.mark.long
def test_the_check_finds_a_count_that_something_looks_at() -> None:
    """The ADC's inputs are held at another count of its half period than the one that is known."""
    folder = BUILD / "adc8-other-count"
    shutil.copytree(FIRMWARE / "rtl", folder / "rtl", dirs_exist_ok=True)
    source = folder / "rtl" / "rm_adc.v"
    text = (FIRMWARE / "rtl" / "rm_adc.v").read_text()
    assert text.count("half == APERTURE_END;") == 1
    source.write_text(text.replace("half == APERTURE_END;", "half == APERTURE_END - 8'd10;"))
    with opened(build("adc8", name=folder.name, RTL=str(folder / "rtl"))) as board:
        board.set_skipping(Skipping.CHECK)
        Walk(board, seed=2).run(steps=1)
        assert board.wrong_skips > 0
