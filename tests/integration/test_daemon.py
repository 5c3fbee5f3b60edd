"""The daemon as its own process on memory: what a host can rely on, over TCP and a pseudo-terminal, here and on ARM."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rmhil.bench.board_map import CONTROL_KEY, FIELDS, MAGIC, MAP_BYTES, MAP_HASH, REGISTERS, Opcode, State
from rmhil.bench.link import Link
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardFaultError,
    BoardHeldError,
    BoardKeyError,
    RequestAbortedError,
    RequestRefusedError,
    RequestTimedOutError,
)
from rmhil.bench.messages import Capability, Command, Read, Reason, Wait, Write
from tests.daemons import Daemon, build_daemon, make, open_when_free, require, results_of_memory, running

CLOCK_HZ = 100_000_000
"""1/s: clock of the board on memory."""

ARM = [
    Write(REGISTERS["CONTROL"], CONTROL_KEY << 16 | 1),
    Wait(REGISTERS["STATUS"], State.READY, 0xF, 1.0),
]
ROUTE_MVM = Command(Opcode.ROUTE_MVM, (0, *(0xFFFF_FFFF,) * 4))
ROUTE_CELL = Command(Opcode.ROUTE_CELL, (5 | 9 << 16,))


def state(link: Link) -> int:
    (status,) = link.transact([Read(REGISTERS["STATUS"])])
    return FIELDS["STATUS.STATE"].of(status)


def pulses(link: Link) -> int:
    return link.transact([Read(REGISTERS["PULSES_TOTAL"])])[0]


@pytest.fixture(scope="module")
def command() -> list[str]:
    return build_daemon("sanitize")


@pytest.fixture
def daemon(command: list[str]) -> Iterator[Daemon]:
    with running(command, "--tcp", "127.0.0.1:0", "--pty") as started:
        yield started


@pytest.fixture(scope="module")
def arm_command() -> list[str]:
    return build_daemon("armhf")


def test_the_units_in_c_keep_their_promises_under_sanitizers() -> None:
    require("make", "gcc")
    make("test")


def test_the_checker_of_c_finds_nothing() -> None:
    require("cppcheck")
    make("check")


@pytest.mark.parametrize("way", ["tcp", "pty"])
@pytest.mark.parametrize("build", ["command", "arm_command"])
def test_registers_commands_and_vectors_go_there_and_back(build: str, way: str, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(4)
    with (
        running(request.getfixturevalue(build), "--tcp", "127.0.0.1:0", "--pty") as started,
        Link(started.urls[way]) as link,
    ):
        assert link.welcome.map_hash == MAP_HASH
        assert (Capability.BULK in link.welcome.capabilities) == (way == "tcp")
        magic, status, total = link.transact([Read(REGISTERS["MAGIC"]), *ARM, Read(REGISTERS["PULSES_TOTAL"])])
        assert (magic, FIELDS["STATUS.STATE"].of(status), total) == (MAGIC, State.READY, 0)
        report = link.run_commands([ROUTE_CELL, Command(Opcode.PULSE, (100,), tag=77)])
        assert (report.pulses, report.tag) == (1, 77)
        link.run_commands([ROUTE_MVM])
        for count in (1, 31, 32, 257, 1500):
            vectors = rng.integers(0, 1 << 16, (count, 64), dtype=np.uint16)
            np.testing.assert_array_equal(link.run_vectors(vectors), results_of_memory(vectors))
        (done,) = link.transact([Read(REGISTERS["VECTORS_TOTAL"])])
        assert done == 1 + 31 + 32 + 257 + 1500
        assert link.counters().bad_frames == 0


@pytest.mark.parametrize("way", ["tcp", "pty"])
def test_batches_under_way_together_keep_their_results_apart(daemon: Daemon, way: str) -> None:
    rng = np.random.default_rng(5)
    with Link(daemon.urls[way]) as link:
        link.transact(ARM)
        link.run_commands([ROUTE_MVM])
        batches = [rng.integers(0, 1 << 16, (600, 64), dtype=np.uint16) for _ in range(3)]
        pending = [link.submit_vectors(batch) for batch in batches]
        for batch, results in reversed(list(zip(batches, pending, strict=True))):
            np.testing.assert_array_equal(results.result(), results_of_memory(batch))


def test_a_command_that_the_board_refuses_stops_there_and_says_where(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        link.transact(ARM)
        with pytest.raises(BoardFaultError, match="PULSE 0x64") as caught:
            link.run_commands([ROUTE_CELL, Command(Opcode.PULSE, (100,)), ROUTE_MVM, Command(Opcode.PULSE, (100,))])
        assert caught.value.refusal.index == 3
        assert caught.value.refusal.more == pulses(link) == 1
        assert state(link) == State.FAULT


def test_a_board_that_is_not_armed_takes_no_pulse(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        with pytest.raises(BoardFaultError):
            link.run_commands([ROUTE_CELL, Command(Opcode.PULSE, (100,))])
        with pytest.raises(RequestRefusedError) as caught:
            link.run_commands([Command(Opcode.NOP)])
        assert caught.value.reason is Reason.NOT_READY
        assert pulses(link) == 0


def test_a_register_that_is_the_daemons_own_is_refused_before_anything_is_written(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        with pytest.raises(RequestRefusedError, match="BAD_ADDRESS at part 1") as caught:
            link.transact([Write(REGISTERS["WATCHDOG_MS"], 7), Write(REGISTERS["WATCHDOG_KICK"], 0)])
        assert caught.value.executed is False
        assert link.transact([Read(REGISTERS["WATCHDOG_MS"])]) == [200]


def test_a_wait_ends_with_its_limit(daemon: Daemon) -> None:
    with Link(daemon.urls["pty"]) as link:
        begun = time.monotonic()
        with pytest.raises(RequestTimedOutError, match=r"within 0\.2 s"):
            link.transact([Wait(REGISTERS["PULSES_TOTAL"], 99, 0xFFFF, 0.2)])
        assert time.monotonic() - begun >= 0.2


def test_the_daemon_feeds_the_boards_watchdog_while_the_host_lives(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"], link_timeout=0.1) as link:
        link.transact([Write(REGISTERS["WATCHDOG_MS"], 100), *ARM])
        time.sleep(0.5)
        assert state(link) == State.READY


def test_an_abort_reaches_a_board_at_work(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        link.transact(ARM)
        caught: list[BaseException] = []

        def long_wait() -> None:
            try:
                link.run_commands([ROUTE_CELL, Command(Opcode.WAIT, (8 * CLOCK_HZ,))])
            except RequestAbortedError as error:
                caught.append(error)

        begun = time.monotonic()
        worker = threading.Thread(target=long_wait)
        worker.start()
        while link.counters().requests < 2:
            assert time.monotonic() - begun < 4.0
        assert link.abort() == 1
        worker.join()
        assert time.monotonic() - begun < 4.0  # the board would have waited for 8 s
        assert len(caught) == 1
        assert state(link) == State.FAULT


def test_the_board_has_one_holder(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        with pytest.raises(BoardHeldError, match="held by another connection"):
            Link(daemon.urls["tcp"])
        with pytest.raises(BoardHeldError):
            Link(daemon.urls["pty"])
        assert state(link) == State.DISARMED
    with Link(daemon.urls["pty"]) as link:
        assert state(link) == State.DISARMED


def test_the_end_of_a_link_switches_the_outputs_off(daemon: Daemon) -> None:
    with Link(daemon.urls["tcp"]) as link:
        link.transact(ARM)
    with Link(daemon.urls["tcp"]) as link:
        assert state(link) == State.DISARMED


HOST = """
import sys, time
from rmhil.bench.link import Link
from tests.integration.test_daemon import ARM, ROUTE_CELL
from rmhil.bench.messages import Command
from rmhil.bench.board_map import Opcode
link = Link(sys.argv[1], link_timeout=0.3)
link.transact(ARM)
link.run_commands([ROUTE_CELL])
print("armed", flush=True)
link.run_commands([Command(Opcode.WAIT, (10**9,))])
"""


@pytest.mark.parametrize(("way", "end"), [("tcp", signal.SIGKILL), ("pty", signal.SIGKILL), ("tcp", signal.SIGSTOP)])
def test_a_host_that_dies_or_hangs_leaves_the_outputs_off(daemon: Daemon, way: str, end: signal.Signals) -> None:
    """A dead host's connection closes; a hung one is found out by its silence."""
    host = subprocess.Popen([sys.executable, "-c", HOST, daemon.urls[way]], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    try:
        assert host.stdout.readline() == "armed\n"
        host.send_signal(end)
        with open_when_free(daemon.urls["tcp"]) as link:
            assert state(link) == State.DISARMED
            assert link.counters().interruptions == 1
    finally:
        host.kill()
        host.wait()
        host.stdout.close()


def test_a_daemon_that_dies_leaves_the_pulse_unsure(daemon: Daemon) -> None:
    link = Link(daemon.urls["tcp"], patience=0.1, attempts=3)
    link.transact(ARM)
    threading.Timer(0.2, daemon.kill).start()
    with pytest.raises(BoardDroppedError, match="PULSE") as caught:
        link.run_commands([ROUTE_CELL, Command(Opcode.PULSE, (CLOCK_HZ,))])
    assert caught.value.executed is None
    link.close()


def test_a_connection_that_never_takes_the_board_is_ended(daemon: Daemon) -> None:
    host, port = daemon.urls["tcp"].removeprefix("socket://").split(":")
    with Link(daemon.urls["pty"]) as link, socket.create_connection((host, int(port)), timeout=20.0) as stranger:
        stranger.sendall(b"\x05GET / HTTP/1.1\r\n\r\n\0")
        assert stranger.recv(1) == b""
        assert state(link) == State.DISARMED


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    return path


def own_address() -> str:
    """An address of this machine that is not loopback; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def test_from_another_address_the_key_is_needed(command: list[str], key_file: Path) -> None:
    with running(command, "--tcp", "0.0.0.0:0", "--key-file", str(key_file)) as started:
        port = started.urls["tcp"].rsplit(":", 1)[1]
        far, near = f"socket://{own_address()}:{port}", f"socket://127.0.0.1:{port}"
        with pytest.raises(BoardKeyError, match="asks for a key"):
            Link(far)
        with pytest.raises(BoardKeyError, match="another one"):
            Link(far, key=b"not the key of that daemon")
        for url, key in ((far, key_file.read_bytes()), (near, key_file.read_bytes()), (near, None)):
            with Link(url, key=key) as link:
                assert state(link) == State.DISARMED


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ([], 2, "usage: rmhild"),
        (["--tcp", "127.0.0.1:0", "one", "two"], 2, "usage: rmhild"),
        (["--tcp", "0.0.0.0:0"], 1, "give a key with --key-file"),
        (["--tcp", "localhost:4711"], 1, "not ADDRESS:PORT in numbers"),
        (["--tcp", "127.0.0.1:70000"], 1, "not ADDRESS:PORT in numbers"),
        (["--tty", "/dev/null"], 1, "/dev/null"),
        (["--tty", "/dev/null", "--baud", "12345"], 1, "baud rate"),
        (["--pty", "--key-file", "/no/such/key"], 1, "/no/such/key"),
        (["--pty", "soon"], 1, "soon: not nanoseconds"),
    ],
)
def test_a_start_that_cannot_work_says_why(command: list[str], options: list[str], status: int, says: str) -> None:
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == status
    assert says in ended.stderr


@pytest.mark.parametrize(
    ("mode", "content", "says"),
    [(0o640, bytes(32), "chmod 600"), (0o600, bytes(15), "16 to 256"), (0o600, bytes(257), "more")],
)
def test_a_key_that_others_can_read_or_of_a_wrong_length_is_refused(
    command: list[str], key_file: Path, mode: int, content: bytes, says: str
) -> None:
    key_file.write_bytes(content)
    key_file.chmod(mode)
    ended = subprocess.run(
        [*command, "--pty", "--key-file", key_file], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 1
    assert says in ended.stderr


@pytest.fixture
def window(tmp_path: Path) -> Callable[[int], Path]:
    """A file in the place of the board's registers, with this hash of the map."""

    def make(map_hash: int) -> Path:
        path, registers = tmp_path / "registers", bytearray(MAP_BYTES)
        for name, value in (("MAGIC", MAGIC), ("MAP_HASH", map_hash), ("CLOCK_HZ", CLOCK_HZ)):
            struct.pack_into("<I", registers, REGISTERS[name], value)
        path.write_bytes(registers)
        return path

    return make


def test_the_boards_back_end_reads_and_writes_its_window(tmp_path: Path, window: Callable[[int], Path]) -> None:
    registers = window(MAP_HASH)
    with (
        running(build_daemon("sanitize", "mmap"), "--tcp", "127.0.0.1:0", str(registers)) as started,
        Link(started.urls["tcp"]) as link,
    ):
        assert link.transact([Write(REGISTERS["IRQ_ENABLE"], 5), Read(REGISTERS["IRQ_ENABLE"])]) == [5]
        assert struct.unpack_from("<I", registers.read_bytes(), REGISTERS["IRQ_ENABLE"]) == (5,)


def test_a_board_of_another_map_is_refused(tmp_path: Path, window: Callable[[int], Path]) -> None:
    daemon = build_daemon("host", "mmap")
    ended = subprocess.run(
        [*daemon, "--pty", str(window(MAP_HASH ^ 1))], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 1
    assert "another register map" in ended.stderr
