"""The record of a run (`run.json`), and finding the directory that holds it."""

from __future__ import annotations

import json
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import rmhil
from rmhil.errors import ConfigError, RunDirectoryError
from rmhil.validation_errors import damage

FORMAT: Final = 1
"""Version of the layout; a directory of another version is refused."""

RECORD_NAME: Final = "run.json"
JOURNAL_NAME: Final = "journal.sqlite"

RunStatus = Literal["running", "complete", "interrupted", "failed"]

_RUN_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(?:-(\d+))?")
_FILE_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d) *(?:\.|$))"  # devices, not files, on Windows
    r"[a-z0-9](?:[a-z0-9._ -]*[a-z0-9_-])?",  # Windows drops dots and spaces at the end
    re.IGNORECASE | re.ASCII,
)
_PACKAGES = ("rmhil", "numpy", "scipy", "torch", "xarray", "h5netcdf", "pydantic", "safetensors")


class RunRecord(BaseModel):
    """What `run.json` holds.

    Attributes:
        format: version of the layout.
        command: what was asked for, as typed.
        status: `running` until the work ends; a run found so later was killed.
        created, finished: ISO 8601 with time zone.
        seed: of every random number; None if none was drawn.
        config: the settings in force.
        backend: provenance, geometry, limits and wiring of the target; None if none was opened.
        versions: of Python, of the platform and of the packages that computed the results.
        error: why the run failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    command: str
    status: RunStatus = "running"
    created: str
    finished: str | None = None
    seed: int | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    backend: dict[str, Any] | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    error: str | None = None


def checked_name(name: str) -> str:
    """A name that can be a file of a run on any system.

    Raises:
        ConfigError: it cannot.
    """
    if not _FILE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a file name of a run: letters, digits, '.', '_', '-' and spaces only, no dot or space "
            "at its end, and no name that Windows keeps for a device"
        )
    return name


def new_directory(root: Path, stamp: str) -> Path:
    """Make `root/<stamp>`, or `root/<stamp>-2` and so on when that exists: never an existing one."""
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def latest_directory(root: Path) -> Path:
    """The newest run under a folder, by its name; a folder without a record, left by an early Ctrl-C, is none.

    Raises:
        RunDirectoryError: there is none.
    """
    named = [
        (match, path)
        for path in root.glob("*")
        if (match := _RUN_NAME.fullmatch(path.name)) and (path / RECORD_NAME).is_file()
    ]
    if not named:
        raise RunDirectoryError(f"no runs in {root.resolve()}")
    return max(named, key=lambda pair: (pair[0][1], int(pair[0][2] or 1)))[1]


def find_directory(which: Path, root: Path) -> Path:
    """A run named by its path, or by its name under `root`.

    Raises:
        RunDirectoryError: there is no such directory.
    """
    for path in (which, root / which):
        if path.is_dir():
            return path
    raise RunDirectoryError(f"no run directory {which} (nor {root / which})")


def read_record(path: Path) -> RunRecord:
    """Read and check one `run.json`.

    Raises:
        RunDirectoryError: it is missing or damaged; the message says where.
    """
    content = read_json(path)
    if content is None:
        raise RunDirectoryError(f"{path.parent} is not a run directory: {RECORD_NAME} is missing")
    if content.get("format") != FORMAT:
        raise RunDirectoryError(f"{path}: format {content.get('format')!r}, this version reads {FORMAT}")
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise RunDirectoryError(f"{path}: {damage(error)}") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path}: not readable: {error}") from error
    if not isinstance(content, dict):
        raise RunDirectoryError(f"{path}: holds a {type(content).__name__}, expected an object")
    return content


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that compute results; nothing is imported."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = rmhil.__version__ if package == "rmhil" else "not installed"
    return found
