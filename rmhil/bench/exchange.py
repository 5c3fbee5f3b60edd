"""One exchange with the analyser: watched, so that whatever goes wrong leaves the outputs off, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rmhil.bench.errors import (
    AnalyserClosedError,
    DataError,
    FlaggedError,
    InstrumentError,
    OutputsUnknownError,
    ReportedError,
    SilenceError,
)
from rmhil.bench.flex.data import Data
from rmhil.bench.flex.datum import Datum
from rmhil.bench.flex.facts import DATA_BUFFER
from rmhil.bench.flex.messages import packed
from rmhil.bench.flex.reports import Report, read_report
from rmhil.bench.limits import require
from rmhil.bench.readings import OnFlag, check_owners, flag_error
from rmhil.bench.safety import OutputGuard
from rmhil.bench.session import Session
from rmhil.bench.startup import report_error, take_reports
from rmhil.units import Seconds

SWITCHED_OFF = "All outputs were put to 0 V and opened"
"""Ends the message of a fault that was followed by that."""


class Exchange:
    """Commands, queries and measurements of one open analyser.

    A fault switches all outputs off and is raised with what is known of them. A status of a value is no fault.
    """

    def __init__(self, session: Session, guard: OutputGuard) -> None:
        self.session, self.guard = session, guard

    @contextmanager
    def watched(self) -> Iterator[Session]:
        """The session, for messages of any kind.

        Raises:
            AnalyserClosedError: the analyser was closed.
        """
        self.require_open()
        try:
            yield self.session
        except FlaggedError:
            raise
        except InstrumentError as error:
            if not isinstance(error, ReportedError):
                self.guard.isolate()  # first: to ask an instrument that is silent or confused again takes its time
            told = self._told(error) if isinstance(error, SilenceError | DataError) else None
            final = error if told is None else told
            final.outputs = self._after_fault()
            if told is None:
                raise
            raise told from error

    def require_open(self) -> None:
        """Refuse to go on with an analyser that was closed.

        Raises:
            AnalyserClosedError: it was.
        """
        if self.guard.left:
            raise AnalyserClosedError(f"{self.session.name} was closed")

    def send(self, *commands: str) -> None:
        """Send commands as one message."""
        with self.watched() as session:
            session.send(*commands)

    def send_checked(self, *commands: str) -> None:
        """Send commands as one message, and ask whether the instrument took them."""
        with self.watched() as session:
            session.send(*commands)
            self.raise_reports(session.sent)

    def measure(
        self, commands: Sequence[str], owners: Sequence[int], expected: Seconds, on_flag: OnFlag, kind: str = "I"
    ) -> list[Datum]:
        """Send commands, and read the data that they make by their count: a time and a value for each owner.

        Args:
            commands: the last of them makes the data; they go in as few messages as they fit.
            owners: channel of each value, in order.
            expected: s that the instrument takes.
            on_flag: what becomes of a status other than normal.
            kind: of each value: `I` or `V`.

        Raises:
            OutOfRangeError: more data than the instrument is known to hold; nothing was sent.
            FlaggedError: a datum carries a status, and `on_flag` says to raise.
            InstrumentError: as the class says.
        """
        count = 2 * len(owners)
        require("data of one measurement", count, 1, DATA_BUFFER, "")
        *ahead, last = packed(commands)
        with self.watched() as session:
            for message in ahead:
                session.send(message)
            items = session.measure(last, count, expected)
            check_owners(items, owners, kind)
            self._judge(items, on_flag)
        return items

    def raise_reports(self, sent: str) -> None:
        """Take everything from the error queue.

        Raises:
            ReportedError, or a subclass: there was something.
        """
        reports = take_reports(self.session)
        if reports:
            raise report_error(sent, reports)

    def _told(self, error: SilenceError | DataError) -> ReportedError | None:
        """What the instrument itself says of an answer that is missing or spoilt; None where it says nothing."""
        sent = self.session.sent
        try:
            reports = self._asked_anyway()
        except InstrumentError:
            return None
        return report_error(sent, reports, error.data) if reports else None

    def _asked_anyway(self) -> list[Report]:
        """Errors after an answer that did not come; without a device clear if that works, since one clears them."""
        self.session.drain()
        try:
            first = read_report(self.session.ask("ERRX?"))
        except SilenceError:
            first = None
        if first is None:  # late data came instead, or nothing
            self.session.recover()
            return take_reports(self.session)
        return [first, *take_reports(self.session)] if first.code else []

    def _judge(self, items: list[Datum], on_flag: OnFlag) -> None:
        """Look at every status: the instrument is asked for errors at once where one is not normal."""
        flagged = flag_error(items)
        if flagged is None:
            return
        sent = self.session.sent
        reports = take_reports(self.session)
        if reports:
            raise report_error(sent, reports, Data.of(items))
        if on_flag is OnFlag.RAISE:
            raise flagged

    def _after_fault(self) -> str:
        try:
            self.guard.switch_off()
            left = take_reports(self.session)  # or they would be blamed on what comes next
        except OutputsUnknownError as unknown:
            return str(unknown)
        except InstrumentError as error:
            return f"{SWITCHED_OFF}; then: {error}"
        return "; ".join([SWITCHED_OFF, *(f"the instrument also reported {report}" for report in left)])
