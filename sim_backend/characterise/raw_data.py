"""Raw data of a measurement as a CSV file: names carry units, values are plain SI numbers.

Pulses, sweeps and retention have the tables of `sim_backend.fit`; this is for everything else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.errors import InputFileError


class Writable(Protocol):
    """What can be kept as a CSV file."""

    def write(self, path: str | Path) -> Path:
        """Write it to a file; the path of that file."""


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


def _texts(values: NDArray[Any]) -> list[str]:
    if np.issubdtype(values.dtype, np.floating):
        return [f"{value:.9g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]
