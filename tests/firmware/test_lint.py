"""The three tools that the sources are written for accept them without a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

BOARDS = sorted(path.stem for path in (FIRMWARE / "boards").glob("*.toml"))


def includes(board: str) -> list[str]:
    folders = (FIRMWARE / "rtl", FIRMWARE / "models", GENERATED, GENERATED / "boards" / board)
    return [f"-I{folder}" for folder in folders]


@pytest.mark.parametrize("board", BOARDS)
def test_verilator_finds_nothing_in_the_rtl(board: str) -> None:
    top = FIRMWARE / "rtl" / "rm_board.v"
    command = [
        require_tool("verilator"),
        "--lint-only",
        "-Wall",
        *includes(board),
        "--top-module",
        "rm_board",
        str(top),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("board", BOARDS)
def test_verilator_finds_nothing_in_the_models(board: str) -> None:
    # Models keep their state with blocking assignments, as simulation code does: BLKSEQ.
    top = FIRMWARE / "models" / "board_model.v"
    flags = ["--lint-only", "-Wall", "-Wno-BLKSEQ", "--timescale", "1ns/1ns", "--top-module", "board_model"]
    done = subprocess.run(
        [require_tool("verilator"), *flags, *includes(board), str(top)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("board", BOARDS)
def test_icarus_takes_the_rtl_as_verilog_2005(board: str, tmp_path: Path) -> None:
    sources = [*map(str, sorted((FIRMWARE / "rtl").glob("*.v"))), str(GENERATED / "rm_registers.v")]
    command = [
        require_tool("iverilog"),
        "-g2005",
        "-Wall",
        *includes(board),
        "-s",
        "rm_board",
        "-o",
        str(tmp_path / "board"),
    ]
    done = subprocess.run([*command, *sources], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "timescale" not in line]
    assert (done.returncode, complaints) == (0, [])
