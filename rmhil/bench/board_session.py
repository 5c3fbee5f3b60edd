"""A session with a board: what is asked of it, what it is joined to, and how it is left.

Between two requests the board keeps its lines as they are. Whatever breaks off a request, Ctrl-C too, ends with the
outputs off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from loguru import logger

from rmhil.bench.board_errors import BoardOutputsUnknownError, board_error
from rmhil.bench.board_map import CONTROL_KEY, FIELDS, REGISTERS, State
from rmhil.bench.board_status import BoardStatus
from rmhil.bench.link import Link
from rmhil.bench.link_errors import BoardHeldError, BoardInterruptedError, BoardLinkError
from rmhil.bench.link_pending import Pending
from rmhil.bench.messages import Command, Read, Report, Step, Write
from rmhil.bench.safety import signals_held
from rmhil.units import Seconds

_STOP_LOOKS: Final = 100
"""1: times that a board is asked whether it has stopped; that takes 5 us, and 0.3 ms while it is arming."""

_OTHER_LINK: Final[Seconds] = 3.0
"""s beyond the link timeout in which a new link must learn what became of a board whose link broke (estimate)."""

_LOOK_AGAIN: Final[Seconds] = 0.05
"""s until a board that is still held by the broken link is asked again."""


class BoardSession:
    """One session.

    Args:
        url, key, baud, link_timeout: as `Link` takes them.

    Attributes:
        link: to the daemon.
        armed: whether the outputs are enabled, as far as this host knows.
        route: what the lines are joined to; None where they are open.
        gate: whether the word line of a cell is let through.
        pulses: PULSES_TOTAL after the last commands that were carried out.
        left: whether the outputs are known to be off, and the link is closed.

    Raises:
        BoardLinkError: no board, or it is held by somebody else; nothing was driven.
    """

    def __init__(self, url: str, key: bytes | None, baud: int, link_timeout: Seconds) -> None:
        self._url, self._key, self._baud, self._link_timeout = url, key, baud, link_timeout
        self.armed = self.gate = self.left = False
        self.route: Command | None = None
        self.pulses: int | None = None
        self.link = self._open()

    def _open(self) -> Link:
        return Link(self._url, key=self._key, baud=self._baud, link_timeout=self._link_timeout)

    def transact(self, *steps: Step) -> list[int]:
        """Read, write and wait for registers; what was read and waited for."""
        with signals_held():
            return self.link.transact(steps)

    def run(self, *commands: Command) -> None:
        """Run commands on the board.

        Raises:
            BoardStoppedError: the board stopped at one.
            BoardLinkError: no answer. In both cases, as after Ctrl-C, the outputs are off.
        """
        with self.off_on_errors():
            with signals_held():
                pending = self.link.submit_commands(commands)
            self.wait(pending)
            self.note(pending.result())

    def note(self, report: Report) -> None:
        """Commands have been carried out."""
        self.pulses = report.pulses

    def wait(self, pending: Pending) -> None:
        """Wait for requests. Signals are delivered at once, but never in the middle of an exchange."""
        while not self._waited(pending):
            pass

    def _waited(self, pending: Pending) -> bool:
        with signals_held() as came:
            return pending.wait(lambda: bool(came))

    @contextmanager
    def off_on_errors(self) -> Iterator[None]:
        """Whatever is raised inside, the outputs are off when it leaves; errors of the link become the board's."""
        try:
            yield
        except BoardLinkError as error:
            told = board_error(error, self.pulses)
            self._off_after(told)
            if told is error:
                raise
            raise told from error
        except BaseException as error:
            self._off_after(error)
            raise

    def _off_after(self, error: BaseException) -> None:
        try:
            self.safe()
        except BoardOutputsUnknownError as unknown:
            error.add_note(str(unknown))

    def forget(self) -> None:
        """Nothing is joined or let through any more."""
        self.armed = self.gate = False
        self.route = None

    def switch_off(self) -> None:
        """Stop what runs, outputs off, state DISARMED.

        Raises:
            BoardOutputsUnknownError: the board answers, and does not get there.
            BoardLinkError: no answer.
        """
        self.forget()
        self.link.abort()
        for _ in range(_STOP_LOOKS):
            disarm, look = control("DISARM"), Read(REGISTERS["STATUS"])
            status = BoardStatus.of(self.link.transact([disarm, look])[0])
            if status.state is State.DISARMED and not status.outputs:
                return
        raise BoardOutputsUnknownError(self._url, f"asked {_STOP_LOOKS} times, it still says {status}")

    def safe(self) -> None:
        """`switch_off`, over a new link where this one is broken. Idempotent.

        Raises:
            BoardOutputsUnknownError: nobody answered that the outputs are off.
        """
        if self.left:
            return
        with signals_held():
            try:
                self.switch_off()
            except BoardInterruptedError:
                return  # the daemon has switched them off, and takes nothing more in this session
            except BoardLinkError as error:
                logger.warning("{}: switching off failed ({}); asking over a new link", self._url, error)
                self.link.close()
                self._look_over_a_new_link()
                self.left = True

    def _look_over_a_new_link(self) -> None:
        """A session begins with all outputs off."""
        until = time.monotonic() + self._link_timeout + _OTHER_LINK
        while True:
            try:
                with self._open() as link:
                    (word,) = link.transact([Read(REGISTERS["STATUS"])])
                    break
            except BoardHeldError as error:
                if time.monotonic() > until:
                    raise BoardOutputsUnknownError(self._url, str(error)) from error
                time.sleep(_LOOK_AGAIN)
            except BoardLinkError as error:
                raise BoardOutputsUnknownError(self._url, str(error)) from error
        if BoardStatus.of(word).outputs:
            raise BoardOutputsUnknownError(self._url, f"it says {BoardStatus.of(word)}")

    def close(self) -> None:
        """`safe`, then let go of the link. Idempotent.

        Raises:
            BoardOutputsUnknownError: nobody answered that the outputs are off; the link is closed all the same.
        """
        if self.left:
            return
        with signals_held():
            try:
                self.safe()
                self.left = True
            finally:
                self.link.close()


def control(bit: str) -> Write:
    """Write one bit of register CONTROL, with its key."""
    key = CONTROL_KEY << FIELDS["CONTROL.KEY"].low
    return Write(REGISTERS["CONTROL"], key | 1 << FIELDS[f"CONTROL.{bit}"].low)
