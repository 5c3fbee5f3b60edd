"""The bench: instruments that drive a real device, and the promise of how they are left.

Where to look:

- `backend`: the target `bench`, a board and an analyser behind the seam; beside it `instruments` (both, opened in order
  and left safe), `ownership`, `step_*`, `line_order` and `backend_errors`.
- `config*`: the bench in one file; `preflight*`, `lights`, `remedies` and `bench_under_test`: whether it is so.
- `b1500a`: the analyser's driver. From the wire up: `wire`, `session`, `exchange`, then `startup`, `safety`, `limits`,
  `setups`, `readings`, and `step_program` in `program_memory`; `flex` is its language. `one_cell` is a bench without a
  board, on the `three_lines` that a whole bench uses, too.
- `board`: the board's driver, in the modules `board_*`; `board_map` and `boards` are generated.
- `link`: the way to the board's daemon, in the modules `link_*`, with `frames` and `messages` as bytes.
"""

from __future__ import annotations

from rmhil.bench.b1500a import B1500A
from rmhil.bench.board import Board
from rmhil.bench.board_codes import Products
from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_errors import (
    BoardAbortedError,
    BoardMismatchError,
    BoardNotArmedError,
    BoardOutputsUnknownError,
    BoardRouteError,
    BoardStoppedError,
    BoardTimedOutError,
    CommandRefusedError,
    ConverterSilentError,
    WatchdogTrippedError,
)
from rmhil.bench.boards import BOARDS
from rmhil.bench.errors import (
    AnalyserClosedError,
    BusHeldError,
    ChannelError,
    ComplianceError,
    DataError,
    FlaggedError,
    InstrumentError,
    InstrumentNotFoundError,
    InterlockError,
    LinkDroppedError,
    ModuleMissingError,
    OutputsUnknownError,
    ReportedError,
    SilenceError,
    WrongInstrumentError,
)
from rmhil.bench.flex.facts import Flag
from rmhil.bench.flex.messages import CurrentRange
from rmhil.bench.limits import AnalyserWiring, ChannelLimits
from rmhil.bench.readings import OnFlag, Reading, Readings
from rmhil.bench.setups import PulseTiming, Sampling, Staircase, VoltagePulse
from rmhil.bench.step_program import PulseAndVerify, StepReading, VerifyRead

__all__ = [
    "B1500A",
    "BOARDS",
    "AnalyserClosedError",
    "AnalyserWiring",
    "Board",
    "BoardAbortedError",
    "BoardDescription",
    "BoardMismatchError",
    "BoardNotArmedError",
    "BoardOutputsUnknownError",
    "BoardRouteError",
    "BoardStoppedError",
    "BoardTimedOutError",
    "BusHeldError",
    "ChannelError",
    "ChannelLimits",
    "CommandRefusedError",
    "ComplianceError",
    "ConverterSilentError",
    "CurrentRange",
    "DataError",
    "Flag",
    "FlaggedError",
    "InstrumentError",
    "InstrumentNotFoundError",
    "InterlockError",
    "LinkDroppedError",
    "ModuleMissingError",
    "OnFlag",
    "OutputsUnknownError",
    "Products",
    "PulseAndVerify",
    "PulseTiming",
    "Reading",
    "Readings",
    "ReportedError",
    "Sampling",
    "SilenceError",
    "Staircase",
    "StepReading",
    "VerifyRead",
    "VoltagePulse",
    "WatchdogTrippedError",
    "WrongInstrumentError",
]
