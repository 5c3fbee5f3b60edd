"""Reads and writes the board's registers through pynq.MMIO; prints what it saw as JSON.

Arguments: the Verilated board's library, an overlay's bitstream.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pynq
from device import BOARD, BusError, SimulatedZynq
from rmhil_board import board_map as rm


def refused(action: object, *arguments: int) -> bool:
    """Whether the bus refuses an access."""
    try:
        action(*arguments)
    except BusError:
        return True
    return False


def main() -> None:
    """Print what was seen."""
    device = SimulatedZynq(Path(sys.argv[1]))
    pynq.Device.active_device = device
    pynq.Overlay(sys.argv[2])
    board = pynq.MMIO(BOARD, rm.MAP_BYTES)
    readable = {name: board.read(offset) for name, offset in rm.REGISTERS.items() if not refused(board.read, offset)}
    board.write(rm.REGISTERS["WATCHDOG_MS"], 500)
    board.write(rm.REGISTERS["IRQ_ENABLE"], 0xFFFFFFFF)
    written = {name: board.read(rm.REGISTERS[name]) for name in ("WATCHDOG_MS", "IRQ_ENABLE")}
    inputs, results = rm.WINDOWS["inputs"][0], rm.WINDOWS["results"][0]
    board.write(inputs, bytes(range(8)))
    refusals = {
        "read of inputs": refused(board.read, inputs),
        "write to results": refused(board.write, results, 1),
        "read of a hole": refused(board.read, rm.WINDOWS["registers"][1] - 4),
        "write to MAGIC": refused(board.write, rm.REGISTERS["MAGIC"], 0),
    }
    board.write(rm.REGISTERS["CONTROL"], 1 << rm.FIELDS["CONTROL.ARM"].low)
    unkeyed = rm.FIELDS["STATUS.STATE"].of(board.read(rm.REGISTERS["STATUS"]))
    board.write(rm.REGISTERS["CONTROL"], rm.CONTROL_KEY << 16 | 1 << rm.FIELDS["CONTROL.ARM"].low)
    device.sleep(1e-3)
    armed = rm.FIELDS["STATUS.STATE"].of(board.read(rm.REGISTERS["STATUS"]))
    seen = {"readable": readable, "written": written, "refusals": refusals, "unkeyed": unkeyed, "armed": armed}
    sys.stdout.write(json.dumps(seen) + "\n")


main()
