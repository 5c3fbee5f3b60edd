"""One value a cell, in one column: a number if all cells share it, else packed numbers.

NULL stands for "none" (NaN). A blob holds one little-endian number for each cell of the transaction, in their order.
On a bench, which takes one cell at a time, every column is therefore a plain number.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints

Column: TypeAlias = int | float | bytes | None
"""What SQLite keeps of one value a cell."""

_FLOAT, _WHOLE = np.dtype("<f8"), np.dtype("<i4")


def packed(values: NDArray[Any]) -> Column:
    """One value a cell as a column; whole numbers are kept in 32 bits."""
    if not len(values):
        return None
    first = values[0]
    if len(values) == 1 or bool((values == first).all()):
        return None if first != first else first.item()  # NaN is not itself
    if values.dtype.kind == "f":
        return None if np.isnan(values).all() else values.astype(_FLOAT, copy=False).tobytes()
    return values.astype(_WHOLE).tobytes()


def floats(column: Column, count: int) -> Floats:
    """Real numbers of a column.

    Raises:
        ValueError: it is not of that many cells.
    """
    if column is None:
        return np.full(count, np.nan)
    return _spread(column, count, _FLOAT).astype(np.float64)


def whole(column: Column, count: int) -> Ints:
    """Whole numbers of a column.

    Raises:
        ValueError: it is not of that many cells.
    """
    if column is None:
        raise ValueError("a whole number is missing")
    return _spread(column, count, _WHOLE).astype(np.int64)


def _spread(column: int | float | bytes, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    if not isinstance(column, bytes):
        return np.full(count, column)
    if len(column) != count * kind.itemsize:
        raise ValueError(f"{len(column)} bytes in a column of {count} cells, expected {count * kind.itemsize}")
    return np.frombuffer(column, dtype=kind)
