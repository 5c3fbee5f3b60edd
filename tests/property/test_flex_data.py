"""The emulator's encoder and the driver's decoder were written apart: they agree on every format, status and range."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmhil.bench import DataError
from rmhil.bench.flex.data import byte_count, decode
from rmhil.bench.flex.facts import FORMATS, Flag
from sim_backend.b1500a.formats import DUMMY, Datum, Flags, encode
from sim_backend.b1500a.modules import CURRENT_RANGES, VOLTAGE_CODES, VOLTAGE_RANGES

WITH_HEADER = (1, 5, 11, 15)
NUMERIC = (21, 25)
HEADERLESS = (2, 12, 22)
SHORT, LONG = (3, 4), (13, 14)

ALONE = {
    Flags.NORMAL: Flag.NONE,
    Flags.OVER_RANGE: Flag.OVER_RANGE,
    Flags.OSCILLATION: Flag.UNSETTLED,
    Flags.OTHER_COMPLIANCE: Flag.OTHER_COMPLIANCE,
    Flags.OWN_COMPLIANCE: Flag.COMPLIANCE,
    Flags.SEARCH_FAILED: Flag.NOT_FOUND,
    Flags.SEARCH_STOPPED: Flag.STOPPED,
}
"""Status of the encoder, and what it is called in the driver; saturation apart, which each format shows its own way."""

LETTER_ORDER = (
    Flag.NONE, Flag.NOT_FOUND, Flag.STOPPED, Flag.OTHER_COMPLIANCE, Flag.COMPLIANCE, Flag.OVER_RANGE, Flag.UNSETTLED,
)  # fmt: skip
"""Of the letters, the strongest last (E5260/E5270 Programming Guide, page 1-26)."""

smu_channels = st.integers(1, 10)
fractions = st.floats(-1.0, 1.0, allow_nan=False)
combinations = st.sets(st.sampled_from([flag for flag in ALONE if flag]), max_size=3)
formats = st.sampled_from(sorted(FORMATS))


def joined(flags: set[Flags]) -> Flags:
    together = Flags.NORMAL
    for flag in flags:
        together |= flag
    return together


@st.composite
def measured(draw: st.DrawFn, flags: st.SearchStrategy[set[Flags]] = combinations) -> Datum:
    """A measured voltage or current on any range; one over range is either its end or no value."""
    quantity = draw(st.sampled_from(["V", "I"]))
    code = draw(st.sampled_from(VOLTAGE_CODES if quantity == "V" else sorted(CURRENT_RANGES)))
    full = VOLTAGE_RANGES[code] if quantity == "V" else CURRENT_RANGES[code]
    together = joined(draw(flags))
    value = DUMMY if together & Flags.OVER_RANGE else draw(fractions) * full
    return Datum(
        quantity=quantity, channel=draw(smu_channels), value=value, range_code=code, flags=together,
        converter=draw(st.integers(0, 1)),
    )  # fmt: skip


def strongest(flags: Flags) -> Flag:
    """What a format that shows one status shows of several."""
    present = [ALONE[flag] for flag in ALONE if flag & flags]
    return max(present, key=LETTER_ORDER.index, default=Flag.NONE)


def resolution(number: int, datum: Datum) -> float:
    """V or A: half of the last digit or count that a format shows."""
    if number in SHORT:
        return datum.full_scale / 50_000
    if number in LONG:
        return datum.full_scale / 1_000_000
    digits = 4 if FORMATS[number].item - FORMATS[number].header == 12 else 5  # after at least one more
    return max(datum.full_scale, abs(datum.value)) * 10.0**-digits


@given(formats, st.lists(measured(), min_size=1, max_size=5))
def test_values_channels_and_kinds_come_back(number: int, data: list[Datum]) -> None:
    message = encode(number, data)
    assert len(message) == byte_count(number, len(data))
    for sent, found in zip(data, decode(message, number), strict=True):
        if sent.value == DUMMY:
            assert math.isnan(found.value)
            assert found.flag & Flag.OVER_RANGE
        else:
            assert found.value == pytest.approx(sent.value, abs=resolution(number, sent))
        if number not in HEADERLESS:
            assert (found.channel, found.kind, found.source) == (sent.channel, sent.quantity, False)


@given(st.sampled_from(WITH_HEADER), measured())
def test_letters_show_the_strongest_status(number: int, datum: Datum) -> None:
    (found,) = decode(encode(number, [datum]), number)
    no_value = Flag.OVER_RANGE if datum.value == DUMMY else Flag.NONE  # the value itself says so
    assert found.flag & ~Flag.INVALID == strongest(datum.flags) | no_value


@given(st.sampled_from(NUMERIC + LONG), measured())
def test_numeric_statuses_show_all_of_them(number: int, datum: Datum) -> None:
    (found,) = decode(encode(number, [datum]), number)
    expected = Flag.NONE
    for flag in ALONE:
        expected |= ALONE[flag] if flag & datum.flags else Flag.NONE
    assert found.flag & ~Flag.INVALID == expected


@given(st.sampled_from(SHORT), measured())
def test_four_bytes_show_the_strongest_status(number: int, datum: Datum) -> None:
    (found,) = decode(encode(number, [datum]), number)
    assert found.flag & ~Flag.INVALID == strongest(datum.flags)


@given(st.sampled_from(WITH_HEADER + NUMERIC + SHORT + LONG), st.sampled_from(VOLTAGE_CODES), fractions, st.booleans())
def test_source_data_are_told_apart(number: int, code: int, fraction: float, last: bool) -> None:
    sent = Datum(
        quantity="V", channel=2, value=fraction * VOLTAGE_RANGES[code], range_code=code, source=True, last=last
    )
    (found,) = decode(encode(number, [sent]), number)
    assert found.source
    assert found.flag == Flag.NONE
    per_count = 20_000 if number in SHORT else 50_000
    assert found.value == pytest.approx(sent.value, abs=max(resolution(number, sent), sent.full_scale / per_count))


@given(st.sampled_from(WITH_HEADER + NUMERIC + LONG), st.floats(0.0, 1e5))
def test_times_come_back(number: int, seconds: float) -> None:
    (found,) = decode(encode(number, [Datum(quantity="T", channel=1, value=seconds)]), number)
    assert found.kind == "T"
    assert found.flag == Flag.NONE
    assert found.value == pytest.approx(seconds, rel=1e-5, abs=1e-6)


@given(st.sampled_from(WITH_HEADER), st.sampled_from(["I", "V"]))
def test_a_saturated_source_is_flagged(number: int, quantity: str) -> None:
    datum = Datum(quantity=quantity, channel=3, value=0.0, range_code=11, flags=Flags.SATURATED)  # type: ignore[arg-type]
    (found,) = decode(encode(number, [datum]), number)
    assert found.flag == Flag.SATURATED


@given(formats, st.binary(max_size=80))
def test_any_bytes_are_data_or_a_data_error(number: int, message: bytes) -> None:
    try:
        found = decode(message, number)
    except DataError:
        return
    assert found
