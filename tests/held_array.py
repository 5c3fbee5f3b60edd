"""An array that outlives whoever programs it, as a chip does, and keeps its own account of the pulses it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import torch

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Floats,
    Lines,
    MvmResult,
    Operation,
    Pulses,
    Read,
    Readings,
    Trace,
)
from rmhil.checks import check_cells, check_pulses, check_read
from rmhil.errors import OutOfRangeError
from rmhil.units import Seconds

STEP: Seconds = 5e-3
"""s on the array's clock for each transaction."""


@dataclass(frozen=True)
class Given:
    """A pulse that a cell was given."""

    bl: int
    sl: int
    operation: int
    amplitude: float
    gate_voltage: float


@dataclass
class HeldArray:
    """Cells by a rule of thumb, without noise: FORM at 3 V, SET by its gate voltage, RESET by its amplitude.

    Each cell of a pair of lines differs from the others, so that a trajectory belongs to one cell alone.
    """

    n_bl: int = 3
    n_sl: int = 2
    cells_at_once: int | None = 1
    name: str = "held"
    given: list[Given] = field(default_factory=list)
    reads: int = 0
    clock: Seconds = 0.0

    def __post_init__(self) -> None:
        self.conductance: Floats = np.full((1, self.n_bl, self.n_sl), 2e-9)
        self.spread = np.random.default_rng(3).uniform(0.85, 1.15, self.conductance.shape)

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec(
            provenance=self.name,
            n_arrays=1,
            n_bl=self.n_bl,
            n_sl=self.n_sl,
            conductance_min=10e-6,
            conductance_max=80e-6,
            cells_at_once=self.cells_at_once,
        )

    def pulse(self, cells: Cells, pulses: Pulses) -> None:
        """Change cells, and keep what they were given."""
        for at, cell in enumerate(zip(*(index.tolist() for index in cells.index), strict=True)):
            operation, volts = Operation(pulses.operation[at]), float(pulses.amplitude[at])
            gate, g, own = float(pulses.gate_voltage[at]), self.conductance[cell], float(self.spread[cell])
            self.given.append(Given(cell[1], cell[2], operation, volts, gate))
            if operation == Operation.FORM and volts >= 3.0 * own:
                self.conductance[cell] = 30e-6
            elif g > 1e-6 and operation == Operation.SET:
                self.conductance[cell] = max(g, 32e-6 * own * (gate - 0.7))
            elif g > 1e-6 and operation == Operation.RESET:
                self.conductance[cell] = min(g, max(3e-6, 70e-6 * own * (2.0 - volts)))

    def measure(self, cells: Cells, read: Read) -> Readings:
        """Read cells."""
        self.clock += STEP
        self.reads += len(cells)
        found = self.conductance[cells.index]
        none = np.zeros(len(cells), dtype=np.int64)
        return Readings(
            conductance=found,
            current=found * read.voltage,
            pulse_current=np.full(len(cells), np.nan),
            status=none,
            pulse_status=none,
            time=np.full(len(cells), self.clock),
        )


class HeldBackend:
    """The seam on a held array; closing it leaves the array as it is, and another one takes it up there."""

    def __init__(self, array: HeldArray) -> None:
        self.array = array
        self.device, self.dtype = torch.device("cpu"), torch.float64
        self.safe_calls = 0

    @property
    def spec(self) -> ArraySpec:
        return self.array.spec

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        check_cells(self.spec, cells)
        check_read(self.spec, read)
        if pulses is not None:
            check_pulses(self.spec, cells, pulses)
            self.array.pulse(cells, pulses)
        return self.array.measure(cells, read)

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        count = len(biases)
        current = (biases.bl - biases.sl) * self.array.conductance[cells.index]
        self.array.clock += STEP * count
        times: Floats = self.array.clock + biases.dwell * np.arange(1.0, count + 1)
        return Trace(biases=biases, current=current, status=np.zeros(count, dtype=np.int64), time=times)

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        raise NotImplementedError("held cells are programmed, not multiplied")

    def wait(self, seconds: Seconds) -> None:
        if not seconds >= 0:
            raise OutOfRangeError("seconds", seconds, 0.0, np.inf, "s")
        self.array.clock += seconds

    def safe(self) -> None:
        self.safe_calls += 1

    def close(self) -> None:
        self.safe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
