"""A wire whose every message and answer is written down beforehand; anything else fails the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from rmhil.bench import B1500A, AnalyserWiring, ChannelLimits
from rmhil.bench.session import Session
from rmhil.bench.wire import TERMINATOR, WireBroken, WireSilence
from rmhil.units import Seconds

IDENTITY = "Agilent Technologies,B1500A,0,A.05.03.2013.0328"
MODULES = "B1517A,0;B1517A,0;B1517A,0;B1511B,0;B1525A,0;0,0;0,0;0,0;B1520A,0;0,0"
CLEAN = '+0,"No Error."'
OFF = [("AB", ""), ("BC", ""), ("DZ", ""), ("CL", ""), ("*LRN? 0", "CL\r\n")]
START = [
    ("*IDN?", IDENTITY + "\r\n"), ("UNT? 0", MODULES + "\r\n"), ("DZ", ""), ("*RST", ""), ("ERRX?", CLEAN + "\r\n"),
    ("CM 0;AZ 0;TSC 1;FMT 15,0", ""), *OFF,
]  # fmt: skip
NO_ERRORS = [("ERRX?", CLEAN + "\r\n")]
FAULT = [*OFF, *NO_ERRORS]
"""What follows a fault."""
BROKEN = object()
"""Stands in the place of an answer: the link breaks at this message."""
TIME, ONE_UA = "NAT+000.1230E+00,", "NAI+001.0000E-06,"
"""A time, and a current of channel 1, as they come."""

WIRING = AnalyserWiring(channels={1: ChannelLimits(), 2: ChannelLimits(), 3: ChannelLimits(current=1e-4)})

Step = tuple[str, object]


class ScriptedWire:
    """Expects messages in order, and gives each its answer."""

    def __init__(self, *steps: Iterable[Step]) -> None:
        self.steps = deque(step for part in steps for step in part)
        self.sent: list[str] = []
        self.reads = 0
        self.cleared = 0
        self.closed = False
        self.interrupted = False
        self._unread = b""

    def write(self, message: bytes) -> None:
        if self.closed:
            raise WireBroken("closed")
        text = message.removesuffix(TERMINATOR).decode("ascii")
        assert message.endswith(TERMINATOR)
        self.sent.append(text)
        assert self.steps, f"{text!r} sent after the script's end"
        expected, answer = self.steps.popleft()
        assert text == expected
        if answer is BROKEN:
            raise WireBroken("connection reset")
        assert isinstance(answer, str)
        self._unread += answer.encode("ascii")

    def read(self, count: int, wait: Seconds) -> bytes:
        self.reads += 1
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        if not self._unread:
            raise WireSilence
        part, self._unread = self._unread[:count], self._unread[count:]
        return part

    def read_line(self, wait: Seconds) -> bytes:
        self.reads += 1
        end = self._unread.find(b"\n") + 1
        if not end:
            raise WireSilence
        line, self._unread = self._unread[:end], self._unread[end:]
        return line

    def clear(self) -> None:
        self.cleared += 1

    def drain(self) -> None:
        self._unread = b""

    def probe(self) -> None:
        if self.closed:
            raise WireBroken("closed")

    def close(self) -> None:
        self.closed = True


def over(wire: Callable[[], ScriptedWire], wiring: AnalyserWiring = WIRING, seen: Sequence[str] = ()) -> B1500A:
    """An analyser over scripted wires: the first one, and those that it opens when one breaks."""
    return B1500A.over(Session(wire, "scripted", lambda: seen, patience=0.02), wiring)


def opened(*steps: Iterable[Step]) -> tuple[B1500A, ScriptedWire]:
    """An analyser that has gone through a scripted start-up, and its wire."""
    wire = ScriptedWire(START, *steps)
    return over(lambda: wire), wire
