"""Each check of the board model fires when the RTL or the board's numbers are broken, and none when they are not."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

BENCHES = Path(__file__).parent / "benches"
CHECKS = [check["name"] for check in tomllib.loads((FIRMWARE / "models" / "checks.toml").read_text())["checks"]]

# A shorter soft reset, the same in the model and in the RTL, saves most of the simulation.
SHORT_RESET = [("rm_models.vh", "RESET_WAIT_NS 250000", "RESET_WAIT_NS 2000"), ("rm_board.vh", "25000", "200")]

Change = tuple[str, str, str]


def parameter(name: str, old: int, new: int) -> Change:
    return "rm_board.vh", f"RM_BOARD_{name} {old}\n", f"RM_BOARD_{name} {new}\n"


BROKEN: list[tuple[str, Change | int]] = [
    # An int is half a clock period in ns in place of 5: what a 10 ns clock cannot break.
    ("DAC_SCLK_PERIOD", 4),
    ("DAC_SCLK_WIDTH", 4),
    ("DAC_SDI_SETUP", 2),
    ("DAC_SDI_HOLD", ("rm_dac_spi.v", "if (!dac_sclk) begin", "if (dac_sclk) begin")),
    ("DAC_CS_SETUP", 2),
    ("DAC_CS_HOLD", 4),
    ("DAC_CS_HIGH", 1),
    ("DAC_FRAME_LENGTH", ("rm_dac_spi.v", "bit_count   <= 5'd24;", "bit_count   <= 5'd23;")),
    ("DAC_READ_RATE", parameter("SPI_READ_HALF_CLOCKS", 5, 1)),
    ("DAC_RESET_WAIT", ("rm_board.vh", "DAC_RESET_CLOCKS 200", "DAC_RESET_CLOCKS 100")),
    ("DAC_HEADROOM", ("rm_dac.v", "{GAIN, 16'h0000}", "{GAIN, 16'h0001}")),
    ("ADC_DCLOCK_FAST", parameter("ADC_HALF_CLOCKS", 42, 41)),
    ("ADC_DCLOCK_WIDTH", parameter("ADC_HALF_CLOCKS", 42, 19)),
    (
        "ADC_CS_SETUP",
        ("rm_adc.v", "half     <= HALF_LAST;\n                edges", "half     <= 8'd2;\n                edges"),
    ),
    ("ADC_CS_HIGH", parameter("ADC_CYCLE_CLOCKS", 2000, 1860)),
    ("ADC_RATE", parameter("ADC_CYCLE_CLOCKS", 2000, 1999)),
    ("ADC_CS_EARLY", parameter("ADC_WORD_EDGES", 22, 21)),
    ("ADC_INPUT_UNSETTLED", parameter("SETTLE_CLOCKS", 600, 590)),
    ("ADC_INPUT_MOVED", parameter("ADC_SAMPLE_EDGES", 5, 4)),
    ("SR_PERIOD", parameter("SHIFT_HALF_CLOCKS", 4, 3)),
    ("SR_WIDTH", parameter("SHIFT_HALF_CLOCKS", 4, 1)),
    ("SR_SETUP", parameter("SHIFT_HALF_CLOCKS", 4, 2)),
    ("SR_LATCH_SETUP", parameter("SHIFT_HALF_CLOCKS", 4, 1)),
    ("SR_PARTIAL", ("rm_shift_chain.v", "LINE_LAST = LINES - 1", "LINE_LAST = LINES - 2")),
    ("SR_OE_UNKNOWN", ("rm_sequencer.v", "initial outputs_on = 1'b0;", "initial outputs_on = 1'b1;")),
    ("MUX_LIVE_ADDRESS", ("rm_route.v", "closes = state == MAKE;", "closes = 1'b1;")),
    ("MUX_DEAD_TIME", ("rm_route.v", "closes = state == MAKE;", "closes = state == MAKE || state == ADDRESS;")),
    ("PATHS_TOGETHER", ("rm_line_select.v", "`RM_SOURCE_ANALYSER : `RM_SOURCE_INHIBIT", "`RM_SOURCE_ANALYSER : 2'd0")),
    ("TWO_DRIVERS", ("rm_line_select.v", "bl_driven = line[7:6] == bl_bank &&", "bl_driven =")),
    ("TWO_CELLS", ("rm_line_select.v", "if (line == cell_sl) wl_source", "wl_source")),
    ("WL_UNSENSED", ("rm_line_select.v", "if (sl_sensed) wl_source", "wl_source")),
    ("READ_VOLTAGE", ("rm_dac.v", "if (distance > LIMIT_CODES) out_of_range <= 1'b1;", "")),
    ("SWITCH_LIVE", ("rm_sequencer.v", "|| (accepted && target == P_REST);", ";")),
]

IN_BENCHES = {"DAC_CRC", "ADC_DCLOCK_SLOW", "SR_CLEAR_RECOVERY"}
"""Checks that the board cannot be made to violate: broken in the chips' own benches."""


def run_scenario(
    folder: Path, changes: list[Change], half_ns: int = 5, bench: str = "scenario", until: str | None = None
) -> dict[str, list[str]]:
    """Simulate the changed board with Icarus; values by the name that the bench prints, violated checks by name.

    With `until` it ends where that check is violated first.
    """
    for path in (*FIRMWARE.glob("rtl/*.v*"), *FIRMWARE.glob("models/*.v"), *GENERATED.glob("*.v*")):
        (folder / path.name).write_text(path.read_text())
    board = GENERATED / "boards" / "adc8" / "rm_board.vh"
    (folder / board.name).write_text(board.read_text())
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert old in text, f"{name} no longer has {old!r}"
        (folder / name).write_text(text.replace(old, new))
    image = folder / f"{bench}.vvp"
    sources = [BENCHES / f"{bench}.v", *sorted(folder.glob("*.v"))]
    settings = [f"-DHALF_NS={half_ns}", *([] if until is None else [f"-DUNTIL_CHECK={CHECKS.index(until)}"])]
    compile_command = [require_tool("iverilog"), "-g2005", *settings, "-I", folder, "-I", BENCHES]
    subprocess.run([*compile_command, "-s", bench, "-o", image, *sources], check=True, capture_output=True, text=True)
    done = subprocess.run([require_tool("vvp"), "-n", image], check=True, capture_output=True, text=True, timeout=300)
    printed: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+) ([0-9a-fx]+)$", done.stdout, re.M):
        printed.setdefault(name, []).append(value)
    word = int(printed.pop("violations")[0], 16)
    printed["violations"] = [name for number, name in enumerate(CHECKS) if word >> number & 1]
    return printed


def test_the_board_violates_nothing(tmp_path: Path) -> None:
    printed = run_scenario(tmp_path, SHORT_RESET)
    assert printed["violations"] == []
    assert printed["answer"] == ["00810880"]  # the answer repeats the command; 16 bits, 8 channels
    assert [int(value[-4:], 16) for value in printed["result"]] == [100, 108]  # lines 0 and 8, in two steps
    ready, refused = (int(value, 16) for value in printed["status"])
    assert ready & 0xF == 2
    assert (refused & 0xF, refused >> 4 & 0xF, refused >> 16 & 0xFF) == (5, 3, 5)  # FAULT, COMMAND, INPUT


def test_lines_may_be_wired_in_any_order(tmp_path: Path) -> None:
    sys.path.insert(0, str(FIRMWARE / "regmap"))
    import board_params
    import emit_verilog

    description = board_params.load_board(FIRMWARE / "boards" / "adc8.toml")
    forwards = emit_verilog.board(description, {"DAC_CHIPS": 8}, "")
    description["dac"]["channel_of_line"] = description["sense"]["tia_of_line"] = list(range(63, -1, -1))
    backwards = emit_verilog.board(description, {"DAC_CHIPS": 8}, "")
    order = re.compile(r"LINE_OF_DAC (\S+)")
    (old,), (new,) = order.findall(forwards), order.findall(backwards)
    printed = run_scenario(tmp_path, [*SHORT_RESET, ("rm_board.vh", old, new)])
    assert printed["violations"] == []
    assert [int(value[-4:], 16) for value in printed["result"]] == [163, 155]  # TIAs 63 and 55
    # Lines 2 n and 2 n + 1 of vector v have the code rest + 32 v + n; channel 0 is line 63 here.
    chips = board_params.load_chips(FIRMWARE / "models" / "chips.toml")
    rest = board_params.parameters(description, chips)["REST_CODE"]
    at_power_on, *sampled = (int(value, 16) for value in printed["channel"])
    assert at_power_on == 0
    assert [level - rest for level in sampled[:4]] == [31, 31, 63, 63]


@pytest.mark.parametrize(("check", "change"), BROKEN, ids=[check for check, _ in BROKEN])
def test_a_check_fires_when_the_board_is_broken(check: str, change: Change | int, tmp_path: Path) -> None:
    changes = SHORT_RESET if isinstance(change, int) else [*SHORT_RESET, change]
    printed = run_scenario(tmp_path, changes, change if isinstance(change, int) else 5, until=check)
    assert check in printed["violations"]


def test_every_check_is_broken_somewhere() -> None:
    assert {check for check, _ in BROKEN} | IN_BENCHES == set(CHECKS)
