"""Cells that yosys makes of each module for the 7 series, against a committed budget; no latch anywhere.

`python -m tests.firmware.test_synthesis` writes the budget anew, after a deliberate change.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

BUDGET = FIRMWARE / "rtl" / "cell_budget.json"
BOARDS = ("adc64", "adc8")
HEADROOM = 1.05
"""Cells over the budget that pass: mapping moves a little with unrelated changes."""

LATCHES = ("LDCE", "LDPE", "$_DLATCH_P_", "$_DLATCH_N_")


def synthesise(board: str) -> dict[str, dict[str, int]]:
    """Cells of each module by kind: LUT, FF, CARRY4, BRAM18 (a block of 36 counts twice), latch."""
    rtl, generated = FIRMWARE / "rtl", GENERATED
    sources = " ".join([*map(str, sorted(rtl.glob("*.v"))), str(generated / "rm_registers.v")])
    read = f"read_verilog -I{rtl} -I{generated} -I{generated / 'boards' / board} {sources}"
    script = f"{read}; synth_xilinx -family xc7 -top rm_board -noiopad; stat"
    done = subprocess.run([require_tool("yosys"), "-p", script], check=True, capture_output=True, text=True)
    report = done.stdout[done.stdout.rindex("Printing statistics") :].split("design hierarchy")[0]
    return {_name(title): _cells(body) for title, body in re.findall(r"=== (\S+) ===\n(.*?)(?=\n===|\Z)", report, re.S)}


def _name(title: str) -> str:
    """Name of a module; one that is made in two sizes carries its size."""
    sized = re.fullmatch(r"\$paramod\\(\w+)\\(\w+)=s32'([01]+)", title)
    if sized is not None:
        return f"{sized[1]} {sized[2]}={int(sized[3], 2)}"
    return title.rsplit("\\", 1)[-1] if "$paramod$" in title else re.sub(r"\$paramod\\(\w+)\\.*", r"\1", title)


def _cells(body: str) -> dict[str, int]:
    cells = {kind: 0 for kind in ("LUT", "FF", "CARRY4", "BRAM18", "latch")}
    for kind, count in re.findall(r"^ {5}(\S+)\s+(\d+)$", body, re.M):
        if re.fullmatch(r"LUT[1-6]|INV", kind):
            cells["LUT"] += int(count)
        elif kind.startswith("FD"):
            cells["FF"] += int(count)
        elif kind in ("RAMB18E1", "RAMB36E1"):
            cells["BRAM18"] += int(count) * (2 if kind == "RAMB36E1" else 1)
        elif kind in LATCHES:
            cells["latch"] += int(count)
        elif kind == "CARRY4":
            cells[kind] += int(count)
    return cells


@pytest.mark.parametrize("board", BOARDS)
def test_every_module_stays_within_its_budget_and_has_no_latch(board: str) -> None:
    budget = json.loads(BUDGET.read_text())[board]
    made = synthesise(board)
    assert set(made) == set(budget)
    assert all(cells["latch"] == 0 for cells in made.values())
    over = {
        f"{module}.{kind}": (count, budget[module][kind])
        for module, cells in made.items()
        for kind, count in cells.items()
        if count > HEADROOM * budget[module][kind]
    }
    assert over == {}


def main() -> None:
    """Write the budget."""
    BUDGET.write_text(json.dumps({board: synthesise(board) for board in BOARDS}, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{Path(BUDGET).name} written\n")


if __name__ == "__main__":
    main()
