"""Which requests are sent, answered or sent again: the host's half of at-most-once, without input or output.

The daemon executes requests in the order of their sequence numbers and keeps the answers of the last ones. So a request
may be sent again at any time: what was executed is answered from memory, and what was not is executed then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from rmhil.bench.frames import Frame
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardInterruptedError,
    BoardLinkError,
    BoardSilentError,
    error_of,
)
from rmhil.bench.messages import FIRST_SEQUENCED, REPLY, Kind, Reason, Refusal
from rmhil.units import Seconds

_NOT_TAKEN = (Reason.BAD_FRAME, Reason.GAP)
"""The daemon waits for an earlier request: everything from that one on is sent again."""

_DESCRIBED = 4
"""1: parts of a request that a message spells out."""


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way.

    Attributes:
        kind, payload: what is sent.
        parts: what the payload is made of, for messages.
        sequence: number, once it is sent.
        attempts: of a request outside the sequence: times that it was sent.
        since: s: when it was sent first.
        answer: payload of the answer.
        error: why there is none.
    """

    kind: Kind
    payload: bytes | memoryview = b""
    parts: Sequence[object] = ()
    sequence: int = 0
    attempts: int = 0
    since: Seconds = 0.0
    answer: bytes | None = None
    error: BoardLinkError | None = None

    @property
    def done(self) -> bool:
        """Whether it was answered, or never will be."""
        return self.answer is not None or self.error is not None

    @property
    def sent(self) -> str:
        """The request in words."""
        listed = ", ".join(str(part) for part in self.parts[:_DESCRIBED])
        more = f", and {len(self.parts) - _DESCRIBED} more" if len(self.parts) > _DESCRIBED else ""
        return f"{self.kind.name} {self.sequence}" + (f" ({listed}{more})" if listed else "")


class Window:
    """The requests of one session.

    Args:
        session: first four bytes of its nonce.
        patience: s without progress until requests are sent again, where so many bytes are under way.
        attempts: times that a request is sent before the link counts as silent.
    """

    def __init__(self, session: int, patience: Callable[[int], Seconds], attempts: int) -> None:
        self._session, self._patience, self._attempts = session, patience, attempts
        self._queue: deque[Request] = deque()
        self._open: deque[Request] = deque()
        self._control: list[Request] = []
        self._sequences, self._tags = count(), count()
        self._credits = 1
        self._again: int | None = None
        self._tries = 1
        self._progress: Seconds = 0.0
        self.interrupted = False
        self.failure: BoardLinkError | None = None

    @property
    def busy(self) -> bool:
        """Whether something waits for an answer."""
        return bool(self._queue or self._open or self._control)

    def submit(self, request: Request) -> None:
        """Queue a request. HEARTBEAT, ABORT and GOODBYE stand outside the sequence, and may be executed twice."""
        if request.kind < FIRST_SEQUENCED:
            request.sequence = next(self._tags)
            self._control.append(request)
        else:
            self._queue.append(request)

    def frames_to_send(self, now: Seconds) -> Iterator[Frame]:
        """New requests as far as the credits go, and those whose answer is overdue."""
        if self.interrupted:
            self._refuse_queue()
        yield from self._overdue(now)
        yield from self._new(now)
        yield from self._controls(now)

    def _refuse_queue(self) -> None:
        while self._queue:
            request = self._queue.popleft()
            request.error = BoardInterruptedError(request.sent)

    def _overdue(self, now: Seconds) -> Iterator[Frame]:
        under_way = sum(len(request.payload) for request in self._open)
        if self._open and now - self._progress > self._patience(under_way):
            if self._tries >= self._attempts:
                self.fail(lambda late: BoardSilentError(late.sent, now - late.since, self._attempts))
                return
            self._tries += 1
            self._again = self._open[0].sequence
        if self._again is None:
            return
        first, self._again, self._progress = self._again, None, now
        for request in [request for request in self._open if request.sequence >= first]:
            yield self._frame(request)

    def _new(self, now: Seconds) -> Iterator[Frame]:
        while self._queue and (not self._open or self._next_offset() < self._credits):
            request = self._queue.popleft()
            request.sequence, request.since = next(self._sequences), now
            if not self._open:
                self._progress, self._tries = now, 1
            self._open.append(request)
            yield self._frame(request)

    def _next_offset(self) -> int:
        """How far the next sequence lies behind the oldest unanswered one."""
        return self._open[-1].sequence + 1 - self._open[0].sequence

    def _controls(self, now: Seconds) -> Iterator[Frame]:
        for request in list(self._control):
            if request.attempts and now - request.since < request.attempts * self._patience(0):
                continue
            if request.attempts >= self._attempts:
                self.fail(lambda late: BoardSilentError(late.sent, now - late.since, late.attempts))
                return
            request.since = request.since or now
            request.attempts += 1
            yield self._frame(request)

    def _frame(self, request: Request) -> Frame:
        return Frame(request.kind, self._session, request.sequence, request.payload)

    def take(self, frame: Frame, now: Seconds) -> None:
        """Note an answer; those that nobody waits for are ignored: they answer what was sent twice."""
        if frame.session != self._session:
            return
        self._credits = max(frame.credits, 1)
        if frame.kind == Kind.NAK:
            self._take_refusal(frame, now)
        elif frame.kind == Kind.PENDING:
            self._take_pending(frame, now)
        else:
            self._answer(frame.kind ^ REPLY, frame, frame.payload, now)

    def _find(self, kind: int, sequence: int) -> Request | None:
        for requests in (self._open, self._control):
            for request in requests:
                if request.kind == kind and request.sequence == sequence:
                    return request
        return None

    def _answer(self, kind: int, frame: Frame, payload: bytes | memoryview, now: Seconds) -> None:
        request = self._find(kind, frame.sequence)
        if request is not None:
            request.answer = bytes(payload)
            self._finish(request, now)

    def _finish(self, request: Request, now: Seconds) -> None:
        if request in self._control:
            self._control.remove(request)
        else:
            self._open.remove(request)
            self._progress, self._tries = now, 1

    def _take_pending(self, frame: Frame, now: Seconds) -> None:
        if any(request.sequence == frame.sequence for request in self._open):
            self._progress, self._tries = now, 1

    def _take_refusal(self, frame: Frame, now: Seconds) -> None:
        refusal = Refusal.unpack(bytes(frame.payload))
        try:
            reason = Reason(frame.code)
        except ValueError:
            return
        if refusal is None or reason is Reason.NO_CREDIT:
            return
        if reason in _NOT_TAKEN:
            self._again = refusal.expected
        elif reason is Reason.NO_SESSION:
            self._lose_session(frame, refusal, now)
        else:
            self.interrupted = self.interrupted or reason is Reason.INTERRUPTED
            request = self._find(refusal.kind, frame.sequence)
            if request is not None:
                request.error = error_of(request.sent, reason, refusal)
                self._finish(request, now)

    def _lose_session(self, frame: Frame, refusal: Refusal, now: Seconds) -> None:
        """The daemon knows nothing of this session: it was started anew, or serves somebody else."""
        if refusal.kind == Kind.GOODBYE:
            self._answer(Kind.GOODBYE, frame, b"", now)
        else:
            self.fail(lambda request: BoardDroppedError(request.sent, "the daemon has ended the session"))

    def send_again(self) -> None:
        """Send everything unanswered once more: the connection is a new one."""
        self._again = self._open[0].sequence if self._open else None
        self._tries = 1
        for request in self._control:
            request.attempts, request.since = 0, 0.0

    def fail(self, error: Callable[[Request], BoardLinkError]) -> None:
        """Give up: every request ends with an error, and so will later ones."""
        waiting = [*self._open, *self._control, *self._queue]
        for request in waiting:
            request.error = error(request)
        self.failure = (waiting[0].error if waiting else None) or error(Request(Kind.HEARTBEAT))
        for requests in (self._open, self._control, self._queue):
            requests.clear()
