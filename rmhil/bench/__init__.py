"""The bench: instruments that drive a real device, and the promise of how they are left."""

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
