"""Where the chip file of an array lies."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rmhil.backend import Backend, ChipNaming, StateSaving
from rmhil.errors import RunDirectoryError

if TYPE_CHECKING:
    from rmhil.store import Run

CHIPS_VARIABLE: Final = "RMHIL_CHIPS"
"""Environment variable that names the folder of all chip files, in the place of the user's data folder."""

_OWN_NAME: Final = "chip-wear.sqlite"
_DIGEST: Final = 8
"""Hexadecimal digits that tell apart ids which differ only in what a file name cannot hold."""


def chip_file(backend: Backend, run: Run) -> Path:
    """The chip file of a backend's array.

    A simulated array lives in the run that it is kept in, and so does its file: a new one is a new chip. An array that
    names itself has its file under that name, and any other under the provenance of its backend.

    Args:
        backend: holds the array.
        run: works on it.
    """
    if isinstance(backend, ChipNaming):
        return (backend.chip_folder or chips_folder()) / f"{_file_name(backend.chip_id)}.sqlite"
    if isinstance(backend, StateSaving):
        return run.path / _OWN_NAME
    return chips_folder() / f"{_file_name(backend.spec.provenance)}.sqlite"


def chip_file_of(run: Run) -> Path:
    """The chip file that a run was counted in.

    Raises:
        RunDirectoryError: the run worked on no array.
    """
    name = run.journal.chip_file()
    if name is None:
        raise RunDirectoryError(f"{run.path}: the run worked on no array, so there is no chip file")
    return run.path / name


def chips_folder() -> Path:
    """Folder of all chip files: as the environment says, else in the user's data folder."""
    named = os.environ.get(CHIPS_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "rmhil" / "chips"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "rmhil" / "chips"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rmhil" / "chips"


def _file_name(chip: str) -> str:
    """A name that says which chip it is, and is that of no other."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", chip).strip("-").lower()[:60]
    return f"{readable or 'chip'}-{hashlib.sha256(chip.encode()).hexdigest()[:_DIGEST]}"
