"""What people call: program, verify, read and multiply, on whole arrays or on a region of their lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

import numpy as np
import torch
from loguru import logger
from numpy.typing import ArrayLike, NDArray

from rmhil.array_reading import ArrayReading, OnProblem, check_tolerance, check_word
from rmhil.backend import Cells, Floats, MvmResult, Pulses, Read, Readings
from rmhil.checks import whole_number
from rmhil.errors import OutOfRangeError, OverRangeError, ShapeError
from rmhil.ledger import mvm_array_energy
from rmhil.line_model import measured_matrix
from rmhil.program_report import Outcome, ProgramInterruptedError, ProgramReport, Progress, VerifyReport
from rmhil.region import Region, SomeLines
from rmhil.units import Siemens
from rmhil.write_verify import AnyPolicy, Population, find_policy
from rmhil.write_verify.cell_run import CellRun, Watch
from rmhil.write_verify.pilot import CELLS_MIN, learn, pilot_order
from rmhil.write_verify.program import FORM_PULSES, form_cells, program_cells, report_of

__all__ = ["Crossbar", "Outcome", "ProgramInterruptedError", "ProgramReport", "Progress", "VerifyReport"]


BEYOND_READINGS = (
    "{:,} converged cells read outside the tolerance of {:g} S in the end: it is finer than noise and drift of single "
    "readings; average more, or allow more"
)
"""Of a report that is `ProgramReport.beyond_readings`: the number of cells, and the tolerance in S."""


class Crossbar(ArrayReading):
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
        watch: Watch | None = None,
    ) -> ProgramReport:
        """Read cells, and form those that are still virgin; the others are not pulsed.

        Args:
            mask: bool (no other type) of the crossbar's shape, true for the cells meant; None means all.
            max_pulses: FORM pulses allowed for each cell.
            averages: readings averaged for each verify read.
            progress: told how many cells are done.
            watch: shown the record of all cells, as often as `progress` is told.

        Raises:
            ShapeError, OutOfRangeError, ConfigError: nothing was driven.
            ProgramInterruptedError: as `program`.
        """
        named = self._named(mask)
        max_pulses = whole_number("max_pulses", max_pulses)
        run = self._run(named, averages, progress, "forming", watch)
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
        watch: Watch | None = None,
    ) -> ProgramReport:
        """Bring cells to their targets by write-verify.

        Every named cell is read first. Virgin ones are formed; those in tolerance are then left as they
        are, unless `rewrite` asks for a RESET of every named cell before it is written.

        Args:
            target: S, of the crossbar's shape, within the window of the spec; NaN leaves a cell alone.
            tolerance: S, allowed distance of the cell from the target. Whether a cell is within it is for the policy to
                judge, from one or more readings; the last of them may lie outside, the more often the nearer the
                tolerance is to read noise and drift.
            policy: `adaptive`, `incremental`, or an object that follows `rmhil.write_verify.Policy`.
            max_pulses: SET and RESET pulses allowed for each cell; FORM pulses are limited apart,
                and so are those that erase for a `rewrite`.
            rewrite: RESET every named cell first: what a chip pays that does not look before it writes. Erasing takes
                up to 8 further pulses of each cell.
            averages: readings averaged for each verify read.
            progress: told how many cells are done.
            watch: shown the record of all cells, as often as `progress` is told.

        Returns:
            What became of each cell.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
            PopulationError: what the policy knows is of another window, or of other pulses; nothing was driven.
            ProgramInterruptedError: Ctrl-C; the backend is safe, and the error holds the partial report.
            BackendUnavailableError: the backend is safe as far as it answers; see `last_report`.
        """
        wanted = self._target(target)
        check_tolerance(tolerance, self.spec)
        max_pulses = whole_number("max_pulses", max_pulses)
        chooser = find_policy(policy)
        named = ~np.isnan(wanted)
        run = self._run(named, averages, progress, "programming", watch)
        state = chooser.start(self.spec, wanted[named], tolerance, averages)

        def work() -> None:
            program_cells(run, chooser, state, max_pulses, rewrite)

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
        named = self._named(mask)
        run = self._run(_pilot_mask(named, whole_number("cells", cells)), 1, progress, "learning")
        with self._kept(run):
            form_cells(run)
            population = learn(run)
        logger.info("{}: population learnt on {} cells", self.spec.provenance, cells)
        return population

    def apply(self, cells: Cells, pulses: Pulses | None, averages: int = 1) -> Readings:
        """Give each of some cells one pulse (None: no pulse), and read it: the step that measurements are made of.

        Args:
            cells: by their numbers in this crossbar, at least one; none twice.
            pulses: one for each of them.
            averages: readings averaged for each verify read.

        Returns:
            One element a cell, in the order of the cells.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven by the transaction that was
                refused. A backend that takes fewer cells at once may have carried out earlier ones.
        """
        if not len(cells) or (pulses is not None and len(pulses) != len(cells)):
            given = "" if pulses is None else f", and as many as there are pulses ({len(pulses)})"
            raise ShapeError("cells", (len(cells),), f"at least one cell{given}")
        read = Read.default(self.spec, whole_number("averages", averages))
        run = CellRun(self._backend, self._ledger, self._region.named(cells), read)
        visited = list(run.chunks())
        with self._kept(run):
            done = [run.transact(chosen, None if pulses is None else pulses[chosen]) for chosen in visited]
        return Readings.joined(done)[np.argsort(np.concatenate(visited))]

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
                self._make_safe_after(error)
            finally:
                report = self._keep(run, named, target, tolerance, policy)
            if isinstance(error, KeyboardInterrupt):
                raise ProgramInterruptedError(report) from error
            raise
        report = self._keep(run, named, target, tolerance, policy)
        logger.info("{}: {}", self.spec.provenance, report)
        if report.beyond_readings:
            logger.warning(BEYOND_READINGS, report.converged_outside(), tolerance)
        return report

    def _keep(
        self, run: CellRun, named: NDArray[np.bool_], target: Floats, tolerance: Siemens, policy: str
    ) -> ProgramReport:
        self._remember(run)
        self._last_report = report_of(run, named, target, tolerance, policy, self.shape)
        return self._last_report

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
            OverRangeError: a conversion reached the end of its range; the MVM was done and counted.
        """
        check_word("on_over_range", on_over_range)
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
            OverRangeError: a conversion reached the end of its range.
        """
        part = self._at(self._region.part(bl, sl, [array]))
        voltage = self.spec.read_voltage
        unit = torch.eye(len(part.bl), dtype=self._backend.dtype, device=self._backend.device) * voltage
        currents = part.mvm(torch.cat([unit, -unit])).double().cpu().numpy()
        up, down = np.split(currents, 2)
        return np.asarray((up - down) / (2 * voltage))


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
    if len(among) < CELLS_MIN:
        raise OutOfRangeError("cells that may be pilot cells", len(among), CELLS_MIN, np.inf, "")
    if not CELLS_MIN <= count <= len(among):
        raise OutOfRangeError("pilot cells", count, CELLS_MIN, len(among), "")
    pilot = np.zeros(named.size, dtype=bool)
    pilot[among[pilot_order(len(among))[:count]]] = True
    return pilot.reshape(named.shape)
