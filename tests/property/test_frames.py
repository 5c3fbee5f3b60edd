"""Frames of any content survive the way there; what is damaged on it is never taken for another frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rmhil.bench.frames import Damaged, Envelope, Frame, FrameReader, encode, stuff, unstuff

WORDS = st.integers(0, 2**32 - 1)
BYTES = st.integers(0, 255)
PAYLOADS = st.one_of(st.binary(max_size=600), st.integers(0, 4064).map(bytes), st.just(b"\0\x80" * 1000))
FRAMES = st.builds(Frame, BYTES, WORDS, WORDS, PAYLOADS, BYTES, BYTES, BYTES)


@given(st.binary(max_size=2000))
def test_cobs_has_no_zero_and_comes_back(data: bytes) -> None:
    stuffed = stuff(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + len(data) // 254 + 1
    assert unstuff(stuffed) == data


@given(st.lists(FRAMES, max_size=4), st.sampled_from(Envelope), st.integers(1, 700))
def test_frames_come_back_in_order(frames: list[Frame], envelope: Envelope, size: int) -> None:
    data = b"".join(encode(frame, envelope) for frame in frames)
    reader = FrameReader()
    found = [got for at in range(0, len(data), size) for got in reader.feed(data[at : at + size])]
    assert found == frames


@given(FRAMES, st.data())
def test_a_burst_of_damage_within_32_bits_is_never_another_frame(frame: Frame, data: st.DataObject) -> None:
    sent = bytearray(encode(frame, Envelope.BULK))
    at = data.draw(st.integers(0, len(sent) - 4))
    burst = data.draw(st.integers(1, 2**32 - 1))
    sent[at : at + 4] = (int.from_bytes(sent[at : at + 4], "little") ^ burst).to_bytes(4, "little")
    assert not any(isinstance(got, Frame) for got in FrameReader().feed(bytes(sent) + bytes(70_000)))


@given(st.binary(max_size=3000))
def test_random_bytes_are_no_frames(noise: bytes) -> None:
    assert all(isinstance(got, Damaged) for got in FrameReader().feed(noise))
