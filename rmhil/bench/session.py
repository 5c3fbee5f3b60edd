"""Messages and answers over one link: what was sent, what came back, and in what time.

The instrument keeps answers to queries and measured data in two stores, and nobody knows which of them it
hands out first. So a session never has something in both: data are read to the last one before a query is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from loguru import logger

from rmhil.bench.errors import DataError, LinkDroppedError, SilenceError
from rmhil.bench.flex.data import Data, byte_count, decode, decode_whole
from rmhil.bench.flex.datum import Datum
from rmhil.bench.flex.facts import MESSAGE_LENGTH_MAX
from rmhil.bench.wire import TERMINATOR, Wire, WireBroken, WireSilence
from rmhil.units import Seconds

DATA_FORMAT: Final = 15
"""Of every measurement: status, channel and type before each datum, a comma after it, and no end of a message in
between, so that the data of several measurements are read at once, by their count."""

ANSWER_WAIT: Final[Seconds] = 5.0
"""s (estimate; a set or a query of comparable instruments takes 2 to 85 ms over GPIB)."""

_ENDS: Final = b"\r\n"
"""Characters that data never begin with: what an instrument may put after the last datum of a message although the
guide of its family (Keysight E5260/E5270, edition 4, page 4-60) says that it does not in this format."""

_SLICE: Final[Seconds] = 1.0
"""s after which a long wait looks whether the link stands, and whether Ctrl-C came: a vendor's library hears it only
between two calls."""


class Session:
    """One link, the last message sent over it, and counts of what went over it.

    Args:
        opener: opens the link; used again where the link broke and the outputs must be switched off.
        name: of the resource.
        seen: lists what else could be opened, for the message that says that this could not.
        patience: s for an answer to a query, and beyond twice the expected time of a measurement.
    """

    def __init__(
        self,
        opener: Callable[[], Wire],
        name: str,
        seen: Callable[[], Sequence[str]] = list,
        patience: Seconds = ANSWER_WAIT,
    ) -> None:
        self._opener = opener
        self.seen = seen
        self.patience = patience
        self.name = name
        self.sent = ""
        self.writes = 0
        self.reads = 0
        self.storing = False
        """Whether commands go into the program memory instead of being carried out."""
        self._settled = True
        self._wire = opener()
        self.locked = getattr(self._wire, "locked", False)
        """Whether VISA keeps others from the resource."""

    def send(self, *commands: str) -> None:
        """Send commands as one message.

        Raises:
            LinkDroppedError: the link is gone.
        """
        self._ready()
        self._write(";".join(commands))

    def ask(self, query: str, expected: Seconds = 0.0) -> str:
        """Send a query and read its answer, without its end.

        Args:
            query: one command.
            expected: s that the instrument takes.

        Raises:
            SilenceError: no answer in time.
            LinkDroppedError: the link is gone.
        """
        self._ready()
        self._settled = False  # before a byte is sent: Ctrl-C may come at any point from there
        self._write(query)
        answer = self._read_line(self.patience + expected)
        self._settled = True
        logger.debug("{} <- {}", self.name, answer)
        return answer

    def measure(self, message: str, count: int, expected: Seconds) -> list[Datum]:
        """Send one message and read the data that it makes, by their count.

        Args:
            message: commands that make the data.
            count: of the data.
            expected: s that the instrument takes.

        Raises:
            SilenceError, DataError: fewer came, or no data; what did come is in the error.
            LinkDroppedError: the link is gone.
        """
        self._ready()
        self._settled = False
        self._write(message)
        found = self._collect(byte_count(DATA_FORMAT, count), self.patience + 2.0 * expected)
        data = self._decoded(found)
        self._settled = True
        return data

    def recover(self) -> None:
        """End whatever is under way and throw away what was not read, so that the next answer is to the next query.

        Raises:
            LinkDroppedError: the link is gone.
        """
        with self._link():
            self._wire.clear()
        for command in ("END", "AB", "BC") if self.storing else ("AB", "BC"):
            self._write(command)
        self.storing = False
        self.drain()

    def clear(self) -> None:
        """Throw away what is on the way in either direction, without a command to the instrument.

        Raises:
            LinkDroppedError: the link is gone.
        """
        with self._link():
            self._wire.clear()
        self.drain()

    def drain(self) -> None:
        """Read away what is on the way from the instrument.

        Raises:
            LinkDroppedError: the link is gone.
        """
        with self._link():
            self._wire.drain()
        self._settled = True

    def reopen(self) -> None:
        """Replace the link by a new one."""
        self._wire.close()
        self._wire = self._opener()
        self._settled = False

    def close(self) -> None:
        """Let go of the link. Idempotent."""
        self._wire.close()

    def _ready(self) -> None:
        """Nothing of an exchange that was broken off is on the way any more."""
        if not self._settled:
            self.recover()

    def _write(self, message: str) -> None:
        if len(message) + len(TERMINATOR) > MESSAGE_LENGTH_MAX:
            raise ValueError(f"message of {len(message)} characters, the instrument takes {MESSAGE_LENGTH_MAX - 2}")
        self.sent = message
        self.writes += 1
        logger.debug("{} -> {}", self.name, message)
        with self._link():
            self._wire.write(message.encode("ascii") + TERMINATOR)

    @contextmanager
    def _link(self, got: bytes = b"") -> Iterator[None]:
        """Whatever breaks inside is told with the last message, and with the data that had come."""
        try:
            yield
        except WireBroken as error:
            raise LinkDroppedError(self.sent or "a device clear", str(error), self._whole(got)) from error

    def _read_line(self, wait: Seconds) -> str:
        """One answer: in one read, but in slices where the wait is long."""
        self.reads += 1
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0.0:
            try:
                with self._link():
                    line = self._wire.read_line(left if wait <= self.patience else min(left, _SLICE))
            except WireSilence:
                with self._link():
                    self._wire.probe()
            else:
                answer = line.decode("ascii", errors="replace").strip()
                if answer:  # otherwise it is the end of data that were read by their count
                    return answer
        raise SilenceError(self.sent, wait)

    def _collect(self, count: int, wait: Seconds) -> bytes:
        """So many bytes: in one read, but for the first one where the wait is long."""
        found, deadline = bytearray(), time.monotonic() + wait
        while len(found) < count:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise SilenceError(self.sent, wait, bytes(found), self._whole(bytes(found)))
            first = not found and wait > self.patience + _SLICE
            found += self._read(1 if first else count - len(found), min(left, _SLICE) if first else left, bytes(found))
            found = found.lstrip(_ENDS)
        return bytes(found)

    def _read(self, count: int, wait: Seconds, before: bytes) -> bytes:
        self.reads += 1
        try:
            with self._link(before):
                part = self._wire.read(count, wait)
        except WireSilence:
            with self._link(before):
                self._wire.probe()
            return b""
        if not part:
            raise DataError(f"the answer to {self.sent!r} ended early", before, self._whole(before))
        return part

    def _decoded(self, message: bytes) -> list[Datum]:
        try:
            return decode(message, DATA_FORMAT)
        except DataError as error:
            error.data = self._whole(message)
            raise

    @staticmethod
    def _whole(message: bytes) -> Data | None:
        items = decode_whole(message, DATA_FORMAT)
        return Data.of(items) if items else None
