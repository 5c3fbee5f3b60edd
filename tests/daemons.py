"""The board's daemon as a process: built from firmware/c, started on memory, and lines to it that do damage."""

from __future__ import annotations

import fcntl
import os
import random
import select
import shutil
import socket
import subprocess
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from rmhil.bench.board_map import FIELDS
from rmhil.bench.frames import BULK_LEAD, PREFIX_BYTES
from rmhil.bench.link import Link
from rmhil.bench.link_errors import BoardHeldError
from sim_backend.twin.build import libraries

FIRMWARE = Path(__file__).parents[1] / "firmware" / "c"
BUILD = Path(__file__).parents[1] / "build" / "daemon"

Build: TypeAlias = Literal["host", "sanitize", "armhf"]

_NEEDS = {
    "host": ("make", "gcc"),
    "sanitize": ("make", "gcc"),
    "armhf": ("make", "arm-linux-gnueabihf-gcc", "qemu-arm"),
}
"""Programs that a build and its runs need."""

_ANSWER_SECONDS = 20.0
"""s: more than the start of a daemon under qemu on a loaded machine takes."""


def build_daemon(build: Build, hal: str = "mem") -> list[str]:
    """The command that runs a daemon, which is built at its first use and where a source has changed."""
    require(*_NEEDS[build])
    make(f"HAL={hal}", build)
    program = str(BUILD / build / f"rmhild-{hal}")
    return ["qemu-arm", program] if build == "armhf" else [program]


def embedded_daemon() -> Path:
    """The daemon as a library for a process that has a Verilated board: the twin's own."""
    require(*_NEEDS["host"])
    return libraries("adc64").daemon


def require(*programs: str) -> None:
    """Skip the test where one is missing, or fail it, with RMHIL_REQUIRE_FIRMWARE=1."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        message = f"missing: {', '.join(missing)} (apt: gcc, gcc-arm-linux-gnueabihf, qemu-user, cppcheck)"
        pytest.fail(message) if os.environ.get("RMHIL_REQUIRE_FIRMWARE") == "1" else pytest.skip(message)


def make(*arguments: str) -> None:
    """Run make into a folder that all processes of the tests share: one builds, the others wait."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["make", "--silent", "-C", FIRMWARE, f"BUILD={BUILD}", *arguments]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def results_of_memory(codes: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """What the board of memory gives: the upper 14 bits, with the flag of over range at the end codes."""
    upper = codes >> 2
    return upper | np.isin(upper, (0x1FFF, 0x2000)).astype(np.uint16) << FIELDS["RESULT.OVER_RANGE"].low


@dataclass
class Daemon:
    """A running daemon.

    Attributes:
        urls: what each way in is opened with: `tcp`, `pty`, `tty`.
    """

    process: subprocess.Popen[str]
    urls: dict[str, str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(command: list[str], *options: str) -> Iterator[Daemon]:
    """Start a daemon with these ways in. At the end it must stop when told to, without a sanitizer's report."""
    ways = sum(option in ("--tcp", "--pty", "--tty") for option in options)
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    killed = False
    try:
        announced = [process.stdout.readline().split() for _ in range(ways)]
        if not all(announced):
            pytest.fail(f"the daemon did not start: {process.stderr.read()}")
        urls = {kind: f"socket://{name}" if kind == "tcp" else name for kind, name in announced}
        daemon = Daemon(process, urls)
        yield daemon
        killed = process.poll() == -9
        process.terminate()
        status = process.wait(_ANSWER_SECONDS)
        assert killed or status == 0, process.stderr.read()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def open_when_free(url: str, within: float = 3.0) -> Link:
    """A link to a board whose holder was killed or hangs; fails the test where it is not free in so many seconds."""
    until = time.monotonic() + within
    while True:
        try:
            return Link(url)
        except BoardHeldError:
            assert time.monotonic() < until


@dataclass
class Faults:
    """Does damage to frames, by chance with a seed; counts them.

    Attributes:
        rate: share of the frames that are damaged.
        frames: that passed, damaged or not.
        done: damages by kind.
    """

    seed: int
    rate: float
    frames: int = 0
    done: dict[str, int] = field(default_factory=dict)
    active: bool = True

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._held: dict[int, bytes] = {}
        self._cut = 0
        self._kinds: tuple[tuple[str, Callable[[bytes, int], bytes]], ...] = (
            ("flip", self._flip),
            ("drop", self._drop),
            ("duplicate", self._duplicate),
            ("reorder", self._reorder),
            ("truncate", self._truncate),
        )

    def apply(self, frame: bytes, direction: int) -> bytes:
        """What goes on instead of this frame."""
        self.frames += 1
        held = self._held.pop(direction, b"")
        if not self.active or self._random.random() >= self.rate:
            return frame + held
        kind, damaged = self._random.choice(self._kinds)
        self.done[kind] = self.done.get(kind, 0) + 1
        return damaged(frame, direction) + held

    def _flip(self, frame: bytes, direction: int) -> bytes:
        damaged = bytearray(frame)
        bit = self._random.randrange(8 * len(frame))
        damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)

    def _drop(self, frame: bytes, direction: int) -> bytes:
        return b""

    def _duplicate(self, frame: bytes, direction: int) -> bytes:
        return 2 * frame

    def _reorder(self, frame: bytes, direction: int) -> bytes:
        self._held[direction] = frame  # goes behind the next one
        return b""

    def _truncate(self, frame: bytes, direction: int) -> bytes:
        self._cut += 1  # at every byte in turn
        return frame[: self._cut % len(frame)]


class FrameSplitter:
    """Cuts an undamaged stream into frames as they travel."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._data += data
        frames = []
        while end := self._end():
            frames.append(bytes(self._data[:end]))
            del self._data[:end]
        return frames

    def _end(self) -> int:
        """Bytes of the first frame; 0 where it is not complete."""
        if not self._data:
            return 0
        if self._data[0] != BULK_LEAD:
            return self._data.find(b"\0", 1) + 1  # the host sends a delimiter before a frame, too
        if len(self._data) < 1 + PREFIX_BYTES:
            return 0
        length = int.from_bytes(self._data[13:17], "little")
        whole = 1 + PREFIX_BYTES + (length + 4 if length else 0)
        return whole if len(self._data) >= whole else 0


class _Relay:
    """Moves frames between two sides in a thread of its own."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        raise NotImplementedError

    def _shuttle(self, sides: tuple[int, int]) -> None:
        """Until a side closes."""
        splitters = (FrameSplitter(), FrameSplitter())
        waiting: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        while not self._stop.is_set():
            writable = [sides[i] for i in (0, 1) if waiting[1 - i]]
            ready, free, _ = select.select(sides, writable, [], 0.02)
            for source in (0, 1):
                if sides[source] in ready:
                    data = os.read(sides[source], 1 << 18)
                    if not data:
                        return
                    waiting[source].extend(self._faults.apply(frame, source) for frame in splitters[source].feed(data))
                if sides[1 - source] in free:
                    self._send(sides[1 - source], waiting[source])

    @staticmethod
    def _send(side: int, waiting: deque[bytes]) -> None:
        data = b"".join(waiting)
        waiting.clear()
        sent = os.write(side, data) if data else 0
        if sent < len(data):
            waiting.append(data[sent:])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class _SocketRelay(_Relay):
    def __init__(self, faults: Faults, target: str) -> None:
        super().__init__(faults)
        host, port = target.removeprefix("socket://").rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread.start()

    def _run(self) -> None:
        with self._listener:
            while not self._stop.is_set():
                try:
                    near, _ = self._listener.accept()
                except TimeoutError:
                    continue
                with near, socket.create_connection(self._target) as far:
                    for side in (near, far):
                        side.setblocking(False)
                        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    try:
                        self._shuttle((near.fileno(), far.fileno()))
                    except OSError:
                        continue  # one side closed in the middle of a frame


def _raw_pty() -> tuple[int, int]:
    near, far = os.openpty()
    for side in (near, far):
        tty.setraw(side, termios.TCSANOW)
    os.set_blocking(near, False)
    return near, far


class _LineRelay(_Relay):
    """A serial cable: two pseudo-terminals, whose far ends are `host` and `board`."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._ends = (_raw_pty(), _raw_pty())
        self.host, self.board = (os.ttyname(far) for _, far in self._ends)
        self._thread.start()

    def _run(self) -> None:
        self._shuttle((self._ends[0][0], self._ends[1][0]))

    def stop(self) -> None:
        super().stop()
        for near, far in self._ends:
            os.close(near)
            os.close(far)


@contextmanager
def faulty_link(command: list[str], kind: Literal["tcp", "tty"], faults: Faults) -> Iterator[str]:
    """A daemon behind a line that does damage; what a host opens."""
    if kind == "tcp":
        with running(command, "--tcp", "127.0.0.1:0") as daemon:
            relay = _SocketRelay(faults, daemon.urls["tcp"])
            try:
                yield relay.url
            finally:
                relay.stop()
    else:
        line = _LineRelay(faults)
        try:
            with running(command, "--tty", line.board) as daemon:
                yield line.host
                assert daemon.process.poll() is None
        finally:
            line.stop()
