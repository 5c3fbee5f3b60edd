"""Conductance maps as labelled arrays: units, line numbers and provenance travel with the file.

A map is an `xarray.Dataset` over the dimensions `array`, `bl` and `sl`, kept as netCDF4.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.backend import Status, whole_numbers
from rmhil.errors import ShapeError
from rmhil.program_report import CellState, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

DIMENSIONS = ("array", "bl", "sl")

_VARIABLES: dict[str, tuple[str, str]] = {
    "target": ("S", "conductance asked for; NaN: left alone"),
    "achieved": ("S", "conductance of the cell in its last verify read"),
    "believed": ("S", "conductance of the cell as the write-verify policy judged it, from one or more readings"),
    "conductance": ("S", "conductance of the cell, routing resistance removed"),
    "error": ("S", "achieved less target conductance"),
    "form_pulses": ("1", "FORM pulses given"),
    "set_pulses": ("1", "SET pulses given"),
    "reset_pulses": ("1", "RESET pulses given"),
    "reads": ("1", "verify reads taken"),
    "outcome": ("1", "how write-verify ended"),
    "maybe_pulsed": ("1", "1: a transaction broke off, and nobody knows whether its pulse was given"),
    "status": ("1", "what the instrument says of the reading"),
    "state": ("1", "what the cell turned out to be when its yield was measured"),
    "low": ("S", "conductance reached when the low level was asked for"),
    "high": ("S", "conductance reached when the high level was asked for"),
    "form_voltage": ("V", "amplitude of the last FORM pulse; NaN: none was given"),
    "within": ("1", "1: the reading lies within the tolerance of its target"),
}
"""Variable -> unit and description."""

_CODES: dict[str, type[IntEnum]] = {"outcome": Outcome, "status": Status, "state": CellState}
"""Variables that hold codes."""

_ATTRIBUTES = ("tolerance", "policy", "provenance", "seconds")
"""What else a report may say of the whole map: S, name, identity, s on the backend's clock."""


def dataset(
    report: object,
    *,
    arrays: ArrayLike | None = None,
    bl: ArrayLike | None = None,
    sl: ArrayLike | None = None,
    **attributes: Any,  # noqa: ANN401
) -> xr.Dataset:
    """Label what a report (or a mapping of arrays) says of each cell.

    Args:
        report: `ProgramReport`, `VerifyReport`, or a mapping such as `{"conductance": array}`; arrays
            have shape `(n_arrays, n_bl, n_sl)` or, for one array, `(n_bl, n_sl)`.
        arrays: numbers of the arrays; counted from 0 unless given.
        bl: numbers of the bit lines, likewise.
        sl: numbers of the source lines, likewise.
        **attributes: further facts about the whole map.

    Raises:
        ShapeError: nothing in the report is a map, or the shapes differ.
    """
    import xarray as xr

    fields = _fields(report)
    maps = {name: _three_axes(name, fields[name]) for name in _VARIABLES if fields.get(name) is not None}
    if not maps:
        raise ShapeError("report", (), "at least one map of shape (n_bl, n_sl) or (n_arrays, n_bl, n_sl)")
    shape = next(iter(maps.values())).shape
    for name, values in maps.items():
        if values.shape != shape:
            raise ShapeError(name, values.shape, f"{shape}, as the other maps of the report")
    coordinates = {
        dimension: (
            dimension,
            _line_numbers(dimension, given, count),
            {"units": "1", "long_name": f"{dimension} number"},
        )
        for dimension, given, count in zip(DIMENSIONS, (arrays, bl, sl), shape, strict=True)
    }
    variables = {name: (DIMENSIONS, values, _description(name, fields)) for name, values in maps.items()}
    return xr.Dataset(variables, coordinates, _attributes(fields) | attributes)


def write(labelled: xr.Dataset, path: Path) -> None:
    """Write one map as compressed netCDF4, made in memory: a file that HDF5 cannot finish ends the process later."""
    encoding = {name: {"zlib": True, "complevel": 4} for name in labelled.data_vars}
    path.write_bytes(labelled.to_netcdf(engine="h5netcdf", encoding=encoding))


def read(path: Path) -> xr.Dataset:
    """Read one map into memory and let go of the file.

    Raises:
        OSError, ValueError: not a netCDF4 file, a truncated one, or not a map.
    """
    import xarray as xr

    with xr.open_dataset(path, engine="h5netcdf") as opened:
        missing = [dimension for dimension in DIMENSIONS if dimension not in opened.coords]
        if missing:
            raise ValueError(f"no coordinate {', '.join(missing)}")
        return opened.load()


def _fields(report: object) -> dict[str, Any]:
    if isinstance(report, Mapping):
        found = dict(report)
    else:
        names = (*_VARIABLES, *_ATTRIBUTES, "pulses")
        found = {name: getattr(report, name) for name in names if hasattr(report, name)}
    pulses = found.pop("pulses", None)
    if pulses is not None:
        found |= {f"{kind}_pulses": _part(pulses, kind) for kind in ("form", "set", "reset")}
    if found.get("target") is not None and found.get("achieved") is not None:
        found["error"] = np.asarray(found["achieved"]) - np.asarray(found["target"])
    return found


def _part(pulses: object, kind: str) -> Any:  # noqa: ANN401
    return pulses.get(kind) if isinstance(pulses, Mapping) else getattr(pulses, kind, None)


def _three_axes(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim not in (2, 3):
        raise ShapeError(name, array.shape, "(n_bl, n_sl) or (n_arrays, n_bl, n_sl)")
    if array.dtype == np.bool_:
        array = array.astype(np.int8)
    return array[np.newaxis] if array.ndim == 2 else array


def _line_numbers(name: str, given: ArrayLike | None, count: int) -> NDArray[np.int64]:
    if given is None:
        return np.arange(count, dtype=np.int64)
    numbers = whole_numbers(f"{name} numbers", given).reshape(-1)
    if len(numbers) != count:
        raise ShapeError(f"{name} numbers", numbers.shape, f"({count},)")
    return numbers


def _description(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    unit, text = _VARIABLES[name]
    described: dict[str, Any] = {"units": unit, "long_name": text}
    codes = _CODES.get(name)
    if codes is not None:
        described["flag_values"] = np.asarray([int(member) for member in codes], dtype=np.int8)
        described["flag_meanings"] = " ".join(member.name.lower() for member in codes)
    return described


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "Conventions": "CF-1.10"}
    known |= {name: fields[name] for name in _ATTRIBUTES if fields.get(name) is not None}
    if "tolerance" in known:
        known["tolerance_units"] = "S"
    if "seconds" in known:
        known["seconds_long_name"] = "duration on the clock of the backend, s"
    return known
