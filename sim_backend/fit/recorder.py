"""A backend that passes everything on and keeps a record of each pulse and what the cell read afterwards."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from rmhil.backend import (
    ArraySpec,
    Backend,
    Biases,
    Cells,
    Floats,
    Ints,
    Lines,
    MvmResult,
    Pulses,
    Read,
    Readings,
    Trace,
)
from rmhil.ledger import Ledger
from rmhil.line_model import series_resistance
from rmhil.units import Seconds
from sim_backend.fit.tables import Table, pulse_table


class Recorder:
    """The seam around another backend. What is called through it is recorded; closing is left to the owner.

    Args:
        backend: an open backend.
        ledger: where pulses, reads and sweeps are counted as well; None counts them nowhere.
    """

    def __init__(self, backend: Backend, ledger: Ledger | None = None) -> None:
        self._backend, self._ledger = backend, ledger
        self._last = np.full(backend.spec.shape, np.nan)
        self._given = np.zeros(backend.spec.shape, dtype=np.int64)
        self._written = np.full(backend.spec.shape, np.nan)
        self._parts: list[tuple[Cells, Ints, Pulses, Floats, Floats, int]] = []

    @property
    def spec(self) -> ArraySpec:
        """Of the backend."""
        return self._backend.spec

    @property
    def device(self) -> torch.device:
        """Of the backend."""
        return self._backend.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the backend."""
        return self._backend.dtype

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """Pass on a transaction and record it; see `Backend.apply`."""
        readings = self._backend.apply(cells, pulses, read)
        if pulses is not None:
            number, before = self._given[cells.index], self._last[cells.index]
            self._parts.append((cells, number, pulses, before, readings.conductance, read.averages))
            self._given[cells.index] += 1
            self._written[cells.index] = readings.time
        self._last[cells.index] = readings.conductance
        if self._ledger is not None:
            self._ledger.count_reads(read, readings)
            if pulses is not None:
                self._ledger.count_pulses(pulses, readings)
        return readings

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """Pass on a sweep; see `Backend.sweep`."""
        self._last[cells.index] = np.nan
        trace = self._backend.sweep(cells, biases)
        if self._ledger is not None:
            self._ledger.count_sweep(trace)
        return trace

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """Pass on a product; see `Backend.mvm`."""
        return self._backend.mvm(bl_voltages, bl, sl, arrays)

    def wait(self, seconds: Seconds) -> None:
        """Let time pass; see `Backend.wait`."""
        self._backend.wait(seconds)

    def safe(self) -> None:
        """Put every output at 0 V; see `Backend.safe`."""
        self._backend.safe()

    def close(self) -> None:
        """`safe`: the backend belongs to whoever opened it."""
        self.safe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def recorded(self) -> int:
        """Transactions with pulses so far."""
        return len(self._parts)

    def last(self, cells: Cells) -> Floats:
        """S, the last reading of each cell; NaN before its first and after a sweep."""
        return self._last[cells.index]

    def written_at(self, cells: Cells) -> Floats:
        """S on the backend's clock when the last pulse of each cell was verified; NaN before its first."""
        return self._written[cells.index]

    def history(self, cells: Cells, first: int = 0) -> list[Floats]:
        """S, of each cell: its reading before the first pulse, then the one after each pulse.

        Args:
            cells: whose history.
            first: number of the transaction to begin with, as `recorded` said.
        """
        found: dict[tuple[int, int, int], list[float]] = {place: [] for place in zip(*cells.index, strict=True)}
        for named, _, _, before, after, _ in self._parts[first:]:
            for place, earlier, later in zip(zip(*named.index, strict=True), before, after, strict=True):
                if (readings := found.get(place)) is not None:
                    readings += [float(later)] if readings else [float(earlier), float(later)]
        return [np.array(readings) for readings in found.values()]

    def table(self) -> Table:
        """Every pulse so far, as `rmhil fit` reads them."""
        if not self._parts:
            return pulse_table(self.spec.provenance, **dict.fromkeys(_COLUMNS, np.empty(0)))
        cells, number, pulses, before, after, averages = zip(*self._parts, strict=True)
        joined = {name: np.concatenate([getattr(one, name) for one in pulses]) for name in _PULSE}
        return pulse_table(
            self.spec.provenance,
            cell=np.concatenate([one.names for one in cells]),
            pulse=np.concatenate(number),
            operation=joined["operation"],
            amplitude_v=joined["amplitude"],
            width_s=joined["width"],
            gate_voltage_v=joined["gate_voltage"],
            compliance_a=joined["compliance"],
            series_ohm=np.concatenate([series_resistance(self.spec, one.bl, one.sl) for one in cells]),
            conductance_before_siemens=np.concatenate(before),
            conductance_after_siemens=np.concatenate(after),
            averages=np.repeat(averages, [len(one) for one in cells]),
        )


_PULSE = ("operation", "amplitude", "width", "gate_voltage", "compliance")
_COLUMNS = (
    "cell", "pulse", "operation", "amplitude_v", "width_s", "gate_voltage_v", "conductance_after_siemens",
)  # fmt: skip

if TYPE_CHECKING:
    _CONFORMS: type[Backend] = Recorder
