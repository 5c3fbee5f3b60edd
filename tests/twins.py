"""A twin for tests: one process for a whole run, with another chip in it for each test."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from rmhil.backend import Cells, Operation, Pulses, Read, Readings
from rmhil.bench.b1500a import B1500A
from rmhil.bench.board import Board
from rmhil.bench.boards import BOARDS
from rmhil.bench.limits import AnalyserWiring, ChannelLimits
from rmhil.bench.one_cell import OneCell
from rmhil.errors import ToolMissingError
from sim_backend.twin import StartedTwin, Twin, start_twin


def require_twin() -> None:
    """Skip the test where no twin can be built, or fail it where RMHIL_REQUIRE_TWIN is set."""
    missing = [name for name in ("verilator", "g++", "cc", "make") if shutil.which(name) is None]
    if missing:
        message = str(ToolMissingError("the twin", missing))
        pytest.fail(message) if os.environ.get("RMHIL_REQUIRE_TWIN") else pytest.skip(message)


@cache
def _process() -> StartedTwin:
    twin = start_twin(tied=True)
    atexit.register(twin.stop)
    return twin


def fresh_twin(topology: str = "adc64", board: str = "tcp", **array: object) -> Twin:
    """The twin of this process of tests, with a chip that nobody has used."""
    require_twin()
    _process().renew(topology=topology, board=board, **array)
    return _process()


def board_of(twin: Twin) -> Board:
    """A host of the twin's board."""
    return Board(twin.board_url, BOARDS[twin.topology], twin.wiring)


@contextmanager
def one_cell_of(twin: Twin) -> Iterator[OneCell]:
    """The twin's analyser with whatever cell the board selects, as a backend of one cell."""
    largest = {twin.channels[line]: ChannelLimits(voltage=5.0) for line in ("bl", "sl", "wl", "inhibit")}
    analyser = B1500A.open(twin.analyser, AnalyserWiring(channels=largest))
    lines = (twin.channels[line] for line in ("bl", "sl", "wl"))
    with OneCell(analyser, *lines, twin.limits) as cell:
        yield cell


THE_CELL = Cells.of(0, 0, 0)


def step(cell: OneCell, operation: Operation | None, amplitude: float = 0.0, gate: float = 0.0) -> Readings:
    """One pulse of 1 ms (None: none) and a reading."""
    pulses = None if operation is None else Pulses.of(1, operation, amplitude, 1e-3, gate, 1e-3)
    return cell.apply(THE_CELL, pulses, Read.default(cell.spec))
