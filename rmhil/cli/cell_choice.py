"""Which cells a command is about: one way to name them, for every command.

A region is lines from to (`--region 0:64,0:32`), a mask is a file (`--mask bad.npy`) of the array's or the region's
shape, and single cells are named one by one (`--cell 3,5 --cell 3,6`). Nothing named means all cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import ArraySpec, Cells, Floats
from rmhil.cli.inputs import check_fits, load_mask, load_numbers, parse_region
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, ShapeError
from rmhil.measure.pulsing import in_the_backend

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar

_NAMED_MOST = 12
"""Cells that are named one by one."""

_CELL = re.compile(r"(?:(\d+),)?(\d+),(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChoice:
    """The cells that the options name.

    Attributes:
        region: lines, each as START:STOP or one number; None: all.
        cells: single cells, as BL,SL, or ARRAY,BL,SL where there are several arrays.
        mask: a file of true and false; None: no mask.
    """

    region: str | None = None
    cells: Sequence[str] = field(default_factory=tuple)
    mask: Path | None = None

    def __post_init__(self) -> None:
        if self.cells and (self.region is not None or self.mask is not None):
            raise ConfigError("--cell cannot be given with --region or --mask: cells are named one by one, or by lines")

    def named(self, why: str) -> Self:
        """This choice, if it names any cells.

        Args:
            why: cells must be named.

        Raises:
            ConfigError: it names none, so that all would be meant.
        """
        if not self.cells and self.region is None and self.mask is None:
            raise ConfigError(f"{why}: name them by --cell, --region or --mask (--region :,: names all)")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """For the record of a run."""
        return {"region": self.region, "cells": list(self.cells), "mask": self.mask}

    def of(self, whole: Crossbar) -> tuple[Crossbar, NDArray[np.bool_]]:
        """The part of an array that the cells lie in, and which cells of it they are.

        Args:
            whole: all lines of all arrays of the backend.

        Raises:
            ConfigError: not of the form of a cell or a region, or no cell at all.
            OutOfRangeError: a cell or a line does not exist, or a cell is named twice.
            InputFileError: the mask cannot be read, or is none.
            ShapeError: it has another shape.
        """
        if self.cells:
            return self._one_by_one(whole)
        bl, sl = parse_region(self.region, whole.spec)
        part = whole.region(bl, sl)
        if self.mask is None:
            return part, np.ones(part.shape, dtype=np.bool_)
        mask = load_mask(self.mask)
        check_fits("mask", mask, part.shape, self.region)
        if mask.shape != part.shape:
            raise ShapeError("mask", mask.shape, str(part.shape))
        if not mask.any():
            raise ConfigError(f"{self.mask} names no cell: it is false everywhere")
        return part, mask

    def target(self, wanted: Floats, whole: Crossbar, part: Crossbar, mask: NDArray[np.bool_]) -> Floats:
        """Target conductances in S for the part that `of` gave; NaN where no cell is named.

        Args:
            wanted: one number for all cells, or a map: of the whole array where cells are named one by one.
            whole: as for `of`.
            part: what it gave.
            mask: what it gave.

        Raises:
            ShapeError: the map has another shape.
        """
        if wanted.ndim == 0:
            values = np.full(part.shape, float(wanted))
        elif self.cells:
            if wanted.shape != whole.shape:
                raise ShapeError("target", wanted.shape, f"{whole.shape}, or one number, for cells named by --cell")
            grid = np.ix_(part.arrays, part.bl, part.sl)
            values = wanted.reshape(whole.spec.shape)[grid].reshape(part.shape)
        else:
            check_fits("target", wanted, part.shape, self.region)
            values = wanted
        if values.shape != part.shape or mask.all():  # who takes the target says which shape it should have
            return values
        return np.where(mask, values, np.nan)

    def _one_by_one(self, whole: Crossbar) -> tuple[Crossbar, NDArray[np.bool_]]:
        cells = parse_cells(self.cells, whole.spec)
        arrays, bl, sl = (np.unique(numbers) for numbers in cells.index)
        part = whole.region(bl, sl, arrays)
        mask = np.zeros((len(arrays), len(bl), len(sl)), dtype=np.bool_)
        mask[np.searchsorted(arrays, cells.array), np.searchsorted(bl, cells.bl), np.searchsorted(sl, cells.sl)] = True
        return part, mask.reshape(part.shape)


def cells_in(part: Crossbar, mask: NDArray[np.bool_]) -> Cells:
    """The cells of a mask over a crossbar, by their numbers in it."""
    return Cells.from_mask(mask.reshape(len(part.arrays), len(part.bl), len(part.sl)))


def places(part: Crossbar, mask: NDArray[np.bool_]) -> list[list[int]]:
    """`[array, bl, sl]` of each cell of a mask over a crossbar, by its numbers in the backend."""
    found: list[list[int]] = np.column_stack(in_the_backend(part, cells_in(part, mask)).index).tolist()
    return found


def names(cells: Sequence[Sequence[int]]) -> str:
    """Cells, `[array, bl, sl]` each, as ARRAY/BL/SL; of many, the first ones."""
    text = ", ".join("/".join(map(str, one)) for one in cells[:_NAMED_MOST])
    more = len(cells) - _NAMED_MOST
    return f"{text} and {more:,} more (outcome in the map has all)" if more > 0 else text


def parse_cells(texts: Sequence[str], spec: ArraySpec) -> Cells:
    """Cells from texts such as `3,5`.

    Raises:
        ConfigError: not of this form, named twice, or several arrays and none named.
        OutOfRangeError: there is no such cell.
    """
    parts = [parse_cell(text, spec.shape).index for text in texts]
    cells = Cells(*(np.concatenate(numbers) for numbers in zip(*parts, strict=True)))
    names, counts = np.unique(cells.names, return_counts=True)
    if counts.max() > 1:
        raise ConfigError(f"cell {names[counts.argmax()]} is named {counts.max()} times by --cell")
    return cells


def parse_cell(text: str, shape: tuple[int, int, int]) -> Cells:
    """One cell from a text such as `3,5`.

    Args:
        text: BL,SL, or ARRAY,BL,SL.
        shape: `(n_arrays, n_bl, n_sl)`.

    Raises:
        ConfigError: not of this form, or several arrays and none named.
        OutOfRangeError: there is no such cell.
    """
    match = _CELL.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ConfigError(f"cell {text!r}, expected BL,SL (or ARRAY,BL,SL), e.g. 3,5")
    if match[1] is None and shape[0] > 1:
        raise ConfigError(f"cell {text!r}: there are {shape[0]} arrays; name one of them, e.g. 0,{text}")
    numbers = [int(number or 0) for number in match.groups()]
    for name, number, count in zip(("array", "BL", "SL"), numbers, shape, strict=True):
        if number >= count:
            raise OutOfRangeError(f"cell {text}: {name}", number, 0, count - 1, "")
    return Cells.of(*numbers)


def load_target(text: str) -> Floats:
    """Target conductances in S: one number, or a map from a `.npy` file.

    Raises:
        InputFileError: no such file, or not an array of real numbers.
        NotFiniteError: the number is none.
    """
    try:
        number = float(text)
    except ValueError:
        return load_numbers(Path(text))
    if not np.isfinite(number):
        raise NotFiniteError("target", 1, 1)
    return np.asarray(number)
