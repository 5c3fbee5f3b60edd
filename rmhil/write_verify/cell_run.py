"""The write-verify loop: a policy's pulses are given, each cell is read, and what happened is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np

from rmhil.backend import Backend, Cells, Ints, Operation, Pulses, Read, Readings, Status
from rmhil.errors import nothing_was_driven
from rmhil.ledger import Ledger
from rmhil.program_report import Outcome, Progress
from rmhil.units import Seconds
from rmhil.write_verify.order import visiting_order
from rmhil.write_verify.policy import AnyPolicy, Mask, PerCell, Verdict
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
        believed: S, what the policy takes each to hold; NaN before it has judged it.
        outcome: `Outcome` codes; UNFINISHED until a cell is done for good, also while it rests.
        resting: cells that are good for now, and are read again after the policy's pause.
        maybe_pulsed: cells of which a transaction broke off, so that nobody knows whether its pulse was given. It is
            among `pulses` once the cell was read again, by a job that was resumed.
        written_at: s on the backend's clock, reading after the last pulse of each; NaN before it.
    """

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        cells: Cells,
        read: Read,
        progress: Progress | None = None,
        text: str = "reading",
        watch: Watch | None = None,
    ) -> None:
        n = len(cells)
        self._backend, self._ledger, self._read = backend, ledger, read
        self._progress, self._text, self._watch = progress, text, watch
        self.spec = backend.spec
        self.cells = cells
        self.conductance = np.full(n, np.nan)
        self.status = np.zeros(n, dtype=np.int64)
        self.pulses = np.zeros((len(Operation), n), dtype=np.int64)
        self.reads = np.zeros(n, dtype=np.int64)
        self.believed = np.full(n, np.nan)
        self.outcome = np.full(n, Outcome.UNFINISHED, dtype=np.int8)
        self.resting = np.zeros(n, dtype=bool)
        self.maybe_pulsed = np.zeros(n, dtype=bool)
        self.written_at = np.full(n, np.nan)
        self._first_time, self._last_time = np.inf, -np.inf
        self._done = 0

    @property
    def seconds(self) -> Seconds:
        """S on the backend's clock between the first and the last reading; 0 before them."""
        return max(0.0, float(self._last_time - self._first_time))

    def writes(self, chosen: Chosen) -> Ints:
        """SET and RESET pulses that each of some cells has had."""
        return np.asarray(self.pulses[Operation.SET, chosen] + self.pulses[Operation.RESET, chosen])

    def wait(self, seconds: Seconds) -> None:
        """Let time pass; cells that rest have then rested."""
        if seconds:
            self._backend.wait(seconds)
        self.resting[:] = False

    def chunks(self, chosen: Chosen | None = None) -> Iterator[Chosen]:
        """Cells (None: all) in groups that the backend can take at once, in an order that switches few lines."""
        wanted = np.arange(len(self.cells), dtype=np.int64) if chosen is None else chosen
        size = self.spec.cells_at_once or max(1, len(wanted))
        if size < len(wanted):
            wanted = wanted[visiting_order(self.cells[wanted])]
        for first in range(0, len(wanted), size):
            yield wanted[first : first + size]

    def take_reading(self, chosen: Chosen) -> None:
        """Read some cells without pulsing them."""
        if len(chosen):
            self._transact(chosen, None)

    def transact(self, chosen: Chosen, pulses: Pulses | None) -> Readings:
        """Give each of some cells one pulse (None: no pulse), read it, and keep what happened."""
        readings = self._transact(chosen, pulses)
        if pulses is not None:
            self.pulses[pulses.operation, chosen] += 1  # no cell is named twice
            self.written_at[chosen] = readings.time
            self._ledger.count_pulses(pulses, readings)
        return readings

    def finish(self, chosen: Chosen, outcome: Outcome) -> None:
        """Say how some cells came out."""
        self.outcome[chosen] = outcome
        self.tell()

    def tell(self) -> None:
        """Report progress to whoever asked for it: cells that rest count as done, and are told apart in the text."""
        if self._watch is not None:
            self._watch(self)
        if self._progress is not None:
            resting = int(np.count_nonzero(self.resting))
            done = resting + int(np.count_nonzero(self.outcome != Outcome.UNFINISHED))
            self._done = max(self._done, done)  # a cell that has rested may have to be written again
            text = f"{self._text}, {resting:,} resting" if resting else self._text
            self._progress(self._done, len(self.cells), f"{text}{self._pace()}")

    def _pace(self) -> str:
        """Time on the backend's clock, gone and to go, where cells are taken in turns; otherwise nothing."""
        if self.spec.cells_at_once is None or not self._done:
            return ""
        left = self.seconds / self._done * (len(self.cells) - self._done)
        return f", array time {_clock(self.seconds)}, {_clock(left)} to go"

    def rest(self, chosen: Chosen) -> None:
        """Say that some cells are good for now; their outcome stays open."""
        self.resting[chosen] = True
        self.tell()

    def _transact(self, chosen: Chosen, pulses: Pulses | None) -> Readings:
        try:
            readings = self._backend.apply(self.cells[chosen], pulses, self._read)
        except BaseException as error:
            if pulses is not None and not nothing_was_driven(error):
                self.maybe_pulsed[chosen] = True
                self.conductance[chosen] = np.nan
                self.believed[chosen] = np.nan
            raise
        self.maybe_pulsed[chosen] |= readings.pulse_status == Status.UNCERTAIN
        self.conductance[chosen] = readings.conductance
        self.status[chosen] = readings.status
        self.reads[chosen] += self._read.averages
        self._first_time = min(self._first_time, float(readings.time.min()))
        self._last_time = max(self._last_time, float(readings.time.max()))
        self._ledger.count_reads(self._read, readings)
        return readings


Watch = Callable[[CellRun], None]
"""Shown the record whenever progress is told; an exception raised here ends the call."""


def _clock(seconds: Seconds) -> str:
    return str(timedelta(seconds=round(seconds)))


def drive(
    run: CellRun, chosen: Chosen, policy: AnyPolicy, state: PerCell, fresh: PerCell, limit: Ints
) -> tuple[Chosen, PerCell]:
    """Judge, read and pulse some cells by a policy until each is done, stuck, out of pulses, or rests.

    A cell that may not have got its last pulse begins anew from its reading: the policy would take the reading for the
    answer to a pulse, and learn from it what is not so.

    Args:
        run: holds a reading of each of the cells that the policy has not judged yet.
        chosen: the cells to drive.
        policy: judges them and chooses the pulses.
        state: of the policy, for these cells.
        fresh: of the policy at its start, for all cells of the run.
        limit: SET and RESET pulses that each cell of the run may have had in all.

    Returns:
        The cells that rest, and their state. Their outcome is open: they are judged again after the policy's pause.
    """
    resting, rested = [chosen[:0]], [state[chosen[:0]]]
    while len(chosen):
        state, verdict = policy.judge(state, run.conductance[chosen], run.status[chosen])
        run.believed[chosen] = policy.believed(state)
        rest, more = verdict == Verdict.REST, verdict == Verdict.READ
        resting.append(chosen[rest])
        rested.append(state[rest])
        spent = (verdict == Verdict.PULSE) & (run.writes(chosen) >= limit[chosen])
        run.rest(chosen[rest])
        run.finish(chosen[verdict == Verdict.DONE], Outcome.CONVERGED)
        run.finish(chosen[verdict == Verdict.STUCK], Outcome.STUCK)
        run.finish(chosen[spent], Outcome.OUT_OF_PULSES)
        pulsed = (verdict == Verdict.PULSE) & ~spent
        run.take_reading(chosen[more])
        going_on, following = [chosen[more]], [state[more]]
        if pulsed.any():
            after, pulses = policy.step(state[pulsed])
            given = chosen[pulsed]
            unsure = run.transact(given, pulses).pulse_status == Status.UNCERTAIN
            going_on += [given[~unsure], given[unsure]]
            following += [after[~unsure], fresh[given[unsure]]]
        chosen = np.concatenate(going_on)
        state = type(state).joined(following)
    return np.concatenate(resting), type(state).joined(rested)


Reached = Callable[[Chosen], Mask]
"""Tells which of some cells are where they should be."""


def climb(run: CellRun, chosen: Chosen, ramp: Ramp, reached: Reached, max_pulses: int) -> None:
    """Give some cells the pulses of a ramp until each is reached or the pulses are used up; outcomes stay open."""
    for given in range(max_pulses):
        chosen = chosen[~reached(chosen)]
        if not len(chosen):
            return
        run.transact(chosen, ramp.pulses(run.spec, len(chosen), given))
        run.tell()
