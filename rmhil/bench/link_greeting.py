"""HELLO: host and daemon agree on version and session, and prove to one another that they have the key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rmhil.bench import messages
from rmhil.bench.frames import PROTOCOL_VERSION, Envelope, Frame, FrameReader, encode
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardHeldError,
    BoardKeyError,
    BoardLinkError,
    BoardNotFoundError,
    BoardVersionError,
)
from rmhil.bench.link_port import Port
from rmhil.bench.messages import REPLY, HelloFlag, Kind, Reason, Refusal, Welcome
from rmhil.units import Seconds


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and with how much patience; the arguments of `Link`, and the nonce of its session."""

    url: str
    nonce: bytes
    key: bytes | None
    link_timeout: Seconds
    patience: Seconds
    attempts: int

    @property
    def session(self) -> int:
        """The session's number in every frame."""
        return int.from_bytes(self.nonce[:4], "little")


def greet(port: Port, reader: FrameReader, caller: Caller, resume: bool) -> Welcome:
    """Begin the caller's session, or take it up again.

    Raises:
        PortBroken: the line broke.
        BoardLinkError: nobody answers, or the daemon refuses; see `Link`.
    """
    flags = HelloFlag.RESUME if resume else HelloFlag(0)
    if caller.key is not None:
        flags |= HelloFlag.WANT_PROOF
    hello = Frame(Kind.HELLO, caller.session, 0, messages.hello(caller.nonce, flags, caller.link_timeout))
    answer = _exchange(port, reader, caller, hello)
    if answer.kind != Kind.CHALLENGE:
        if caller.key is not None:
            raise BoardKeyError(caller.url, "the daemon did not prove that it has the key")
        return _welcome(caller, answer)
    if caller.key is None:
        raise BoardKeyError(caller.url, "the daemon asks for a key, and none was given")
    challenge = bytes(answer.payload)
    proof = messages.host_proof(caller.key, caller.nonce, challenge)
    answer = _exchange(port, reader, caller, Frame(Kind.AUTH, caller.session, 0, proof))
    if not messages.board_has_key(caller.key, caller.nonce, challenge, bytes(answer.payload)):
        raise BoardKeyError(caller.url, "the daemon's proof of the key is wrong")
    return _welcome(caller, answer)


def _exchange(port: Port, reader: FrameReader, caller: Caller, request: Frame) -> Frame:
    """Send until an answer comes."""
    wanted = (request.kind | REPLY, Kind.CHALLENGE) if request.kind == Kind.HELLO else (request.kind | REPLY,)
    patience = caller.patience + port.transfer_time(256)
    for _ in range(caller.attempts):
        port.write(b"\0" + encode(request, Envelope.COBS))
        for frame in _frames(port, reader, time.monotonic() + patience):
            if frame.session == caller.session and frame.kind in wanted:
                return frame
            if frame.session == caller.session and frame.kind == Kind.NAK:
                _raise_refusal(caller, request, frame)
    raise BoardNotFoundError(
        caller.url,
        f"no answer to {Kind(request.kind).name}, sent {caller.attempts} times in {caller.attempts * patience:.3g} s",
    )


def _frames(port: Port, reader: FrameReader, until: Seconds) -> Iterator[Frame]:
    while time.monotonic() < until:
        yield from (frame for frame in reader.feed(port.read(reader.wanted)) if isinstance(frame, Frame))


def _raise_refusal(caller: Caller, request: Frame, frame: Frame) -> None:
    """Raise what a refusal of `request` means; return where it is of another request, or of a damaged one."""
    refusal = Refusal.unpack(bytes(frame.payload))
    if refusal is None or refusal.kind != request.kind:
        return
    errors: dict[int, BoardLinkError] = {
        Reason.BUSY: BoardHeldError(caller.url, refusal.value / 1000),
        Reason.DENIED: BoardKeyError(caller.url, "the daemon has no key, or another one"),
        Reason.BAD_VERSION: BoardVersionError(caller.url, PROTOCOL_VERSION, refusal.more),
        Reason.NO_SESSION: BoardDroppedError("HELLO", "the daemon does not know the session any more"),
    }
    raise errors.get(frame.code, BoardNotFoundError(caller.url, f"the daemon refuses HELLO: reason {frame.code}"))


def _welcome(caller: Caller, answer: Frame) -> Welcome:
    welcome = Welcome.unpack(bytes(answer.payload))
    if welcome is None or welcome.nonce != caller.nonce:
        raise BoardNotFoundError(caller.url, "the answer to HELLO is not one of this protocol")
    return welcome
