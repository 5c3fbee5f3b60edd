"""The link to a board's daemon: requests that are executed once at most, however often they travel.

    with Link("socket://192.168.2.99:4711", key=key) as link:
        link.transact([Write(REGISTERS["CONTROL"], ...), Wait(REGISTERS["STATUS"], ...)])
        report = link.run_commands([Command(Opcode.ROUTE_CELL, ...), Command(Opcode.PULSE, ...)])
        results = link.run_vectors(codes)

While a link is open a thread of its own sends heartbeats. Where they stop, the daemon switches the outputs off.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from rmhil.bench import messages
from rmhil.bench.frames import Damaged, Envelope, FrameReader, encode
from rmhil.bench.link_errors import BoardDroppedError, BoardLinkClosedError, BoardLinkError, BoardNotFoundError
from rmhil.bench.link_greeting import Caller, greet
from rmhil.bench.link_pending import PendingReport, PendingVectors
from rmhil.bench.link_port import Port, PortBroken
from rmhil.bench.link_window import Request, Window
from rmhil.bench.messages import Capability, Command, Counters, Kind, Report, Step, Welcome
from rmhil.errors import OutOfRangeError, ShapeError
from rmhil.units import Seconds

PATIENCE: Final[Seconds] = 0.5
"""s without an answer until a request is sent again; far beyond the round trip of a local network."""

ATTEMPTS: Final = 6
"""1: times that a request is sent before the link counts as silent."""

LINK_TIMEOUT: Final[Seconds] = 1.0
"""s of silence after which the daemon switches the outputs off."""

BAUD: Final = 115_200
"""1/s: rate of the ZC706's USB serial port as its Linux sets it up."""

_BEATS: Final = 4
"""1: heartbeats within the link timeout; three may be lost."""

_TURN_MAX: Final[Seconds] = 0.02
"""s: longest time in which the link does not look whether there is something to send."""

_WINDOW: Final = 8
"""1: requests that the daemon keeps answers for; with their bytes the line is busy while an answer is waited for."""


class Link:
    """A session with a board's daemon. Safe to use from several threads.

    Args:
        url: what pyserial's `serial_for_url` takes: a device, a pseudo-terminal, or `socket://host:port`.
        key: shared with the daemon; needed where it runs on another machine. Its daemon must prove that it has it.
        baud: of a device.
        link_timeout: s of silence after which the daemon switches the outputs off.
        patience: s without progress until a request is sent again.
        attempts: times that it is sent.

    Attributes:
        welcome: what the daemon says of itself and of the board.

    Raises:
        BoardNotFoundError: nothing answers there as a board's daemon does.
        BoardHeldError: another connection holds the board.
        BoardKeyError: the key is missing, wrong, or not the daemon's.
        BoardVersionError: host and daemon have no protocol version in common.
        OutOfRangeError: a setting is out of range; nothing was sent.
    """

    def __init__(
        self,
        url: str,
        *,
        key: bytes | None = None,
        baud: int = BAUD,
        link_timeout: Seconds = LINK_TIMEOUT,
        patience: Seconds = PATIENCE,
        attempts: int = ATTEMPTS,
    ) -> None:
        _check_settings(key, link_timeout, patience, attempts)
        self._url, self._baud, self._turn = url, baud, min(_TURN_MAX, patience / 2)
        self._patience, self._beat = patience, link_timeout / _BEATS
        self._caller = Caller(url, secrets.token_bytes(messages.NONCE_BYTES), key, link_timeout, patience, attempts)
        self._lock, self._door = threading.Lock(), threading.Lock()
        self._closing = threading.Event()
        self._reader = FrameReader()
        self._window = Window(self._caller.session, self._allowance, attempts)
        self._port, self.welcome = self._connect()
        self._envelope = Envelope.BULK if Capability.BULK in self.welcome.capabilities else Envelope.COBS
        self._last_sent = time.monotonic()
        self._heart = threading.Thread(target=self._keep_alive, name="board-heartbeat", daemon=True)
        self._heart.start()
        logger.info("board {} on {}, session {:08x}", _identity(self.welcome), url, self._caller.session)

    def transact(self, steps: Sequence[Step]) -> list[int]:
        """Read, write and wait for registers, in order and with nothing between; the values read and waited for.

        Raises:
            RequestRefusedError: a register is not the host's to read or write; nothing was done.
            RequestTimedOutError: a `Wait` came to its limit; the steps before it were done.
            BoardLinkError: any other reason.
        """
        answer = self._ask(Request(Kind.TRANSACT, messages.transact(steps), steps))
        return [int(word) for word in np.frombuffer(answer, dtype="<u4")]

    def run_commands(self, commands: Sequence[Command]) -> Report:
        """Run commands on the board, in order, and wait until they are done.

        Raises:
            RequestRefusedError: a command is not the host's to give, or the board takes none now; nothing was done.
            BoardFaultError: the board stopped at a command; `refusal.index` says at which.
            BoardLinkError: any other reason.
        """
        return self.submit_commands(commands).result()

    def submit_commands(self, commands: Sequence[Command]) -> PendingReport:
        """Send commands and return. What is submitted afterwards runs behind them, and not at all where they fail."""
        requests = [Request(Kind.COMMANDS, messages.commands(commands), commands)]
        self._submit(requests)
        return PendingReport(self, requests)

    def run_vectors(self, vectors: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Multiply vectors on the route that was chosen before.

        Args:
            vectors: words as the board takes them, shape (vectors, words of a vector).

        Returns:
            Words as the board gives them, shape (vectors, words of a result).
        """
        return self.submit_vectors(vectors).result()

    def submit_vectors(self, vectors: NDArray[np.uint16]) -> PendingVectors:
        """Send vectors and return; one batch may be prepared while another is under way.

        Raises:
            ShapeError: these are not vectors of this board; nothing was sent.
        """
        words, result_words = self.welcome.vector_bytes // 2, self.welcome.result_bytes // 2
        if vectors.dtype != np.uint16 or vectors.ndim != 2 or vectors.shape[1] != words or not len(vectors):
            raise ShapeError(f"vectors of {vectors.dtype}", vectors.shape, f"uint16 of shape (vectors, {words})")
        data = np.ascontiguousarray(vectors, dtype="<u2").data.cast("B")
        step = self._vectors_in_a_frame() * self.welcome.vector_bytes
        parts = [data[start : start + step] for start in range(0, len(data), step)]
        requests = [Request(Kind.VECTORS, part, (f"{len(part) // (2 * words)} vectors",)) for part in parts]
        self._submit(requests)
        return PendingVectors(self, requests, (len(vectors), result_words))

    def abort(self) -> int:
        """Stop what the board does and what waits there, outputs off; the number of requests that were stopped.

        May be called while another thread waits for an answer; that one gets a `RequestAbortedError`.
        """
        return int.from_bytes(self._ask(Request(Kind.ABORT)), "little")

    def counters(self) -> Counters:
        """What the daemon has counted."""
        counters = Counters.unpack(self._ask(Request(Kind.HEARTBEAT)))
        if counters is None:
            raise BoardDroppedError("HEARTBEAT", "the answer has another length than the counters")
        return counters

    def wait(self, requests: Sequence[Request], stop: Callable[[], bool]) -> bool:
        """Wait until all of them have come to an end, or until `stop` holds; whether they have."""
        self._until(lambda: all(request.done for request in requests) or stop())
        return all(request.done for request in requests)

    def settle(self, requests: Sequence[Request]) -> None:
        """Wait until all of them have come to an end.

        Raises:
            BoardLinkError: of the first that failed.
        """
        self.wait(requests, lambda: False)
        for request in requests:
            if request.error is not None:
                raise request.error

    def close(self) -> None:
        """End the session: outputs off, the board free for others. Again is allowed."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._heart.join()
        try:
            if self._window.failure is None:
                self._ask(Request(Kind.GOODBYE))
        except BoardLinkError as error:
            logger.warning("no answer to the end of the session; the daemon ends it itself: {}", error)
        finally:
            self._window.fail(lambda request: BoardLinkClosedError(f"{request.sent}: the link is closed"))
            self._port.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _vectors_in_a_frame(self) -> int:
        """As many as fit, and on a slow line so few that a frame takes no longer than a heartbeat may."""
        size = max(self.welcome.vector_bytes, self.welcome.result_bytes)
        on_line = self._port.transfer_time(size)
        quick = int(self._beat / on_line) if on_line else self.welcome.payload_max
        return max(1, min(self.welcome.payload_max // size, quick))

    def _allowance(self, under_way: int) -> Seconds:
        """S that an answer may take: patience, and what the bytes there and back need on a slow line."""
        largest = self.welcome.payload_max * _WINDOW
        return self._patience + self._port.transfer_time(under_way + min(under_way, largest))

    def _connect(self, resume: bool = False) -> tuple[Port, Welcome]:
        try:
            port = Port(self._url, self._baud, self._turn)
        except PortBroken as broken:
            raise BoardNotFoundError(self._url, str(broken)) from broken
        try:
            return port, greet(port, self._reader, self._caller, resume)
        except PortBroken as broken:
            port.close()
            raise BoardNotFoundError(self._url, str(broken)) from broken
        except BaseException:
            port.close()
            raise

    def _submit(self, requests: Sequence[Request]) -> None:
        with self._door, self._lock:
            if self._window.failure is not None:
                raise BoardLinkClosedError(f"nothing was sent: {self._window.failure}") from self._window.failure
            for request in requests:
                self._window.submit(request)
            self._pump(self._send_due)

    def _ask(self, request: Request) -> bytes:
        self._submit([request])
        self.settle([request])
        return request.answer or b""

    def _until(self, done: Callable[[], bool]) -> None:
        """Send and receive until `done`; whichever thread has the lock works for all."""
        while not done():
            with self._door:
                pass  # whoever wants to submit something waits there, and comes first
            if self._lock.acquire(timeout=self._turn):
                try:
                    if not done():
                        self._pump(self._send_due, self._receive)
                finally:
                    self._lock.release()

    def _pump(self, *turns: Callable[[], None]) -> None:
        """Send or receive; a line that breaks meanwhile is taken up again."""
        try:
            for turn in turns:
                turn()
        except PortBroken as broken:
            self._take_up_again(str(broken))

    def _send_due(self) -> None:
        now = time.monotonic()
        if self._window.busy and now - self._last_sent > self._beat:
            self._window.submit(Request(Kind.HEARTBEAT))
            self._last_sent = now
        for frame in self._window.frames_to_send(now):
            data = encode(frame, self._envelope)
            # On a line, a delimiter before the frame ends whatever noise or truncated frame came before it.
            self._port.write(data if self._envelope is Envelope.BULK else b"\0" + data)
            self._last_sent = now

    def _receive(self) -> None:
        if not self._window.busy:
            return
        for received in self._reader.feed(self._port.read(self._reader.wanted)):
            if not isinstance(received, Damaged):
                self._window.take(received, time.monotonic())
            elif received.lost:
                raise PortBroken("damaged length in what was received")

    def _take_up_again(self, reason: str) -> None:
        """The line broke: learn on a new one what became of the requests. The daemon executes no new ones there."""
        self._port.close()
        self._reader = FrameReader()
        logger.warning("the link to {} broke ({}); taking the session up again", self._url, reason)
        try:
            self._port, welcome = self._connect_again()
        except BoardLinkError as error:
            why = f"{reason}; {error}"
            self._window.fail(lambda request: BoardDroppedError(request.sent, why))
            return
        self._window.interrupted = self._window.interrupted or welcome.interrupted
        self._window.send_again()

    def _connect_again(self) -> tuple[Port, Welcome]:
        """A device may need a moment until it is there again."""
        until = time.monotonic() + self._caller.attempts * self._patience
        while True:
            try:
                return self._connect(resume=True)
            except BoardNotFoundError:
                if time.monotonic() > until:
                    raise
                time.sleep(self._turn)

    def _keep_alive(self) -> None:
        while not self._closing.wait(self._beat / 2):
            if self._window.failure is not None:
                return
            if time.monotonic() - self._last_sent < self._beat or self._window.interrupted:
                continue
            try:
                self._ask(Request(Kind.HEARTBEAT))
            except BoardLinkError as error:
                logger.warning("heartbeat: {}", error)


def _identity(welcome: Welcome) -> str:
    return f"map {welcome.map_hash:08x}, description {welcome.board_hash:08x}, build {welcome.build:08x}"


def _check_settings(key: bytes | None, link_timeout: Seconds, patience: Seconds, attempts: int) -> None:
    low, high = messages.LINK_TIMEOUT_MIN, messages.LINK_TIMEOUT_MAX
    if not low <= link_timeout <= high:
        raise OutOfRangeError("link_timeout", link_timeout, low, high, "s")
    if not 0 < patience < math.inf:
        raise OutOfRangeError("patience", patience, 0, math.inf, "s", above=True)
    if attempts < 1:
        raise OutOfRangeError("attempts", attempts, 1, math.inf, "")
    if key is not None and not messages.KEY_BYTES_MIN <= len(key) <= messages.KEY_BYTES_MAX:
        raise OutOfRangeError("key", len(key), messages.KEY_BYTES_MIN, messages.KEY_BYTES_MAX, "bytes")
