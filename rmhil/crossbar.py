"""What people call: program, verify, read and multiply, on whole arrays or on a region of their lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self, TypeVar, overload

import numpy as np
import torch
from loguru import logger
from numpy.typing import ArrayLike, NDArray

from rmhil.backend import (
    ArraySpec,
    Backend,
    Biases,
    Cells,
    Floats,
    Ints,
    Lines,
    MvmResult,
    Read,
    Status,
    Trace,
    line_numbers,
)
from rmhil.errors import NotFiniteError, OutOfRangeError, OverRangeError, ShapeError
from rmhil.ledger import Ledger, mvm_array_energy
from rmhil.line_model import measured_matrix
from rmhil.program_report import Outcome, ProgramInterruptedError, ProgramReport, Progress, VerifyReport
from rmhil.units import Siemens
from rmhil.write_verify import AnyPolicy, find_policy
from rmhil.write_verify.cell_run import CellRun
from rmhil.write_verify.program import FORM_PULSES, form_cells, program_cells, report_of

__all__ = ["Crossbar", "Outcome", "ProgramInterruptedError", "ProgramReport", "Progress", "VerifyReport"]

OnProblem = Literal["raise", "carry"]

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Crossbar:
    """Arrays of a backend, or a region of their lines, as one conductance map.

    Everything counts lines and arrays of this crossbar from 0, whatever region it is. Regions share the
    ledger and the known conductance map of the crossbar that they were made from.

    Args:
        backend: an open backend; this class never closes it.
        arrays: numbers of its arrays to use, ascending; None means all.
        ledger: where pulses, reads and MVMs are counted; None starts a new one.
    """

    def __init__(self, backend: Backend, *, arrays: Lines = None, ledger: Ledger | None = None) -> None:
        spec = backend.spec
        self._take(
            backend,
            Ledger() if ledger is None else ledger,
            np.full(spec.shape, np.nan),
            line_numbers("array", arrays, spec.n_arrays),
            line_numbers("bl", None, spec.n_bl),
            line_numbers("sl", None, spec.n_sl),
        )

    def _take(self, backend: Backend, ledger: Ledger, known: Floats, arrays: Ints, bl: Ints, sl: Ints) -> None:
        self._backend, self._ledger, self._known = backend, ledger, known
        self._arrays, self._bl, self._sl = arrays, bl, sl
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
        return self._arrays

    @property
    def bl(self) -> Ints:
        """Numbers of the backend's bit lines in use."""
        return self._bl

    @property
    def sl(self) -> Ints:
        """Numbers of the backend's source lines in use."""
        return self._sl

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n_arrays, n_bl, n_sl)`; `(n_bl, n_sl)` if there is one array."""
        return self._full_shape[1:] if len(self._arrays) == 1 else self._full_shape

    @property
    def _full_shape(self) -> tuple[int, int, int]:
        return (len(self._arrays), len(self._bl), len(self._sl))

    @property
    def conductance(self) -> Floats:
        """S, shape `shape`: the last reading of each cell; NaN if it was never read or has no valid reading."""
        return self._shaped(self._known[self._grid])

    @property
    def last_report(self) -> ProgramReport | None:
        """The report of the last `program` or `form` of this object, also when it was cut short; None before."""
        return self._last_report

    def __repr__(self) -> str:
        size = " x ".join(str(count) for count in self.shape)
        return f"Crossbar({size} cells of {self.spec.provenance})"

    def region(self, bl: slice | Lines = None, sl: slice | Lines = None, arrays: slice | Lines = None) -> Self:
        """A part of this crossbar: its shapes, targets and voltages count only these lines.

        Raises:
            OutOfRangeError: a line is not of this crossbar, repeats, or is out of order.
        """
        part = object.__new__(type(self))
        part._take(
            self._backend,
            self._ledger,
            self._known,
            _select("array", arrays, self._arrays),
            _select("bl", bl, self._bl),
            _select("sl", sl, self._sl),
        )
        return part

    # ---- programming -------------------------------------------------------------------------------------------

    def form(
        self,
        mask: ArrayLike | None = None,
        max_pulses: int = FORM_PULSES,
        averages: int = 1,
        progress: Progress | None = None,
    ) -> ProgramReport:
        """Read cells, and form those that are still virgin; the others are not pulsed.

        Args:
            mask: bool of the crossbar's shape, true for the cells meant; None means all.
            max_pulses: FORM pulses allowed for each cell.
            averages: readings averaged for each verify read.
            progress: told how many cells are done.

        Raises:
            ShapeError, OutOfRangeError: nothing was driven.
            ProgramInterruptedError: as `program`.
        """
        chosen = np.ones(self._full_shape, dtype=bool) if mask is None else self._map("mask", mask, np.bool_)
        _at_least_one("max_pulses", max_pulses)
        read = self._read_with(averages)
        run = CellRun(self._backend, self._ledger, self._cells(chosen), read, progress, "forming")
        nowhere = np.full(self._full_shape, np.nan)
        return self._carry_out(run, chosen, nowhere, np.nan, "form", lambda: form_cells(run, max_pulses))

    def program(
        self,
        target: ArrayLike,
        tolerance: Siemens = 2e-6,
        policy: str | AnyPolicy = "adaptive",
        max_pulses: int = 200,
        rewrite: bool = False,
        averages: int = 1,
        confirm_reads: int = 0,
        progress: Progress | None = None,
    ) -> ProgramReport:
        """Bring cells to their targets by write-verify.

        Every named cell is read first. Virgin ones are formed; those in tolerance are then left as they
        are, unless `rewrite` asks for a RESET of every named cell before it is written.

        Args:
            target: S, of the crossbar's shape, within the window of the spec; NaN leaves a cell alone.
            tolerance: S, allowed distance of the verify read from the target.
            policy: `adaptive`, `incremental`, or an object that follows `rmhil.write_verify.Policy`.
            max_pulses: SET and RESET pulses allowed for each cell; FORM pulses are limited apart.
            rewrite: RESET every named cell first: what a chip pays that does not look before it writes.
            averages: readings averaged for each verify read.
            confirm_reads: further reads that must be in tolerance too before a cell counts as converged.
            progress: told how many cells are done.

        Returns:
            What became of each cell.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, UnknownNameError: nothing was driven.
            ProgramInterruptedError: Ctrl-C; the backend is safe, and the error holds the partial report.
            BackendUnavailableError: the backend is safe as far as it answers; see `last_report`.
        """
        wanted = self._target(target)
        _check_tolerance(tolerance)
        _at_least_one("max_pulses", max_pulses)
        if confirm_reads < 0:
            raise OutOfRangeError("confirm_reads", confirm_reads, 0, np.inf, "")
        chooser = find_policy(policy)
        read = self._read_with(averages)
        named = ~np.isnan(wanted)
        run = CellRun(self._backend, self._ledger, self._cells(named), read, progress, "programming")

        def work() -> None:
            program_cells(run, wanted[named], tolerance, chooser, max_pulses, rewrite, confirm_reads)

        return self._carry_out(run, named, wanted, tolerance, chooser.name, work)

    def _carry_out(
        self,
        run: CellRun,
        named: NDArray[np.bool_],
        target: Floats,
        tolerance: Siemens,
        policy: str,
        work: Callable[[], None],
    ) -> ProgramReport:
        """Do the work; however it ends, the backend is left safe and the record is kept."""
        try:
            work()
        except KeyboardInterrupt as error:
            self._backend.safe()
            report = self._keep(run, named, target, tolerance, policy)
            raise ProgramInterruptedError(report) from error
        except BaseException:
            self._backend.safe()
            self._keep(run, named, target, tolerance, policy)
            raise
        report = self._keep(run, named, target, tolerance, policy)
        logger.info("{}: {}", run.spec.provenance, report)
        return report

    def _keep(
        self, run: CellRun, named: NDArray[np.bool_], target: Floats, tolerance: Siemens, policy: str
    ) -> ProgramReport:
        self._remember(run)
        self._last_report = report_of(run, named, target, tolerance, policy, self.shape)
        return self._last_report

    def _remember(self, run: CellRun) -> None:
        touched = (run.reads > 0) | run.maybe_pulsed
        known = np.where(run.status == Status.NORMAL, run.conductance, np.nan)
        self._known[run.cells[touched].index] = known[touched]

    # ---- reading -----------------------------------------------------------------------------------------------

    def read(self, averages: int = 1, on_status: OnProblem = "raise") -> Floats:
        """Read the conductance of every cell.

        Args:
            averages: readings averaged for one value.
            on_status: `raise`, or `carry` on with NaN where a reading was at compliance or over range.

        Returns:
            S, of the crossbar's shape; routing resistance is removed.

        Raises:
            OverRangeError: a reading was at compliance or over range. All cells have been read, and the
                valid readings are in `conductance`.
        """
        everything = np.ones(self._full_shape, dtype=bool)
        run = self._read_cells(everything, averages)
        invalid = run.status != Status.NORMAL
        if invalid.any() and on_status == "raise":
            limits = self.spec.limits
            raise OverRangeError("verify reads", int(invalid.sum()), len(run.cells), limits.current, "A")
        return self._shaped(np.where(invalid, np.nan, run.conductance))

    def verify(self, target: ArrayLike, tolerance: Siemens = 2e-6, averages: int = 1) -> VerifyReport:
        """Read cells and compare them with a target; nothing is pulsed.

        Args:
            target: S, as for `program`; NaN: the cell is not read.
            tolerance: S.
            averages: readings averaged for one value.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError: nothing was driven.
        """
        wanted = self._target(target)
        _check_tolerance(tolerance)
        named = ~np.isnan(wanted)
        run = self._read_cells(named, averages)
        achieved, status = np.full(self._full_shape, np.nan), np.zeros(self._full_shape, dtype=np.int8)
        achieved[named], status[named] = run.conductance, run.status
        return VerifyReport(
            target=self._shaped(wanted),
            tolerance=tolerance,
            achieved=self._shaped(achieved),
            status=self._shaped(status),
            provenance=self.spec.provenance,
            seconds=run.seconds,
        )

    def _read_cells(self, mask: NDArray[np.bool_], averages: int) -> CellRun:
        run = CellRun(self._backend, self._ledger, self._cells(mask), self._read_with(averages))
        try:
            for chosen in run.chunks():
                run.take_reading(chosen)
        finally:
            self._remember(run)
        return run

    def sweep(self, bl: int, sl: int, biases: Biases, array: int = 0) -> Trace:
        """Step one cell through biases; afterwards its conductance is not known until it is read.

        Raises:
            OutOfRangeError, NotFiniteError, ShapeError: nothing was driven.
        """
        part = self.region([bl], [sl], [array])
        cell = part._cells(np.ones((1, 1, 1), dtype=bool))
        trace = self._backend.sweep(cell, biases)
        self._known[cell.index] = np.nan
        self._ledger.count_sweep(trace)
        return trace

    # ---- multiplying -------------------------------------------------------------------------------------------

    @overload
    def mvm(
        self, voltages: ArrayLike | torch.Tensor, bl: Lines = ..., sl: Lines = ..., arrays: Lines = ...
    ) -> torch.Tensor: ...

    @overload
    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: Lines = ...,
        sl: Lines = ...,
        arrays: Lines = ...,
        *,
        on_over_range: Literal["raise"],
    ) -> torch.Tensor: ...

    @overload
    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: Lines = ...,
        sl: Lines = ...,
        arrays: Lines = ...,
        *,
        on_over_range: Literal["carry"],
    ) -> MvmResult: ...

    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: Lines = None,
        sl: Lines = None,
        arrays: Lines = None,
        *,
        on_over_range: OnProblem = "raise",
    ) -> torch.Tensor | MvmResult:
        """Drive bit lines and measure source-line currents.

        Args:
            voltages: V, shape `(arrays, batch, driven BLs)`; with one array also `(batch, driven BLs)` or
                `(driven BLs,)`. Each within +-`spec.limits.read_voltage`.
            bl, sl: lines to drive and to sense; None means all.
            arrays: arrays to use; None means all.
            on_over_range: `raise`, or `carry` the flags in an `MvmResult`.

        Returns:
            Currents in A, of the shape of `voltages` with the sensed SLs as last axis, on the backend's device.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError: nothing was driven.
            OverRangeError: a conversion left its range; the MVM was done and counted.
        """
        part = self.region(bl, sl, arrays)
        volts = torch.as_tensor(voltages, dtype=self._backend.dtype, device=self._backend.device)
        lead = volts.shape[:-1]
        result = self._backend.mvm(part._batched(volts), part._bl, part._sl, part._arrays)
        part._count_mvm(volts.reshape(len(part._arrays), -1, len(part._bl)))
        currents = result.currents.reshape(*lead, len(part._sl))
        over_range = result.over_range.reshape(currents.shape)
        if on_over_range == "carry":
            return MvmResult(currents, over_range)
        count = int(over_range.sum())
        if count:
            limit = self.spec.wiring.adc_current_range
            raise OverRangeError("currents", count, over_range.numel(), limit, "A a pass")
        return currents

    def _batched(self, volts: torch.Tensor) -> torch.Tensor:
        n_arrays, n_bl = len(self._arrays), len(self._bl)
        fits = (volts.ndim == 3 and volts.shape[0] == n_arrays) or (volts.ndim in (1, 2) and n_arrays == 1)
        if not fits or volts.shape[-1] != n_bl:
            one = f", (batch, {n_bl}) or ({n_bl},)" if n_arrays == 1 else ""
            raise ShapeError("voltages", volts.shape, f"({n_arrays}, batch, {n_bl})" + one)
        return volts.reshape(n_arrays, -1, n_bl)

    def _count_mvm(self, volts: torch.Tensor) -> None:
        """Count one call; the energy in the cells follows from the known map."""
        squares = volts.detach().double().square().sum(dim=1).sqrt().cpu().numpy()
        maps = self._known[self._grid]
        energy = sum(mvm_array_energy(self.spec, squares[a], maps[a]) for a in range(len(maps)))
        self._ledger.count_mvm(self.spec, volts.shape[1], self._bl, self._sl, len(self._arrays), energy)

    def matrix(self, bl: Lines = None, sl: Lines = None, array: int = 0) -> Floats:
        """What an MVM multiplies by: the measured conductances through the nominal model of the lines.

        Cells on the sensed source lines that were never read are read first: those on bit lines that
        are not driven take part of the current too.

        Args:
            bl, sl: lines driven and sensed; None means all.
            array: which array.

        Returns:
            S, shape `(driven BLs, sensed SLs)`: `currents = voltages @ matrix`, offsets and converters apart.

        Raises:
            OverRangeError: a cell of those has no valid reading.
        """
        part = self.region(bl, sl, [array])
        columns = part._whole_columns()
        unread = np.isnan(columns._known[columns._grid])
        if unread.any():
            columns._read_cells(unread, averages=1)
        full = np.zeros((self.spec.n_bl, self.spec.n_sl))
        full[:, columns._sl] = columns._known[columns._grid][0]
        invalid = int(np.isnan(full).sum())
        if invalid:
            raise OverRangeError("verify reads", invalid, full.size, self.spec.limits.current, "A")
        return measured_matrix(self.spec, full, part._bl, part._sl)

    def _whole_columns(self) -> Crossbar:
        """The same source lines with all bit lines of the backend."""
        columns = object.__new__(Crossbar)
        everything = line_numbers("bl", None, self.spec.n_bl)
        columns._take(self._backend, self._ledger, self._known, self._arrays, everything, self._sl)
        return columns

    def measure_columns(self, bl: Lines = None, sl: Lines = None, array: int = 0) -> Floats:
        """What an MVM multiplies by, measured: one bit line at a time is driven at +- the read voltage.

        The difference of the two polarities is free of amplifier offsets. All effects of lines,
        drivers and converters are in it.

        Args:
            bl, sl: lines driven and sensed; None means all.
            array: which array.

        Returns:
            S, shape `(driven BLs, sensed SLs)`.

        Raises:
            OverRangeError: a conversion left its range.
        """
        part = self.region(bl, sl, [array])
        voltage = self.spec.read_voltage
        unit = torch.eye(len(part._bl), dtype=self._backend.dtype, device=self._backend.device) * voltage
        currents = part.mvm(torch.cat([unit, -unit])).double().cpu().numpy()
        up, down = np.split(currents, 2)
        return np.asarray((up - down) / (2 * voltage))

    # ---- shapes and checks -------------------------------------------------------------------------------------

    @property
    def _grid(self) -> tuple[Ints, Ints, Ints]:
        return np.ix_(self._arrays, self._bl, self._sl)  # type: ignore[return-value]  # three arrays in, three out

    def _shaped(self, full: NDArray[_Scalar]) -> NDArray[_Scalar]:
        return full.reshape(self.shape)

    def _cells(self, mask: NDArray[np.bool_]) -> Cells:
        array, bl, sl = np.nonzero(mask)
        return Cells(self._arrays[array], self._bl[bl], self._sl[sl])

    def _read_with(self, averages: int) -> Read:
        _at_least_one("averages", averages)
        return Read.default(self.spec, averages)

    def _map(self, name: str, values: ArrayLike, dtype: type[_Scalar]) -> NDArray[_Scalar]:
        array = np.array(values, dtype=dtype)
        if array.shape not in (self.shape, self._full_shape):
            raise ShapeError(name, array.shape, str(self.shape))
        return array.reshape(self._full_shape)

    def _target(self, target: ArrayLike) -> Floats:
        wanted = self._map("target", target, np.float64)
        infinite = int(np.isinf(wanted).sum())
        if infinite:
            raise NotFiniteError("target", infinite, wanted.size)
        low, high = self.spec.conductance_min, self.spec.conductance_max
        outside = wanted[(wanted < low) | (wanted > high)]
        if outside.size:
            raise OutOfRangeError(f"target ({outside.size} cells outside), first", outside[0], low, high, "S")
        return wanted


def _select(name: str, lines: slice | Lines, own: Ints) -> Ints:
    if isinstance(lines, slice):
        lines = np.arange(len(own), dtype=np.int64)[lines]
    return own[line_numbers(name, lines, len(own))]


def _check_tolerance(tolerance: Siemens) -> None:
    if not 0 < tolerance < np.inf:  # written this way, NaN fails too
        raise OutOfRangeError("tolerance", tolerance, 0, np.inf, "S")


def _at_least_one(name: str, count: int) -> None:
    if count < 1:
        raise OutOfRangeError(name, count, 1, np.inf, "")
