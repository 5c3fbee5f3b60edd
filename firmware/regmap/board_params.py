"""Board descriptions: what RTL and models need, derived from a TOML and the chips' data sheets."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any

Table = dict[str, Any]
BANK_LINES = 64
"""Lines of a bank. It is the width of the registers' masks and of a vector, so it is not a board's choice."""

DAC_CHIP_CHANNELS = 8
"""Channels of a DAC80508 (TI SLASEL1D)."""

ANSWER_SETUP_NS = 20
"""ns from a DAC's answer at its pin to the clock that takes it: level shifter and input (estimate, range 10 to 20)."""

_KEYS = {
    "board": {"name", "text", "n_bl", "n_sl", "clock_hz"},
    "dac": {"chips", "settle_ns", "virtual_ground_v", "span_v", "read_limit_v", "channel_of_line"},
    "sense": {"adc_count", "tia_settle_ns", "tia_of_line"},
    "lines": {"shift_clock_hz", "dead_ns"},
}


class BoardError(ValueError):
    """A board description that the RTL cannot be made for."""


def digest(table: Table) -> int:
    """First 32 bits of the SHA-256 of a table: of its numbers and names, not of its layout, comments or texts."""
    content = json.dumps(_without_texts(table), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")


def _without_texts(part: object) -> object:
    if isinstance(part, dict):
        return {key: _without_texts(value) for key, value in part.items() if key != "text"}
    return [_without_texts(item) for item in part] if isinstance(part, list) else part


def load_chips(path: Path) -> Table:
    """Numbers of the chips, `chips[chip][number]`."""
    tables = tomllib.loads(path.read_text())
    return {chip: {name: entry["value"] for name, entry in numbers.items()} for chip, numbers in tables.items()}


def load_board(path: Path) -> Table:
    """Read a board description.

    Raises:
        BoardError: keys are missing or unknown, or numbers do not fit together.
    """
    board = tomllib.loads(path.read_text())
    if set(board) != set(_KEYS):
        raise BoardError(f"{path.name}: tables {sorted(board)}, expected {sorted(_KEYS)}")
    for table, keys in _KEYS.items():
        if set(board[table]) != keys:
            raise BoardError(f"{path.name}: [{table}] has {sorted(board[table])}, expected {sorted(keys)}")
    _check(path.name, board)
    return board


def _check(name: str, board: Table) -> None:
    lines, dac, sense = board["board"], board["dac"], board["sense"]
    for key in ("n_bl", "n_sl"):
        if lines[key] % BANK_LINES or not BANK_LINES <= lines[key] <= 4 * BANK_LINES:
            raise BoardError(f"{name}: {key} = {lines[key]}, must be 64, 128, 192 or 256")
    if lines["n_bl"] != lines["n_sl"]:
        raise BoardError(f"{name}: n_bl = {lines['n_bl']} and n_sl = {lines['n_sl']}: the chains are of one length")
    if dac["chips"] * DAC_CHIP_CHANNELS != BANK_LINES:
        raise BoardError(f"{name}: {dac['chips']} DAC chips, must be 8: a bank has 64 lines")
    if sense["adc_count"] not in (8, 16, 32, 64):
        raise BoardError(f"{name}: adc_count = {sense['adc_count']}, must be 8, 16, 32 or 64")
    if not 0 < dac["virtual_ground_v"] < dac["span_v"]:
        raise BoardError(f"{name}: virtual_ground_v = {dac['virtual_ground_v']} V is outside the DAC's span")


def line_order(name: str, order: str | list[int]) -> list[int]:
    """Channel of each line of a bank.

    Raises:
        BoardError: not "identity" and not each channel once.
    """
    if order == "identity":
        return list(range(BANK_LINES))
    if sorted(order) != list(range(BANK_LINES)):
        raise BoardError(f"{name}: must be 'identity' or name each of the {BANK_LINES} channels once")
    return [int(channel) for channel in order]


def parameters(board: Table, chips: Table) -> dict[str, int]:
    """What the RTL is made with: numbers of lines, codes and clocks (rounded so that no limit is broken)."""
    clock = board["board"]["clock_hz"]
    dac, sense, lines = board["dac"], board["sense"], board["lines"]
    lsb = dac["span_v"] / 2**16

    def clocks(nanoseconds: float) -> int:
        return math.ceil(nanoseconds * clock / 1e9 - 1e-9)

    # A half period serves both the width and half of the period that a chip needs.
    spi, adc, shift = chips["dac80508"], chips["ads8324"], chips["sn74hc595"]
    shift_ns = max(1e9 / lines["shift_clock_hz"], shift["srclk_period_ns"], shift["cascade_period_ns"])
    return {
        "N_BL": board["board"]["n_bl"],
        "N_SL": board["board"]["n_sl"],
        "DAC_CHIPS": dac["chips"],
        "ADC_COUNT": sense["adc_count"],
        "CLOCK_HZ": clock,
        "REST_CODE": round(dac["virtual_ground_v"] / lsb),
        "LIMIT_CODES": round(dac["read_limit_v"] / lsb),
        "SPI_HALF_CLOCKS": max(
            clocks(spi["sclk_width_ns"]), clocks(spi["sclk_period_ns"] / 2), clocks(spi["sdi_hold_ns"])
        ),
        "SPI_READ_HALF_CLOCKS": max(
            clocks(spi["read_width_ns"]),
            clocks(spi["read_period_ns"] / 2),
            clocks(spi["read_delay_ns"] + ANSWER_SETUP_NS),
        ),
        "SPI_HIGH_CLOCKS": clocks(spi["cs_high_ns"]),
        "DAC_RESET_CLOCKS": clocks(spi["reset_wait_ns"]),
        "SETTLE_CLOCKS": clocks(dac["settle_ns"] + sense["tia_settle_ns"]),
        "ADC_HALF_CLOCKS": max(clocks(adc["dclock_width_ns"]), clocks(adc["dclock_period_ns"] / 2)),
        "ADC_CYCLE_CLOCKS": clocks(adc["cycle_ns"]),
        "ADC_SAMPLE_EDGES": adc["sample_edges"],
        "ADC_WORD_EDGES": adc["word_edges"],
        "ADC_APERTURE_CLOCKS": clocks(adc["aperture_ns"]),
        "SHIFT_HALF_CLOCKS": max(clocks(shift_ns / 2), clocks(shift["ser_setup_ns"]), clocks(shift["width_ns"])),
        "DEAD_CLOCKS": max(clocks(lines["dead_ns"]), clocks(chips["cd4051b"]["switch_ns"])),
        "SENSE_MUX_CLOCKS": clocks(chips["cd4051b"]["switch_ns"] + sense["tia_settle_ns"]),
        "PULSE_CLOCKS_MIN": clocks(chips["cd4051b"]["switch_ns"]),
    }


def analytic_clocks(board: Table, chips: Table) -> float:
    """Clocks that one vector of 64 x 64 lines takes at best on this board, whatever the RTL does.

    The ADC holds its input after the sample window, so driving overlaps with converting; the slower one
    sets the pace.
    """
    clock, adc, spi = board["board"]["clock_hz"], chips["ads8324"], chips["dac80508"]
    settle = board["dac"]["settle_ns"] + board["sense"]["tia_settle_ns"]
    frame = spi["frame_bits"] * spi["sclk_period_ns"] + spi["cs_setup_ns"] + spi["cs_hold_ns"] + spi["cs_high_ns"]
    sampling = adc["sample_edges"] * adc["dclock_period_ns"] + adc["aperture_ns"]
    converting = BANK_LINES // board["sense"]["adc_count"] * adc["cycle_ns"]
    # Frames of the next vector may be sent at any time; the update and the settling come after the sample window.
    return max(converting, (DAC_CHIP_CHANNELS + 1) * frame, sampling + frame + settle) * clock / 1e9
