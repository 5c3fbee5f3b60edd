"""The 4-byte and 8-byte data of formats 3, 4, 13 and 14: bit fields, most significant first."""

from __future__ import annotations

from typing import Final

from rmhil.bench.errors import DataError
from rmhil.bench.flex.datum import Datum, known_flags
from rmhil.bench.flex.facts import (
    BINARY_VOLTAGE_RANGES,
    COUNT_8,
    COUNT_MEASURED_4,
    COUNT_SOURCE_4,
    CURRENT_RANGE_CODES,
    OVER_RANGE_COUNT_4,
    OVER_RANGE_COUNT_8,
    PARAMETERS_8,
    SOURCE_CODES,
    STATUS,
    TIME_COUNTS_8,
    Flag,
    current_range,
)

_SHORT, _LONG = 4, 8
"""Bytes of a datum."""

_CODES: Final = {row.code: row.flag for row in STATUS if row.code is not None}


def decode_item(item: bytes) -> Datum:
    """One datum of 4 or 8 bytes.

    Raises:
        DataError: a field holds what no table knows.
    """
    return _read_short(item) if len(item) == _SHORT else _read_long(item)


def _read_short(item: bytes) -> Datum:
    word = int.from_bytes(item, "big")
    measured, current = bool(word >> 31 & 1), bool(word >> 30 & 1)
    code, count, status, channel = word >> 25 & 0x1F, word >> 8 & 0x1FFFF, word >> 5 & 0x7, word & 0x1F
    scale = _full_scale("I" if current else "V", code, item)
    kind = "I" if current else "V"
    if not measured:
        flag = Flag.NONE if status in SOURCE_CODES else Flag.UNKNOWN
        return Datum(_signed(count, 17) * scale / COUNT_SOURCE_4, flag, channel, kind, source=True)
    flag = _CODES.get(status, Flag.UNKNOWN)
    if flag == Flag.OVER_RANGE and count == OVER_RANGE_COUNT_4:
        return Datum(float("nan"), flag | Flag.INVALID, channel, kind)
    return Datum(_signed(count, 17) * scale / COUNT_MEASURED_4, flag, channel, kind)


def _read_long(item: bytes) -> Datum:
    word = int.from_bytes(item, "big")
    source, parameter, channel = not (word >> 63 & 1), word >> 56 & 0x7F, word & 0x1F
    kind = PARAMETERS_8.get(parameter)
    if kind is None:
        raise DataError(f"parameter code {parameter} of a datum is not known", item)
    if kind == "T":
        return Datum((word >> 8 & 0xFFFFFFFFFFFF) / TIME_COUNTS_8, Flag.NONE, channel, kind)
    flag = Flag.NONE if source else known_flags(word >> 8 & 0xFF)
    count = _signed(word >> 16 & 0xFFFFFFFF, 32)
    if flag & Flag.INVALID or (flag & Flag.OVER_RANGE and count == OVER_RANGE_COUNT_8):
        return Datum(float("nan"), flag | Flag.INVALID, channel, kind)
    return Datum(count * _full_scale(kind, word >> 48 & 0xFF, item) / COUNT_8, flag, channel, kind, source)


def _full_scale(kind: str, code: int, item: bytes) -> float:
    if kind == "I" and code in CURRENT_RANGE_CODES:
        return current_range(code)
    if kind == "V" and code in BINARY_VOLTAGE_RANGES:
        return BINARY_VOLTAGE_RANGES[code]
    raise DataError(f"range code {code} of a datum of type {kind} is not known", item)


def _signed(count: int, bits: int) -> int:
    return count - (1 << bits) if count >> (bits - 1) & 1 else count
