"""Some lines of some arrays, and the maps over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.backend import ArraySpec, Cells, Ints, Lines, line_numbers, whole_numbers
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError

Scalar = TypeVar("Scalar", bound=np.generic)

SomeLines = slice | Lines
"""Line numbers counted within a region: a slice, ascending numbers, or None for all."""


@dataclass(frozen=True, slots=True)
class Region:
    """The lines and arrays of a backend that belong together, by their numbers there.

    Attributes:
        arrays, bl, sl: ascending numbers.
    """

    arrays: Ints
    bl: Ints
    sl: Ints

    @classmethod
    def whole(cls, spec: ArraySpec) -> Self:
        """All lines of all arrays."""
        return cls(*(np.arange(count, dtype=np.int64) for count in spec.shape))

    def part(self, bl: SomeLines = None, sl: SomeLines = None, arrays: SomeLines = None) -> Region:
        """Some lines of this region, counted within it.

        Raises:
            OutOfRangeError: a line is not of this region, repeats, or is out of order.
            ConfigError: the lines are not whole numbers.
        """
        return Region(_select("array", arrays, self.arrays), _select("bl", bl, self.bl), _select("sl", sl, self.sl))

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """`(n_arrays, n_bl, n_sl)`."""
        return (len(self.arrays), len(self.bl), len(self.sl))

    @property
    def shape(self) -> tuple[int, ...]:
        """`full_shape`, with the leading axis dropped when it is 1."""
        return self.full_shape[1:] if len(self.arrays) == 1 else self.full_shape

    @property
    def grid(self) -> tuple[Ints, Ints, Ints]:
        """What picks this region out of a map of the whole backend."""
        array, bl, sl = np.ix_(self.arrays, self.bl, self.sl)
        return array, bl, sl

    def cells(self, mask: NDArray[np.bool_]) -> Cells:
        """The cells where a map of `full_shape` is true, in index order."""
        array, bl, sl = np.nonzero(mask)
        return Cells(self.arrays[array], self.bl[bl], self.sl[sl])

    def named(self, cells: Cells) -> Cells:
        """Cells counted within this region, by their numbers in the backend.

        Raises:
            ConfigError: the numbers are not whole.
            OutOfRangeError: a cell is not of this region.
        """
        parts = []
        for name, own, numbers in zip(("array", "bl", "sl"), (self.arrays, self.bl, self.sl), cells.index, strict=True):
            inside = whole_numbers(f"cells.{name}", numbers)
            outside = inside[(inside < 0) | (inside >= len(own))]
            if outside.size:
                raise OutOfRangeError(f"cells.{name}", float(outside[0]), 0, len(own) - 1, "")
            parts.append(own[inside])
        return Cells(*parts)

    def everything(self) -> NDArray[np.bool_]:
        """A map that is true for all cells."""
        return np.ones(self.full_shape, dtype=bool)

    def to_map(self, name: str, values: ArrayLike, dtype: type[Scalar]) -> NDArray[Scalar]:
        """A copy of values given by a caller, as a map of `full_shape`.

        A map of bool takes bool only: NaN, which leaves a cell alone in a target, would count as true.

        Raises:
            ConfigError: they are not real numbers, or not true and false where the map is of bool.
            ShapeError: they have neither `shape` nor `full_shape`.
        """
        kinds, content = ("b", "true and false") if dtype is np.bool_ else ("iuf", "numbers")
        try:
            array = np.array(values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} is not an array of {content}: {error}") from error
        if array.dtype.kind not in kinds:
            raise ConfigError(f"{name} is not an array of {content}: its elements are {array.dtype}")
        if array.shape not in (self.shape, self.full_shape):
            raise ShapeError(name, array.shape, str(self.shape))
        return array.astype(dtype, copy=False).reshape(self.full_shape)

    def shaped(self, full: NDArray[Scalar]) -> NDArray[Scalar]:
        """A map of `full_shape` in the `shape` that callers see."""
        return full.reshape(self.shape)


def _select(name: str, lines: SomeLines, own: Ints) -> Ints:
    if isinstance(lines, slice):
        try:
            lines = np.arange(len(own), dtype=np.int64)[lines]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} lines {lines}: {error}") from error
    return own[line_numbers(name, lines, len(own))]
