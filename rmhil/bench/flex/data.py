"""Data as the instrument sends them, decoded to values and flags: every format of `FMT`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from rmhil.bench.errors import DataError
from rmhil.bench.flex.binary import decode_item
from rmhil.bench.flex.datum import Datum, known_flags
from rmhil.bench.flex.facts import CHANNEL_LETTERS, DUMMY_VALUE, FORMATS, SOURCE_LETTERS, STATUS, Flag, FormatRow

HARMLESS: Final = Flag.END_OF_DATA
"""Flags that say nothing against a value."""

LIMITED: Final = Flag.COMPLIANCE | Flag.OTHER_COMPLIANCE
"""Flags of a source that reached its compliance."""

_LETTERS: Final = {row.letter: row.flag for row in STATUS}
_LAST_MEANINGFUL: Final = 0.999 * DUMMY_VALUE


@dataclass(frozen=True, slots=True)
class Data:
    """Many data: five arrays of one length, as the attributes of `Datum`."""

    value: NDArray[np.float64]
    flag: NDArray[np.int64]
    channel: NDArray[np.int64]
    kind: NDArray[np.str_]
    source: NDArray[np.bool_]

    @classmethod
    def of(cls, items: list[Datum]) -> Self:
        """One array of each attribute."""
        return cls(
            value=np.array([item.value for item in items], dtype=np.float64),
            flag=np.array([int(item.flag) for item in items], dtype=np.int64),
            channel=np.array([item.channel for item in items], dtype=np.int64),
            kind=np.array([item.kind for item in items], dtype="<U1"),
            source=np.array([item.source for item in items], dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.value)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which values are not what they seem."""
        return np.asarray((self.flag & ~int(HARMLESS)) != 0)


def byte_count(number: int, items: int) -> int:
    """Bytes of a message with so many data, separators and end included."""
    row = FORMATS[number]
    return items * row.item + max(0, items - 1) * len(row.separator) + len(row.end)


def decode(message: bytes, number: int) -> list[Datum]:
    """The data of one message.

    Args:
        message: with or without the format's end.
        number: of the format (`FMT`).

    Raises:
        DataError: it is not a whole number of data in this format.
    """
    row = FORMATS[number]
    return [decode_item(item) if row.binary else _read_text(item, row) for item in _items(message, row)]


def decode_whole(message: bytes, number: int) -> list[Datum]:
    """The data at the beginning of a message that was cut short or spoilt, as many as are whole."""
    row = FORMATS[number]
    stride, found = row.item + len(row.separator), list[Datum]()
    for first in range(0, len(message) - row.item + 1, stride):
        try:
            found += decode(message[first : first + row.item], number)
        except DataError:
            break
    return found


def _items(message: bytes, row: FormatRow) -> list[bytes]:
    body = message.removesuffix(row.end) if row.end else message
    stride = row.item + len(row.separator)
    if not body or (len(body) + len(row.separator)) % stride:
        raise DataError(f"{len(message)} bytes are no data of format {row.number}", message)
    gaps = {body[first : first + len(row.separator)] for first in range(row.item, len(body), stride)}
    if gaps - {row.separator}:
        raise DataError(f"no {row.separator!r} between data of format {row.number}", message)
    return [body[first : first + row.item] for first in range(0, len(body), stride)]


def _read_text(item: bytes, row: FormatRow) -> Datum:
    text = item.decode("ascii", errors="replace")
    header, digits = text[: row.header], text[row.header :]
    try:
        value = float(digits)
    except ValueError:
        raise DataError(f"no number of format {row.number}", item) from None
    if not header:
        return _judged(Datum(value, Flag.NONE, 0, ""))
    status, letter, kind = header[:-2], header[-2], header[-1]
    if not kind.isalpha() or not (letter.isalpha() and letter.isascii()):
        raise DataError(f"no header of format {row.number}", item)
    source = status.strip() in SOURCE_LETTERS
    flag = Flag.NONE if source else _flag(status)
    return _judged(Datum(value, flag, CHANNEL_LETTERS.get(letter, 0), kind.upper(), source))


def _flag(status: str) -> Flag:
    if status.strip().isdecimal():
        return known_flags(int(status))
    return _LETTERS.get(status, Flag.UNKNOWN)


def _judged(datum: Datum) -> Datum:
    """A value that the instrument puts in the place of none becomes NaN; a value flagged invalid does, too."""
    if abs(datum.value) < _LAST_MEANINGFUL and not datum.flag & Flag.INVALID:
        return datum
    flag = datum.flag | Flag.INVALID | Flag.OVER_RANGE
    return Datum(float("nan"), flag, datum.channel, datum.kind, datum.source)
