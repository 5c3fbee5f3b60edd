"""The Olivetti photographs: 40 people, ten photographs of each (AT&T Laboratories Cambridge)."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rmhil.errors import DataMissingError

PEOPLE: Final = 40
PHOTOGRAPHS: Final = 10
"""Of each person."""
SIDE: Final = 64
"""Pixels on a side."""

LARGEST_PIXEL: Final = 242.0
"""Grey value that counts as 1: the largest in the set, as scikit-learn's loader has it."""

DATA_VARIABLE: Final = "RMHIL_DATA"
"""Environment variable that names the folder of data sets."""

_FILE = Path("olivetti") / "olivetti_faces_64x64.npz"


def load_photographs(allow_download: bool = True) -> NDArray[np.float32]:
    """All photographs, person by person: shape `(40, 10, 64, 64)`, values from 0 to 1.

    Looked for in `$RMHIL_DATA/olivetti`, in the user's cache, and with scikit-learn's loader, which keeps a copy of its
    own and downloads the set once.

    Args:
        allow_download: let scikit-learn fetch what is not on this machine.

    Raises:
        DataMissingError: it is nowhere, or damaged; the message says where it was looked for.
    """
    tried = []
    for path in _places():
        if path.is_file():
            return _read(path)
        tried.append(str(path))
    return _from_scikit_learn(tried, allow_download)


def _places() -> list[Path]:
    given = os.environ.get(DATA_VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rmhil"
    return [Path(folder) / _FILE for folder in (given, cache) if folder]


def _read(path: Path) -> NDArray[np.float32]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images, target = file["images"], file["target"]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataMissingError(f"{path} is damaged: {error}") from error
    expected = np.repeat(np.arange(PEOPLE), PHOTOGRAPHS)
    if images.shape != (len(expected), SIDE, SIDE) or not np.array_equal(target, expected):
        raise DataMissingError(f"{path} does not hold the {len(expected)} photographs in the order of their people")
    return _by_person(images.astype(np.float32) / np.float32(LARGEST_PIXEL))


def _from_scikit_learn(tried: list[str], allow_download: bool) -> NDArray[np.float32]:
    try:
        from sklearn.datasets import fetch_olivetti_faces

        found = fetch_olivetti_faces(shuffle=False, download_if_missing=allow_download)
    except ImportError as error:
        raise DataMissingError(_advice(tried, "scikit-learn is not installed")) from error
    except OSError as error:  # no network, or a download that was not allowed
        raise DataMissingError(_advice(tried, f"scikit-learn's loader failed ({error})")) from error
    return _by_person(found.images.astype(np.float32))


def _by_person(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return images.reshape(PEOPLE, PHOTOGRAPHS, SIDE, SIDE)


def _advice(tried: list[str], problem: str) -> str:
    return (
        f"the Olivetti photographs were not found in {', '.join(tried)}, and {problem}. "
        f"Set {DATA_VARIABLE} to a folder that holds {_FILE.as_posix()}, or run once with a network connection"
    )
