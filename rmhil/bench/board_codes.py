"""Volts to codes of the DACs, and codes of the ADCs to amperes: the rule that a simulator follows, too.

A voltage becomes the nearest code, halves to even, counted from that of the virtual ground. Codes of the ADC are whole
numbers of `Wiring.adc_lsb`; those of several passes are added up before they become a current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Ints, Lines, Pass, line_numbers
from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_map import FIELDS, VECTOR_LINES
from rmhil.errors import NotFiniteError, OutOfRangeError, ShapeError
from rmhil.wiring import Wiring

Reals: TypeAlias = NDArray[np.floating]
Codes: TypeAlias = NDArray[np.uint16]

_ROUND_OFF: Final = 1e-6
"""1: relative room at the read limit: 0.2 V is 0.200000003 V in float32."""

_CODE, _SILENT, _FULL = (FIELDS[f"RESULT.{name}"] for name in ("CODE", "LINK_ERROR", "OVER_RANGE"))


@dataclass(frozen=True, slots=True)
class Products:
    """What came back from `Board.mvm`.

    Attributes:
        codes: of the ADCs, summed over the passes, int32, shape (batch, sensed SLs).
        currents: A, positive into the TIA, same shape, of the type of the voltages.
        over_range: bool, same shape: a conversion of this sum ended at an end of the converter's range.
    """

    codes: NDArray[np.int32]
    currents: Reals
    over_range: NDArray[np.bool_]


def check_voltages(board: BoardDescription, bl_voltages: Reals, bl: Lines, sl: Lines) -> tuple[Ints, Ints]:
    """Refuse what cannot be driven; otherwise the lines, each as an ascending int64 array.

    Args:
        board: lines and limits.
        bl_voltages: V from the virtual ground, shape (batch, driven BLs), float64 or float32.
        bl: bit lines to drive; None means all.
        sl: source lines to sense; None means all.

    Raises:
        ShapeError: the shape does not follow from the lines, or the type is another one.
        NotFiniteError: a voltage is NaN or infinite.
        OutOfRangeError: a voltage is beyond the read limit, or a line does not exist.
        ConfigError: lines are not whole numbers.
    """
    rows, columns = line_numbers("bl", bl, board.n_bl), line_numbers("sl", sl, board.n_sl)
    expected = f"(batch, {rows.size} driven BLs) of float64 or float32"
    if bl_voltages.dtype not in (np.float64, np.float32):
        raise ShapeError("bl_voltages", bl_voltages.shape, f"{expected}, not {bl_voltages.dtype}")
    if bl_voltages.ndim != 2 or bl_voltages.shape[1] != rows.size:
        raise ShapeError("bl_voltages", bl_voltages.shape, expected)
    if bl_voltages.size:
        _check_range(bl_voltages, board.read_limit)
    return rows, columns


def _check_range(voltages: Reals, limit: float) -> None:
    """One look at the smallest and the largest; NaN is both of them, and fails the comparison."""
    low, high = float(voltages.min()), float(voltages.max())
    allowed = limit * (1.0 + _ROUND_OFF)
    if -allowed <= low and high <= allowed:
        return
    if not (math.isfinite(low) and math.isfinite(high)):
        raise NotFiniteError("bl_voltages", int(np.count_nonzero(~np.isfinite(voltages))), voltages.size)
    raise OutOfRangeError("bl_voltages", high if low >= -allowed else low, -limit, limit, "V")


class Inputs:
    """Vectors of an MVM as codes.

    Args:
        voltages: V, (batch, driven BLs), checked.
        rows: numbers of the driven BLs.
        wiring: the DACs' step.
        rest_code: code of the virtual ground.
    """

    def __init__(self, voltages: Reals, rows: Ints, wiring: Wiring, rest_code: int) -> None:
        lsb = voltages.dtype.type(wiring.dac_lsb)
        self._codes: Codes = (np.rint(voltages / lsb).astype(np.int32) + rest_code).astype(np.uint16)
        self._rows, self._rest = rows, rest_code

    def of_pass(self, one: Pass, vectors: slice) -> Codes:
        """Vectors of one pass as the board takes them, (vectors, lines of a bank); lines not driven are at rest."""
        first = int(np.searchsorted(self._rows, one.bl[0]))
        codes = self._codes[vectors, first : first + one.bl.size]
        if one.bl.size == VECTOR_LINES:
            return np.ascontiguousarray(codes)
        padded = np.full((len(codes), VECTOR_LINES), self._rest, dtype=np.uint16)
        padded[:, one.bl % VECTOR_LINES] = codes
        return padded


class Sums:
    """Adds up the results of the passes of an MVM.

    Args:
        batch: vectors.
        columns: numbers of the sensed SLs.
    """

    def __init__(self, batch: int, columns: Ints) -> None:
        self._columns = columns
        self._codes = np.zeros((batch, columns.size), dtype=np.int32)
        self._full = np.zeros((batch, columns.size), dtype=np.bool_)

    def add(self, one: Pass, vectors: slice, results: Codes) -> list[int]:
        """Add what the board gave for vectors of a pass; the SLs whose ADC did not answer, which are not to be used."""
        words = results if one.sl.size == VECTOR_LINES else results[:, one.sl % VECTOR_LINES]
        first = int(np.searchsorted(self._columns, one.sl[0]))
        where = (vectors, slice(first, first + one.sl.size))
        self._codes[where] += adc_codes(words)
        self._full[where] |= words >> _FULL.low != 0
        silent = words & (1 << _SILENT.low)
        return [int(line) for line in one.sl[silent.any(axis=0)]] if silent.any() else []

    def products(self, wiring: Wiring, dtype: np.dtype[np.floating]) -> Products:
        """Codes, currents and flags."""
        currents = self._codes.astype(dtype)
        currents *= dtype.type(wiring.adc_lsb)
        return Products(self._codes, currents, self._full)


def adc_codes(words: Codes) -> NDArray[np.int16]:
    """Codes of the ADC in results: two's complement, int16."""
    spare = 16 - _CODE.bits
    return (words << spare).astype(np.uint16).view(np.int16) >> spare
