"""An emulated Keysight B1500A: its FLEX language, its units, and what they are joined to."""

from __future__ import annotations

from sim_backend.b1500a.dut.load import Terminals, load_of
from sim_backend.b1500a.engine import Engine
from sim_backend.b1500a.faults import Fault, FaultKind
from sim_backend.b1500a.instrument import Instrument, Output
from sim_backend.b1500a.modules import DEFAULT_SLOTS, Mainframe
from sim_backend.b1500a.network import Network, Point, Source
from sim_backend.b1500a.server import Emulator, emulate
from sim_backend.b1500a.timing import Timing

__all__ = [
    "DEFAULT_SLOTS", "Emulator", "Engine", "Fault", "FaultKind", "Instrument", "Mainframe", "Network", "Output",
    "Point", "Source", "Terminals", "Timing", "emulate", "load_of",
]  # fmt: skip
