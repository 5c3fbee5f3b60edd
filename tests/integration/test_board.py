"""The host's side of the board, through its daemon: on memory for the link, on the Verilated board for the lines."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from rmhil.backend import Operation
from rmhil.bench.board import Board
from rmhil.bench.board_commands import command as command_of
from rmhil.bench.board_errors import (
    BoardAbortedError,
    BoardMismatchError,
    BoardNotArmedError,
    BoardOutputsUnknownError,
    CommandRefusedError,
)
from rmhil.bench.board_map import Error, Opcode, Route, State
from rmhil.bench.boards import BOARDS
from rmhil.bench.link_errors import BoardLinkError
from rmhil.wiring import Wiring
from tests.daemons import Daemon, build_daemon, embedded_daemon, running
from tests.firmware.board import Board as Chips
from tests.firmware.board import build, opened
from tests.integration.test_daemon_on_rtl import embedded

MEMORY = replace(
    BOARDS["adc64"], name="memory", hash=0, virtual_ground=1.25, read_limit=1.2, rest_code=0x8000, limit_codes=0x8000
)
"""The board of hal_mem.c: each result is the upper 14 bits of the code of the same line."""

WIRING = Wiring(virtual_ground=1.25)

SLOW = "1000000"
"""ns a vector: 600 of them take more than half a second."""


@pytest.fixture(scope="module")
def command() -> list[str]:
    return build_daemon("host")


@pytest.fixture
def daemon(command: list[str]) -> Iterator[Daemon]:
    with running(command, "--tcp", "127.0.0.1:0", "--pty") as started:
        yield started


@pytest.fixture
def slow(command: list[str]) -> Iterator[Daemon]:
    with running(command, "--tcp", "127.0.0.1:0", SLOW) as started:
        yield started


def volts(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.2, 1.2, (batch, 128))


def products_of_memory(given: np.ndarray) -> np.ndarray:
    """What the board of memory gives for all lines."""
    upper = np.rint(given / WIRING.dac_lsb).astype(int) + 0x8000 >> 2
    signed = np.where(upper >= 0x2000, upper - 0x4000, upper)
    both = signed[:, :64] + signed[:, 64:]
    return np.hstack([both, both])


def when_under_way(board: Board, then: Callable[[], object]) -> threading.Thread:
    """Call something from another thread as soon as the daemon works on vectors."""

    def run() -> None:
        before = board.link_counters().requests
        while board.link_counters().requests < before + 2:  # the route, and then vectors
            time.sleep(0.001)
        then()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("way", ["tcp", "pty"])
def test_products_of_any_size_come_back_in_their_places(daemon: Daemon, way: str) -> None:
    with Board(daemon.urls[way], MEMORY, WIRING) as board:
        board.arm()
        for batch in (1, 40, 2050):
            given = volts(batch, batch)
            np.testing.assert_array_equal(board.mvm(given).codes, products_of_memory(given))
        some = board.mvm(volts(7)[:, [3, 90]], bl=[3, 90], sl=[0, 63, 64])
        assert some.codes.shape == (7, 3)
        assert board.counters().vectors == 4 * (1 + 40 + 2050) + 4 * 7
        assert board.status().route is Route.MVM
    with Board(daemon.urls[way], MEMORY, WIRING) as board:
        assert board.status().state is State.DISARMED


def test_a_board_of_memory_is_no_board_of_the_bench(daemon: Daemon) -> None:
    with pytest.raises(BoardMismatchError, match="description hash 0x00000000, not 0xDE38D8EF; resting code 32768"):
        Board(daemon.urls["tcp"], BOARDS["adc64"], Wiring())


def test_ctrl_c_in_a_batch_is_heard_at_once_and_leaves_the_board_disarmed(slow: Daemon) -> None:
    with Board(slow.urls["tcp"], MEMORY, WIRING) as board:
        board.arm()
        begun = time.monotonic()
        thread = when_under_way(board, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            board.mvm(volts(5000)[:, :64], bl=range(64), sl=range(64))
        thread.join()
        assert time.monotonic() - begun < 2.0  # s; the batch takes 5 s
        assert board.status().state is State.DISARMED
        with pytest.raises(BoardNotArmedError):
            board.mvm(volts(1))
        board.arm()
        np.testing.assert_array_equal(board.mvm(volts(3)).codes, products_of_memory(volts(3)))


def test_an_abort_from_another_thread_stops_a_batch(slow: Daemon) -> None:
    with Board(slow.urls["tcp"], MEMORY, WIRING) as board:
        board.arm()
        stopped: list[int] = []
        thread = when_under_way(board, lambda: stopped.append(board.abort()))
        with pytest.raises(BoardAbortedError):
            board.mvm(volts(5000)[:, :64], bl=range(64), sl=range(64))
        thread.join()
        assert stopped[0] >= 1
        board.arm()
        np.testing.assert_array_equal(board.mvm(volts(3)).codes, products_of_memory(volts(3)))


@pytest.mark.long  # the link tries for some seconds to find it again
def test_a_dead_daemon_leaves_the_outputs_unknown(command: list[str]) -> None:
    with running(command, "--tcp", "127.0.0.1:0") as daemon:
        board = Board(daemon.urls["tcp"], MEMORY, WIRING, link_timeout=0.2)
        board.arm()
        daemon.kill()
        with pytest.raises(BoardLinkError):
            board.mvm(volts(1))
        with pytest.raises(BoardOutputsUnknownError, match="OUTPUTS MAY STILL BE DRIVEN"):
            board.close()


def test_a_daemon_that_was_started_anew_answers_for_the_outputs(command: list[str]) -> None:
    with running(command, "--tcp", "127.0.0.1:0") as daemon:
        url = daemon.urls["tcp"]
        board = Board(url, MEMORY, WIRING)
        board.arm()
        daemon.kill()
        with running(command, "--tcp", url.removeprefix("socket://")):
            board.safe()


# On the Verilated board


@pytest.fixture(scope="module")
def chips() -> Iterator[Chips]:
    with opened(build("adc64")) as chips:
        yield chips
        assert chips.violations() == []


@pytest.fixture(scope="module")
def board(chips: Chips) -> Iterator[Board]:
    program = embedded_daemon()
    with embedded(program, build("adc64"), chips) as url, Board(url, BOARDS["adc64"], Wiring()) as board:
        yield board


def test_the_board_is_what_its_description_says(board: Board) -> None:
    assert board.identity.board_hash == BOARDS["adc64"].hash
    assert board.provenance == "board adc64 (128 x 128 lines, 64 ADCs, build unknown)"


@pytest.mark.parametrize(
    ("operation", "others"),
    [(None, 0), (Operation.FORM, 254), (Operation.SET, 254), (Operation.RESET, 127)],
)
def test_a_cell_is_on_the_analyser_with_the_lines_that_its_operation_needs(
    board: Board, chips: Chips, operation: Operation | None, others: int
) -> None:
    board.arm()
    board.route_cell(5, 77, operation)
    assert board.status().route is Route.CELL
    assert chips.outputs().lines_driven == 2 + others  # BL and SL; its WL is not let through
    board.gate(True)
    assert chips.outputs().lines_driven == 3 + others
    board.release()
    assert chips.outputs().lines_driven == 0


def test_the_gate_is_open_for_the_clocks_of_a_pulse(board: Board) -> None:
    board.arm()
    board.route_cell(5, 77, Operation.SET)
    before, pulses = board.clock(), board.counters().pulses
    width = board.pulse(123.46e-6)
    assert width == pytest.approx(123.46e-6, abs=1e-12)
    assert board.counters().pulses == pulses + 1
    assert board.clock() - before > width
    assert not board.status().gate


def test_the_converters_stay_away_from_a_cell_until_it_is_released(board: Board, chips: Chips) -> None:
    board.arm()
    board.route_cell(5, 77, gate=True)
    board.release()
    board.mvm(np.zeros((1, 3)), bl=[1, 2, 3], sl=[5])
    outputs = chips.outputs()
    assert (outputs.lines_driven, outputs.dacs_off_rest) == (3 + 2, 0)  # BLs, SL, WL


def test_the_boards_own_refusal_is_decoded_and_leaves_every_output_off(board: Board, chips: Chips) -> None:
    board.arm()
    with pytest.raises(CommandRefusedError, match="PULSE") as caught:
        board._session.run(command_of(Opcode.PULSE, CLOCKS=1))  # `Board.pulse` refuses it before it is sent
    assert caught.value.status is not None
    assert caught.value.status.error is Error.ROUTE
    outputs = chips.outputs()
    assert (outputs.outputs_enabled, outputs.gate, outputs.lines_driven) == (False, False, 0)


def test_safe_turns_everything_off_whatever_the_route(board: Board, chips: Chips) -> None:
    for prepare in (lambda: board.route_cell(1, 2, gate=True), lambda: board.mvm(np.full((2, 128), 0.1)), lambda: None):
        board.arm()
        prepare()
        board.safe()
        board.safe()
        outputs = chips.outputs()
        assert (outputs.outputs_enabled, outputs.gate, outputs.dacs_off_rest) == (False, False, 0)
        assert board.status().state is State.DISARMED
