"""What both front ends share: one engine, one client at a time, and the pace of the real instrument if it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from loguru import logger

from rmhil.errors import ConfigError
from rmhil.units import Seconds
from sim_backend.b1500a.engine import Engine

GRACE: Final[Seconds] = 0.02
"""s that a new client waits for the one before it: its farewell may be handled after the other's greeting."""


_SPACE: Final = 1 << 16
"""Bytes that are read at once."""


class Front(asyncio.BufferedProtocol):
    """A connection that reads into a buffer of its own: `asyncio.Protocol` has 256 kB allocated for every message."""

    def __init__(self) -> None:
        self._space = bytearray(_SPACE)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where bytes from the client are put."""
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """So many of them are there."""
        self.received(bytes(memoryview(self._space)[:nbytes]))

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        raise NotImplementedError


class Line:
    """The engine, and the client that has it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._client: str | None = None

    @property
    def client(self) -> str | None:
        """Who is connected."""
        return self._client

    def claim(self, name: str) -> str | None:
        """Connect a client; the answer is who is there already, or None."""
        if self._client is not None:
            return self._client
        self._client = name
        logger.info("B1500A emulator: {} is connected", name)
        return None

    def release(self) -> None:
        """The client has gone."""
        if self._client is not None:
            logger.info("B1500A emulator: {} has gone", self._client)
        self._client = None
        self.engine.disconnected()

    def feed(self, data: bytes, *, end: bool, then: Callable[[], None]) -> bool:
        """Let the engine work, and call back when its answers are due.

        Args:
            data: from the client.
            end: whether they end a message.
            then: called at once, or after as much time as the real instrument would have taken.

        Returns:
            Whether `then` has been called already.
        """
        instrument = self.engine.instrument
        factor = instrument.timing.real_time_factor
        before = instrument.clock
        self.engine.feed(data, end=end)
        if factor == 0.0:
            then()
            return True
        asyncio.get_running_loop().call_later(factor * (instrument.clock - before), then)
        return False


def listener_name(peer: object) -> str:
    """A client as messages name it."""
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)


def port_error(name: str, host: str, port: int, error: OSError) -> ConfigError:
    """What to tell when a port cannot be listened on."""
    return ConfigError(f"{name}: cannot listen on {host}:{port}: {error.strerror or error}; choose another port")
