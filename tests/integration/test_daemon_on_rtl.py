"""The daemon on the Verilated board, as its own program and in another process: from Python to the pins and back."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rmhil.bench.board_map import CONTROL_KEY, FIELDS, REGISTERS, Error, Opcode, State
from rmhil.bench.link import Link
from rmhil.bench.link_errors import BoardFaultError, BoardLinkError, RequestAbortedError
from rmhil.bench.messages import Command, Read, Wait, Write
from tests.daemons import build_daemon, embedded_daemon, open_when_free, running
from tests.firmware.board import Board, Matrix, adc_codes, build, codes_around, opened

VECTORS = 300
"""1: more than one bank holds."""

ARM = [
    Write(REGISTERS["WATCHDOG_MS"], 1000),
    Write(REGISTERS["CONTROL"], CONTROL_KEY << 16 | 1),
    Wait(REGISTERS["STATUS"], State.READY, 0xF, 0.01),
]
ROUTE_MVM = Command(Opcode.ROUTE_MVM, (0, *(0xFFFF_FFFF,) * 4))
ROUTE_CELL = Command(Opcode.ROUTE_CELL, (5 | 9 << 16,))


@pytest.fixture(scope="module")
def library() -> Path:
    return build("adc64")


@contextmanager
def embedded(program: Path, library: Path, board: Board) -> Iterator[str]:
    """Serve a board of this process; what a host opens."""
    daemon = ctypes.CDLL(str(program))
    daemon.rm_embedded_run.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool, ctypes.c_int)
    told, tell = os.pipe()
    arguments = (str(library).encode(), board._sim, b"127.0.0.1:0", False, tell)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(daemon.rm_embedded_run(*arguments)))
    thread.start()
    try:
        with os.fdopen(told) as announced:
            yield f"socket://{announced.readline().split()[1]}"
    finally:
        daemon.rm_embedded_stop()
        thread.join()
        os.close(tell)
    assert statuses == [0]


def test_what_comes_back_over_tcp_is_what_the_array_gives_at_the_pins(library: Path) -> None:
    rng = np.random.default_rng(8)
    with opened(library) as board:
        matrix = Matrix(rng.uniform(-0.005, 0.02, (128, 128)), board.rest_code)
        board.set_array(matrix)
        codes = codes_around(board.rest_code, rng.integers(-board.limit_codes, board.limit_codes, (VECTORS, 64)))
        with embedded(embedded_daemon(), library, board) as url, Link(url) as link:
            link.transact(ARM)
            link.run_commands([ROUTE_MVM])
            results = link.run_vectors(codes)
        expected = np.rint((codes.astype(float) - board.rest_code) @ matrix.weights[:64, :64])
        np.testing.assert_array_equal(adc_codes(results), np.clip(expected, -8192, 8191))
        assert board.violations() == []
        assert board.state is State.DISARMED
        assert not board.outputs().outputs_enabled


def test_the_boards_own_refusal_names_the_vector(library: Path) -> None:
    with opened(library) as board:
        codes = np.full((300, 64), board.rest_code, dtype=np.uint16)
        codes[270, 3] = 0
        with embedded(embedded_daemon(), library, board) as url, Link(url) as link:
            link.transact(ARM)
            link.run_commands([ROUTE_MVM])
            with pytest.raises(BoardFaultError) as caught:
                link.run_vectors(codes)
        assert FIELDS["STATUS.ERROR"].of(caught.value.refusal.value) == Error.INPUT
        assert caught.value.refusal.index == 270


HOST = """
import sys
import numpy as np
from rmhil.bench.link import Link
from tests.integration.test_daemon_on_rtl import ARM, ROUTE_MVM
link = Link(sys.argv[1])
link.transact(ARM)
link.run_commands([ROUTE_MVM])
codes = np.full((10_000, 64), int(sys.argv[2]), dtype=np.uint16)
link.submit_vectors(codes)
print("under way", flush=True)
link.run_vectors(codes)
"""


def test_a_host_killed_in_the_middle_of_a_batch_leaves_every_output_off(library: Path) -> None:
    """Seen at the chips: shift registers disabled, no word line let through, every DAC at rest."""
    with opened(library) as board:
        code = board.rest_code + board.limit_codes
        with embedded(embedded_daemon(), library, board) as url:
            with subprocess.Popen([sys.executable, "-c", HOST, url, str(code)], stdout=subprocess.PIPE) as host:
                assert host.stdout is not None
                assert host.stdout.readline() == b"under way\n"
                host.kill()
            with open_when_free(url) as link:
                status, done = link.transact([Read(REGISTERS["STATUS"]), Read(REGISTERS["VECTORS_TOTAL"])])
                assert FIELDS["STATUS.STATE"].of(status) == State.DISARMED
                assert link.counters().interruptions == 1
                assert done < 10_000
        assert board.violations() == []
        outputs = board.outputs()
        assert (outputs.outputs_enabled, outputs.gate, outputs.dacs_off_rest) == (False, False, 0)


def test_the_daemon_is_a_program_of_its_own_over_a_line(library: Path) -> None:
    command = build_daemon("sanitize", "rtl")
    with running(command, "--pty", str(library)) as started, Link(started.urls["pty"]) as link:
        link.transact(ARM)
        report = link.run_commands([ROUTE_CELL, Command(Opcode.PULSE, (1000,), tag=3)])
        assert (report.pulses, report.tag) == (1, 3)
        with pytest.raises(BoardFaultError) as caught:
            link.run_commands([ROUTE_MVM, Command(Opcode.PULSE, (1000,))])
        assert (caught.value.refusal.index, caught.value.refusal.more) == (1, 1)
        assert FIELDS["STATUS.ERROR"].of(caught.value.refusal.value) == Error.ROUTE


def test_an_abort_reaches_the_board_while_pulses_last(library: Path) -> None:
    command = build_daemon("host", "rtl")
    with running(command, "--tcp", "127.0.0.1:0", str(library)) as started, Link(started.urls["tcp"]) as link:
        link.transact(ARM)
        stopped: list[BoardLinkError] = []

        def long_pulses() -> None:
            try:
                link.run_commands([ROUTE_CELL, *LONG_PULSES])
            except BoardLinkError as error:
                stopped.append(error)

        worker = threading.Thread(target=long_pulses)
        worker.start()
        while link.counters().requests < 2:
            pass
        assert link.abort() == 1
        worker.join()
        assert [type(error) for error in stopped] == [RequestAbortedError]
        status, clocks = link.transact([Read(REGISTERS["STATUS"]), Read(REGISTERS["CLOCKS_LOW"])])
        assert FIELDS["STATUS.OUTPUTS"].of(status) == 0
        assert clocks < sum(pulse.arguments[0] for pulse in LONG_PULSES)


LONG_PULSES = [Command(Opcode.PULSE, (100_000_000,))] * 20
"""20 s at the board, 10 s in the simulation, which skips clocks in which nothing but counters moves."""
