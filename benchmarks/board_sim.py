"""Speed of the Verilated board: simulated MVMs of 64 x 64 per second, clocks per MVM, and where the time goes.

    OMP_NUM_THREADS=1 python benchmarks/board_sim.py     # two minutes, and one more where it must be built first

Goals: at least 1,000 MVM/s with 64 ADCs and 150 with 8; clocks per MVM within 1.02 of the analytic limit.

- Library: batches through the C interface of firmware/sim, that is RTL and models of the chips at the level of pins,
  with an array in C (firmware/sim/board_array.c, the twin's) and one in Python; codes of each kind, on which the
  time should not depend. Times on the wall and of the processor, and of it what bus accesses take.
- Clocks that were skipped (firmware/sim/still_clocks.h), and what a batch takes when none is.
- Twin: the same batches with `Board.mvm` over TCP, through host, link, daemon and board, in two processes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from provenance import provenance
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rmhil.bench import board_map as rm
from rmhil.bench.board import Board
from rmhil.bench.boards import BOARDS
from rmhil.units import Seconds
from sim_backend.twin import start_twin
from sim_backend.twin.build import Libraries, firmware_folder, libraries
from sim_backend.twin.native import CHANNELS, Lines, Products, board_library, daemon_library

RESULTS = Path(__file__).parent / "results" / "board_sim.json"

GOALS: Final = {"adc64": 1000, "adc8": 150}
"""1/s: simulated MVMs of 64 x 64, on two cores."""

CLOCKS_GOAL: Final = 1.02
"""Clocks per MVM over the analytic limit."""

BATCHES: Final = {"adc64": 256, "adc8": 64}
"""1: vectors of a batch."""

REPEATS: Final = 5
"""Batches of each kind, of which the median counts."""

CALLBACK: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Lines), ctypes.POINTER(ctypes.c_double))
EVERY_CLOCK, SKIP = 0, 1
"""`board_sim_skipping`."""

CONSOLE = Console(width=110)

Codes = NDArray[np.uint16]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Times:
    """Of one batch, for one vector.

    Attributes:
        wall, processor: s.
        bus: s of the processor for writing inputs and reading results.
        clocks: from the doorbell to the end.
        skipped: of them.
    """

    wall: Seconds
    processor: Seconds
    bus: Seconds
    clocks: float
    skipped: float


class Rig:
    """A board of the library, armed and with all lines of the first banks joined."""

    def __init__(self, library: ctypes.CDLL, topology: str) -> None:
        self._library = library
        self._sim = library.board_sim_create(1)
        self._description = BOARDS[topology]
        self._head = 0
        self._write("WATCHDOG_MS", 1000)
        self._write("CONTROL", rm.CONTROL_KEY << 16 | 1)
        self.step(40_000)
        self._write("IRQ_ENABLE", 1 << rm.FIELDS["IRQ_STATUS.EMPTY"].low)
        self.command(rm.Opcode.ROUTE_MVM, 0, *(0xFFFF_FFFF,) * 4)

    def close(self) -> None:
        """Let go of the board."""
        self._library.board_sim_destroy(self._sim)

    def set_array(self, function: Any, context: Any = None) -> None:  # noqa: ANN401 - functions and structures of ctypes
        """A `board_sim_array`, or None."""
        self._kept = function, context
        pointer = None if context is None else ctypes.byref(context)
        self._library.board_sim_set_array(self._sim, ctypes.cast(function, ctypes.c_void_p), pointer)

    def set_skipping(self, skipping: int) -> None:
        """`EVERY_CLOCK` or `SKIP`."""
        self._library.board_sim_set_skipping(self._sim, skipping)

    def violations(self) -> int:
        """Checks of the models that have fired."""
        return int(self._library.board_sim_violation_count(self._sim))

    def run(self, codes: Codes) -> tuple[Times, Codes]:
        """One batch, and its results."""
        wall, processor = time.perf_counter(), time.process_time()
        self._block("write", rm.WINDOWS["inputs"][0], codes)
        self._queue(rm.Opcode.MVM, len(codes))
        self._write("WATCHDOG_KICK", rm.WATCHDOG_KICK_KEY)
        self._write("IRQ_STATUS", 0xF)
        bus = time.process_time() - processor
        begin, skipped = self._clocks(), self._library.board_sim_clocks_skipped(self._sim)
        self._write("COMMAND_HEAD", self._head)
        self._library.board_sim_step_until_irq(self._sim, 20_000 * len(codes))
        clocks, skipped = self._clocks() - begin, self._library.board_sim_clocks_skipped(self._sim) - skipped
        reading = time.process_time()
        results = np.empty_like(codes)
        self._block("read", rm.WINDOWS["results"][0], results)
        ended = time.process_time()
        times = (time.perf_counter() - wall, ended - processor, bus + ended - reading, clocks, skipped)
        return Times(*(value / len(codes) for value in times)), results

    def command(self, opcode: rm.Opcode, *words: int) -> None:
        """Run one command to its end."""
        self._queue(opcode, *words)
        self._write("IRQ_STATUS", 0xF)
        self._write("COMMAND_HEAD", self._head)
        self._library.board_sim_step_until_irq(self._sim, 1_000_000)

    def step(self, clocks: int) -> None:
        """Let so many clocks go by."""
        self._library.board_sim_step(self._sim, clocks)

    @contextmanager
    def dumped(self, path: Path) -> Iterator[None]:
        """Write a wave dump meanwhile; the library must be one that can."""
        if self._library.board_sim_trace_start(self._sim, str(path).encode()):
            raise RuntimeError(f"no wave dump at {path}")
        yield
        self._library.board_sim_trace_stop(self._sim)

    def _clocks(self) -> float:
        return float(self._library.board_sim_time_ns(self._sim)) * self._description.clock_hz / 1e9

    def _write(self, register: str, value: int) -> None:
        if self._library.board_sim_write(self._sim, rm.REGISTERS[register], value):
            raise RuntimeError(f"the board refused {value:#x} for {register}")

    def _block(self, way: str, offset: int, codes: Codes) -> None:
        words = codes.view("<u4").reshape(-1)
        if getattr(self._library, f"board_sim_{way}_block")(self._sim, offset, words.ctypes.data, words.size):
            raise RuntimeError(f"the board refused to {way} {words.size} words at {offset:#x}")

    def _queue(self, opcode: rm.Opcode, *words: int) -> None:
        command = np.array([opcode, *words], "<u4").view(np.uint16)
        self._block("write", rm.WINDOWS["commands"][0] + 4 * rm.COMMAND_WORDS * self._head, command)
        self._head = (self._head + 1) % rm.COMMAND_SLOTS


def declared(path: Path) -> ctypes.CDLL:
    """The library, with the types of what the twin itself does not call."""
    library = board_library(path)
    word = ctypes.c_uint32
    for name, result, arguments in (
        ("step", None, [ctypes.c_uint64]),
        ("step_until_irq", ctypes.c_uint64, [ctypes.c_uint64]),
        ("write", ctypes.c_int, [word, word]),
        ("write_block", ctypes.c_int, [word, ctypes.c_void_p, ctypes.c_size_t]),
        ("read_block", ctypes.c_int, [word, ctypes.c_void_p, ctypes.c_size_t]),
        ("set_skipping", None, [ctypes.c_int]),
        ("clocks_skipped", ctypes.c_uint64, []),
    ):
        function = getattr(library, f"board_sim_{name}")
        function.restype, function.argtypes = result, [ctypes.c_void_p, *arguments]
    return library


@contextmanager
def rig(found: Libraries, topology: str) -> Iterator[Rig]:
    """A board that must not violate anything."""
    board = Rig(declared(found.board), topology)
    try:
        yield board
        if board.violations():
            raise RuntimeError(f"{topology}: a check of the chips' models fired")
    finally:
        board.close()


def weights() -> Floats:
    """Codes of an ADC per code of a DAC, shape (sl, bl): in no product does a code reach its end."""
    return np.random.default_rng(0).uniform(-0.005, 0.02, (CHANNELS, CHANNELS))


def array_in_c(matrix: Floats, rest_code: int) -> Products:
    """The structure of `board_array_sample`."""
    lines, zeros = np.arange(CHANNELS, dtype=np.uint16), np.zeros(CHANNELS)
    products = Products(rest_code=rest_code, rows=CHANNELS, columns=CHANNELS, renew_at=2**63)
    products.weight, products.offset = matrix.ctypes.data, zeros.ctypes.data
    products.dac_of_column = products.row_of_tia = lines.ctypes.data
    products.kept = matrix, lines, zeros
    return products


def array_in_python(matrix: Floats, rest_code: int, spent: list[float]) -> Any:  # noqa: ANN401 - a function of ctypes
    """A callback; adds the seconds that it takes to `spent`."""

    def sample(_: int | None, lines: Any, inputs: Any) -> None:  # noqa: ANN401 - pointers of ctypes
        started = time.process_time()
        seen = lines.contents
        levels = np.ctypeslib.as_array(seen.dac_level, (CHANNELS,)).astype(np.float64) - rest_code
        tia = np.ctypeslib.as_array(seen.tia, (seen.n_adc,))
        np.ctypeslib.as_array(inputs, (seen.n_adc,))[:] = matrix[tia] @ levels
        spent.append(time.process_time() - started)

    return CALLBACK(sample)


def payloads(count: int, topology: str) -> dict[str, Codes]:
    """Codes of each kind within the read limit, shape (count, lines). Zero is no code that the board would drive."""
    rest, limit = BOARDS[topology].rest_code, BOARDS[topology].limit_codes
    random = np.random.default_rng(1).integers(rest - limit, rest + limit + 1, (count, CHANNELS))
    return {
        "random": random.astype(np.uint16),
        "at rest": np.full((count, CHANNELS), rest, np.uint16),
        "at the limit": np.full((count, CHANNELS), rest + limit, np.uint16),
    }


def check(codes: Codes, results: Codes, matrix: Floats, rest_code: int) -> None:
    """Refuse results that are not the rounded products."""
    products = np.clip(np.rint((codes.astype(float) - rest_code) @ matrix.T), -8192, 8191)
    signed = results.astype(np.int64) & 0x3FFF
    if not np.array_equal(np.where(signed >= 0x2000, signed - 0x4000, signed), products):
        raise RuntimeError("results are wrong")


def median(rows: Sequence[Times]) -> dict[str, float]:
    """Microseconds and clocks a vector."""
    return {
        "us_wall": 1e6 * float(np.median([row.wall for row in rows])),
        "us_processor": 1e6 * float(np.median([row.processor for row in rows])),
        "us_bus": 1e6 * float(np.median([row.bus for row in rows])),
        "clocks": rows[-1].clocks,
        "clocks_skipped": float(np.mean([row.skipped for row in rows])),
    }


def measure_library(found: Libraries, topology: str, batch: int, repeats: int) -> dict[str, dict[str, float]]:
    """Batches through the C interface, by kind."""
    matrix, rest = weights(), BOARDS[topology].rest_code
    sample, spent = daemon_library(found.daemon).board_array_sample, list[float]()
    kinds = payloads(batch, topology)
    in_c, in_python = array_in_c(matrix, rest), array_in_python(matrix, rest, spent)
    rows: dict[str, dict[str, float]] = {}
    with rig(found, topology) as board:
        board.set_array(sample, in_c)
        for kind, codes in kinds.items():
            _, results = board.run(codes)
            check(codes, results, matrix, rest)
            rows[f"C array, {kind}"] = median([board.run(codes)[0] for _ in range(repeats)])
        board.set_array(None)
        rows["no array"] = median([board.run(kinds["random"])[0] for _ in range(repeats)])
        board.set_array(in_python)
        check(kinds["random"], board.run(kinds["random"])[1], matrix, rest)
        spent.clear()
        rows["Python array"] = median([board.run(kinds["random"])[0] for _ in range(repeats)])
        rows["Python array"]["us_array"] = 1e6 * sum(spent) / repeats / batch
        board.set_array(sample, in_c)
        board.set_skipping(EVERY_CLOCK)
        rows["every clock worked through"] = median(
            [board.run(kinds["random"])[0] for _ in range(max(1, repeats // 2))]
        )
    return rows


def time_of(call: Callable[[], object], repeats: int) -> Seconds:
    """Median of so many calls."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def measure_twin(topology: str, batch: int, repeats: int) -> dict[str, float]:
    """`Board.mvm` on the lines of one bank, over TCP."""
    lines = range(CHANNELS)
    volts = np.random.default_rng(2).uniform(-0.2, 0.2, (batch, CHANNELS))
    with (
        start_twin(topology=topology, tied=True) as twin,
        Board(twin.board_url, BOARDS[topology], twin.wiring) as board,
    ):
        board.arm()
        taken = time_of(lambda: board.mvm(volts, bl=lines, sl=lines), repeats) / batch
    return {"us_wall": 1e6 * taken, "mvm_per_s": 1 / taken}


def analytic_clocks(topology: str) -> float:
    """Of one vector, whatever the RTL does."""
    firmware = firmware_folder()
    sys.path.insert(0, str(firmware / "regmap"))
    import board_params  # of the firmware's generator, which is no package

    description = board_params.load_board(firmware / "boards" / f"{topology}.toml")
    clocks: float = board_params.analytic_clocks(
        description, board_params.load_chips(firmware / "models" / "chips.toml")
    )
    return clocks


def show(topology: str, rows: dict[str, dict[str, float]], twin: dict[str, float], limit: float) -> None:
    """One table on the terminal."""
    goal = GOALS[topology]
    table = Table("batches", "MVM/s", "us wall", "us processor", "of it bus", "clocks", "skipped", title=topology)
    for name, row in rows.items():
        figures = [f"{1e6 / row['us_wall']:,.0f}", f"{row['us_wall']:,.0f}", f"{row['us_processor']:,.0f}"]
        clocks = [f"{row['clocks']:,.0f}", f"{row['clocks_skipped'] / row['clocks']:.0%}"]
        table.add_row(name, *figures, f"{row['us_bus']:.0f}", *clocks)
    table.add_row("twin: Board.mvm over TCP", f"{twin['mvm_per_s']:,.0f}", f"{twin['us_wall']:,.0f}", "", "", "", "")
    CONSOLE.print(table)
    row = rows["C array, random"]
    reached = "reached" if 1e6 / row["us_wall"] >= goal and twin["mvm_per_s"] >= goal else "missed"
    CONSOLE.print(f"goal of {goal:,} MVM/s {reached}; clocks {row['clocks'] / limit:.4f} of the limit of {limit:,.0f}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    parser.add_argument("--small", action="store_true", help="batches of 8, twice: to see that it runs")
    options = parser.parse_args(argv)
    load = os.getloadavg()[0]
    repeats = 2 if options.small else REPEATS
    content = provenance("board_sim.py", ("rmhil", "numpy"), argv) | {"load_before": load, "batches": BATCHES}
    boards: dict[str, Any] = {}
    with Progress(console=CONSOLE) as bar:
        shown = bar.add_task("boards", total=2 * len(BATCHES))
        for topology, whole in BATCHES.items():
            batch = 8 if options.small else whole
            rows = measure_library(libraries(topology), topology, batch, repeats)
            bar.advance(shown)
            twin = measure_twin(topology, 4 * batch, repeats)
            bar.advance(shown)
            limit = analytic_clocks(topology)
            show(topology, rows, twin, limit)
            ratio = rows["C array, random"]["clocks"] / limit
            boards[topology] = {
                "goal_mvm_per_s": GOALS[topology],
                "library": rows,
                "twin": twin,
                "clocks_over_limit": ratio,
            }
            if not options.small and ratio > CLOCKS_GOAL:
                CONSOLE.print(f"[red]{topology}: more than {CLOCKS_GOAL} of the analytic limit")
    options.out.write_text(json.dumps(content | {"boards": boards}, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
