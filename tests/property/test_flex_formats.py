"""What the emulator writes, the driver reads: the two were written apart, from the same tables."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rmhil.bench.flex.data import decode
from rmhil.bench.flex.facts import CURRENT_RANGE_CODES, Flag
from sim_backend.b1500a.formats import ASCII, DUMMY, FORMATS, FOUR_BYTES, Datum, Flags, encode
from sim_backend.b1500a.modules import VOLTAGE_CODES

FLAGS = st.sampled_from(
    [
        Flags.NORMAL, Flags.OTHER_COMPLIANCE, Flags.OWN_COMPLIANCE, Flags.OVER_RANGE, Flags.OSCILLATION,
        Flags.SEARCH_FAILED, Flags.SEARCH_STOPPED,
    ]
)  # fmt: skip

STEP_4 = {False: 1 / 50_000, True: 1 / 20_000}
"""1 of the range: a count of four-byte data, of measurements and of sources."""

SHORT = (1, 2, 5)


@st.composite
def data(draw: st.DrawFn, fmt: int) -> Datum:
    """A datum that the format can carry."""
    quantity = draw(st.sampled_from("VI" if fmt in FOUR_BYTES else "VIT"))
    channel = draw(st.sampled_from([1, 2, 7, 10]))
    if quantity == "T":
        return Datum(quantity="T", channel=channel, value=draw(st.floats(0.0, 1e4)))
    codes = VOLTAGE_CODES if quantity == "V" else tuple(CURRENT_RANGE_CODES)
    source = draw(st.booleans())
    flags = Flags.NORMAL if source else draw(FLAGS)
    datum = Datum(
        quantity=quantity, channel=channel, value=0.0, range_code=draw(st.sampled_from(codes)), flags=flags,
        source=source, last=draw(st.booleans()),
    )  # fmt: skip
    value = DUMMY if flags & Flags.OVER_RANGE else draw(st.floats(-1.15, 1.15)) * datum.full_scale
    return Datum(**{name: getattr(datum, name) for name in Datum.__slots__} | {"value": value})


def resolution(fmt: int, datum: Datum) -> float:
    """V, A or s: half a step of a datum in a format."""
    if datum.quantity == "T":
        return 0.6e-6 if fmt not in ASCII else max(abs(datum.value), 1e-12) * 10.0 ** (-3 if fmt in SHORT else -4)
    if fmt in FOUR_BYTES:
        return 0.51 * STEP_4[datum.source] * datum.full_scale
    digits = 1e-5 if fmt in SHORT else 1e-6
    return 1.1 * (digits if fmt in ASCII else 1e-6) * datum.full_scale


@given(st.data())
def test_every_format_comes_back_as_it_was(draws: st.DataObject) -> None:
    fmt = draws.draw(st.sampled_from(FORMATS))
    written = draws.draw(st.lists(data(fmt), min_size=1, max_size=6))
    found = decode(encode(fmt, written), fmt)
    assert len(found) == len(written)
    for before, after in zip(written, found, strict=True):
        if before.value == DUMMY:
            assert math.isnan(after.value)
            assert after.flag & Flag.OVER_RANGE
            continue
        assert abs(after.value - before.value) <= resolution(fmt, before)
        if fmt not in (2, 12, 22):
            assert (after.kind, after.channel) == (before.quantity, before.channel)
            assert after.source == before.source
            assert int(after.flag) == int(before.flags)


@given(st.data())
def test_combined_statuses_come_back_as_numbers(draws: st.DataObject) -> None:
    fmt = draws.draw(st.sampled_from((13, 14, 21, 25)))
    bits = draws.draw(st.integers(0, 63))
    datum = Datum(quantity="I", channel=3, value=1e-6, range_code=15, flags=Flags(bits))
    (found,) = decode(encode(fmt, [datum]), fmt)
    assert int(found.flag) == bits


@given(st.data())
def test_the_strongest_status_is_the_one_that_a_letter_shows(draws: st.DataObject) -> None:
    order = [Flags.SEARCH_FAILED, Flags.SEARCH_STOPPED, Flags.OTHER_COMPLIANCE, Flags.OWN_COMPLIANCE]
    order += [Flags.OVER_RANGE, Flags.OSCILLATION]
    chosen = draws.draw(st.sets(st.sampled_from(order), min_size=1))
    flags = Flags.NORMAL
    for one in chosen:
        flags |= one
    strongest = max(chosen, key=order.index)
    fmt = draws.draw(st.sampled_from((1, 11)))
    (found,) = decode(encode(fmt, [Datum(quantity="I", channel=3, value=1e-6, range_code=15, flags=flags)]), fmt)
    assert int(found.flag) == int(strongest)
