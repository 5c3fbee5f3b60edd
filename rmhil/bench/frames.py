"""Frames between host and board, as bytes: no input or output here.

A frame is a header, a checksum of it, the payload, and a checksum that goes on over the payload. It travels in one of
two envelopes: COBS (Cheshire and Baker, IEEE/ACM Trans. Networking 7(2), 1999), which finds the next frame after any
damage, or length-prefixed, which costs the same for any data. `docs/reference/board-protocol.md` is the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct
from typing import Final, TypeAlias
from zlib import crc32

PROTOCOL_VERSION: Final = 1
"""1: the only version this module speaks."""

COBS_PAYLOAD_MAX: Final = 4064
BULK_PAYLOAD_MAX: Final = 65536
"""bytes: largest payload in each envelope."""

BULK_LEAD: Final = 0xB1
"""First byte of a length-prefixed frame; no COBS frame begins with it, for the top byte of a length is zero."""

_HEADER: Final = Struct("<BBBBIII")
_CRC: Final = Struct("<I")
PREFIX_BYTES: Final = _HEADER.size + _CRC.size
"""bytes: a header and its checksum."""

COBS_FRAME_MAX: Final = PREFIX_BYTES + COBS_PAYLOAD_MAX + _CRC.size
_COBS_WIRE_MAX: Final = COBS_FRAME_MAX + COBS_FRAME_MAX // 254 + 1
_WIRE_MIN: Final = PREFIX_BYTES + 1
"""bytes: no frame is shorter as it travels."""

_BLOCK: Final = 254
"""bytes: a COBS block without a zero."""


class Envelope(Enum):
    """How a frame travels."""

    COBS = auto()
    BULK = auto()


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        kind: number of the message.
        session: first four bytes of the session's nonce.
        sequence: number of the request.
        payload: at most `COBS_PAYLOAD_MAX` or `BULK_PAYLOAD_MAX` bytes; `bytes` where it was received.
        code: of an answer: zero, or why the request was refused.
        credits: of an answer: requests that may be unanswered.
        version: of the protocol.
    """

    kind: int
    session: int
    sequence: int
    payload: bytes | memoryview = b""
    code: int = 0
    credits: int = 0
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Damaged:
    """A frame that was dropped.

    Attributes:
        lost: where the next one begins is unknown; the connection is of no more use.
    """

    lost: bool = False


Received: TypeAlias = Frame | Damaged


def encode(frame: Frame, envelope: Envelope) -> bytes:
    """The bytes that travel.

    Raises:
        ValueError: the payload is too large for the envelope; the callers split what they send.
    """
    largest = COBS_PAYLOAD_MAX if envelope is Envelope.COBS else BULK_PAYLOAD_MAX
    if len(frame.payload) > largest:
        raise ValueError(f"payload of {len(frame.payload)} bytes, at most {largest} in this envelope")
    header = _HEADER.pack(
        frame.version, frame.kind, frame.code, frame.credits, frame.session, frame.sequence, len(frame.payload)
    )
    crc = crc32(header)
    parts: list[bytes | memoryview] = [header, _CRC.pack(crc)]
    if frame.payload:
        parts += [frame.payload, _CRC.pack(crc32(frame.payload, crc))]
    if envelope is Envelope.BULK:
        return b"".join((bytes([BULK_LEAD]), *parts))
    return stuff(b"".join(parts)) + b"\0"


def stuff(data: bytes) -> bytes:
    """COBS: the same data without a zero byte, one byte longer and one more for each 254 bytes without a zero."""
    out = bytearray()
    for run in data.split(b"\0"):
        whole = len(run) - len(run) % _BLOCK
        for start in range(0, whole, _BLOCK):
            out.append(_BLOCK + 1)
            out += run[start : start + _BLOCK]
        out.append(len(run) - whole + 1)
        out += run[whole:]
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """The data that `stuff` made this of; None where it did not."""
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or len(block) != code - 1:
            return None
        out += block
        at += code
        if code != _BLOCK + 1 and at < len(data):
            out.append(0)
    return bytes(out)


def _parse_prefix(prefix: bytes | bytearray) -> tuple[Frame, int] | None:
    """A frame without its payload, and the payload's length; None where the checksum does not fit."""
    if crc32(prefix[: _HEADER.size]) != _CRC.unpack_from(prefix, _HEADER.size)[0]:
        return None
    version, kind, code, credits, session, sequence, length = _HEADER.unpack_from(prefix)
    return Frame(kind, session, sequence, b"", code, credits, version), length


def _with_payload(bare: Frame, data: bytes | bytearray, length: int) -> Received:
    """`bare` with the payload that follows the prefix in `data`."""
    if length == 0:
        return bare
    view = memoryview(data)
    payload = view[PREFIX_BYTES : PREFIX_BYTES + length]
    start = _CRC.unpack_from(data, _HEADER.size)[0]
    if crc32(payload, start) != _CRC.unpack_from(data, PREFIX_BYTES + length)[0]:
        return Damaged()
    return Frame(bare.kind, bare.session, bare.sequence, bytes(payload), bare.code, bare.credits, bare.version)


def _tail(length: int) -> int:
    return length + _CRC.size if length else 0


class FrameReader:
    """Finds the frames in what is received, however it is cut.

    After the first length-prefixed frame no COBS frame may come: another first byte means that the place is lost.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._bulk = self._bulk_only = False
        self._bare: tuple[Frame, int] | None = None

    @property
    def wanted(self) -> int:
        """Bytes that are surely still to come of the frame at hand, or of the next one."""
        if not self._bulk:
            return max(_WIRE_MIN - len(self._buffer), 1)
        whole = PREFIX_BYTES + (_tail(self._bare[1]) if self._bare else 0)
        return max(whole - len(self._buffer), 1)

    def feed(self, data: bytes) -> list[Received]:
        """The frames that end in `data`. After a `Damaged` that is `lost`, nothing more is read of it."""
        found: list[Received] = []
        while data:
            if not self._bulk and not self._buffer:
                if self._bulk_only and data[0] != BULK_LEAD:
                    return [*found, Damaged(lost=True)]
                data = data.lstrip(b"\0")
                if data[:1] == bytes([BULK_LEAD]):
                    self._bulk, data = True, data[1:]
            received, data = self._feed_bulk(data) if self._bulk else self._feed_cobs(data)
            if received is not None:
                found.append(received)
                self._restart()
            if isinstance(received, Damaged) and received.lost:
                break
        return found

    def _restart(self) -> None:
        self._buffer.clear()
        self._bulk, self._bare = False, None

    def _feed_cobs(self, data: bytes) -> tuple[Received | None, bytes]:
        part, delimiter, rest = data.partition(b"\0")
        # One byte more than the longest is kept: it tells a frame that is too long from one that fits.
        self._buffer += part[: _COBS_WIRE_MAX + 1 - len(self._buffer)]
        return (self._end_cobs() if delimiter else None), rest

    def _end_cobs(self) -> Received:
        data = unstuff(bytes(self._buffer)) if len(self._buffer) <= _COBS_WIRE_MAX else None
        parsed = _parse_prefix(data) if data is not None and len(data) >= PREFIX_BYTES else None
        if data is None or parsed is None or len(data) != PREFIX_BYTES + _tail(parsed[1]):
            return Damaged()
        return _with_payload(parsed[0], data, parsed[1])

    def _feed_bulk(self, data: bytes) -> tuple[Received | None, bytes]:
        if self._bare is None:
            data = self._take(data, PREFIX_BYTES)
            if len(self._buffer) < PREFIX_BYTES:
                return None, data
            self._bare = _parse_prefix(self._buffer)
            if self._bare is None or self._bare[1] > BULK_PAYLOAD_MAX:
                return Damaged(lost=True), data
        bare, length = self._bare
        data = self._take(data, PREFIX_BYTES + _tail(length))
        if len(self._buffer) < PREFIX_BYTES + _tail(length):
            return None, data
        self._bulk_only = True
        return _with_payload(bare, bytes(self._buffer), length), data

    def _take(self, data: bytes, whole: int) -> bytes:
        """Move bytes into the buffer until it holds `whole`; the rest."""
        missing = whole - len(self._buffer)
        self._buffer += data[:missing]
        return data[missing:]
