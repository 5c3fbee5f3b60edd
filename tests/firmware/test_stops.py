"""Power-on, abort and watchdog at the pins: how soon everything is off, and that the test sees it when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.board import OFF_CLOCKS, REST_CLOCKS
from tests.firmware.test_checks import SHORT_RESET, Change, run_scenario

MS_CLOCKS = 1000
"""Clocks of a millisecond in these tests: a clock of 1 MHz as the watchdog has it saves most of the simulation."""

SHORT_MS: Change = ("rm_board.vh", "RM_BOARD_CLOCK_HZ 100000000", f"RM_BOARD_CLOCK_HZ {1000 * MS_CLOCKS}")

STOP = "assign stopping = stop || in_stop || !outputs_on;"
OUTPUTS = "asked      <= 1'b0;\n                outputs_on <= 1'b0;\n                fetch"


def stops(folder: Path, *changes: Change) -> dict[str, bool]:
    """Which of the promises the changed board keeps."""
    printed = run_scenario(folder, [*SHORT_RESET, SHORT_MS, *changes], bench="stops")
    abort_off, abort_rest = (int(value, 16) for value in printed["abort"])
    watchdog_off, watchdog_rest = (int(value, 16) for value in printed["watchdog"])
    return {
        "driven": printed["driven"] == ["1", "1"],
        "power-on": printed["power_on"] == ["0", "0", "0"],
        "abort": abort_off <= OFF_CLOCKS,
        "abort, rest": abort_rest <= abort_off + REST_CLOCKS,
        "watchdog": MS_CLOCKS - OFF_CLOCKS <= watchdog_off <= MS_CLOCKS + OFF_CLOCKS,
        "watchdog, rest": watchdog_rest <= watchdog_off + REST_CLOCKS,
        "checks": printed["violations"] == [],
    }


def test_the_board_stops_in_time(tmp_path: Path) -> None:
    kept = stops(tmp_path)
    assert all(kept.values()), kept


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("power-on", ("rm_gate.v", "initial wl_gate = 1'b0;", "initial wl_gate = 1'b1;")),
        ("power-on", ("rm_sequencer.v", "initial outputs_on = 1'b0;", "initial outputs_on = 1'b1;")),
        ("abort", ("rm_sequencer.v", "wire stop = (armed && (abort_now ||", "wire stop = (armed && (")),
        ("abort", ("rm_gate.v", "if (rst || force_off) begin", "if (rst) begin")),
        ("abort", ("rm_sequencer.v", OUTPUTS, OUTPUTS.replace("outputs_on <= 1'b0;", ""))),
        ("abort, rest", ("rm_sequencer.v", "if (m_dac_ready) phase <= P_STOP_REST;", "phase <= P_FAULT;")),
        ("watchdog", ("rm_watchdog.v", "trip <= 1'b1;", "trip <= 1'b0;")),
        ("watchdog", ("rm_watchdog.v", "left_ms <= left_ms - 10'd1;", "left_ms <= left_ms;")),
        ("watchdog", ("rm_sequencer.v", "disarm || trip)) || is_refused", "disarm)) || is_refused")),
        ("watchdog, rest", ("rm_sequencer.v", "`DAC_FRAME : `DAC_REST;", "`DAC_FRAME : `DAC_UPDATE;")),
    ],
)
def test_a_stop_that_is_broken_is_seen(promise: str, change: Change, tmp_path: Path) -> None:
    assert not stops(tmp_path, change)[promise]
