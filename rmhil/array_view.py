"""A region of a backend's arrays: its lines, its ledger, and what is known of its cells."""

from __future__ import annotations

from typing import Self

import numpy as np

from rmhil.backend import ArraySpec, Backend, Floats, Ints, Lines
from rmhil.cell_memory import CellMemory, memory_of
from rmhil.ledger import Ledger
from rmhil.program_report import ProgramReport
from rmhil.region import Region, SomeLines


class ArrayView:
    """What a `rmhil.Crossbar` is, before it does anything; arguments as there."""

    def __init__(self, backend: Backend, *, arrays: Lines = None, ledger: Ledger | None = None) -> None:
        region = Region.whole(backend.spec).part(arrays=arrays)
        self._take(backend, Ledger() if ledger is None else ledger, memory_of(backend), region)

    def _take(self, backend: Backend, ledger: Ledger, memory: CellMemory, region: Region) -> None:
        self._backend, self._ledger, self._memory, self._region = backend, ledger, memory, region
        self._known = memory.conductance
        self._last_report: ProgramReport | None = None

    @property
    def backend(self) -> Backend:
        """The backend that holds the arrays."""
        return self._backend

    @property
    def spec(self) -> ArraySpec:
        """Of the backend: geometry, limits, wiring, provenance."""
        return self._backend.spec

    @property
    def ledger(self) -> Ledger:
        """Where pulses, reads and MVMs are counted."""
        return self._ledger

    @property
    def arrays(self) -> Ints:
        """Numbers of the backend's arrays in use."""
        return self._region.arrays

    @property
    def bl(self) -> Ints:
        """Numbers of the backend's bit lines in use."""
        return self._region.bl

    @property
    def sl(self) -> Ints:
        """Numbers of the backend's source lines in use."""
        return self._region.sl

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n_arrays, n_bl, n_sl)`; `(n_bl, n_sl)` if there is one array."""
        return self._region.shape

    @property
    def conductance(self) -> Floats:
        """S, of `shape`: the last reading of each cell; NaN if it was never read or has no valid reading."""
        return self._region.shaped(self._known[self._region.grid])

    @property
    def written_at(self) -> Floats:
        """S on the backend's clock, of `shape`: reading after the last pulse of each cell, through whichever crossbar.

        NaN: not written since the backend was opened.
        """
        return self._region.shaped(self._memory.written_at[self._region.grid])

    @property
    def writes(self) -> int:
        """Calls that have pulsed cells of this backend so far, through whichever crossbar."""
        return self._memory.writes

    def line_writes(self, sl: SomeLines = None, arrays: SomeLines = None) -> Ints:
        """Calls that have pulsed cells of each source line, through whichever crossbar and on whichever bit line.

        What was measured of a line holds for as long as its count does not change.

        Args:
            sl: lines; None means all of this crossbar.
            arrays: arrays; None means all of this crossbar.

        Returns:
            int64, shape `(arrays, SLs)`.

        Raises:
            OutOfRangeError: a line is not of this crossbar, repeats, or is out of order.
        """
        part = self._region.part(None, sl, arrays)
        return self._memory.line_writes[np.ix_(part.arrays, part.sl)]

    @property
    def last_report(self) -> ProgramReport | None:
        """The report of the last `program` or `form` of this object, also when it was cut short; None before."""
        return self._last_report

    def __repr__(self) -> str:
        size = " x ".join(str(count) for count in self.shape)
        return f"{type(self).__name__}({size} cells of {self.spec.provenance})"

    def region(self, bl: SomeLines = None, sl: SomeLines = None, arrays: SomeLines = None) -> Self:
        """A part of this crossbar: its shapes, targets and voltages count only these lines.

        Raises:
            OutOfRangeError: a line is not of this crossbar, repeats, or is out of order.
            ConfigError: the lines are not whole numbers.
        """
        return self._at(self._region.part(bl, sl, arrays))

    def counted_in(self, ledger: Ledger) -> Self:
        """The same cells and the same known map, with another ledger."""
        same = object.__new__(type(self))
        same._take(self._backend, ledger, self._memory, self._region)
        return same

    def _at(self, region: Region) -> Self:
        other = object.__new__(type(self))
        other._take(self._backend, self._ledger, self._memory, region)
        return other
