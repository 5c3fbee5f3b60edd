"""FLEX over a plain TCP connection: `TCPIP::host::port::SOCKET`.

A stream has no end of message, no status poll and no device clear. What the instrument has to say is sent as soon as
it is there, so it counts as read: `NUB?` answers 0, and what has been sent cannot be taken back.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sim_backend.b1500a.link import GRACE, Front, Line, listener_name

REFUSAL: Final = "ERROR: the B1500A emulator serves one client at a time, and {} is connected\r\n"


class SocketFront(Front):
    """One connection.

    Args:
        line: to the engine.
    """

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self._transport: asyncio.Transport | None = None
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a client, or tell it who is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._claim() is not None:
            transport.pause_reading()
            asyncio.get_running_loop().call_later(GRACE, self._claim_again)

    def _claim(self) -> str | None:
        assert self._transport is not None
        other = self._line.claim(f"socket client {listener_name(self._transport.get_extra_info('peername'))}")
        self._admitted = other is None
        return other

    def _claim_again(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        other = self._claim()
        if other is None:
            transport.resume_reading()
            return
        transport.write(REFUSAL.format(other).encode("ascii"))
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for the next client."""
        if self._admitted:
            self._line.release()

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        transport = self._transport
        if not self._admitted or transport is None:
            return
        if not self._line.feed(data, end=False, then=self._answer):
            transport.pause_reading()

    def _answer(self) -> None:
        engine, transport = self._line.engine, self._transport
        if transport is None or transport.is_closing():
            return
        if engine.link_dropped:
            engine.link_dropped = False
            transport.abort()
            return
        answers = engine.take()
        if answers:
            transport.write(b"".join(answer.payload for answer in answers))
        transport.resume_reading()
