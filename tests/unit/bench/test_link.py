from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from rmhil.bench import link as link_module
from rmhil.bench import messages
from rmhil.bench.board_map import REGISTERS, Opcode
from rmhil.bench.frames import Envelope, Frame, FrameReader, encode
from rmhil.bench.link import Link
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardHeldError,
    BoardInterruptedError,
    BoardKeyError,
    BoardLinkClosedError,
    BoardNotFoundError,
    BoardVersionError,
)
from rmhil.bench.link_port import PortBroken
from rmhil.bench.messages import REPLY, Capability, Command, HelloFlag, Kind, Read, Reason, Wait
from rmhil.errors import OutOfRangeError, ShapeError


class FakePort:
    """A daemon in the place of the line: each frame that is sent goes to `reply`, whose frames come back."""

    byte_time = 0.0

    def __init__(self, reply: Callable[[Frame], list[Frame]]) -> None:
        self._reply, self._reader, self._incoming = reply, FrameReader(), bytearray()
        self.sent: list[Frame] = []
        self.broken = False

    def transfer_time(self, count: int) -> float:
        return count * self.byte_time

    def read(self, wanted: int) -> bytes:
        if self.broken:
            raise PortBroken("gone")
        data = bytes(self._incoming[:wanted])
        del self._incoming[:wanted]
        return data

    def write(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            assert isinstance(frame, Frame)
            self.sent.append(frame)
            for back in self._reply(frame):
                self._incoming += encode(back, Envelope.COBS)

    def close(self) -> None:
        pass


def welcome(hello: Frame, interrupted: bool = False, kind: int = Kind.HELLO | REPLY, proof: bytes = bytes(32)) -> Frame:
    nonce = bytes(hello.payload[16:32])
    can = Capability.TRANSACT | Capability.VECTORS | Capability.COMMANDS
    told = messages._WELCOME.pack(1, interrupted, can, 4064, 1, 2, 3, 128, 128, 1000, 0, nonce)
    return Frame(kind, hello.session, hello.sequence, told + proof, 0, 8)


def nak(request: Frame, reason: int, value: int = 0, more: int = 0) -> Frame:
    numbers = messages._REFUSAL.pack(request.kind, 0, 0, value, more)
    return Frame(Kind.NAK, request.session, request.sequence, numbers, reason, 8)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Frame], list[Frame]]], list[FakePort]]:
    """Lets `reply` answer for the daemon of every link that is opened; the ports are listed."""

    def install(reply: Callable[[Frame], list[Frame]]) -> list[FakePort]:
        ports: list[FakePort] = []

        def opened(*_: object) -> FakePort:
            ports.append(FakePort(reply))
            return ports[-1]

        monkeypatch.setattr(link_module, "Port", opened)
        return ports

    return install


Install = Callable[[Callable[[Frame], list[Frame]]], list[FakePort]]


def polite(frame: Frame) -> list[Frame]:
    """Answers everything with nothing."""
    if frame.kind == Kind.HELLO:
        return [welcome(frame)]
    return [Frame(frame.kind | REPLY, frame.session, frame.sequence, b"", 0, 8)]


def test_a_link_says_goodbye_once(daemon: Install) -> None:
    ports = daemon(polite)
    link = Link("fake")
    link.close()
    link.close()
    assert [frame.kind for frame in ports[0].sent] == [Kind.HELLO, Kind.GOODBYE]


def test_a_closed_link_sends_nothing(daemon: Install) -> None:
    ports = daemon(polite)
    with Link("fake") as link:
        pass
    before = len(ports[0].sent)
    with pytest.raises(BoardLinkClosedError) as caught:
        link.transact([Read(0)])
    assert caught.value.executed is False
    assert len(ports[0].sent) == before


def test_an_idle_link_sends_heartbeats(daemon: Install) -> None:
    ports = daemon(polite)
    with Link("fake", link_timeout=0.05):
        deadline = link_module.time.monotonic() + 5.0
        while link_module.time.monotonic() < deadline:
            if sum(frame.kind == Kind.HEARTBEAT for frame in ports[0].sent) >= 3:
                return
    pytest.fail("no three heartbeats in 5 s")


def test_nobody_there_is_reported_with_time_and_attempts(daemon: Install) -> None:
    daemon(lambda frame: [])
    with pytest.raises(BoardNotFoundError, match=r"no answer to HELLO, sent 2 times in 0.02 s"):
        Link("fake", patience=0.01, attempts=2)


@pytest.mark.parametrize(
    ("reason", "kind", "says"),
    [
        (Reason.BUSY, BoardHeldError, "after 1.5 s of its silence"),
        (Reason.DENIED, BoardKeyError, "no key, or another one"),
        (Reason.BAD_VERSION, BoardVersionError, "version 7, this host version 1"),
        (Reason.BAD_ARGUMENT, BoardNotFoundError, "refuses HELLO"),
    ],
)
def test_why_a_board_cannot_be_had_is_told_apart(
    daemon: Install, reason: Reason, kind: type[Exception], says: str
) -> None:
    daemon(lambda frame: [nak(frame, reason, value=1500, more=7)])
    with pytest.raises(kind, match=re.escape(says)):
        Link("fake")


KEY = b"a key of sixteen bytes at least"


def guarded(proof_key: bytes) -> Callable[[Frame], list[Frame]]:
    """A daemon that asks for the key, and proves that it has `proof_key`."""
    hello: list[Frame] = []

    def reply(frame: Frame) -> list[Frame]:
        if frame.kind == Kind.HELLO:
            hello[:] = [frame]
            return [Frame(Kind.CHALLENGE, frame.session, 0, b"c" * 16)]
        if frame.kind == Kind.AUTH:
            nonce = bytes(hello[0].payload[16:32])
            if frame.payload != messages.host_proof(KEY, nonce, b"c" * 16):
                return [nak(frame, Reason.DENIED)]
            told = bytes(welcome(hello[0]).payload[:-32])
            text = b"rmhil board".ljust(16, b"\0") + nonce + b"c" * 16 + told
            return [welcome(hello[0], kind=Kind.AUTH | REPLY, proof=messages.hmac.digest(proof_key, text, "sha256"))]
        return polite(frame)

    return reply


def test_host_and_daemon_prove_the_key_to_one_another(daemon: Install) -> None:
    ports = daemon(guarded(KEY))
    Link("fake", key=KEY).close()
    assert messages._HELLO.unpack(bytes(ports[0].sent[0].payload))[2] == HelloFlag.WANT_PROOF
    assert all(KEY not in bytes(frame.payload) for frame in ports[0].sent)


@pytest.mark.parametrize(
    ("key", "reply", "says"),
    [
        (None, guarded(KEY), "asks for a key, and none was given"),
        (b"another key of that length", guarded(KEY), "no key, or another one"),
        (KEY, guarded(b"not the key, though so long"), "proof of the key is wrong"),
        (KEY, polite, "did not prove"),
    ],
)
def test_a_wrong_key_opens_nothing(
    daemon: Install, key: bytes | None, reply: Callable[[Frame], list[Frame]], says: str
) -> None:
    daemon(reply)
    with pytest.raises(BoardKeyError, match=says):
        Link("fake", key=key)


def breaking_once(daemon: Install) -> list[FakePort]:
    """The first connection breaks after the request; on the second the daemon answers it from memory."""

    def reply(frame: Frame) -> list[Frame]:
        if frame.kind == Kind.TRANSACT and len(ports) == 1:
            ports[0].broken = True
            return []
        if frame.kind == Kind.HELLO:
            return [welcome(frame, interrupted=len(ports) > 1)]
        return [Frame(frame.kind | REPLY, frame.session, frame.sequence, b"\5\0\0\0", 0, 8)]

    ports = daemon(reply)
    return ports


def test_a_broken_line_is_taken_up_again_and_the_answer_fetched(daemon: Install) -> None:
    ports = breaking_once(daemon)
    with Link("fake") as link:
        assert link.transact([Read(0)]) == [5]
        resumed = messages._HELLO.unpack(bytes(ports[1].sent[0].payload))
        assert resumed[2] == HelloFlag.RESUME
        assert [frame.sequence for frame in ports[1].sent if frame.kind == Kind.TRANSACT] == [0]
        with pytest.raises(BoardInterruptedError, match="Open the link again"):
            link.transact([Read(0)])


def test_a_device_that_is_away_for_a_moment_is_found_again(daemon: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = breaking_once(daemon)
    there, away = link_module.Port, [True, True]

    def sometimes(*arguments: object) -> object:
        if ports and away:
            away.pop()
            raise PortBroken("no such device")
        return there(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(link_module, "Port", sometimes)
    with Link("fake") as link:
        assert link.transact([Read(0)]) == [5]
    assert not away


def test_a_session_that_cannot_be_taken_up_again_leaves_the_request_unsure(daemon: Install) -> None:
    def reply(frame: Frame) -> list[Frame]:
        if frame.kind == Kind.COMMANDS:
            ports[0].broken = True
        if frame.kind == Kind.HELLO:
            return [welcome(frame)] if len(ports) == 1 else [nak(frame, Reason.NO_SESSION)]
        return []

    ports = daemon(reply)
    link = Link("fake", patience=0.01)
    with pytest.raises(BoardDroppedError, match=r"COMMANDS 0 \(PULSE 0x64\): gone") as caught:
        link.run_commands([Command(Opcode.PULSE, (100,))])
    assert caught.value.executed is None
    link.close()


@pytest.mark.parametrize(
    ("shape", "kind"), [((3, 64), "int16"), ((3, 63), "uint16"), ((64,), "uint16"), ((0, 64), "uint16")]
)
def test_what_are_no_vectors_of_the_board_is_refused(daemon: Install, shape: tuple[int, ...], kind: str) -> None:
    ports, vectors = daemon(polite), np.zeros(shape, dtype=kind)
    with Link("fake") as link, pytest.raises(ShapeError, match=r"uint16 of shape \(vectors, 64\)"):
        link.run_vectors(vectors)
    assert Kind.VECTORS not in [frame.kind for frame in ports[0].sent]


@pytest.mark.parametrize(("baud", "vectors"), [(9600, 1), (115_200, 22), (3_000_000, 31)])
def test_on_a_slow_line_a_frame_takes_no_longer_than_a_heartbeat_may(
    daemon: Install, monkeypatch: pytest.MonkeyPatch, baud: int, vectors: int
) -> None:
    def echo(frame: Frame) -> list[Frame]:
        if frame.kind != Kind.VECTORS:
            return polite(frame)
        return [Frame(frame.kind | REPLY, frame.session, frame.sequence, bytes(frame.payload), 0, 8)]

    ports = daemon(echo)
    monkeypatch.setattr(FakePort, "byte_time", 10 / baud)
    codes = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    with Link("fake", link_timeout=1.0) as link:
        np.testing.assert_array_equal(link.run_vectors(codes), codes)
    sizes = {len(frame.payload) for frame in ports[0].sent if frame.kind == Kind.VECTORS}
    assert max(sizes) == vectors * 128


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"link_timeout": 0.01}, "link_timeout = 0.01 s, allowed 0.05 to 60 s"),
        ({"link_timeout": float("nan")}, "link_timeout"),
        ({"patience": 0.0}, "patience"),
        ({"attempts": 0}, "attempts"),
        ({"key": b"short"}, "key = 5 bytes, allowed 16 to 256 bytes"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_opened(
    daemon: Install, setting: dict[str, object], name: str
) -> None:
    ports = daemon(polite)
    with pytest.raises(OutOfRangeError, match=re.escape(name)):
        Link("fake", **setting)  # type: ignore[arg-type]
    assert not ports


def test_a_line_that_is_not_there_is_named() -> None:
    with pytest.raises(BoardNotFoundError, match="/dev/no-such-board"):
        Link("/dev/no-such-board")


def test_steps_and_commands_print_what_they_do() -> None:
    assert str(Read(REGISTERS["STATUS"])) == "read 0x0044"
    assert str(Wait(0x44, 2, 0xF, 0.1)) == "wait for 0x0044 & 0xF = 0x2 within 0.1 s"
    assert str(Command(Opcode.PULSE, (1000,))) == "PULSE 0x3E8"
