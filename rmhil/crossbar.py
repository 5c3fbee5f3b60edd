"""What people call: program, verify, read and multiply, on whole arrays or on a region of their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args, overload

import numpy as np
import torch
from loguru import logger
from numpy.typing import ArrayLike, NDArray

from rmhil.array_view import ArrayView
from rmhil.backend import Biases, Cells, Floats, MvmResult, Read, Status, Trace
from rmhil.checks import whole_number
from rmhil.errors import NotFiniteError, OutOfRangeError, OverRangeError, ShapeError, UnknownNameError
from rmhil.ledger import mvm_array_energy
from rmhil.line_model import measured_matrix
from rmhil.program_report import Outcome, ProgramInterruptedError, ProgramReport, Progress, VerifyReport
from rmhil.region import Region, SomeLines
from rmhil.units import Siemens
from rmhil.write_verify import AnyPolicy, Population, find_policy
from rmhil.write_verify.cell_run import CellRun, nothing_was_driven
from rmhil.write_verify.pilot import CELLS_MIN, learn, pilot_order
from rmhil.write_verify.program import FORM_PULSES, form_cells, program_cells, report_of

__all__ = ["Crossbar", "Outcome", "ProgramInterruptedError", "ProgramReport", "Progress", "VerifyReport"]

OnProblem = Literal["raise", "carry"]


class Crossbar(ArrayView):
    """Arrays of a backend, or a region of their lines, as one conductance map.

    Everything counts lines and arrays of this crossbar from 0, whatever region it is. Regions share the
    ledger of the crossbar that they were made from. All crossbars of one backend object share what is known of its
    cells: their last readings, and how often they were written.

    Args:
        backend: an open backend; this class never closes it. It is told apart from others by its hash, so it must
            have one, and weak references to it must be allowed, as is so for objects of any ordinary class.
        arrays: numbers of its arrays to use, ascending; None means all.
        ledger: where pulses, reads and MVMs are counted; None starts a new one.
    """

    def form(
        self,
        mask: ArrayLike | None = None,
        max_pulses: int = FORM_PULSES,
        averages: int = 1,
        progress: Progress | None = None,
    ) -> ProgramReport:
        """Read cells, and form those that are still virgin; the others are not pulsed.

        Args:
            mask: bool (no other type) of the crossbar's shape, true for the cells meant; None means all.
            max_pulses: FORM pulses allowed for each cell.
            averages: readings averaged for each verify read.
            progress: told how many cells are done.

        Raises:
            ShapeError, OutOfRangeError, ConfigError: nothing was driven.
            ProgramInterruptedError: as `program`.
        """
        named = self._region.everything() if mask is None else self._region.to_map("mask", mask, np.bool_)
        max_pulses = whole_number("max_pulses", max_pulses)
        run = self._run(named, averages, progress, "forming")
        nowhere = np.full(named.shape, np.nan)
        return self._carry_out(run, named, nowhere, np.nan, "form", lambda: form_cells(run, max_pulses))

    def program(
        self,
        target: ArrayLike,
        tolerance: Siemens = 2e-6,
        policy: str | AnyPolicy = "adaptive",
        max_pulses: int = 200,
        rewrite: bool = False,
        averages: int = 1,
        progress: Progress | None = None,
    ) -> ProgramReport:
        """Bring cells to their targets by write-verify.

        Every named cell is read first. Virgin ones are formed; those in tolerance are then left as they
        are, unless `rewrite` asks for a RESET of every named cell before it is written.

        Args:
            target: S, of the crossbar's shape, within the window of the spec; NaN leaves a cell alone.
            tolerance: S, allowed distance of the verify read from the target.
            policy: `adaptive`, `incremental`, or an object that follows `rmhil.write_verify.Policy`.
            max_pulses: SET and RESET pulses allowed for each cell; FORM pulses are limited apart,
                and so are those that erase for a `rewrite`.
            rewrite: RESET every named cell first: what a chip pays that does not look before it writes. Erasing takes
                up to 8 further pulses of each cell.
            averages: readings averaged for each verify read.
            progress: told how many cells are done.

        Returns:
            What became of each cell.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
            ProgramInterruptedError: Ctrl-C; the backend is safe, and the error holds the partial report.
            BackendUnavailableError: the backend is safe as far as it answers; see `last_report`.
        """
        wanted = self._target(target)
        _check_tolerance(tolerance)
        max_pulses = whole_number("max_pulses", max_pulses)
        chooser = find_policy(policy)
        named = ~np.isnan(wanted)
        run = self._run(named, averages, progress, "programming")

        def work() -> None:
            program_cells(run, wanted[named], tolerance, chooser, max_pulses, rewrite)

        return self._carry_out(run, named, wanted, tolerance, chooser.name, work)

    def learn_population(
        self, cells: int = 64, mask: ArrayLike | None = None, progress: Progress | None = None
    ) -> Population:
        """Learn on some cells what their kind is like, for `Adaptive(population=...)`.

        The pilot cells are taken through the window once, by the sequence of `rmhil.write_verify.pilot`, and are left
        at its lower end. Virgin ones are formed first. Nothing is known of them before, whatever they were used for.

        Args:
            cells: pilot cells. They are those of the mask in the order of `rmhil.write_verify.pilot.pilot_order`.
            mask: bool (no other type) of the crossbar's shape, true for the cells that may be taken; None means all.
            progress: told how many pulses and readings are done.

        Raises:
            ShapeError, OutOfRangeError, ConfigError: nothing was driven.
            PopulationError: the cells do not show it: too few of them answer, or not over the whole window.
        """
        named = self._region.everything() if mask is None else self._region.to_map("mask", mask, np.bool_)
        run = self._run(_pilot_mask(named, whole_number("cells", cells)), 1, progress, "learning")
        with self._kept(run):
            form_cells(run)
            population = learn(run)
        logger.info("{}: population learnt on {} cells", self.spec.provenance, cells)
        return population

    def _carry_out(
        self,
        run: CellRun,
        named: NDArray[np.bool_],
        target: Floats,
        tolerance: Siemens,
        policy: str,
        work: Callable[[], None],
    ) -> ProgramReport:
        """Do the work; if it breaks off, the backend is made safe; the record is kept in any case."""
        try:
            work()
        except BaseException as error:
            try:
                self._backend.safe()
            finally:
                report = self._keep(run, named, target, tolerance, policy)
            if isinstance(error, KeyboardInterrupt):
                raise ProgramInterruptedError(report) from error
            raise
        report = self._keep(run, named, target, tolerance, policy)
        logger.info("{}: {}", self.spec.provenance, report)
        return report

    def _keep(
        self, run: CellRun, named: NDArray[np.bool_], target: Floats, tolerance: Siemens, policy: str
    ) -> ProgramReport:
        self._remember(run)
        self._last_report = report_of(run, named, target, tolerance, policy, self.shape)
        return self._last_report

    def _run(self, mask: NDArray[np.bool_], averages: int, progress: Progress | None = None, text: str = "") -> CellRun:
        read = Read.default(self.spec, whole_number("averages", averages))
        return CellRun(self._backend, self._ledger, self._region.cells(mask), read, progress, text)

    def _remember(self, run: CellRun) -> None:
        touched = (run.reads > 0) | run.maybe_pulsed
        known = np.where(run.status == Status.NORMAL, run.conductance, np.nan)
        self._known[run.cells[touched].index] = known[touched]
        self._memory.count_writes(run.cells[run.pulses.any(axis=0) | run.maybe_pulsed])

    def read(self, averages: int = 1, on_status: OnProblem = "raise") -> Floats:
        """Read the conductance of every cell.

        Args:
            averages: readings averaged for one value.
            on_status: `raise`, or `carry` on with NaN where a reading was at compliance or over range.

        Returns:
            S, of the crossbar's shape; routing resistance is removed.

        Raises:
            ConfigError, OutOfRangeError: another word, or averages that are no whole number; nothing was driven.
            OverRangeError: a reading was at compliance or over range. All cells have been read, and the
                valid readings are in `conductance`.
        """
        _check_word("on_status", on_status)
        run = self._read_cells(self._region.everything(), averages)
        invalid = run.status != Status.NORMAL
        if invalid.any() and on_status == "raise":
            raise self._no_reading(int(invalid.sum()), len(run.cells))
        return np.where(invalid, np.nan, run.conductance).reshape(self.shape)

    def verify(self, target: ArrayLike, tolerance: Siemens = 2e-6, averages: int = 1) -> VerifyReport:
        """Read cells and compare them with a target; nothing is pulsed.

        Args:
            target: S, as for `program`; NaN: the cell is not read.
            tolerance: S.
            averages: readings averaged for one value.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
        """
        wanted = self._target(target)
        _check_tolerance(tolerance)
        named = ~np.isnan(wanted)
        run = self._read_cells(named, averages)
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

    def _read_cells(self, mask: NDArray[np.bool_], averages: int) -> CellRun:
        run = self._run(mask, averages)
        with self._kept(run):
            for chosen in run.chunks():
                run.take_reading(chosen)
        return run

    @contextmanager
    def _kept(self, run: CellRun) -> Iterator[None]:
        """What a run shows is known afterwards, also if it breaks off; the backend is then made safe."""
        try:
            yield
        except BaseException:
            self._backend.safe()
            raise
        finally:
            self._remember(run)

    def _no_reading(self, count: int, total: int) -> OverRangeError:
        return OverRangeError("verify reads", count, total, self.spec.limits.current, "A")

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
        self._ledger.count_sweep(trace)
        return trace

    def _forget(self, cells: Cells) -> None:
        self._known[cells.index] = np.nan
        self._memory.count_writes(cells)

    @overload
    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: SomeLines = ...,
        sl: SomeLines = ...,
        arrays: SomeLines = ...,
        *,
        on_over_range: Literal["raise"] = ...,
    ) -> torch.Tensor: ...

    @overload
    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: SomeLines = ...,
        sl: SomeLines = ...,
        arrays: SomeLines = ...,
        *,
        on_over_range: Literal["carry"],
    ) -> MvmResult: ...

    def mvm(
        self,
        voltages: ArrayLike | torch.Tensor,
        bl: SomeLines = None,
        sl: SomeLines = None,
        arrays: SomeLines = None,
        *,
        on_over_range: OnProblem = "raise",
    ) -> torch.Tensor | MvmResult:
        """Drive bit lines and measure source-line currents.

        Args:
            voltages: V, shape `(arrays, batch, driven BLs)`; with one array also `(batch, driven BLs)` or
                `(driven BLs,)`. Each within +-`spec.limits.read_voltage`.
            bl: lines to drive; None means all.
            sl: lines to sense; None means all.
            arrays: arrays to use; None means all.
            on_over_range: `raise`, or `carry` the flags in an `MvmResult`.

        Returns:
            Currents in A, of the shape of `voltages` with the sensed SLs as last axis, on the backend's device.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
            OverRangeError: a conversion left its range; the MVM was done and counted.
        """
        _check_word("on_over_range", on_over_range)
        part = self._region.part(bl, sl, arrays)
        volts = torch.as_tensor(voltages, dtype=self._backend.dtype, device=self._backend.device)
        batched = _batched(volts, part)
        result = self._backend.mvm(batched, part.bl, part.sl, part.arrays)
        self._count_mvm(batched, part)
        currents = result.currents.reshape(*volts.shape[:-1], len(part.sl))
        over_range = result.over_range.reshape(currents.shape)
        if on_over_range == "carry":
            return MvmResult(currents, over_range)
        count = int(over_range.sum())
        if count:
            limit = self.spec.wiring.adc_current_range
            raise OverRangeError("currents", count, over_range.numel(), limit, "A a pass")
        return currents

    def _count_mvm(self, volts: torch.Tensor, part: Region) -> None:
        """Count one call; the energy in the cells follows from the known map."""
        together = torch.linalg.vector_norm(volts.detach(), dim=1, keepdim=True).double().cpu().numpy()
        lines = self._memory.line_conductance(part)
        energy = mvm_array_energy(self.spec, together, lines, len(part.sl))
        self._ledger.count_mvm(self.spec, volts.shape[1], part.bl, part.sl, len(part.arrays), energy)

    def matrix(self, bl: SomeLines = None, sl: SomeLines = None, array: int = 0) -> Floats:
        """What an MVM multiplies by: the known conductances through the nominal model of the lines.

        Every cell on the sensed source lines takes part of the current, also on bit lines that are not
        driven or not of this region; those that were never read are read first.

        Args:
            bl: lines driven; None means all.
            sl: lines sensed; None means all.
            array: which array.

        Returns:
            S, shape `(driven BLs, sensed SLs)`: `currents = voltages @ matrix`, offsets and converters apart.

        Raises:
            OverRangeError: a cell of those has no valid reading.
        """
        part = self._region.part(bl, sl, [array])
        columns = self._at(Region(part.arrays, np.arange(self.spec.n_bl, dtype=np.int64), part.sl))
        unread = np.isnan(columns._known[columns._region.grid])
        if unread.any():
            columns._read_cells(unread, averages=1)
        cells = np.zeros((self.spec.n_bl, self.spec.n_sl))
        cells[:, part.sl] = columns._known[columns._region.grid][0]
        invalid = int(np.isnan(cells).sum())
        if invalid:
            raise self._no_reading(invalid, unread.size)
        return measured_matrix(self.spec, cells, part.bl, part.sl)

    def measure_columns(self, bl: SomeLines = None, sl: SomeLines = None, array: int = 0) -> Floats:
        """What an MVM multiplies by, measured: one bit line at a time is driven at +- the read voltage.

        The difference of the two polarities is free of amplifier offsets. All effects of lines,
        drivers and converters are in it.

        Args:
            bl: lines driven; None means all.
            sl: lines sensed; None means all.
            array: which array.

        Returns:
            S, shape `(driven BLs, sensed SLs)`.

        Raises:
            OverRangeError: a conversion left its range.
        """
        part = self._at(self._region.part(bl, sl, [array]))
        voltage = self.spec.read_voltage
        unit = torch.eye(len(part.bl), dtype=self._backend.dtype, device=self._backend.device) * voltage
        currents = part.mvm(torch.cat([unit, -unit])).double().cpu().numpy()
        up, down = np.split(currents, 2)
        return np.asarray((up - down) / (2 * voltage))

    def check_target(self, target: ArrayLike, tolerance: Siemens = 2e-6) -> None:
        """Refuse a target and a tolerance that `program` and `verify` would refuse; nothing is driven.

        Args:
            target: S, as for `program`.
            tolerance: S.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: as `program`.
        """
        self._target(target)
        _check_tolerance(tolerance)

    def _target(self, target: ArrayLike) -> Floats:
        wanted = self._region.to_map("target", target, np.float64)
        infinite = int(np.isinf(wanted).sum())
        if infinite:
            raise NotFiniteError("target", infinite, wanted.size)
        low, high = self.spec.conductance_min, self.spec.conductance_max
        outside = wanted[(wanted < low) | (wanted > high)]
        if outside.size:
            raise OutOfRangeError(f"target ({outside.size} cells outside), first", outside[0], low, high, "S")
        return wanted


def _batched(volts: torch.Tensor, part: Region) -> torch.Tensor:
    """Voltages as `(arrays, batch, driven BLs)`."""
    n_arrays, n_bl, _ = part.full_shape
    fits = (volts.ndim == 3 and volts.shape[0] == n_arrays) or (volts.ndim in (1, 2) and n_arrays == 1)
    if not fits or volts.shape[-1] != n_bl:
        one = f", (batch, {n_bl}) or ({n_bl},)" if n_arrays == 1 else ""
        raise ShapeError("voltages", volts.shape, f"({n_arrays}, batch, {n_bl})" + one)
    return volts.reshape(n_arrays, -1, n_bl)


def _pilot_mask(named: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The pilot cells among those named, in a map of all cells."""
    among = np.flatnonzero(named)
    if not CELLS_MIN <= count <= len(among):
        raise OutOfRangeError("pilot cells", count, CELLS_MIN, len(among), "")
    pilot = np.zeros(named.size, dtype=bool)
    pilot[among[pilot_order(len(among))[:count]]] = True
    return pilot.reshape(named.shape)


def _check_tolerance(tolerance: Siemens) -> None:
    if not 0 < tolerance < np.inf:  # written this way, NaN fails too
        raise OutOfRangeError("tolerance", tolerance, 0, np.inf, "S")


def _check_word(name: str, word: str) -> None:
    if word not in get_args(OnProblem):
        raise UnknownNameError(name, word, get_args(OnProblem))
