"""The write-verify loop: a policy's pulses are given, each cell is read, and what happened is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from loguru import logger

from rmhil.backend import Backend, Cells, Floats, Ints, Operation, Pulses, Read, Readings, Status
from rmhil.errors import RmhilError
from rmhil.ledger import Ledger
from rmhil.program_report import Outcome, Progress
from rmhil.units import Seconds, Siemens
from rmhil.write_verify.policy import AnyPolicy, Mask
from rmhil.write_verify.ramps import Ramp

Chosen = Ints
"""Positions in the list of cells of a run."""


class CellRun:
    """A list of cells on their way through one call, and the record of what happened to each.

    The record is complete at any moment, so that a call that was cut short can still report.

    Attributes:
        cells: all cells of the call.
        conductance: S, last reading of each; NaN before the first, or where a transaction broke off.
        status: `Status` codes of the last reading.
        pulses: counts of shape `(3, cells)`, by `Operation`.
        reads: readings taken of each, averages counted.
        outcome: `Outcome` codes.
        maybe_pulsed: cells whose last transaction broke off, so that its pulse may have been given.
    """

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        cells: Cells,
        read: Read,
        progress: Progress | None = None,
        text: str = "reading",
    ) -> None:
        n = len(cells)
        self._backend, self._ledger, self._read = backend, ledger, read
        self._progress, self._text = progress, text
        self.spec = backend.spec
        self.cells = cells
        self.conductance = np.full(n, np.nan)
        self.status = np.zeros(n, dtype=np.int64)
        self.pulses = np.zeros((len(Operation), n), dtype=np.int64)
        self.reads = np.zeros(n, dtype=np.int64)
        self.outcome = np.full(n, Outcome.UNFINISHED, dtype=np.int8)
        self.maybe_pulsed = np.zeros(n, dtype=bool)
        self._first_time, self._last_time = np.inf, -np.inf

    @property
    def seconds(self) -> Seconds:
        """S on the backend's clock between the first and the last reading; 0 before them."""
        return max(0.0, float(self._last_time - self._first_time))

    def chunks(self) -> Iterator[Chosen]:
        """The cells in groups that the backend can take at once; each is brought to its end before the next."""
        everything = np.arange(len(self.cells), dtype=np.int64)
        size = self.spec.cells_at_once or max(1, len(everything))
        for first in range(0, len(everything), size):
            yield everything[first : first + size]

    def take_reading(self, chosen: Chosen) -> None:
        """Read some cells without pulsing them."""
        if len(chosen):
            self._transact(chosen, None)

    def pulse(self, chosen: Chosen, pulses: Pulses) -> None:
        """Give each of some cells one pulse, and read it."""
        readings = self._transact(chosen, pulses)
        np.add.at(self.pulses, (pulses.operation, chosen), 1)
        self._ledger.count_pulses(pulses, readings)

    def finish(self, chosen: Chosen, outcome: Outcome) -> None:
        """Say how some cells came out."""
        self.outcome[chosen] = outcome
        self.tell()

    def tell(self) -> None:
        """Report progress to whoever asked for it."""
        if self._progress is not None:
            done = int(np.count_nonzero(self.outcome != Outcome.UNFINISHED))
            self._progress(done, len(self.cells), self._text)

    def _transact(self, chosen: Chosen, pulses: Pulses | None) -> Readings:
        try:
            readings = self._backend.apply(self.cells[chosen], pulses, self._read)
        except BaseException as error:
            if pulses is not None and not nothing_was_driven(error):
                self.maybe_pulsed[chosen] = True
                self.conductance[chosen] = np.nan
            raise
        self.conductance[chosen] = readings.conductance
        self.status[chosen] = readings.status
        self.reads[chosen] += self._read.averages
        self._first_time = min(self._first_time, float(readings.time.min()))
        self._last_time = max(self._last_time, float(readings.time.max()))
        self._ledger.count_reads(self._read, readings)
        return readings


def nothing_was_driven(error: BaseException) -> bool:
    """Whether a backend refused a request before it biased any line."""
    return isinstance(error, RmhilError) and isinstance(error, ValueError)


Reached = Callable[[Chosen], Mask]
"""Tells which of some cells are where they should be; it may read them again."""


def drive(
    run: CellRun,
    chosen: Chosen,
    policy: AnyPolicy,
    target: Floats,
    tolerance: Siemens,
    reached: Reached,
    max_pulses: int,
) -> None:
    """Pulse some cells by a policy until each is reached, stuck, or out of pulses; set their outcome.

    Args:
        run: holds the first reading of each of the cells.
        chosen: the cells to drive.
        policy: chooses the pulses.
        target: S, one for each cell of the run.
        tolerance: S.
        reached: when a cell is done.
        max_pulses: for each cell, in this call.
    """
    state = policy.start(run.spec, target[chosen], tolerance, run.conductance[chosen])
    for _ in range(max_pulses):
        done = reached(chosen)
        run.finish(chosen[done], Outcome.CONVERGED)
        chosen, state = chosen[~done], state[~done]
        if not len(chosen):
            return
        state, pulses = policy.step(state, run.conductance[chosen], run.status[chosen])
        stuck = state.stuck
        if stuck.any():
            run.finish(chosen[stuck], Outcome.STUCK)
            chosen, state, pulses = chosen[~stuck], state[~stuck], pulses[~stuck]
            if not len(chosen):
                return
        run.pulse(chosen, pulses)
    done = reached(chosen)
    run.finish(chosen[done], Outcome.CONVERGED)
    run.finish(chosen[~done], Outcome.OUT_OF_PULSES)
    logger.debug("{}: {} cells out of pulses after {}", policy.name, np.count_nonzero(~done), max_pulses)


def climb(run: CellRun, chosen: Chosen, ramp: Ramp, reached: Reached, max_pulses: int) -> None:
    """Give some cells the pulses of a ramp until each is reached or the pulses are used up; outcomes stay open."""
    for given in range(max_pulses):
        chosen = chosen[~reached(chosen)]
        if not len(chosen):
            return
        run.pulse(chosen, ramp.pulses(run.spec, len(chosen), given))
        run.tell()


def within(run: CellRun, target: Floats, tolerance: Siemens, confirm_reads: int = 0) -> Reached:
    """A cell is reached when its reading, and so many confirming ones after it, are within tolerance."""

    def reads_within(chosen: Chosen) -> Mask:
        near = np.abs(run.conductance[chosen] - target[chosen]) <= tolerance
        return np.asarray(near & (run.status[chosen] == Status.NORMAL))

    def reached(chosen: Chosen) -> Mask:
        done = reads_within(chosen)
        for _ in range(confirm_reads):
            run.take_reading(chosen[done])
            done[done] = reads_within(chosen[done])
        return done

    return reached
