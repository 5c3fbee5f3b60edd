"""The Verilated board for tests: builds it, loads it, and talks to it through its C interface.

A build with other sources or settings goes to `build/board_sim/<name>` of the checkout, and is made again when a source
has changed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rmhil.bench import board_map as rm
from sim_backend.twin.build import libraries
from sim_backend.twin.native import Lines, Outputs, board_library

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
GENERATED = FIRMWARE / "regmap" / "generated"
BUILD = ROOT / "build" / "board_sim"

LINES = rm.VECTOR_LINES

OFF_CLOCKS = 4
"""From the end of a bus write, or of the watchdog's timeout, until gate and outputs are off."""

REST_CLOCKS = 500
"""From there until every DAC rests: 5 us."""

Codes = NDArray[np.uint16]
Floats = NDArray[np.float64]


def require_tool(name: str) -> str:
    """Path of a program; without it the test is skipped, or fails where RMHIL_REQUIRE_TWIN is set."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is missing: apt-get install {name}"
        if os.environ.get("RMHIL_REQUIRE_TWIN"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


_ARRAY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Lines), ctypes.POINTER(ctypes.c_double))


def build(board: str, *, name: str | None = None, **variables: str | int) -> Path:
    """The library of a board: the twin's own, or one of a name with `variables` of the Makefile (TRACE, ..)."""
    require_tool("verilator")
    if name is None:
        return libraries(board).board
    out = BUILD / name
    out.mkdir(parents=True, exist_ok=True)
    arguments = [f"{key}={value}" for key, value in {"BOARD": board, "OUT": out, **variables}.items()]
    command = ["make", "--silent", "-C", FIRMWARE / "sim", *arguments]
    # Tests run in several processes: one builds, the others wait.
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return out / "libboard_sim.so"


@cache
def load(path: Path) -> ctypes.CDLL:
    """The library with the types of its functions, those that only tests call among them."""
    library = board_library(path)
    handle, word = ctypes.c_void_p, ctypes.c_uint32
    library.board_sim_step_until_irq.restype = ctypes.c_uint64
    library.board_sim_set_skipping.argtypes = [handle, ctypes.c_int]
    for name in ("clocks_skipped", "wrong_skips"):
        getattr(library, f"board_sim_{name}").restype = ctypes.c_uint64
    for name in ("reset", "clocks_skipped", "wrong_skips"):
        getattr(library, f"board_sim_{name}").argtypes = [handle]
    for name in ("step", "step_until_irq"):
        getattr(library, f"board_sim_{name}").argtypes = [handle, ctypes.c_uint64]
    library.board_sim_write.argtypes = [handle, word, word]
    library.board_sim_read.argtypes = [handle, word, ctypes.POINTER(word)]
    for name in ("write_block", "read_block"):
        getattr(library, f"board_sim_{name}").argtypes = [handle, word, ctypes.c_void_p, ctypes.c_size_t]
    return library


class BusError(Exception):
    """The bus answered with an error response."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What an array sees when the ADCs hold their inputs: copies of `board_sim_lines`."""

    time_ns: int
    epoch: int
    dac_level: NDArray[np.int64]
    bl_source: NDArray[np.uint8]
    sl_source: NDArray[np.uint8]
    wl_source: NDArray[np.uint8]
    dac_of_bl: NDArray[np.uint16]
    tia_of_sl: NDArray[np.uint16]
    tia: NDArray[np.uint16]

    @classmethod
    def of(cls, lines: Lines) -> Sample:
        def copied(pointer: object, count: int) -> NDArray[np.uint8]:
            return np.ctypeslib.as_array(pointer, (count,)).copy()

        return cls(
            lines.time_ns,
            lines.epoch,
            copied(lines.dac_level, lines.n_dac).astype(np.int64),
            copied(lines.bl_source, lines.n_bl),
            copied(lines.sl_source, lines.n_sl),
            copied(lines.wl_source, lines.n_sl),
            copied(lines.dac_of_bl, lines.n_bl),
            copied(lines.tia_of_sl, lines.n_sl),
            copied(lines.tia, lines.n_adc),
        )


class Board:
    """One simulated board."""

    def __init__(self, library: Path, seed: int = 1) -> None:
        self._library = load(library)
        self._sim = self._library.board_sim_create(seed)
        self._kept: object = None
        self._head = 0

    def close(self) -> None:
        self._library.board_sim_destroy(self._sim)
        self._sim = None

    # Bus and time

    def write(self, register: str, value: int) -> None:
        self.write_address(rm.REGISTERS[register], value)

    def read(self, register: str) -> int:
        return self.read_address(rm.REGISTERS[register])

    def field(self, name: str) -> int:
        """`REGISTER.FIELD`, read now."""
        return rm.FIELDS[name].of(self.read(name.split(".")[0]))

    def write_address(self, address: int, value: int) -> None:
        if self._library.board_sim_write(self._sim, address, value):
            raise BusError(f"write of {value:#x} to {address:#x}")

    def read_address(self, address: int) -> int:
        value = ctypes.c_uint32()
        if self._library.board_sim_read(self._sim, address, ctypes.byref(value)):
            raise BusError(f"read of {address:#x}")
        return value.value

    def write_block(self, address: int, words: NDArray[np.uint32]) -> None:
        words = np.ascontiguousarray(words, dtype=np.uint32)
        if self._library.board_sim_write_block(self._sim, address, words.ctypes.data, words.size):
            raise BusError(f"write of {words.size} words to {address:#x}")

    def read_block(self, address: int, count: int) -> NDArray[np.uint32]:
        words = np.empty(count, np.uint32)
        if self._library.board_sim_read_block(self._sim, address, words.ctypes.data, count):
            raise BusError(f"read of {count} words at {address:#x}")
        return words

    def step(self, clocks: int) -> None:
        self._library.board_sim_step(self._sim, clocks)

    def step_until_irq(self, clocks: int) -> int:
        return int(self._library.board_sim_step_until_irq(self._sim, clocks))

    def reset(self) -> None:
        self._library.board_sim_reset(self._sim)
        self._head = 0

    def set_skipping(self, skipping: int) -> None:
        self._library.board_sim_set_skipping(self._sim, skipping)

    @property
    def clocks_skipped(self) -> int:
        return int(self._library.board_sim_clocks_skipped(self._sim))

    @property
    def wrong_skips(self) -> int:
        return int(self._library.board_sim_wrong_skips(self._sim))

    @property
    def time_ns(self) -> int:
        return int(self._library.board_sim_time_ns(self._sim))

    # Chips

    def outputs(self) -> Outputs:
        outputs = Outputs()
        self._library.board_sim_outputs_now(self._sim, ctypes.byref(outputs))
        return outputs

    def violations(self) -> list[str]:
        """Names of all kinds seen, the first one first."""
        return [name for name, _ in self.violation_times()]

    def violation_times(self) -> list[tuple[str, int]]:
        name, text, time = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_uint64()
        found = []
        for n in range(self._library.board_sim_violation_count(self._sim)):
            self._library.board_sim_violation(self._sim, n, ctypes.byref(name), ctypes.byref(text), ctypes.byref(time))
            found.append(((name.value or b"").decode(), time.value))
        return found

    def set_array(self, array: Callable[[Sample], Floats]) -> None:
        """`array` gives what each ADC samples, in codes, not rounded."""

        def called(_: int | None, lines: ctypes._Pointer[Lines], inputs: ctypes._Pointer[ctypes.c_double]) -> None:
            sample = Sample.of(lines.contents)
            np.ctypeslib.as_array(inputs, (sample.tia.size,))[:] = array(sample)

        self.set_native_array(_ARRAY(called))

    def set_native_array(self, function: ctypes._CFuncPtr) -> None:
        """`function` is a `board_sim_array`."""
        self._kept = function
        self._library.board_sim_set_array(self._sim, ctypes.cast(function, ctypes.c_void_p), None)

    def trace(self, path: Path) -> None:
        if self._library.board_sim_trace_start(self._sim, str(path).encode()):
            raise OSError(f"no trace at {path}")

    def trace_stop(self) -> None:
        self._library.board_sim_trace_stop(self._sim)

    # Commands

    def control(self, **bits: int) -> None:
        """Write CONTROL with its key: `arm=1`, `disarm=1`, `abort=1`."""
        word = rm.CONTROL_KEY << 16
        for name, value in bits.items():
            word |= value << rm.FIELDS[f"CONTROL.{name.upper()}"].low
        self.write("CONTROL", word)

    def kick(self) -> None:
        self.write("WATCHDOG_KICK", rm.WATCHDOG_KICK_KEY)

    @property
    def state(self) -> rm.State:
        return rm.State(self.field("STATUS.STATE"))

    def arm(self) -> None:
        self.control(arm=1)
        self.wait_for(lambda: self.state is not rm.State.ARMING)
        assert self.state is rm.State.READY

    def wait_for(self, done: Callable[[], bool], clocks: int = 200_000) -> None:
        """Step until something holds."""
        for _ in range(clocks // 100):
            if done():
                return
            self.step(100)
        raise TimeoutError(f"nothing happened in {clocks} clocks; state {self.state.name}")

    def queue(self, opcode: rm.Opcode, *words: int, tag: int = 0, notify: int = 0) -> None:
        """Put a command in the next slot, without ringing."""
        first = opcode | notify << rm.FIELDS["COMMAND.NOTIFY"].low | tag << rm.FIELDS["COMMAND.TAG"].low
        offset = rm.WINDOWS["commands"][0] + 4 * rm.COMMAND_WORDS * self._head
        self.write_block(offset, np.array([first, *words], np.uint32))
        self._head = (self._head + 1) % rm.COMMAND_SLOTS

    def ring(self) -> None:
        self.write("COMMAND_HEAD", self._head)

    def run(self, opcode: rm.Opcode, *words: int, clocks: int = 200_000) -> None:
        """Run one command and wait for its end, or for FAULT."""
        self.queue(opcode, *words)
        self.ring()
        self.wait_for(lambda: bool(self.field("STATUS.IDLE")) or self.state is rm.State.FAULT, clocks)

    def route_mvm(self, bl_bank: int, sl_bank: int, bl_mask: int = 2**64 - 1, sl_mask: int = 2**64 - 1) -> None:
        low, high = 2**32 - 1, 32
        masks = (bl_mask & low, bl_mask >> high, sl_mask & low, sl_mask >> high)
        self.run(rm.Opcode.ROUTE_MVM, bl_bank | sl_bank << 8, *masks)

    def route_cell(self, bl: int, sl: int, bl_others: int = 0, sl_others: int = 0) -> None:
        self.run(rm.Opcode.ROUTE_CELL, bl | sl << 16, bl_others | sl_others << 1)

    # Batches

    def load(self, codes: Codes, bank: int = 0) -> None:
        """Write input codes, shape (vectors, 64)."""
        words = np.ascontiguousarray(codes, dtype="<u2").view("<u4").ravel()
        self.write_block(rm.WINDOWS["inputs"][0] + bank * rm.BANK_BYTES, words)

    def results(self, vectors: int, bank: int = 0) -> NDArray[np.uint16]:
        """Result half words, shape (vectors, 64)."""
        offset = rm.WINDOWS["results"][0] + bank * rm.BANK_BYTES
        words = self.read_block(offset, vectors * LINES // 2)
        return words.astype("<u4").view("<u2").reshape(vectors, LINES)

    def mvm(self, codes: Codes, bank: int = 0) -> NDArray[np.uint16]:
        """One batch on the present route: results as they are in memory."""
        self.load(codes, bank)
        self.run(rm.Opcode.MVM, len(codes) | bank << 16, clocks=20_000 * len(codes) + 100_000)
        return self.results(len(codes), bank)

    @property
    def rest_code(self) -> int:
        return self.field("INPUT_LIMITS.REST_CODE")

    @property
    def limit_codes(self) -> int:
        return self.field("INPUT_LIMITS.LIMIT_CODES")


def adc_codes(results: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Signed ADC codes of results."""
    codes = results.astype(np.int64) & 0x3FFF
    return np.where(codes >= 0x2000, codes - 0x4000, codes)


class Matrix:
    """An array that multiplies: ADC codes per DAC code from rest, for every cell (n_bl, n_sl)."""

    def __init__(self, weights: Floats, rest_code: int) -> None:
        self.weights = weights
        self.rest_code = rest_code
        self.samples: list[Sample] = []

    def __call__(self, sample: Sample) -> Floats:
        self.samples.append(sample)
        driven = sample.bl_source == rm.Source.CONVERTER
        level = np.where(driven, sample.dac_level[sample.dac_of_bl] - self.rest_code, 0)
        on = sample.wl_source == rm.GateSource.RAIL
        inputs = np.zeros(LINES)
        sensed = np.flatnonzero(on & (sample.sl_source == rm.Source.CONVERTER))
        inputs[sample.tia_of_sl[sensed]] = level @ self.weights[:, sensed]
        return inputs[sample.tia]


@contextmanager
def opened(library: Path, seed: int = 1) -> Iterator[Board]:
    """A board that is closed at the end."""
    board = Board(library, seed)
    try:
        yield board
    finally:
        board.close()


def codes_around(rest: int, offsets: Sequence[Sequence[int]] | NDArray[np.int64]) -> Codes:
    """Input codes from distances to rest."""
    return (np.asarray(offsets) + rest).astype(np.uint16)
