from __future__ import annotations

import pytest

from sim_backend.b1500a.formats import DUMMY, Datum, Flags, encode, in_digits


def measured(value: float = 1.5e-6, **changes: object) -> Datum:
    facts = {"quantity": "I", "channel": 1, "value": value, "range_code": 15} | changes
    return Datum(**facts)  # type: ignore[arg-type]


def test_the_guides_own_vector_of_four_bytes() -> None:
    datum = measured(100e-12, range_code=11)
    assert encode(4, [datum]) == int("11010110000100111000100000000001", 2).to_bytes(4, "big")


def test_negative_values_of_four_bytes_are_complements() -> None:
    word = int.from_bytes(encode(4, [measured(-100e-12, range_code=11)]), "big")
    count = word >> 8 & 0x1FFFF
    assert count >> 16 == 1
    assert (count & 0xFFFF) - 65536 == -5000


@pytest.mark.parametrize(
    ("fmt", "length", "end"),
    [
        (1, 15, b"\r\n"), (2, 12, b"\r\n"), (3, 4, b"\r\n"), (4, 4, b""), (5, 15, b","), (11, 16, b"\r\n"),
        (12, 13, b"\r\n"), (13, 8, b"\r\n"), (14, 8, b""), (15, 16, b","), (21, 18, b"\r\n"), (22, 13, b"\r\n"),
        (25, 18, b","),
    ],
)  # fmt: skip
def test_every_format_has_its_length_and_end(fmt: int, length: int, end: bytes) -> None:
    message = encode(fmt, [measured()])
    assert message.endswith(end)
    assert len(message) == length + len(end)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (5e-12, 13, "NAI+000.005E-09"),
        (1.5, 1000, "NAV+001.500E+00"),
        (-1.2345678, 20, "NAV-1.23457E+00"),
        (99.9996e-6, 16, "NAI+100.000E-06"),
    ],
)
def test_values_are_spelled_in_steps_of_three_decades(value: float, code: int, text: str) -> None:
    assert encode(1, [measured(value, range_code=code, quantity=text[2])]) == text.encode() + b"\r\n"


@pytest.mark.parametrize("digits", [6, 7])
@pytest.mark.parametrize("value", [0.0, 1e-14, 9.9999999e-10, 0.99999999, 123.456, 999.99999, 1e7])
def test_a_number_always_fills_its_place(value: float, digits: int) -> None:
    for scale in (0.0, 1e-9, 1.0, 200.0):
        text = in_digits(value, scale, digits)
        assert len(text) == digits + 6
        assert float(text) == pytest.approx(value, rel=1e-5, abs=max(scale, value) * 10.0 ** (3 - digits))


@pytest.mark.parametrize(
    ("flags", "letter", "digits"),
    [
        (Flags.NORMAL, "N", "000"),
        (Flags.OTHER_COMPLIANCE, "T", "004"),
        (Flags.OWN_COMPLIANCE | Flags.OTHER_COMPLIANCE, "C", "012"),
        (Flags.OVER_RANGE | Flags.OWN_COMPLIANCE, "V", "009"),
        (Flags.OSCILLATION | Flags.OVER_RANGE, "X", "003"),
        (Flags.SATURATED, "F", "002"),
        (Flags.SEARCH_FAILED | Flags.SEARCH_STOPPED, "S", "048"),
    ],
)
def test_the_stronger_letter_wins_and_numbers_add_up(flags: Flags, letter: str, digits: str) -> None:
    assert encode(1, [measured(flags=flags)])[:1] == letter.encode()
    assert encode(21, [measured(flags=flags)])[:3] == digits.encode()


def test_sources_say_which_step_is_the_last() -> None:
    first, last = measured(source=True), measured(source=True, last=True)
    assert encode(1, [first, last])[0::16][:2] == b"WE"
    assert encode(21, [last])[:5] == b"  EAi"


def test_second_channels_have_small_letters() -> None:
    assert encode(1, [measured(channel=502, quantity="V", range_code=200)])[1:3] == b"eV"


def test_a_value_over_range_is_the_dummy() -> None:
    assert encode(1, [measured(DUMMY, flags=Flags.OVER_RANGE)]) == b"VAI+199.999E+99\r\n"
    word = int.from_bytes(encode(4, [measured(DUMMY, flags=Flags.OVER_RANGE)]), "big")
    assert word >> 8 & 0x1FFFF == 65535
    assert word >> 5 & 7 == 3
