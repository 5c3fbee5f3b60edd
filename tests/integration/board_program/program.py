"""Runs rmhil_board on simulated boards, one for each command line; prints exit status and bitstreams loaded, as JSON.

Arguments: the Verilated board's library, or "none" for a machine without an FPGA; command lines as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pynq
from device import SimulatedZynq
from rmhil_board.cli import main
from rmhil_board.registers import Time


def run(library: str, words: list[str]) -> tuple[int, list[str]]:
    """Exit status, and what was loaded."""
    if library == "none":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pynq warns of the same before it raises
            return main(words), []
    device = SimulatedZynq(Path(library))
    pynq.Device.active_device = device
    return main(words, Time(device.now, device.sleep)), device.downloads


sys.stdout.write(json.dumps([run(sys.argv[1], words) for words in json.loads(sys.argv[2])]) + "\n")
