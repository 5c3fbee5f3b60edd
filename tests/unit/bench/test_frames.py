from __future__ import annotations

import re
import zlib

import pytest

from rmhil.bench import frames, messages
from rmhil.bench.frames import (
    BULK_LEAD,
    BULK_PAYLOAD_MAX,
    COBS_PAYLOAD_MAX,
    Damaged,
    Envelope,
    Frame,
    FrameReader,
    encode,
    stuff,
    unstuff,
)
from rmhil.bench.messages import Capability, Command, HelloFlag, Kind, Read, Reason, Refusal, Wait, Welcome, Write
from rmhil.errors import OutOfRangeError
from tests.daemons import FIRMWARE

FRAME = Frame(Kind.TRANSACT, session=0x01020304, sequence=7, payload=b"\0\1\0\0\2\3")


@pytest.mark.parametrize(
    ("data", "stuffed"),
    [
        (b"", b"\1"),
        (b"\0", b"\1\1"),
        (b"\0\0", b"\1\1\1"),
        (b"\x11\x22\0\x33", b"\3\x11\x22\2\x33"),
        (b"\x11\0\0\0", b"\2\x11\1\1\1"),
        (bytes(range(1, 255)), b"\xff" + bytes(range(1, 255)) + b"\1"),
        (bytes(range(1, 256)), b"\xff" + bytes(range(1, 255)) + b"\2\xff"),
    ],
)
def test_cobs_gives_the_examples_of_its_authors(data: bytes, stuffed: bytes) -> None:
    assert stuff(data) == stuffed
    assert unstuff(stuffed) == data


@pytest.mark.parametrize("broken", [b"\5\1\2", b"\0", b"\2\1\0", b"\xff\1"])
def test_cobs_that_ends_too_early_is_noticed(broken: bytes) -> None:
    assert unstuff(broken) is None


def test_a_length_prefixed_frame_is_header_checksum_payload_checksum() -> None:
    header = bytes([1, Kind.TRANSACT, 0, 0]) + b"\4\3\2\1" + b"\7\0\0\0" + b"\6\0\0\0"
    first = zlib.crc32(header)
    second = zlib.crc32(FRAME.payload, first)
    expected = header + first.to_bytes(4, "little") + FRAME.payload + second.to_bytes(4, "little")
    assert encode(FRAME, Envelope.BULK) == bytes([BULK_LEAD]) + expected
    assert encode(FRAME, Envelope.COBS) == stuff(expected) + b"\0"


@pytest.mark.parametrize("envelope", Envelope)
def test_a_frame_is_found_however_it_is_cut(envelope: Envelope) -> None:
    data = encode(FRAME, envelope)
    for size in range(1, len(data) + 1):
        reader = FrameReader()
        found = [got for at in range(0, len(data), size) for got in reader.feed(data[at : at + size])]
        assert found == [FRAME]


@pytest.mark.parametrize("envelope", Envelope)
def test_reading_what_is_wanted_never_reads_into_the_next_frame(envelope: Envelope) -> None:
    data, at, reader = encode(FRAME, envelope), 0, FrameReader()
    while at < len(data):
        wanted = reader.wanted
        found = reader.feed(data[at : at + wanted])
        at += wanted
    assert at == len(data)
    assert found == [FRAME]


@pytest.mark.parametrize("envelope", Envelope)
def test_every_flipped_bit_is_noticed(envelope: Envelope) -> None:
    data = encode(FRAME, envelope)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert FRAME not in FrameReader().feed(bytes(damaged))


def test_after_a_cut_cobs_frame_the_next_one_is_found() -> None:
    data = encode(FRAME, Envelope.COBS)
    for cut in range(len(data)):
        assert FrameReader().feed(data[:cut] + b"\0" + data)[-1] == FRAME


def test_among_length_prefixed_frames_a_cut_one_ends_the_connection() -> None:
    data = encode(FRAME, Envelope.BULK)
    for cut in range(1, len(data)):
        found = FrameReader().feed(data + data[:cut] + 3 * data)
        assert found[0] == FRAME
        assert Damaged(lost=True) in found
        assert found.count(FRAME) == 1


def test_a_cobs_frame_that_never_ends_takes_no_memory() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert reader.feed(b"\x55" * 10_000) == []
    assert len(reader._buffer) < 2 * COBS_PAYLOAD_MAX
    assert reader.feed(b"\0" + encode(FRAME, Envelope.COBS)) == [Damaged(), FRAME]


def test_a_length_beyond_the_limit_is_refused_before_its_payload() -> None:
    header = frames._HEADER.pack(1, Kind.VECTORS, 0, 0, 1, 1, BULK_PAYLOAD_MAX + 1)
    prefix = bytes([BULK_LEAD]) + header + zlib.crc32(header).to_bytes(4, "little")
    assert FrameReader().feed(prefix) == [Damaged(lost=True)]


@pytest.mark.parametrize(("envelope", "most"), [(Envelope.COBS, COBS_PAYLOAD_MAX), (Envelope.BULK, BULK_PAYLOAD_MAX)])
def test_a_payload_beyond_the_limit_is_not_encoded(envelope: Envelope, most: int) -> None:
    (found,) = FrameReader().feed(encode(Frame(Kind.VECTORS, 1, 1, bytes(most)), envelope))
    assert isinstance(found, Frame)
    assert len(found.payload) == most
    with pytest.raises(ValueError, match=f"at most {most}"):
        encode(Frame(Kind.VECTORS, 1, 1, bytes(most + 1)), envelope)


def _c_constants() -> dict[str, int]:
    """The numbers of firmware/c/wire.h: its macros, and the members of its enum."""
    text = (FIRMWARE / "wire.h").read_text()
    found = re.findall(r"#define RM_(\w+) (0x[0-9A-Fa-f]+|\d+)u\b", text) + re.findall(r"RM_(\w+) = (\d+)", text)
    return {name: int(value, 0) for name, value in found}


def test_host_and_daemon_have_the_same_numbers() -> None:
    c = _c_constants()
    for kind in Kind:
        assert c[kind.name] == kind
    for reason in Reason:
        assert c[reason.name] == reason
    for capability in Capability:
        assert c[f"CAN_{capability.name}"] == capability
    for flag in HelloFlag:
        assert c[str(flag.name)] == flag
    assert c["PROTOCOL_VERSION"] == frames.PROTOCOL_VERSION
    assert (c["COBS_PAYLOAD_MAX"], c["BULK_PAYLOAD_MAX"]) == (COBS_PAYLOAD_MAX, BULK_PAYLOAD_MAX)
    assert (c["BULK_LEAD"], c["REPLY"]) == (BULK_LEAD, messages.REPLY)
    assert c["HEADER_BYTES"] + c["CRC_BYTES"] == frames.PREFIX_BYTES
    assert c["STEP_BYTES"] == len(Read(0).pack())
    assert COBS_PAYLOAD_MAX // c["STEP_BYTES"] == messages.STEPS_MAX
    assert c["COMMANDS_MAX"] == messages.COMMANDS_MAX
    assert c["WAIT_MAX_US"] == messages.WAIT_MAX * 1e6
    assert c["LINK_TIMEOUT_MIN_MS"] == messages.LINK_TIMEOUT_MIN * 1e3
    assert c["LINK_TIMEOUT_MAX_MS"] == messages.LINK_TIMEOUT_MAX * 1e3
    assert c["HELLO_BYTES"] == len(messages.hello(bytes(16), HelloFlag(0), 1.0))
    assert c["WELCOME_BYTES"] == messages._WELCOME.size + messages.PROOF_BYTES
    assert c["NAK_BYTES"] == messages._REFUSAL.size
    assert c["COUNTERS_BYTES"] == messages._COUNTERS.size
    assert c["COMMANDS_ANSWER_BYTES"] == messages._REPORT.size


def test_payloads_of_another_length_are_not_unpacked() -> None:
    for unpack in (Welcome.unpack, Refusal.unpack, messages.Counters.unpack, messages.Report.unpack):
        assert unpack(b"1234567") is None


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Write(0x40, 1 << 32), "value"),
        (lambda: Write(-4, 1), "offset"),
        (lambda: Wait(0x44, 1, 1, 10.1), "limit = 10.1 s"),
        (lambda: Wait(0x44, 1, 1, float("nan")), "limit"),
        (lambda: Command(messages.Opcode.NOP, (0,) * 8), "arguments of a command = 8 words, allowed 0 to 7"),
        (lambda: Command(messages.Opcode.NOP, (-1,)), "argument of a command"),
        (lambda: Command(messages.Opcode.NOP, (), 1 << 16), "tag"),
        (lambda: messages.transact([]), "steps of one transaction = 0"),
        (lambda: messages.transact([Read(0)] * (messages.STEPS_MAX + 1)), "steps of one transaction"),
        (
            lambda: messages.commands([Command(messages.Opcode.NOP)] * 64),
            "commands of one request = 64 commands, allowed 1 to 63",
        ),
    ],
)
def test_what_does_not_fit_its_field_is_refused(make: object, name: str) -> None:
    with pytest.raises(OutOfRangeError, match=re.escape(name)):
        make()  # type: ignore[operator]
