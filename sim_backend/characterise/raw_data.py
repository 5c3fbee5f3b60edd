"""Raw data of a measurement as a CSV file: names carry units, values are plain SI numbers.

Pulses have the tables of `sim_backend.fit`, and measurements of `rmhil.measure` the rows of `rmhil.export`, which
`rmhil fit` reads as well; this is for everything else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.errors import InputFileError
from rmhil.export import csv_text
from rmhil.whole_files import replacing

if TYPE_CHECKING:
    import xarray as xr


class Writable(Protocol):
    """What can be kept as a CSV file."""

    def write(self, path: str | Path) -> Path:
        """Write it to a file; the path of that file."""


class Labelled(Protocol):
    """A measurement of `rmhil.measure`."""

    def summary(self) -> dict[str, Any]:
        """What it comes to, in plain numbers."""

    def dataset(self) -> xr.Dataset:
        """Its data with units."""


L = TypeVar("L", bound=Labelled)


@dataclass(frozen=True, slots=True)
class Kept(Generic[L]):
    """A measurement of `rmhil.measure`, with its data as a table.

    Attributes:
        name: of the file.
        own: the measurement.
    """

    name: str
    own: L

    def summary(self) -> dict[str, Any]:
        """What it comes to, in plain numbers."""
        return self.own.summary()

    def tables(self) -> dict[str, Writable]:
        """Its data."""
        return {self.name: self}

    def write(self, path: str | Path) -> Path:
        """Write the data as CSV.

        Raises:
            InputFileError: the file cannot be written.
        """
        target = Path(path)
        try:
            target.write_text(csv_text(self.own.dataset()), encoding="utf-8")
        except OSError as error:
            raise InputFileError(f"{target} cannot be written: {error.strerror}") from error
        return target


@dataclass(frozen=True, slots=True)
class RawData:
    """Columns of one length.

    Attributes:
        columns: name with unit -> values; floats, integers or text.
    """

    columns: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, **columns: ArrayLike) -> RawData:
        """Broadcast arrays of any shape to columns, in index order."""
        parts = np.broadcast_arrays(*(np.asarray(values) for values in columns.values()))
        return cls({name: part.reshape(-1) for name, part in zip(columns, parts, strict=True)})

    def write(self, path: str | Path) -> Path:
        """Write a CSV file with a header; numbers keep nine significant digits.

        Raises:
            InputFileError: the file cannot be written.
        """
        target = Path(path)
        texts = [_texts(values) for values in self.columns.values()]
        try:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(self.columns)
                writer.writerows(zip(*texts, strict=True))
        except OSError as error:
            raise InputFileError(f"{target} cannot be written: {error.strerror}") from error
        return target


def make_folder(folder: Path) -> None:
    """Make a folder for results where there is none.

    Raises:
        InputFileError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFileError(f"{folder} cannot be made: {error.strerror}") from error


def keep_tables(tables: Mapping[str, Writable], folder: Path) -> list[str]:
    """Write tables into a folder, each whole or not at all; the names of the files."""
    files = {f"{name}.csv": table for name, table in tables.items()}
    for file, table in files.items():
        with replacing(folder / file) as unfinished:
            table.write(unfinished)
    return list(files)


def _texts(values: NDArray[Any]) -> list[str]:
    if np.issubdtype(values.dtype, np.floating):
        return [f"{value:.9g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]
