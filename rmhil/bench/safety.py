"""How an analyser is left: outputs at 0 V and switches open, whatever ends the program.

A normal end, an exception, Ctrl-C, SIGTERM, SIGHUP, `close` and garbage collection are covered here. A process that is
killed outright (`kill -9`) runs nothing: what was driven stays driven until the next start-up switches it off.
"""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar, Final

from loguru import logger

from rmhil.bench.errors import InstrumentError, OutputsUnknownError
from rmhil.bench.session import Session
from rmhil.bench.wire import WireBroken
from rmhil.units import Seconds

ALL_OFF: Final = "CL"
"""Answer of `*LRN? 0` where every switch is open. Source: pyHegel, answers of real instruments."""

_ZERO_WAIT: Final[Seconds] = 1.0
"""s in which outputs that were sent to 0 V get there (estimate; the charge of a cable takes milliseconds)."""

_ALL_NEAR_ZERO: Final = "0"
"""Answer of `WZ?` where every output is within 2 V of zero. Source: page index of the B1500A Programming Guide, edition
15, page 4-252; not verified."""

_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a Python process without running its `finally` blocks."""

STOPPING: Final = (signal.SIGINT, *_ENDING)
"""Ctrl-C and requests to end."""

_Handler = Callable[[int, FrameType | None], None] | signal.Handlers


class OutputGuard:
    """Switches the outputs of one session off, once and for all when it is left.

    Attributes:
        left: whether the outputs are off and the link is closed.
        driving: whether switches may be closed; the driver says so before it closes one.
        lost: whether the last attempt to switch off got no answer.
        isolate: takes the device off the outputs where something else can do that; called when an answer is missing or
            spoilt, before anything else is tried. It raises nothing.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._signals = EndingSignals()
        self.left = False
        self.driving = False
        self.lost = False
        self.isolate: Callable[[], None] = _nothing

    def arm(self) -> None:
        """From now on, leave also at the end of the process, and at signals that would end it at once."""
        self._signals.on()
        atexit.register(self.leave)

    def switch_off(self) -> None:
        """Every output to 0 V, every switch open, and the instrument's own word for it.

        Over the present link, or over a new one where that is broken or confused.

        Raises:
            OutputsUnknownError: neither got the answer that all is off.
        """
        with signals_held():
            try:
                _switch_off(self._session)
                self.driving = self.lost = False
                return
            except (InstrumentError, WireBroken) as error:
                self._tell("WARNING", "{}: switching off failed ({}); trying a new link", error)
            try:
                self._session.reopen()
                _switch_off(self._session)
                self.driving = self.lost = False
            except (InstrumentError, WireBroken) as error:
                self._tell("CRITICAL", "{}: outputs may still be driven: {}", error)
                self.lost = True
                raise OutputsUnknownError(self._session.name, str(error)) from error

    def _tell(self, level: str, text: str, error: Exception) -> None:
        """Log, aloud the first time; every further attempt on a lost link says the same."""
        logger.log("DEBUG" if self.lost else level, text, self._session.name, error)

    def leave(self) -> None:
        """Switch off, and let go of the link. Idempotent.

        Raises:
            OutputsUnknownError: it could not be done; the link is closed all the same.
        """
        if self.left:
            return
        try:
            with signals_held():
                self.left = True
                try:
                    self.switch_off()
                finally:
                    self._session.close()
        finally:
            atexit.unregister(self.leave)
            self._signals.off()


def _nothing() -> None:
    """There is nothing else that could take a device off the outputs."""


def zero_outputs(session: Session) -> None:
    """Every output to 0 V, switches as they are, and the instrument's own word for it.

    Raises:
        OutputsUnknownError: it says that one is not near 0 V.
        InstrumentError: it does not answer.
    """
    session.send("DZ")
    answer = session.ask(f"WZ? {_ZERO_WAIT:g}", _ZERO_WAIT)
    if answer != _ALL_NEAR_ZERO:
        raise OutputsUnknownError(session.name, f"WZ? answers {answer!r} after DZ")


def _switch_off(session: Session) -> None:
    session.recover()
    session.send("DZ")
    session.send("CL")
    answer = session.ask("*LRN? 0")
    if answer != ALL_OFF:
        raise OutputsUnknownError(session.name, f"*LRN? 0 answers {answer!r}")


@contextmanager
def signals_held() -> Iterator[list[int]]:
    """Hold Ctrl-C and requests to end back until the work inside is done, which may look at those that have come."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, remember) for number in STOPPING}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        try:
            for number in dict.fromkeys(came):
                signal.raise_signal(number)
        finally:
            EndingSignals.settle()  # the last analyser may have been closed inside


class EndingSignals:
    """While one of them is on, SIGTERM and SIGHUP end the process the way `sys.exit` does: outputs are switched off.

    A program that handles them itself keeps its own handlers; so does one that opens the analyser in a thread.
    """

    _on: ClassVar[set[EndingSignals]] = set()
    """Those that are on: the first handles the signals, the last gives them back."""

    def on(self) -> None:
        """Handle those signals that nobody handles."""
        self._on.add(self)
        _change_handlers(signal.SIG_DFL, _exit)

    def off(self) -> None:
        """Need them no longer."""
        self._on.discard(self)
        self.settle()

    @classmethod
    def settle(cls) -> None:
        """Give back what is still handled here, unless an analyser needs it."""
        if not cls._on:
            _change_handlers(_exit, signal.SIG_DFL)


def _change_handlers(present: _Handler, wanted: _Handler) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) == present:
                signal.signal(number, wanted)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
