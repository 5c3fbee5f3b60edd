"""Verilator and Icarus accept the sources without a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

BOARDS = sorted(path.stem for path in (FIRMWARE / "boards").glob("*.toml"))

# Models keep their state with blocking assignments, as simulation code does: BLKSEQ.
MODEL_FLAGS = ("-Wno-BLKSEQ", "--timescale", "1ns/1ns")


def includes(board: str) -> list[str]:
    folders = (FIRMWARE / "rtl", FIRMWARE / "models", GENERATED, GENERATED / "boards" / board)
    return [f"-I{folder}" for folder in folders]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("top", "flags"),
    [("rtl/rm_board.v", ()), ("models/board_model.v", MODEL_FLAGS), ("vivado/generated/{}/rm_overlay.v", ())],
)
def test_verilator_finds_nothing(top: str, flags: tuple[str, ...], board: str) -> None:
    source = FIRMWARE / top.format(board)
    command = [require_tool("verilator"), "--lint-only", "-Wall", *flags, *includes(board), "--top-module", source.stem]
    done = subprocess.run([*command, source], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("board", BOARDS)
def test_icarus_takes_the_rtl_as_verilog_2005(board: str, tmp_path: Path) -> None:
    sources = [*sorted((FIRMWARE / "rtl").glob("*.v")), GENERATED / "rm_registers.v"]
    command = [require_tool("iverilog"), "-g2005", "-Wall", *includes(board), "-s", "rm_board", "-o", tmp_path / "out"]
    done = subprocess.run([*command, *sources], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "timescale" not in line]
    assert (done.returncode, complaints) == (0, [])
