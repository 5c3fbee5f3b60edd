"""Proofs by yosys: no state drives a line twice, selects two cells, or joins analyser and converters."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

PAIRS = ("formal/line_pairs.v", "rtl/rm_line_select.v")
STATES = (
    "formal/safe_states.v",
    "rtl/rm_sequencer.v",
    "rtl/rm_gate.v",
    "rtl/rm_route.v",
    "rtl/rm_line_select.v",
    "rtl/rm_shift_chain.v",
)
PROVE_ALL_INPUTS = "sat -prove-asserts -verify"
PROVE_ALL_STATES = "sat -prove-asserts -tempinduct -seq 1 -set-at 1 rst 1 -maxsteps 2 -verify"


def prove(
    top: str, sources: tuple[str, ...], proof: str, folder: Path, change: tuple[str, str, str] | None = None
) -> bool:
    """Whether the assertions hold, for sources of which one may be changed first."""
    copies = []
    for source in sources:
        text = (FIRMWARE / source).read_text()
        copy = folder / Path(source).name
        if change is not None and copy.name == change[0]:
            assert change[1] in text
            text = text.replace(change[1], change[2])
        copy.write_text(text)
        copies.append(str(copy))
    read = f"read_verilog -formal -I{FIRMWARE / 'rtl'} -I{GENERATED} {' '.join(copies)}"
    script = f"{read}; prep -flatten -top {top}; async2sync; {proof}"
    done = subprocess.run([require_tool("yosys"), "-q", "-p", script], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 or "proof did fail" in done.stdout + done.stderr, done.stderr
    return done.returncode == 0


def test_no_route_drives_a_line_twice_or_joins_analyser_and_converters(tmp_path: Path) -> None:
    assert prove("line_pairs", PAIRS, PROVE_ALL_INPUTS, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bl_driven = line[7:6] == bl_bank &&", "bl_driven ="),
        ("sl_sensed = line[7:6] == sl_bank &&", "sl_sensed ="),
        ("bl_source = line == cell_bl ?", "bl_source = line[6:0] == cell_bl[6:0] ?"),
        ("if (line == cell_sl) wl_source", "if (line >= cell_sl) wl_source"),
        ("`RM_SOURCE_ANALYSER : `RM_SOURCE_INHIBIT", "`RM_SOURCE_ANALYSER : `RM_SOURCE_GROUND"),
        ("if (sl_sensed) wl_source", "wl_source"),
    ],
)
def test_the_proof_about_lines_fails_when_the_selection_is_broken(old: str, new: str, tmp_path: Path) -> None:
    assert not prove("line_pairs", PAIRS, PROVE_ALL_INPUTS, tmp_path, ("rm_line_select.v", old, new))


def test_no_state_enables_unknown_outputs_or_changes_lines_with_the_gate_open(tmp_path: Path) -> None:
    assert prove("safe_states", STATES, PROVE_ALL_STATES, tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rm_sequencer.v", "(accepted && target == P_REST);", "1'b0;"),
        ("rm_sequencer.v", "phase     <= P_CLEAR;", "phase     <= P_SET_UP;"),
        ("rm_sequencer.v", "stopping = stop || in_stop", "stopping = in_stop"),
        ("rm_route.v", "closes = state == MAKE", "closes = state == ADDRESS"),
        ("rm_route.v", "BREAK: if (chain_done) begin", "BREAK: begin present <= s_route; if (chain_done) begin end"),
    ],
)
def test_the_proof_about_states_fails_when_the_sequence_is_broken(
    file: str, old: str, new: str, tmp_path: Path
) -> None:
    assert not prove("safe_states", STATES, PROVE_ALL_STATES, tmp_path, (file, old, new))
