"""Labelled arrays for other programs: CSV for spreadsheets, npy for numpy, netCDF with everything.

A CSV file has one row an element; columns carry their units in their names, and codes are words. Rows without any
number are left out: cells that were not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil import conductance_maps
from rmhil.errors import ConfigError, InputFileError, UnknownNameError
from rmhil.whole_files import replacing

if TYPE_CHECKING:
    import xarray as xr

FORMATS: Final = (".csv", ".npy", ".nc")
"""Endings of the files that can be written."""

_SUFFIXES: Final = {"S": "siemens", "V": "v", "A": "a", "s": "s", "ohm": "ohm"}
"""Unit -> last part of a column's name; what has no unit has none."""

_DIGITS: Final = "%.9g"
"""No instrument has more than 7 significant digits."""


def check_format(path: Path) -> None:
    """Refuse a file whose ending says nothing that can be written.

    Raises:
        InputFileError: another ending; nothing was driven.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputFileError(f"{path}: the ending says the format, one of {', '.join(FORMATS)}")


def write_export(labelled: xr.Dataset, path: Path, variable: str | None = None) -> Path:
    """Write a map or a measurement to a file whose ending says the format.

    Args:
        labelled: with units, as runs keep them.
        path: `.csv`, `.npy` or `.nc`; the file is written whole or not at all. In a `.npy` file the leading axis of a
            map is dropped where there is one array.
        variable: only this variable; None: all, and in a `.npy` file the only one.

    Raises:
        InputFileError: another ending, or the file cannot be written.
        UnknownNameError: there is no such variable.
        ConfigError: a `.npy` file holds one array, and there are several.
    """
    check_format(path)
    chosen = labelled if variable is None else labelled[[_known(labelled, variable)]]
    with replacing(path, InputFileError) as unfinished:
        if path.suffix.lower() == ".nc":
            conductance_maps.write(chosen, unfinished)
        elif path.suffix.lower() == ".csv":
            unfinished.write_text(csv_text(chosen), encoding="utf-8")
        else:
            values = _only_array(chosen, path)
            with unfinished.open("wb") as file:
                np.save(file, values)
    return path


def _known(labelled: xr.Dataset, variable: str) -> str:
    if variable not in labelled.data_vars:
        raise UnknownNameError("variable", variable, _names(labelled))
    return variable


def _names(labelled: xr.Dataset) -> list[str]:
    return [str(name) for name in labelled.data_vars]


def _only_array(labelled: xr.Dataset, path: Path) -> NDArray[Any]:
    names = _names(labelled)
    if len(names) != 1:
        raise ConfigError(f"{path}: a .npy file holds one array; name one by --variable: {', '.join(names)}")
    values = labelled[names[0]]
    one_array = values.dims[:1] == ("array",) and values.sizes["array"] == 1
    return np.asarray(values.values[0] if one_array else values.values)


def csv_text(labelled: xr.Dataset) -> str:
    """The rows of a map or a measurement as CSV."""
    order: Sequence[Any] = max((labelled[name].dims for name in labelled.data_vars), key=len)
    words = labelled.assign({name: _worded(labelled[name]) for name in labelled.data_vars})
    frame = words.to_dataframe(dim_order=list(order)).reset_index()
    numbers = [str(name) for name in labelled.data_vars if np.issubdtype(labelled[name].dtype, np.floating)]
    if numbers:
        frame = frame.dropna(subset=numbers, how="all")
    first = [str(name) for name in (*order, *labelled.coords, *labelled.data_vars)]
    columns = list(dict.fromkeys(first))
    frame = frame[columns].rename(columns={name: column_name(labelled, name) for name in columns})
    return str(frame.to_csv(index=False, float_format=_DIGITS, lineterminator="\n"))


def column_name(labelled: xr.Dataset, name: str) -> str:
    """Name of a variable with its unit."""
    suffix = _SUFFIXES.get(str(labelled[name].attrs.get("units", "1")), "")
    return f"{name}_{suffix}" if suffix and not name.endswith(f"_{suffix}") else name


def _worded(values: xr.DataArray) -> xr.DataArray:
    """Codes as the words that they stand for."""
    if "flag_meanings" not in values.attrs:
        return values
    meanings = np.array(str(values.attrs["flag_meanings"]).split(), dtype=object)
    place = np.searchsorted(np.asarray(values.attrs["flag_values"]), values.values)
    return values.copy(data=meanings[place])
