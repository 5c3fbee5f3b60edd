"""The board's own program without pynq: what it does to registers and to the daemon, on the Verilated board."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rmhil.bench.board_map import Opcode, State
from tests.firmware.board import FIRMWARE, Board

sys.path.insert(0, str(FIRMWARE / "board"))
from rmhil_board import board_map, errors, registers, supervisor

PACKAGE = FIRMWARE / "board" / "rmhil_board"
PYTHON = (3, 10)
"""Of PYNQ images 3.0 and 3.1."""


class BoardRegisters:
    """Registers of a simulated board, as pynq.MMIO has them."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def read(self, offset: int) -> int:
        return self._board.read_address(offset)

    def write(self, offset: int, data: int) -> None:
        self._board.write_address(offset, data)


@pytest.fixture
def clock(board_64: Board) -> registers.Time:
    return registers.Time(
        now=lambda: board_64.time_ns * 1e-9, sleep=lambda seconds: board_64.step(round(seconds * 1e8))
    )


def set_armed(board: Board) -> None:
    board.arm()
    board.route_mvm(0, 0)


def set_aborted(board: Board) -> None:
    board.arm()
    board.control(abort=1)


def set_arming(board: Board) -> None:
    board.control(arm=1)
    board.step(100)
    assert board.state is State.ARMING


def set_busy(board: Board) -> None:
    board.arm()
    board.route_cell(3, 5)
    board.queue(Opcode.PULSE, 1_000_000)
    board.ring()
    board.step(100)
    assert board.state is State.BUSY
    assert board.outputs().gate


@pytest.mark.parametrize("prepare", [set_armed, set_aborted, set_arming, set_busy])
def test_disarm_switches_the_outputs_off_in_every_state(
    prepare: Callable[[Board], None], board_64: Board, clock: registers.Time
) -> None:
    prepare(board_64)
    registers.disarm(BoardRegisters(board_64), clock)
    outputs = board_64.outputs()
    assert board_64.state is State.DISARMED
    assert (outputs.outputs_enabled, outputs.gate, outputs.dacs_off_rest) == (False, False, 0)


def test_the_measured_clock_is_that_of_the_board(board_64: Board, clock: registers.Time) -> None:
    assert registers.measure_clock(BoardRegisters(board_64), clock) == pytest.approx(1e8, rel=1e-4)


def test_a_clock_counter_that_runs_over_is_counted_on() -> None:
    class Counter:
        words = iter([2**32 - 1_000_000, 4_000_000])

        def read(self, offset: int) -> int:
            return next(self.words)

        def write(self, offset: int, data: int) -> None:
            raise AssertionError

    times = iter([1.0, 1.05])
    clock = registers.Time(now=lambda: next(times), sleep=lambda seconds: None)
    assert registers.measure_clock(Counter(), clock) == pytest.approx(1e8)


def test_outputs_are_off_where_the_daemon_was_killed(board_64: Board, clock: registers.Time) -> None:
    set_busy(board_64)
    command = ["/bin/sh", "-c", "kill -9 $$"]
    with pytest.raises(errors.DaemonError, match="ended 4 times in 60 s, last with status -9"):
        supervisor.Supervisor(command, BoardRegisters(board_64), clock).run()
    assert not board_64.outputs().outputs_enabled
    assert board_64.state is State.DISARMED


@pytest.fixture
def stubborn(tmp_path: Path) -> list[str]:
    """A daemon that does not end when it is told to; it leaves a file when it is ready."""
    return [sys.executable, "-c", _STUBBORN.format(path=str(tmp_path / "ready"))]


_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({path!r}, 'w'); time.sleep(30)"


def test_a_daemon_that_does_not_end_is_killed(
    stubborn: list[str], board_64: Board, clock: registers.Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    set_armed(board_64)
    kept = supervisor.Supervisor(stubborn, BoardRegisters(board_64), clock)

    def stop_when_ready() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        kept.stop()

    stopper = threading.Thread(target=stop_when_ready)
    stopper.start()
    began = time.monotonic()
    kept.run()
    stopper.join()
    assert time.monotonic() - began < 10
    assert board_64.state is State.DISARMED


def test_it_needs_nothing_but_python_and_pynq() -> None:
    imported = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=PYTHON)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"pynq", "rmhil_board"}


def test_its_register_map_is_the_hosts() -> None:
    from rmhil.bench import board_map as host

    assert (board_map.MAP_HASH, board_map.REGISTERS) == (host.MAP_HASH, host.REGISTERS)
