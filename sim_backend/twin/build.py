"""The libraries of the twin: made from the firmware's sources where that has not been done yet.

Each goes to a folder of the user's cache whose name is a hash of its sources, so that a changed source makes another
one and nothing is ever used that was made from something else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loguru import logger

from rmhil.errors import BackendUnavailableError, ConfigError, ToolMissingError

_BOARD_SOURCES: Final = ("rtl", "models", "regmap/generated", "sim")
_DAEMON_SOURCES: Final = ("c", "regmap/generated", "sim")
"""Folders of the firmware that each library is made from."""

_KINDS: Final = (".v", ".vh", ".h", ".c", ".cpp")
"""Of the files in them that are sources, beside `Makefile`."""

_PACKAGED: Final = "rmhil_firmware"
"""Package under which an installed distribution holds the folder `firmware`."""

_TOOLS: Final = {"verilator": "verilator", "g++": "g++", "cc": "gcc", "make": "make", "perl": "perl"}
"""Packages of Debian and Ubuntu, by the program that is looked for."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """What a twin loads.

    Attributes:
        board: the Verilated board.
        daemon: the board's daemon, with the array's products.
    """

    board: Path
    daemon: Path

    @classmethod
    def at(cls, paths: Mapping[str, str]) -> Libraries:
        """From their paths, as `paths` gives them."""
        return cls(Path(paths["board"]), Path(paths["daemon"]))

    @property
    def paths(self) -> dict[str, str]:
        """By name, as JSON takes them."""
        return {"board": str(self.board), "daemon": str(self.daemon)}


def firmware_folder() -> Path:
    """The firmware's sources: those beside this package in a checkout, or those that were installed with it.

    Raises:
        ConfigError: they are in neither place.
    """
    places = [Path(__file__).resolve().parents[2] / "firmware"]
    spec = find_spec(_PACKAGED)
    if spec is not None and spec.submodule_search_locations:
        places += [Path(folder) for folder in spec.submodule_search_locations]
    for place in places:
        if (place / "sim" / "Makefile").is_file():
            return place
    raise ConfigError(f"the twin needs the sources of the firmware; looked for them in {', '.join(map(str, places))}")


def cache_folder() -> Path:
    """Where libraries and the list of running twins are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rmhil" / "twin"


def libraries(topology: str, *, waves: bool = False) -> Libraries:
    """The libraries of a board, made now where that was not done before.

    Args:
        topology: name of a board description.
        waves: whether the board can write wave dumps, which makes it slower.

    Raises:
        ToolMissingError: something must be made, and a program is missing.
        BackendUnavailableError: making failed; the message holds what the compiler said.
    """
    firmware, kept = firmware_folder(), cache_folder()
    name = f"{topology}-waves" if waves else topology
    board = kept / _digest(firmware, _BOARD_SOURCES) / name / "libboard_sim.so"
    daemon = kept / _digest(firmware, _DAEMON_SOURCES) / "c" / "host" / "librmhild-rtl.so"
    if not (board.is_file() and daemon.is_file()):
        require_tools()
    if not board.is_file():
        _make(firmware / "sim", board.parent, BOARD=topology, OUT="", TRACE=str(int(waves)))
    if not daemon.is_file():
        _make(firmware / "c", daemon.parents[1], "embedded", BUILD="")
    return Libraries(board, daemon)


def require_tools() -> None:
    """Refuse to begin without the programs that the libraries are made with.

    Raises:
        ToolMissingError: one is missing; the message says how to get it.
    """
    missing = [package for program, package in _TOOLS.items() if shutil.which(program) is None]
    if missing:
        raise ToolMissingError("the twin, which simulates the board from its Verilog,", missing)


@cache
def _digest(firmware: Path, folders: tuple[str, ...]) -> str:
    """Hash of the sources in some folders, and of the kind of machine."""
    digest = hashlib.sha256(platform.machine().encode())
    for folder in folders:
        for path in sorted((firmware / folder).rglob("*")):
            if (path.suffix in _KINDS or path.name == "Makefile") and path.is_file():
                digest.update(str(path.relative_to(firmware)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _make(sources: Path, target: Path, *goals: str, **variables: str) -> None:
    """Run make in a folder of its own, and put the result where it belongs once it is whole.

    Args:
        sources: folder of the Makefile.
        target: folder of the result.
        goals: of make; none takes the first.
        variables: of the Makefile; an empty one is set to the folder that is made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.with_name(target.name + ".lock")):
        if target.is_dir():
            return
        logger.info("building {} from {}, once; this takes about a minute", target.name, sources)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name + ".") as scratch:
            out = Path(scratch) / "out"
            settings = [f"{name}={value or out}" for name, value in variables.items()]
            command = ["make", "--silent", "-C", str(sources), *settings, *goals]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise BackendUnavailableError(f"{' '.join(command)} failed:\n{made.stderr.strip()}")
            out.replace(target)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process builds, others wait for it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
