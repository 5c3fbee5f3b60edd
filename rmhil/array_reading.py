"""Reading a region of a backend's arrays, and keeping what is known of its cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.array_view import ArrayView
from rmhil.backend import ArraySpec, Biases, Cells, Floats, Read, Status, Trace
from rmhil.checks import whole_number
from rmhil.errors import (
    NotFiniteError,
    OutOfRangeError,
    OverRangeError,
    RmhilError,
    UnknownNameError,
    nothing_was_driven,
)
from rmhil.program_report import Outcome, Progress, VerifyReport
from rmhil.units import Siemens
from rmhil.write_verify.cell_run import CellRun, Watch

OnProblem = Literal["raise", "carry"]


class ArrayReading(ArrayView):
    """What a `rmhil.Crossbar` does without pulsing cells or multiplying: read, verify, sweep."""

    def read(
        self,
        averages: int = 1,
        on_status: OnProblem = "raise",
        mask: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Floats:
        """Read the conductance of cells.

        Args:
            averages: readings averaged for one value.
            on_status: `raise`, or `carry` on with NaN where a reading was at compliance or over range.
            mask: bool (no other type) of the crossbar's shape, true for the cells meant; None means all.
            progress: told how many cells are done.

        Returns:
            S, of the crossbar's shape; routing resistance is removed. NaN where a cell was not meant.

        Raises:
            ShapeError, ConfigError, OutOfRangeError: another word, a mask that is none, or averages that are no whole
                number; nothing was driven.
            OverRangeError: a reading was at compliance or over range. All cells have been read, and the
                valid readings are in `conductance`.
        """
        check_word("on_status", on_status)
        named = self._named(mask)
        run = self._read_cells(named, averages, progress)
        invalid = run.status != Status.NORMAL
        if invalid.any() and on_status == "raise":
            raise self._no_reading(int(invalid.sum()), len(run.cells))
        read = np.full(named.shape, np.nan)
        read[named] = np.where(invalid, np.nan, run.conductance)
        return self._region.shaped(read)

    def verify(
        self, target: ArrayLike, tolerance: Siemens = 2e-6, averages: int = 1, progress: Progress | None = None
    ) -> VerifyReport:
        """Read cells and compare them with a target; nothing is pulsed.

        Args:
            target: S, as for `program`; NaN: the cell is not read.
            tolerance: S.
            averages: readings averaged for one value.
            progress: told how many cells are done.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
        """
        wanted = self._target(target)
        check_tolerance(tolerance, self.spec)
        named = ~np.isnan(wanted)
        run = self._read_cells(named, averages, progress)
        achieved, status = np.full(named.shape, np.nan), np.zeros(named.shape, dtype=np.int8)
        achieved[named], status[named] = run.conductance, run.status
        return VerifyReport(
            target=self._region.shaped(wanted),
            tolerance=tolerance,
            achieved=self._region.shaped(achieved),
            status=self._region.shaped(status),
            provenance=self.spec.provenance,
            seconds=run.seconds,
        )

    def sweep(self, bl: int, sl: int, biases: Biases, array: int = 0) -> Trace:
        """Step one cell through biases; afterwards its conductance is not known until it is read.

        Raises:
            OutOfRangeError, NotFiniteError, ShapeError: nothing was driven.
        """
        one = self._region.part([bl], [sl], [array])
        cell = one.cells(one.everything())
        try:
            trace = self._backend.sweep(cell, biases)
        except BaseException as error:
            if not nothing_was_driven(error):
                self._forget(cell)
            raise
        self._forget(cell)
        self._memory.written_at[cell.index] = trace.time[-1]
        self._ledger.count_sweep(trace)
        return trace

    def check_target(self, target: ArrayLike, tolerance: Siemens = 2e-6) -> None:
        """Refuse a target and a tolerance that `program` and `verify` would refuse; nothing is driven.

        Args:
            target: S, as for `program`.
            tolerance: S.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: as `program`.
        """
        self._target(target)
        check_tolerance(tolerance, self.spec)

    def _target(self, target: ArrayLike) -> Floats:
        wanted = self._region.to_map("target", target, np.float64)
        infinite = int(np.isinf(wanted).sum())
        if infinite:
            raise NotFiniteError("target", infinite, wanted.size)
        low, high = self.spec.conductance_min, self.spec.conductance_max
        outside = np.argwhere((wanted < low) | (wanted > high))
        if len(outside):
            first = tuple(outside[0].tolist())
            name = f"target of cell {first}, the first of {len(outside)} outside,"
            raise OutOfRangeError(name, wanted[first], low, high, "S")
        return wanted

    def _named(self, mask: ArrayLike | None) -> NDArray[np.bool_]:
        return self._region.everything() if mask is None else self._region.to_map("mask", mask, np.bool_)

    def _read_cells(self, mask: NDArray[np.bool_], averages: int, progress: Progress | None = None) -> CellRun:
        run = self._run(mask, averages, progress, "reading")
        with self._kept(run):
            for chosen in run.chunks():
                run.take_reading(chosen)
                run.finish(chosen, Outcome.LEFT_ALONE)
        return run

    def _run(
        self,
        mask: NDArray[np.bool_],
        averages: int,
        progress: Progress | None = None,
        text: str = "",
        watch: Watch | None = None,
    ) -> CellRun:
        read = Read.default(self.spec, whole_number("averages", averages))
        return CellRun(self._backend, self._ledger, self._region.cells(mask), read, progress, text, watch)

    @contextmanager
    def _kept(self, run: CellRun) -> Iterator[None]:
        """What a run shows is known afterwards, also if it breaks off; the backend is then made safe."""
        try:
            yield
        except BaseException as error:
            self._make_safe_after(error)
            raise
        finally:
            self._remember(run)

    def _make_safe_after(self, error: BaseException) -> None:
        """Make the backend safe; an error of the same kind said that it is not, and how it came to that."""
        try:
            self._backend.safe()
        except RmhilError as unsafe:
            if type(unsafe) is not type(error):
                raise

    def _remember(self, run: CellRun) -> None:
        touched = (run.reads > 0) | run.maybe_pulsed
        known = np.where(run.status == Status.NORMAL, run.conductance, np.nan)
        self._known[run.cells[touched].index] = known[touched]
        written = ~np.isnan(run.written_at)
        self._memory.written_at[run.cells[written].index] = run.written_at[written]
        self._memory.count_writes(run.cells[run.pulses.any(axis=0) | run.maybe_pulsed])

    def _forget(self, cells: Cells) -> None:
        self._known[cells.index] = np.nan
        self._memory.count_writes(cells)

    def _no_reading(self, count: int, total: int) -> OverRangeError:
        return OverRangeError("verify reads", count, total, self.spec.limits.current, "A")


def check_tolerance(tolerance: Siemens, spec: ArraySpec) -> None:
    """Refuse a tolerance (S) that is not above 0, or takes in every target: 2 where 2e-6 was meant.

    Raises:
        OutOfRangeError: it is not.
    """
    if not 0 < tolerance <= spec.conductance_max:  # written this way, NaN fails too
        raise OutOfRangeError("tolerance", tolerance, 0, spec.conductance_max, "S", above=True)


def check_word(name: str, word: str) -> None:
    """Refuse a word that is none of `OnProblem`.

    Raises:
        UnknownNameError: it is none of them.
    """
    if word not in get_args(OnProblem):
        raise UnknownNameError(name, word, get_args(OnProblem))
