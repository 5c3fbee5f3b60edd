"""FLEX over HiSLIP: `TCPIP::host::hislip0,port::INSTR`, with message ends, status polls and device clear.

IVI-6.1, HiSLIP 1.0, synchronised mode. A bus like GPIB fetches an answer when it is asked for; here it is sent when it
is there, and kept until the client says that it has been read (the RMT-delivered flag of its next message). Sent with
the number of a message that is not the client's last one, it is thrown away there; so an answer that
nobody has read is sent again, unless a query has overwritten it or `BC` has cleared it. That makes `NUB?` and the
status byte right.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from itertools import groupby
from typing import Final

from rmhil.units import Seconds
from sim_backend.b1500a.buffers import Answer
from sim_backend.b1500a.link import GRACE, Front, Line, listener_name

_HEADER: Final = struct.Struct("!2sBBIQ")
_PROLOGUE: Final = b"HS"
_VERSION: Final = 0x0100
_VENDOR: Final = 0x5253
"""Two letters of a vendor; ours are nobody's."""

_LARGEST: Final = 1 << 24
"""Bytes of a message that is taken."""

_NO_MESSAGE: Final = 0xFFFFFFFF
_FIRST_MESSAGE: Final = 0xFFFFFF00
"""Numbers: of no message, and of a client's first one."""

_PATIENCE: Final[Seconds] = 0.2
"""s that a status query waits for the message that was sent before it on the other connection."""

DEVICE: Final = "hislip0"


class Kind(IntEnum):
    """Types of messages that are understood or sent."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    ASYNC_SIZE = 15
    ASYNC_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


_BAD_HEADER, _BAD_START, _TOO_MANY = 1, 3, 4
"""Codes of fatal errors."""

_UNKNOWN_MESSAGE: Final = 1
_TOO_LARGE: Final = 4
"""Codes of errors."""


def _parts(answers: list[Answer]) -> list[bytes]:
    """What is sent as one message each: all data together, the answer to a query by itself."""
    if len(answers) == 1:
        return [answers[0].payload]
    groups = groupby(answers, key=lambda answer: answer.count > 0)
    return [b"".join(answer.payload for answer in group) for _, group in groups]


class Session:
    """The client's two connections.

    Attributes:
        number: that joins them.
        synchronous, asynchronous: the connections; None until they are there.
        largest: bytes of a message that the client takes.
        pushed: whether answers have been sent that nobody has yet said to have read.
        clearing: whether a device clear is under way.
        locked: whether the client holds its lock.
        message: number of the client's last message.
        queries: numbers of the messages that status queries wait for.
    """

    def __init__(self, number: int, line: Line) -> None:
        self.number, self.line = number, line
        self.synchronous: HislipFront | None = None
        self.asynchronous: HislipFront | None = None
        self.largest = 1 << 20
        self.pushed = False
        self.clearing = False
        self.locked = False
        self.message = _NO_MESSAGE
        self.queries: list[int] = []

    def has_seen(self, number: int) -> bool:
        """Whether the message that a status query refers to has arrived; clients name it, or the one to come."""
        if self.message == _NO_MESSAGE:
            return number in (_NO_MESSAGE, _FIRST_MESSAGE)
        return number in (self.message, (self.message + 2) & 0xFFFFFFFF)

    def answer_status(self, *, anyhow: bool = False) -> None:
        """Answer the status queries that wait for a message, if it is there."""
        front = self.asynchronous
        while front is not None and self.queries and (anyhow or self.has_seen(self.queries[0])):
            self.queries.pop(0)
            front.send(Kind.ASYNC_STATUS_RESPONSE, self.line.engine.instrument.polled())

    def read_by_client(self, delivered: int) -> None:
        """Take note of the RMT-delivered flag."""
        if self.pushed and delivered & 1:
            self.line.engine.taken()
            self.pushed = False

    def push(self) -> None:
        """Send what there is to read; an answer is one message, whatever its number of lines."""
        front, answers = self.synchronous, self.line.engine.waiting()
        if front is None or not answers:
            return
        for part in _parts(answers):
            front.send_data(part, self.message, self.largest)
        self.pushed = True

    def close(self) -> None:
        """Close both connections."""
        for front in (self.synchronous, self.asynchronous):
            if front is not None:
                front.abort()


class Registry:
    """Sessions by number; there is one at most."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.session: Session | None = None
        self._last = 0

    def begin(self) -> Session:
        """A new session."""
        self._last = self._last % 0xFFFF + 1
        self.session = Session(self._last, self.line)
        return self.session

    def end(self, session: Session) -> None:
        """The client has gone."""
        if self.session is session:
            self.session = None
            session.close()
            self.line.release()


class HislipFront(Front):
    """One connection, synchronous or asynchronous, which its first message says.

    Args:
        registry: of sessions.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._line = registry.line
        self._transport: asyncio.Transport | None = None
        self._buffer = self._message = b""
        self._session: Session | None = None
        self._paused = False
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            Kind.INITIALIZE: self._initialize,
            Kind.ASYNC_INITIALIZE: self._async_initialize,
        }

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first message."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The session ends with either of its connections."""
        if self._session is not None:
            self._registry.end(self._session)

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def received(self, data: bytes) -> None:
        """Handle the messages that are whole."""
        self._buffer += data
        while not self._paused and len(self._buffer) >= _HEADER.size:
            prologue, kind, control, parameter, length = _HEADER.unpack_from(self._buffer)
            if prologue != _PROLOGUE:
                self._fail(_BAD_HEADER, "a HiSLIP message begins with HS")
                return
            if length > _LARGEST:
                self._fail(_BAD_HEADER, f"a message of {length} bytes; {_LARGEST} are taken")
                return
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
            self._handlers.get(kind, self._unexpected)(control, parameter, payload)

    def _unexpected(self, control: int, parameter: int, payload: bytes) -> None:
        if self._session is None:
            self._fail(_BAD_START, "Initialize or AsyncInitialize comes first")
        else:
            self.send(Kind.ERROR, _UNKNOWN_MESSAGE, 0, b"unrecognized message type")

    def send(self, kind: Kind, control: int = 0, parameter: int = 0, payload: bytes = b"") -> None:
        """Send one message."""
        if self._transport is not None:  # one that closes takes and forgets it
            self._transport.write(_HEADER.pack(_PROLOGUE, kind, control, parameter, len(payload)) + payload)

    def send_data(self, payload: bytes, message: int, largest: int) -> None:
        """Send an answer, in pieces that the client takes."""
        room = max(largest - _HEADER.size, 1)
        while len(payload) > room:
            self.send(Kind.DATA, 0, message, payload[:room])
            payload = payload[room:]
        self.send(Kind.DATA_END, 0, message, payload)

    def _fail(self, code: int, text: str) -> None:
        self.send(Kind.FATAL_ERROR, code, 0, text.encode("ascii"))
        self._paused = True  # what else it sends is not looked at
        if self._transport is not None:
            self._transport.close()

    # Beginning

    def _initialize(self, control: int, parameter: int, payload: bytes) -> None:
        name = payload.decode("ascii", errors="replace")
        if name.lower() != DEVICE:
            self._fail(_BAD_START, f"no device {name!r} here; there is {DEVICE}")
            return
        if self._claim() is None:
            self._begin()
        else:
            self._paused = True
            asyncio.get_running_loop().call_later(GRACE, self._claim_again)

    def _claim(self) -> str | None:
        peer = None if self._transport is None else self._transport.get_extra_info("peername")
        return self._line.claim(f"HiSLIP client {listener_name(peer)}")

    def _claim_again(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        other = self._claim()
        if other is not None:
            self._fail(_TOO_MANY, f"one client at a time; {other} is connected")
            return
        self._paused = False
        self._begin()
        self.received(b"")

    def _begin(self) -> None:
        self._session = self._registry.begin()
        self._session.synchronous = self
        self._handlers = {
            Kind.DATA: self._data,
            Kind.DATA_END: self._data_end,
            Kind.TRIGGER: self._trigger,
            Kind.DEVICE_CLEAR_COMPLETE: self._clear_complete,
        }
        self.send(Kind.INITIALIZE_RESPONSE, 0, _VERSION << 16 | self._session.number)

    def _async_initialize(self, control: int, parameter: int, payload: bytes) -> None:
        session = self._registry.session
        if session is None or session.number != parameter & 0xFFFF or session.asynchronous is not None:
            self._fail(_BAD_START, "no such session")
            return
        self._session = session
        session.asynchronous = self
        self._handlers = {
            Kind.ASYNC_SIZE: self._size,
            Kind.ASYNC_DEVICE_CLEAR: self._device_clear,
            Kind.ASYNC_STATUS_QUERY: self._status,
            Kind.ASYNC_LOCK: self._lock,
            Kind.ASYNC_LOCK_INFO: self._lock_info,
            Kind.ASYNC_REMOTE_LOCAL: self._remote_local,
        }
        self.send(Kind.ASYNC_INITIALIZE_RESPONSE, 0, _VENDOR)

    @property
    def _live(self) -> Session:
        assert self._session is not None
        return self._session

    # Synchronous connection

    def _data(self, control: int, parameter: int, payload: bytes) -> None:
        self._live.read_by_client(control)
        if not self._live.clearing:
            self._message += payload

    def _data_end(self, control: int, parameter: int, payload: bytes) -> None:
        session = self._live
        session.read_by_client(control)
        if session.clearing:
            return
        session.message = parameter
        data, self._message = self._message + payload, b""
        self._paused = not self._line.feed(data, end=True, then=self._answer)
        session.answer_status()

    def _answer(self) -> None:
        session = self._session
        if session is None:
            return
        engine = self._line.engine
        if engine.link_dropped:
            engine.link_dropped = False
            session.close()
            return
        if not session.clearing:
            session.push()
        if self._paused:
            self._paused = False
            self.received(b"")

    def _trigger(self, control: int, parameter: int, payload: bytes) -> None:
        self._live.read_by_client(control)
        self._live.message = parameter
        self._line.engine.trigger()
        self._live.push()
        self._live.answer_status()

    def _clear_complete(self, control: int, parameter: int, payload: bytes) -> None:
        session = self._live
        session.clearing, session.message = False, _NO_MESSAGE
        self._message = b""
        self.send(Kind.DEVICE_CLEAR_ACKNOWLEDGE)

    # Asynchronous connection

    def _size(self, control: int, parameter: int, payload: bytes) -> None:
        if len(payload) != 8:
            self.send(Kind.ERROR, _TOO_LARGE, 0, b"eight bytes of size are needed")
            return
        self._live.largest = int.from_bytes(payload, "big")
        self.send(Kind.ASYNC_SIZE_RESPONSE, 0, 0, _LARGEST.to_bytes(8, "big"))

    def _device_clear(self, control: int, parameter: int, payload: bytes) -> None:
        session = self._live
        session.clearing, session.pushed = True, False
        self._line.engine.device_clear()
        self.send(Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)

    def _status(self, control: int, parameter: int, payload: bytes) -> None:
        """Status poll; it may overtake a message on the other connection, so it waits for that one a little."""
        session = self._live
        session.read_by_client(control)
        session.queries.append(parameter)
        session.answer_status()
        if session.queries:
            asyncio.get_running_loop().call_later(_PATIENCE, lambda: session.answer_status(anyhow=True))

    def _lock(self, control: int, parameter: int, payload: bytes) -> None:
        """One client: its lock is always granted; a release of none is an error (3)."""
        session = self._live
        granted = 1 if control == 1 or session.locked else 3
        session.locked = control == 1
        self.send(Kind.ASYNC_LOCK_RESPONSE, granted)

    def _lock_info(self, control: int, parameter: int, payload: bytes) -> None:
        locked = int(self._live.locked)
        self.send(Kind.ASYNC_LOCK_INFO_RESPONSE, locked, locked)

    def _remote_local(self, control: int, parameter: int, payload: bytes) -> None:
        self.send(Kind.ASYNC_REMOTE_LOCAL_RESPONSE)
