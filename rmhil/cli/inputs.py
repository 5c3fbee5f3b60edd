"""Reading what the user hands over: array files and regions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import ArraySpec, Floats, Ints
from rmhil.errors import ConfigError, InputFileError, OutOfRangeError, ShapeError

_REGION = re.compile(r"(?:(\d*):(\d*)|(\d+)),(?:(\d*):(\d*)|(\d+))")


def load_numbers(path: Path) -> Floats:
    """The array of real numbers in a `.npy` file, as float64.

    Raises:
        InputFileError: no such file, not a `.npy` file, or not real numbers.
    """
    loaded = _load(path)
    if loaded.dtype.kind not in "fiu":
        raise InputFileError(f"{path} holds values of type {loaded.dtype}, expected real numbers")
    return np.asarray(loaded, dtype=np.float64)


def load_mask(path: Path) -> NDArray[np.bool_]:
    """The array of true and false in a `.npy` file; zeros and ones will do.

    Raises:
        InputFileError: no such file, not a `.npy` file, or other values.
    """
    loaded = _load(path)
    if loaded.dtype.kind not in "biu" or not np.isin(loaded, (0, 1)).all():
        raise InputFileError(f"{path} is no mask: true and false, or whole numbers 0 and 1, are expected in it")
    return np.asarray(loaded, dtype=np.bool_)


def _load(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except FileNotFoundError as error:
        raise InputFileError(f"no file {path}") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputFileError(f"{path} is not a readable .npy file: {error}") from error


def save_numbers(path: Path, values: Floats | Ints) -> None:
    """Write a `.npy` file under exactly this name.

    Raises:
        InputFileError: the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            np.save(file, values)
    except OSError as error:
        raise InputFileError(f"{path} cannot be written: {error}") from error


def check_fits(name: str, values: Floats | NDArray[np.bool_], shape: tuple[int, ...], region: str | None) -> None:
    """Refuse a map that is smaller than the whole array, and say how its place is named.

    Raises:
        ShapeError: it is smaller, and no region was given; nothing was driven.
    """
    smaller = values.ndim == 2 and values.shape != shape[-2:] and np.all(np.less_equal(values.shape, shape[-2:]))
    if region is None and smaller:
        rows, columns = values.shape
        example = f"--region 0:{rows},0:{columns}"
        raise ShapeError(name, values.shape, f"{shape}; name the part of the array it is for, e.g. {example}")


def parse_region(text: str | None, spec: ArraySpec) -> tuple[slice, slice]:
    """BLs and SLs of a region such as `0:64,0:32` or `5,0:32`; None means all, and so does a number left out.

    Raises:
        ConfigError: not of this form, or empty.
        OutOfRangeError: it reaches beyond the array.
    """
    if text is None:
        return slice(0, spec.n_bl), slice(0, spec.n_sl)
    match = _REGION.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ConfigError(f"region {text!r}, expected BL,SL with each as START:STOP or one number, e.g. 0:64,0:32")
    bl_start, bl_stop, bl, sl_start, sl_stop, sl = match.groups()
    return _lines("BL", bl_start, bl_stop, bl, spec.n_bl), _lines("SL", sl_start, sl_stop, sl, spec.n_sl)


def _lines(name: str, start: str | None, stop: str | None, only: str | None, count: int) -> slice:
    first, end = int(start or 0), int(stop or count)
    if only is not None:
        first, end = int(only), int(only) + 1
    if end > count:
        raise OutOfRangeError(f"region: end of the {name}s", end, 1, count, "")
    if first >= end:
        raise ConfigError(f"region: no {name} between {first} and {end}")
    return slice(first, end)
