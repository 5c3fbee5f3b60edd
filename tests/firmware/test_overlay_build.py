"""The build script, rehearsed with commands that stand for Vivado's: what it builds, and what stops it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rmhil.bench import board_map as rm
from tests.firmware.overlay import BOARDS, VIVADO, rehearse

ORDER = [
    "create_project",
    "create_bd_design",
    "create_bd_cell",
    "assign_bd_address",
    "validate_bd_design",
    "save_bd_design",
    "generate_target",
    "make_wrapper",
    "launch_runs",
    "open_run",
    "report_timing_summary",
    "report_utilization",
]


@pytest.mark.parametrize("board", BOARDS)
def test_it_leaves_bitstream_and_handoff_of_one_name(board: str, tmp_path: Path) -> None:
    commands = rehearse(board, tmp_path).split()
    assert [name for name in dict.fromkeys(commands) if name in ORDER] == ORDER
    for suffix in ("bit", "hwh", "json"):
        assert (tmp_path / f"rmhil_{board}.{suffix}").stat().st_size > 0
    assert {path.name for path in tmp_path.glob("*.rpt")} >= {"timing.rpt", "utilisation.rpt"}


def test_the_manifest_says_what_the_loader_must_find(tmp_path: Path) -> None:
    rehearse("adc8", tmp_path)
    manifest = json.loads((tmp_path / "rmhil_adc8.json").read_text())
    assert manifest["build_id"] == "0xC0FFEE01"
    assert int(manifest["map_hash"], 16) == rm.MAP_HASH
    assert (manifest["base_address"], manifest["bytes"]) == ("0x43C00000", rm.MAP_BYTES)
    assert (manifest["pins"], manifest["clock_hz"], manifest["setup_slack_ns"]) == ("example", 100_000_000, 1.2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dict set answers STATS.WNS -0.001", "slack of setup is -0.001 ns"),
        ("dict set answers STATS.WHS -0.2", "slack of hold is -0.2 ns"),
        ("dict set answers STATS.TPWS {}", "no slack of pulse_width"),
        ("dict set answers STATS.WNS NaN", "slack of setup is NaN"),
        ("dict set answers PROGRESS 40%", "synth_1 ended with"),
        ("set warnings 2", "2 in vivado.log"),
        ("set log {CRITICAL WARNING: [Place 30-1] a pin is not placed}", "impl_1: CRITICAL WARNING: .Place 30-1"),
    ],
)
def test_nothing_is_handed_out_of_a_build_that_failed(setting: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rmhil_adc8.bit").write_text("of the build before")
    error = rehearse("adc8", tmp_path, setting=setting)
    assert message.replace(".Place", "[Place") in error
    assert not list(tmp_path.glob("rmhil_adc8.*"))


@pytest.mark.parametrize(
    ("script", "old", "new", "message"),
    [
        ("design.tcl", "ps7/M_AXI_GP0_ACLK ", "", "ps7/M_AXI_GP0_ACLK is not connected"),
        ("design.tcl", "board/clk", "board/aclk", "no pin or port board/aclk"),
        ("design.tcl", "reset/peripheral_reset board/rst", "reset/peripheral_aresetn board/rst", "connected already"),
        ("design.tcl", "join_interfaces axi/M00_AXI board/s_axi", "", "board/s_axi is not connected"),
        ("design.tcl", "ps7/M_AXI_GP0 axi/S00_AXI", "ps7/M_AXI_GP0 board/s_axi", "connected already"),
        ("design.tcl", "join_pins board/irq ps7/IRQ_F2P", "", "ps7/IRQ_F2P is not connected"),
        ("design.tcl", "join_interfaces ps7/DDR DDR", "join_interfaces ps7/DDR FIXED_IO", "does not go with"),
        ("design.tcl", "PCW_USE_M_AXI_GP0", "PCW_USE_MAXI_GP0", "no property CONFIG.PCW_USE_MAXI_GP0"),
        ("design.tcl", "processing_system7:5.5", "processing_system7:5.6", "no IP"),
        ("design.tcl", "$width - 1", "$width - 2", "joins widths"),
        ("design.tcl", "assign_registers $overlay\n    validate", "validate", "no address"),
        ("design.tcl", "-range [dict get $overlay bytes]", "-range 65536", "RANGE of the registers became 65536"),
        ("build.tcl", "[file join $generated rm_registers.v]", "rm_registers.v", "rm_registers.v does not exist"),
        ("results.tcl", "$project */sources_1", "$project */sources_2", "expected one overlay.hwh"),
        ("build.tcl", "launch_runs impl_1", "start_runs impl_1", "start_runs"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_scripts_is_found_by_the_rehearsal(
    script: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert message in rehearse("adc8", tmp_path, changes={script: (old, new)})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("adc8 out", "expected BOARD OUT BUILD_ID"),
        ("adc9 out 0x00000000", "no board description adc9"),
        ("adc8 out 12345678", "12345678 is not 0x and eight digits"),
        ("adc8 out 0x123", "0x123 is not 0x and eight digits"),
    ],
)
def test_wrong_arguments_are_refused(words: str, message: str, tmp_path: Path) -> None:
    assert message in rehearse("adc8", tmp_path, words=words.replace("out", str(tmp_path)))


def test_make_gives_vivado_the_board_the_folder_and_the_build_id(tmp_path: Path) -> None:
    vivado = tmp_path / "vivado"
    vivado.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\n')
    vivado.chmod(0o755)
    variables = ["BOARD=adc8", f"OUT={tmp_path}", f"VIVADO={vivado}", "BUILD_ID=0x01234567"]
    subprocess.run(["make", "--silent", "-C", str(VIVADO), *variables], check=True)
    words = (tmp_path / "words").read_text().split()
    assert words[words.index("-source") + 1] == str(VIVADO / "build.tcl")
    assert words[words.index("-tclargs") + 1 :] == ["adc8", str(tmp_path), "0x01234567"]
