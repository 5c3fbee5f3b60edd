"""What the build says about an overlay: NAME.json beside NAME.bit and NAME.hwh (firmware/vivado/results.tcl)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmhil_board import board_map
from rmhil_board.errors import ManifestError


@dataclass(frozen=True)
class Manifest:
    """One overlay.

    Attributes:
        bitstream: NAME.bit.
        board: name of the board description.
        base_address, size: of the registers: bytes.
        map_hash, board_hash, build_id: what the registers of the same names must read.
        clock_hz: Hz, of the board's logic.
        module: of the block design, by which pynq finds the registers.
    """

    bitstream: Path
    board: str
    base_address: int
    size: int
    map_hash: int
    board_hash: int
    build_id: int
    clock_hz: int
    module: str


def read_manifest(bitstream: Path) -> Manifest:
    """Read and check the files of an overlay.

    Args:
        bitstream: NAME.bit; NAME.hwh and NAME.json lie beside it.

    Raises:
        ManifestError: a file is missing or unreadable, it was built from another register map, or with example pins.
    """
    for suffix in (".bit", ".hwh", ".json"):
        if not bitstream.with_suffix(suffix).is_file():
            raise ManifestError(f"{bitstream.with_suffix(suffix)} is missing; .bit, .hwh and .json come from one build")
    path = bitstream.with_suffix(".json")
    try:
        entries = json.loads(path.read_text())
        manifest, pins = _manifest(bitstream.resolve(), entries), entries["pins"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} is not a manifest of an overlay: {error!r}") from error
    if pins != "board":
        raise ManifestError(f"{path}: the {pins} pins of {manifest.board} are no board's; see firmware/vivado/pins")
    if manifest.map_hash != board_map.MAP_HASH:
        raise ManifestError(
            f"{path}: register map {manifest.map_hash:#010x}, this program is for {board_map.MAP_HASH:#010x}: "
            "build overlay, daemon and this program from one checkout"
        )
    return manifest


def _manifest(bitstream: Path, entries: dict[str, Any]) -> Manifest:
    return Manifest(
        bitstream=bitstream,
        board=str(entries["board"]),
        base_address=int(entries["base_address"], 16),
        size=int(entries["bytes"]),
        map_hash=int(entries["map_hash"], 16),
        board_hash=int(entries["board_hash"], 16),
        build_id=int(entries["build_id"], 16),
        clock_hz=int(entries["clock_hz"]),
        module=str(entries["module"]),
    )
