"""What is done to a program that works on a bench, and at which moment."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from sim_backend.b1500a import Fault, FaultKind
from sim_backend.twin import Twin
from tests.integration.led_links import LedLinks, Link, Message, What


class Blow(Enum):
    """What is done."""

    CTRL_C = "Ctrl-C"
    CTRL_C_TWICE = "Ctrl-C, and again"
    SIGTERM = "SIGTERM"
    SIGKILL = "`kill -9`"
    ANALYSER_BEFORE = "analyser's link breaks before it takes a message"
    ANALYSER_AFTER = "analyser's link breaks before it answers"
    ANALYSER_PULLED = "analyser's cable pulled"
    ANALYSER_GARBAGE = "garbage from the analyser"
    BOARD_BROKEN = "board's link breaks"
    BOARD_PULLED = "board's cable pulled"
    BOARD_GARBAGE = "garbage on the board's link"
    BOTH_PULLED = "both cables pulled"


SIGNALS: Final = {
    Blow.CTRL_C: signal.SIGINT,
    Blow.CTRL_C_TWICE: signal.SIGINT,
    Blow.SIGTERM: signal.SIGTERM,
    Blow.SIGKILL: signal.SIGKILL,
}

_PULLED: Final = {
    Blow.ANALYSER_PULLED: (Link.ANALYSER,),
    Blow.BOARD_PULLED: (Link.BOARD,),
    Blow.BOTH_PULLED: (Link.ANALYSER, Link.BOARD),
}

_DROPS: Final = {
    Blow.ANALYSER_BEFORE: FaultKind.DROPPED_BEFORE,
    Blow.ANALYSER_AFTER: FaultKind.DROPPED_LINK,
}

_AGAIN_WITHIN: Final = 0.05
"""s after a Ctrl-C in which the second one comes: within the step of the first, or while outputs are switched off."""

_DAMAGED_IN_A_ROW: Final = 3
"""1: messages that garbage hits at the most."""


class Phase(StrEnum):
    """What the program is at."""

    OPENING = "opening"
    FORMING = "forming"
    PULSING = "pulsing"
    READING = "reading"
    ROUTING = "routing"
    FINISHING = "finishing"


class Position(NamedTuple):
    """A place in the talk of a program with its instruments.

    Attributes:
        steps: messages so far that pulse or read a cell.
        further: other messages to the instruments since the last of them.
    """

    steps: int
    further: int


_START: Final = Position(0, 0)


@dataclass
class Listener:
    """Follows the talk; a watcher that changes nothing.

    Attributes:
        talk: position and kind of each message to an instrument, but for those that come by the clock.
    """

    talk: list[tuple[Position, What]] = field(default_factory=list)
    here: Position = _START

    def __call__(self, message: Message) -> bytes:
        if message.outward and message.what is not What.BEAT:
            steps, further = self.here
            is_step = message.what in (What.PULSE, What.READ)
            self.here = Position(steps + 1, 0) if is_step else Position(steps, further + 1)
            self.talk.append((self.here, message.what))
        return message.data

    def phases(self, forming: Iterable[bool]) -> dict[Phase, list[Position]]:
        """Where in the talk of a whole job each of its phases is.

        Args:
            forming: of each pulse in order, whether it is a FORM.
        """
        found: dict[Phase, list[Position]] = {phase: [] for phase in Phase}
        last, kinds = self.here.steps, iter(forming)
        for position, what in self.talk:
            if what is What.PULSE:
                phase = Phase.FORMING if next(kinds) else Phase.PULSING
            elif what is What.READ:
                phase = Phase.READING
            elif position.steps in (0, last):
                phase = Phase.FINISHING if position.steps else Phase.OPENING
            else:
                phase = Phase.ROUTING
            found[phase].append(position)
        return found


@dataclass
class Trap:
    """A watcher that strikes once, at a moment.

    Args:
        blow: what it does.
        moment: message of the program at which it does it.
        after: whether it waits until that message has reached the instrument.
        links, twin: of the bench.
        rng: what is left to chance.

    Attributes:
        process: of the program; known once it runs.
        struck_at: s on `time.monotonic`; None: it has not struck.
    """

    blow: Blow
    moment: Position
    after: bool
    links: LedLinks
    twin: Twin
    rng: random.Random
    process: int = 0
    struck_at: float | None = None
    listener: Listener = field(default_factory=Listener)
    _armed: bool = False
    _damages: int = 0

    def __call__(self, message: Message) -> bytes:
        self.listener(message)
        if message.what is What.BEAT:
            return message.data
        if self._damages and self._can_be_damaged(message):
            return self._damaged(message.data)
        arrived = message.outward and self.listener.here >= self.moment
        if self.struck_at is None and (self._armed or (arrived and not self.after)) and self._fits(message):
            self.struck_at = time.monotonic()
            return self._strike(message)
        self._armed = self._armed or arrived
        return message.data

    def _fits(self, message: Message) -> bool:
        """Whether this message will do."""
        if self.blow in _DROPS:
            return message.outward and message.link is Link.ANALYSER
        if self.blow in (Blow.ANALYSER_GARBAGE, Blow.BOARD_GARBAGE):
            return self._can_be_damaged(message)
        return True

    def _can_be_damaged(self, message: Message) -> bool:
        """FLEX has no checksum, so a command that was changed is carried out; answers may be changed at will."""
        if self.blow is Blow.ANALYSER_GARBAGE:
            return message.link is Link.ANALYSER and not message.outward
        return message.link is Link.BOARD

    def _strike(self, message: Message) -> bytes:
        if self.blow in SIGNALS:
            self._signal()
            if self.blow is Blow.CTRL_C_TWICE:
                threading.Timer(self.rng.uniform(0.001, _AGAIN_WITHIN), self._signal).start()
        elif self.blow in _PULLED:
            self.links.pull(*_PULLED[self.blow])
        elif self.blow in _DROPS:
            self.twin.inject(Fault(kind=_DROPS[self.blow]))
        elif self.blow is Blow.BOARD_BROKEN:
            self.twin.drop_board()
        else:
            self._damages = self.rng.randint(1, _DAMAGED_IN_A_ROW)
            return self._damaged(message.data)
        return message.data

    def _signal(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process, SIGNALS[self.blow])

    def _damaged(self, data: bytes) -> bytes:
        self._damages -= 1
        return self.rng.choice(_DAMAGES)(data, self.rng)


def _flip(data: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.randint(1, 8)) + data[place:]


def _replace(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data))


_DAMAGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (_flip, _cut, _insert, _replace)
