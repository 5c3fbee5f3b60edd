"""Chips and small units by themselves, in Icarus."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

BENCHES = Path(__file__).parent / "benches"

CHIPS = """\
written at once: 291
kept in the buffer: 291
updated: 1110
broadcast: 1911 1911
halved and doubled: 1910
answer in the next frame: 880777
not in the same: ffff
wrong crc taken as write: 0, crc check: 1
other checks of the DAC: 0
right crc taken: 1
word of the ADC: 01010100101110000
checks of the ADC: 0
slow DCLOCK: 1
cleared: 00000000
shifted: 11100000
enabled while unknown: 1
clear recovery: 1
"""

UNITS = """\
pulse of 1: 1
pulse of 257: 257
held: 1
forced off: 0
tripped after: 22
kicked: 0, left 1
zero trips: 1
data alone: 0 writes
with address: 1 writes, answer waits 1, okay 0
answered: 0
part of a word: 1 writes, response 2
read: cafe0001 response 0
unknown: 00000000 response 2
"""


@pytest.mark.parametrize(("bench", "expected"), [("chips", CHIPS), ("units", UNITS)])
def test_bench(bench: str, expected: str, tmp_path: Path) -> None:
    image = tmp_path / "bench.vvp"
    sources = [
        BENCHES / f"{bench}.v",
        *sorted((FIRMWARE / "models").glob("[!ab]*.v")),
        FIRMWARE / "models" / "ads8324.v",
    ]
    sources += [FIRMWARE / "rtl" / name for name in ("rm_gate.v", "rm_watchdog.v", "rm_axi_slave.v")]
    command = [require_tool("iverilog"), "-g2005", "-I", GENERATED, "-s", bench, "-o", image, *sources]
    subprocess.run(command, check=True, capture_output=True, text=True)
    done = subprocess.run([require_tool("vvp"), "-n", image], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == expected
