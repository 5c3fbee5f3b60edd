"""What the frames between host and board say: the numbers of firmware/c/wire.h, and the layout of each payload.

Like `rmhil.bench.frames`, this is bytes in and bytes out. `docs/reference/board-protocol.md` explains each message.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, TypeAlias

from rmhil.bench.board_map import COMMAND_WORDS, FIELDS, Opcode
from rmhil.bench.frames import COBS_PAYLOAD_MAX, PROTOCOL_VERSION
from rmhil.errors import OutOfRangeError
from rmhil.units import Seconds

NONCE_BYTES: Final = 16
PROOF_BYTES: Final = 32
KEY_BYTES_MIN: Final = 16
KEY_BYTES_MAX: Final = 256
"""bytes: a session's nonce, a proof of the shared key, and the key."""

LINK_TIMEOUT_MIN: Final[Seconds] = 0.05
LINK_TIMEOUT_MAX: Final[Seconds] = 60.0
"""s: range of the silence after which the daemon switches the outputs off."""

WAIT_MAX: Final[Seconds] = 10.0
"""s: the longest that one `Wait` may last."""

REPLY: Final = 0x80
"""Added to the number of a request by its answer."""


class Kind(IntEnum):
    """Numbers of the requests, and of the answers that are not `REPLY` plus the request's."""

    HELLO = 0x01
    AUTH = 0x02
    HEARTBEAT = 0x03
    ABORT = 0x04
    GOODBYE = 0x05
    TRANSACT = 0x10
    VECTORS = 0x11
    COMMANDS = 0x12
    CHALLENGE = 0xF0
    PENDING = 0xF1
    NAK = 0xFF


FIRST_SEQUENCED: Final = Kind.TRANSACT
"""Requests from this number on are numbered, and executed once at most."""


class Reason(IntEnum):
    """Why a request was refused, or failed."""

    BAD_FRAME = 1
    BAD_VERSION = 2
    BAD_TYPE = 3
    BAD_LENGTH = 4
    NO_SESSION = 5
    BUSY = 6
    DENIED = 7
    GAP = 8
    STALE = 9
    NO_CREDIT = 10
    INTERRUPTED = 11
    BAD_ADDRESS = 12
    BAD_ARGUMENT = 13
    TIMED_OUT = 14
    ABORTED = 15
    BOARD_FAULT = 16
    NOT_READY = 17


class HelloFlag(IntFlag):
    """What a host asks for at HELLO."""

    WANT_PROOF = 1
    RESUME = 2


class Capability(IntFlag):
    """What a daemon can do on this connection."""

    BULK = 1
    TRANSACT = 2
    VECTORS = 4
    COMMANDS = 8


_HELLO: Final = Struct(f"<IIII{NONCE_BYTES}s")
_WELCOME: Final = Struct(f"<IIIIIIIIIII{NONCE_BYTES}s")
_STEP: Final = Struct("<IIIII")
_COMMAND: Final = Struct(f"<{COMMAND_WORDS}I")
_REPORT: Final = Struct("<IIII")
_REFUSAL: Final = Struct("<IIIII")
_COUNTERS: Final = Struct("<IIIIII")
_INTERRUPTED: Final = 1
_READ, _WRITE, _WAIT = 1, 2, 3
_WORD: Final = 0xFFFF_FFFF
_TAG_MAX: Final = 0xFFFF

STEPS_MAX: Final = COBS_PAYLOAD_MAX // _STEP.size
"""1: steps of one TRANSACT."""

COMMANDS_MAX: Final = 63
"""1: commands of one COMMANDS; as many wait in the board's ring."""


def hello(nonce: bytes, flags: HelloFlag, link_timeout: Seconds) -> bytes:
    """The payload of HELLO."""
    milliseconds = round(link_timeout * 1000)
    return _HELLO.pack(PROTOCOL_VERSION, PROTOCOL_VERSION, flags, milliseconds, nonce)


def host_proof(key: bytes, nonce: bytes, challenge: bytes) -> bytes:
    """The payload of AUTH: that this host has the key (HMAC-SHA-256, RFC 2104)."""
    return hmac.digest(key, b"rmhil host".ljust(16, b"\0") + nonce + challenge, "sha256")


def board_has_key(key: bytes, nonce: bytes, challenge: bytes, payload: bytes) -> bool:
    """Whether the payload of a WELCOME proves that the daemon has the key."""
    told, proof = payload[: _WELCOME.size], payload[_WELCOME.size :]
    expected = hmac.digest(key, b"rmhil board".ljust(16, b"\0") + nonce + challenge + told, "sha256")
    return hmac.compare_digest(proof, expected)


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the daemon says of itself and of the board.

    Attributes:
        version: of the protocol.
        interrupted: the session goes on only to tell what became of its requests.
        capabilities: of this connection.
        payload_max: bytes of the largest payload.
        map_hash, board_hash: of the register map and of the board description that the board was built from.
        build: of the board's logic.
        vector_bytes, result_bytes: of one input vector and of its result.
        link_timeout: s of silence after which the outputs go off.
        expected: sequence of the next request.
        nonce: of the session.
    """

    version: int
    interrupted: bool
    capabilities: Capability
    payload_max: int
    map_hash: int
    board_hash: int
    build: int
    vector_bytes: int
    result_bytes: int
    link_timeout: Seconds
    expected: int
    nonce: bytes

    @staticmethod
    def unpack(payload: bytes) -> Welcome | None:
        """None where the payload has another length."""
        if len(payload) != _WELCOME.size + PROOF_BYTES:
            return None
        version, flags, can, *others, timeout_ms, expected, nonce = _WELCOME.unpack_from(payload)
        fields = [version, bool(flags & _INTERRUPTED), Capability(can), *others, timeout_ms / 1000, expected, nonce]
        return Welcome(*fields)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the daemon has counted since it started.

    Attributes:
        expected: sequence of the next request of this session.
        requests: taken for execution.
        bad_frames: dropped for a wrong checksum.
        repeats: requests that came again, and were answered from memory.
        gaps: requests that came before an earlier one.
        interruptions: sessions that ended in silence or with their connection.
    """

    expected: int
    requests: int
    bad_frames: int
    repeats: int
    gaps: int
    interruptions: int

    @staticmethod
    def unpack(payload: bytes) -> Counters | None:
        """None where the payload has another length."""
        return Counters(*_COUNTERS.unpack(payload)) if len(payload) == _COUNTERS.size else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The numbers of a negative answer.

    Attributes:
        kind: of the request.
        expected: sequence of the next request that the daemon takes.
        index: of the step, command or vector at which the request stopped.
        value: register STATUS, the register that was waited for, a length or a limit: that depends on the reason.
        more: register PULSES_TOTAL where commands or vectors stopped, otherwise a limit.
    """

    kind: int
    expected: int
    index: int
    value: int
    more: int

    @staticmethod
    def unpack(payload: bytes) -> Refusal | None:
        """None where the payload has another length."""
        return Refusal(*_REFUSAL.unpack(payload)) if len(payload) == _REFUSAL.size else None


def _check_word(name: str, value: int) -> None:
    if not 0 <= value <= _WORD:
        raise OutOfRangeError(name, value, 0, _WORD, "")


@dataclass(frozen=True, slots=True)
class Read:
    """Read the register at `offset` (bytes); its value is part of the answer."""

    offset: int

    def pack(self) -> bytes:
        """As it travels."""
        return _STEP.pack(_READ, self.offset, 0, 0, 0)

    def __post_init__(self) -> None:
        _check_word("offset", self.offset)

    def __str__(self) -> str:
        return f"read 0x{self.offset:04X}"


@dataclass(frozen=True, slots=True)
class Write:
    """Write `value` (32 bits) to the register at `offset` (bytes)."""

    offset: int
    value: int

    def __post_init__(self) -> None:
        _check_word("offset", self.offset)
        _check_word("value", self.value)

    def pack(self) -> bytes:
        """As it travels."""
        return _STEP.pack(_WRITE, self.offset, self.value, 0, 0)

    def __str__(self) -> str:
        return f"write 0x{self.offset:04X} = 0x{self.value:X}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until the bits `mask` of the register at `offset` equal `value`; the register is then part of the answer.

    Attributes:
        limit: s of the board's time, at most `WAIT_MAX`; after it the request ends as timed out.
    """

    offset: int
    value: int
    mask: int
    limit: Seconds

    def __post_init__(self) -> None:
        for name in ("offset", "value", "mask"):
            _check_word(name, getattr(self, name))
        if not 0 <= self.limit <= WAIT_MAX:
            raise OutOfRangeError("limit", self.limit, 0, WAIT_MAX, "s")

    def pack(self) -> bytes:
        """As it travels."""
        return _STEP.pack(_WAIT, self.offset, self.value, self.mask, round(self.limit * 1e6))

    def __str__(self) -> str:
        return f"wait for 0x{self.offset:04X} & 0x{self.mask:X} = 0x{self.value:X} within {self.limit:g} s"


Step: TypeAlias = Read | Write | Wait


@dataclass(frozen=True, slots=True)
class Command:
    """One command for the board's ring, as firmware/regmap describes it.

    Attributes:
        opcode: what to do; not MVM, whose vectors and banks the daemon handles.
        arguments: words 1 to 7 of the slot, 32 bits each; missing ones are zero.
        tag: shown in register LAST_TAG when the command is done.
    """

    opcode: Opcode
    arguments: tuple[int, ...] = ()
    tag: int = 0

    def __post_init__(self) -> None:
        if len(self.arguments) >= COMMAND_WORDS:
            raise OutOfRangeError("arguments of a command", len(self.arguments), 0, COMMAND_WORDS - 1, "words")
        if not 0 <= self.tag <= _TAG_MAX:
            raise OutOfRangeError("tag", self.tag, 0, _TAG_MAX, "")
        for argument in self.arguments:
            _check_word("argument of a command", argument)

    def pack(self) -> bytes:
        """As it travels."""
        words = (*self.arguments, *(0,) * (COMMAND_WORDS - 1 - len(self.arguments)))
        return _COMMAND.pack(self.opcode | self.tag << FIELDS["COMMAND.TAG"].low, *words)

    def __str__(self) -> str:
        return " ".join([self.opcode.name, *(f"0x{argument:X}" for argument in self.arguments)])


@dataclass(frozen=True, slots=True)
class Report:
    """What the board says when the commands of one request are done.

    Attributes:
        status: register STATUS.
        pulses, vectors: registers PULSES_TOTAL and VECTORS_TOTAL.
        tag: of the command that finished last.
    """

    status: int
    pulses: int
    vectors: int
    tag: int

    @staticmethod
    def unpack(payload: bytes) -> Report | None:
        """None where the payload has another length."""
        return Report(*_REPORT.unpack(payload)) if len(payload) == _REPORT.size else None


def transact(steps: Sequence[Step]) -> bytes:
    """The payload of TRANSACT.

    Raises:
        OutOfRangeError: there are no steps, or more than `STEPS_MAX`; nothing was sent.
    """
    if not 1 <= len(steps) <= STEPS_MAX:
        raise OutOfRangeError("steps of one transaction", len(steps), 1, STEPS_MAX, "steps")
    return b"".join(step.pack() for step in steps)


def commands(wanted: Sequence[Command]) -> bytes:
    """The payload of COMMANDS.

    Raises:
        OutOfRangeError: there are no commands, or more than `COMMANDS_MAX`; nothing was sent.
    """
    if not 1 <= len(wanted) <= COMMANDS_MAX:
        raise OutOfRangeError("commands of one request", len(wanted), 1, COMMANDS_MAX, "commands")
    return b"".join(command.pack() for command in wanted)
