"""The register map, the board descriptions and what is generated from them."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

sys.path.insert(0, str(FIRMWARE / "regmap"))
import board_params
import generate

MAP = FIRMWARE / "regmap" / "regmap.toml"
ADC64 = FIRMWARE / "boards" / "adc64.toml"


def test_generated_files_follow_from_their_sources() -> None:
    stale = [str(path) for path, text in generate.outputs().items() if path.read_text() != text]
    assert stale == [], "run make regmap"


def test_the_hash_follows_numbers_and_not_texts() -> None:
    table = generate.load_map(MAP)
    other = copy.deepcopy(table)
    other["registers"][0]["text"] = "Something else."
    assert board_params.digest(other) == board_params.digest(table)
    other["registers"][0]["offset"] += 4
    assert board_params.digest(other) != board_params.digest(table)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("offset = 0x004", "offset = 0x000", "two registers"),
        ("offset = 0x004", "offset = 0x006", "not a register's"),
        ('{ name = "N_SL", low = 16', '{ name = "N_SL", low = 15', r"LINES\.N_SL"),
        ('name = "SL_BANK", low = 8', 'name = "SL_BANK", low = 7', r"ROUTE_MVM word 1\.SL_BANK"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "regmap.toml"
    text = MAP.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(generate.MapError, match=message):
        generate.load_map(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_bl = 128", "n_bl = 100", "n_bl = 100"),
        ("n_sl = 128", "n_sl = 64", "one length"),
        ("adc_count = 64", "adc_count = 12", "adc_count = 12"),
        ("chips = 8 ", "chips = 4 ", "must be 8"),
        ("virtual_ground_v = 1.5", "virtual_ground_v = 2.5", "outside"),
        ("settle_ns = 5000", "settle_us = 5", "settle_us"),
        ("[lines]", "[line]", "line"),
    ],
)
def test_a_board_that_the_rtl_cannot_be_made_for_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    text = ADC64.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(board_params.BoardError, match=message):
        board_params.load_board(path)


def test_a_line_order_must_name_each_channel_once() -> None:
    with pytest.raises(board_params.BoardError, match="each of the 64"):
        board_params.line_order("tia_of_line", [0] * 64)
    assert board_params.line_order("tia_of_line", list(range(63, -1, -1)))[0] == 63


def test_clock_counts_break_no_limit_of_the_chips() -> None:
    chips = board_params.load_chips(FIRMWARE / "models" / "chips.toml")
    numbers = board_params.parameters(board_params.load_board(ADC64), chips)
    period = 10  # ns at 100 MHz
    assert 2 * numbers["ADC_HALF_CLOCKS"] * period >= chips["ads8324"]["dclock_period_ns"]
    assert numbers["ADC_CYCLE_CLOCKS"] * period >= chips["ads8324"]["cycle_ns"]
    assert 2 * numbers["SHIFT_HALF_CLOCKS"] * period >= chips["sn74hc595"]["cascade_period_ns"]
    assert numbers["SPI_HIGH_CLOCKS"] * period >= chips["dac80508"]["cs_high_ns"]


def test_the_c_header_compiles_without_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "map.c"
    source.write_text('#include "rm_map.h"\nint main(void) { return RM_MAP_HASH_VALUE == 0; }\n')
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only", "-I", str(GENERATED)]
    subprocess.run([require_tool("gcc"), *flags, str(source)], check=True)
