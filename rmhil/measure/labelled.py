"""Results of measurements as labelled arrays: cells, units and provenance travel with the file.

In a run they are `measurements/<name>.nc`; each says in its attribute `measurement` of what kind it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike

from rmhil import conductance_maps
from rmhil.backend import Cells
from rmhil.errors import RunDirectoryError
from rmhil.whole_files import replacing

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.store import Run

FOLDER: Final = "measurements"
"""Folder of a run."""

KIND: Final = "measurement"
"""Attribute that names the kind."""

Quantity = tuple[tuple[str, ...], ArrayLike, str, str]
"""Dimensions, values, unit, and one line that says what it is."""


def labelled(
    kind: str,
    provenance: str,
    cells: Cells,
    quantities: Mapping[str, Quantity],
    coordinates: Mapping[str, Quantity],
    **attributes: str | float,
) -> xr.Dataset:
    """A measurement of some cells: a dataset with the dimension `cell`, and others.

    Args:
        kind: of the measurement.
        provenance: of the backend.
        cells: by their numbers in the backend.
        quantities: what was measured, by name.
        coordinates: where and when.
        **attributes: further facts.
    """
    import xarray as xr

    array, bl, sl = cells.index
    places: dict[str, Quantity] = {
        "cell": (("cell",), cells.names, "1", "array/bl/sl"),
        "array": (("cell",), array, "1", "array number"),
        "bl": (("cell",), bl, "1", "bit line number"),
        "sl": (("cell",), sl, "1", "source line number"),
    }
    facts = {KIND: kind, "provenance": provenance, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    return xr.Dataset(
        {name: _variable(one) for name, one in quantities.items()},
        {name: _variable(one) for name, one in (places | dict(coordinates)).items()},
        facts | {"Conventions": "CF-1.10"} | attributes,
    )


def _variable(quantity: Quantity) -> tuple[tuple[str, ...], Any, dict[str, str]]:
    dimensions, values, unit, text = quantity
    array = np.asarray(values)
    return dimensions, array.astype(object) if array.dtype.kind == "U" else array, {"units": unit, "long_name": text}


def cells_of(dataset: xr.Dataset) -> Cells:
    """The cells of a measurement, by their numbers in the backend."""
    return Cells.of(*(np.asarray(dataset[name], dtype=np.int64) for name in ("array", "bl", "sl")))


def keep_measurement(run: Run, name: str, dataset: xr.Dataset) -> Path:
    """Write `measurements/<name>.nc`, whole or not at all; an earlier one is replaced.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    path = run.directory(FOLDER) / f"{name}.nc"
    with replacing(path) as unfinished:
        conductance_maps.write(dataset, unfinished)
    return path


def measurement_names(run: Run) -> list[str]:
    """Names of the measurements of a run, oldest first."""
    return run.names_in(FOLDER, ".nc")


def load_measurement(run: Run, name: str) -> xr.Dataset:
    """Read `measurements/<name>.nc` into memory.

    Raises:
        RunDirectoryError: there is no such measurement (the message lists those there are), or it is damaged.
    """
    import xarray as xr

    path = run.existing(FOLDER, name, ".nc")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            dataset = opened.load()
        if KIND not in dataset.attrs or "cell" not in dataset.coords:
            raise ValueError("no measurement of cells")
    except (OSError, ValueError, KeyError) as error:
        raise RunDirectoryError(f"{path}: not a readable measurement: {error}") from error
    return dataset
