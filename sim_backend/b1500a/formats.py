"""How data leave the instrument: every format of `FMT`, written from the tables of the guides.

ASCII formats 1, 2, 5, 11, 12, 15, 21, 22, 25 and binary ones 3, 4 (four bytes), 13, 14 (eight bytes): E5260/E5270
Programming Guide, Edition 4, pages 1-25 to 1-36 and 4-60; B1500A Programming Guide, Edition 11, pages 1-41 to 1-52.
Codes that those pages leave open are in `rmhil.bench.flex.facts`, marked as not verified. Besides them, three things
are not verified: exponents in steps of three with the point placed by the range, the numeric status of a saturated
source (2, as of an oscillation), and the index of a sample as source datum of a sampling measurement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Literal

from rmhil.bench.flex.facts import (
    BINARY_VOLTAGE_RANGES,
    COUNT_8,
    COUNT_MEASURED_4,
    COUNT_SOURCE_4,
    DUMMY_VALUE,
    OVER_RANGE_COUNT_4,
    OVER_RANGE_COUNT_8,
    PARAMETERS_8,
    TIME_COUNTS_8,
    VOLTAGE_RANGES,
)
from rmhil.units import Amperes, Volts
from sim_backend.b1500a.modules import CURRENT_RANGES

Quantity = Literal["V", "I", "T", "X"]
"""Voltage, current, time, index of a sample."""

DUMMY: Final = DUMMY_VALUE
"""What stands where there is no value."""

ASCII: Final = (1, 2, 5, 11, 12, 15, 21, 22, 25)
FOUR_BYTES: Final = (3, 4)
EIGHT_BYTES: Final = (13, 14)
FORMATS: Final = (*ASCII, *FOUR_BYTES, *EIGHT_BYTES)
TIMELESS: Final = FOUR_BYTES
"""Formats without time stamps."""

_UNTERMINATED: Final = (5, 15, 25)
"""Formats whose data end with a comma instead of CR LF."""

_END_ONLY: Final = (4, 14)
"""Binary formats that end with the message alone."""

_SHORT: Final = 6
_LONG: Final = 7
"""Significant digits: 12 characters in formats 1, 2, 5; 13 in all others."""

_BINARY_VOLTAGE_CODES: Final = {volts: code for code, volts in BINARY_VOLTAGE_RANGES.items()}
_PARAMETER_CODES: Final = {quantity: code for code, quantity in PARAMETERS_8.items()}


class Flags(IntFlag):
    """Status of a datum; the first six are those of format 21."""

    NORMAL = 0
    OVER_RANGE = 1
    OSCILLATION = 2
    OTHER_COMPLIANCE = 4
    OWN_COMPLIANCE = 8
    SEARCH_FAILED = 16
    SEARCH_STOPPED = 32
    SATURATED = 256


_LETTERS: Final = (
    (Flags.SATURATED, "F"),
    (Flags.OSCILLATION, "X"),
    (Flags.OVER_RANGE, "V"),
    (Flags.OWN_COMPLIANCE, "C"),
    (Flags.OTHER_COMPLIANCE, "T"),
    (Flags.SEARCH_STOPPED, "S"),
    (Flags.SEARCH_FAILED, "G"),
)
"""Which letter wins, the strongest first."""

_FOUR_BYTE_STATUS: Final = (
    (Flags.OSCILLATION | Flags.SATURATED, 4),
    (Flags.OVER_RANGE, 3),
    (Flags.OWN_COMPLIANCE, 2),
    (Flags.OTHER_COMPLIANCE, 1),
    (Flags.SEARCH_STOPPED, 7),
    (Flags.SEARCH_FAILED, 6),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """One value on its way to the controller.

    Attributes:
        quantity: what it is.
        channel: that it belongs to.
        value: V, A, s, or 1.
        range_code: of `VOLTAGE_RANGES` or `CURRENT_RANGES`; 0 for time and index.
        flags: its status.
        source: whether it is the setting of a source instead of a measurement.
        last: of a source: whether this is the last step.
        converter: 0 high-speed, 1 high-resolution.
    """

    quantity: Quantity
    channel: int
    value: float
    range_code: int = 0
    flags: Flags = Flags.NORMAL
    source: bool = False
    last: bool = False
    converter: int = 0

    @property
    def full_scale(self) -> Volts | Amperes:
        """Its range in V or A."""
        return VOLTAGE_RANGES[self.range_code] if self.quantity == "V" else CURRENT_RANGES[self.range_code]


def channel_letter(channel: int) -> str:
    """A to J for slots 1 to 10, a to j for the second channel of a slot."""
    slot, one = divmod(channel, 100) if channel > 100 else (channel, 1)
    return "ABCDEFGHIJ"[slot - 1] if one == 1 else "abcdefghij"[slot - 1]


def encode(fmt: int, data: Sequence[Datum]) -> bytes:
    """The data of one measurement command, with what ends them.

    Args:
        fmt: of `FORMATS`.
        data: in their order; at least one.
    """
    if fmt in FOUR_BYTES:
        return b"".join(_four_bytes(datum) for datum in data) + _binary_end(fmt)
    if fmt in EIGHT_BYTES:
        return b"".join(_eight_bytes(datum) for datum in data) + _binary_end(fmt)
    text = ",".join(_header(fmt, datum) + number(datum, _SHORT if fmt in (1, 2, 5) else _LONG) for datum in data)
    return (text + ("," if fmt in _UNTERMINATED else "\r\n")).encode("ascii")


def ends_message(fmt: int) -> bool:
    """Whether data of a format end with the end of a message."""
    return fmt not in _UNTERMINATED


def _binary_end(fmt: int) -> bytes:
    return b"" if fmt in _END_ONLY else b"\r\n"


def _header(fmt: int, datum: Datum) -> str:
    if fmt in (2, 12, 22):
        return ""
    where = channel_letter(datum.channel)
    if fmt in (21, 25):
        kind = datum.quantity.lower() if datum.source and datum.quantity in "VI" else datum.quantity
        return _numeric_status(datum) + where + kind
    return _letter(datum) + where + datum.quantity


def _letter(datum: Datum) -> str:
    if datum.source:
        return "E" if datum.last else "W"
    return next((letter for flag, letter in _LETTERS if datum.flags & flag), "N")


def _numeric_status(datum: Datum) -> str:
    if datum.source:
        return f"  {_letter(datum)}"
    saturated = Flags.OSCILLATION if datum.flags & Flags.SATURATED else Flags.NORMAL
    return f"{int((datum.flags & ~Flags.SATURATED) | saturated):03d}"


def number(datum: Datum, digits: int) -> str:
    """Sign, up to three digits, point, decimals, exponent in steps of three.

    Args:
        datum: whose range gives the place of the point.
        digits: before and after the point together.
    """
    if datum.value == DUMMY:
        return f"+{DUMMY / 1e99:.{digits - 3}f}E+99"
    scale = datum.full_scale if datum.range_code else abs(datum.value)
    return in_digits(datum.value, scale, digits)


def in_digits(value: float, scale: float, digits: int = _SHORT) -> str:
    """A number as the instrument spells it, the point placed for values up to about `scale`."""
    top = max(scale, abs(value))
    exponent = min(max(3 * math.floor(_decade(top) / 3), -99), 99)
    ahead = max(_decade(top) - exponent + 1, 1)
    mantissa = value / 10.0**exponent
    text = f"{abs(mantissa):0{digits + 1}.{digits - ahead}f}"
    if len(text) > digits + 1:  # rounded up to one digit more
        return in_digits(value, 10.0 * top, digits)
    sign = "-" if value < 0 else "+"
    return f"{sign}{text}E{exponent:+03d}"


def _decade(value: float) -> int:
    """Decimal exponent, that of 1 for zero."""
    return math.floor(math.log10(value * (1 + 1e-12))) if value > 0.0 else 0


def _binary_range(datum: Datum) -> int:
    return _BINARY_VOLTAGE_CODES[datum.full_scale] if datum.quantity == "V" else datum.range_code


def _four_bytes(datum: Datum) -> bytes:
    """Measured or not, V or I, range, count, status, channel; most significant bit first."""
    full = COUNT_SOURCE_4 if datum.source else COUNT_MEASURED_4
    over = bool(datum.flags & Flags.OVER_RANGE)
    count = OVER_RANGE_COUNT_4 if over else round(datum.value * full / datum.full_scale)
    count = min(max(count, -OVER_RANGE_COUNT_4 - 1), OVER_RANGE_COUNT_4)
    status = next((code for flag, code in _FOUR_BYTE_STATUS if datum.flags & flag), 0)
    if datum.source:
        status = 2 if datum.last else 1
    bits = int(not datum.source) << 31 | int(datum.quantity == "I") << 30 | _binary_range(datum) << 25
    bits |= (count & 0x1FFFF) << 8 | status << 5 | _binary_channel(datum.channel)
    return bits.to_bytes(4, "big")


def _eight_bytes(datum: Datum) -> bytes:
    """Measured or not and parameter; range, count and status, or six bytes of time; converter and channel."""
    head = int(not datum.source) << 7 | _PARAMETER_CODES[datum.quantity]
    status = (2 if datum.last else 1) if datum.source else int(_numeric_status(datum))
    channel = datum.converter << 5 | _binary_channel(datum.channel)
    if datum.quantity == "T":
        return bytes((head,)) + round(datum.value * TIME_COUNTS_8).to_bytes(6, "big") + bytes((channel,))
    count = OVER_RANGE_COUNT_8 if datum.value == DUMMY else round(datum.value * COUNT_8 / datum.full_scale)
    return bytes((head, _binary_range(datum))) + (count & 0xFFFFFFFF).to_bytes(4, "big") + bytes((status, channel))


def _binary_channel(channel: int) -> int:
    """Slots 1 to 10; second channels from 11 on."""
    slot, one = divmod(channel, 100) if channel > 100 else (channel, 1)
    return slot if one == 1 else slot + 10
