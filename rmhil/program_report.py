"""What programming or verifying cells came to: one element a cell, in the shape of the crossbar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints, Status
from rmhil.units import MICRO, Seconds, Siemens


class Outcome(IntEnum):
    """How a cell came out of `Crossbar.program` or `Crossbar.form`."""

    LEFT_ALONE = 0
    """Not asked for (NaN in the target); no pulse was given."""
    CONVERGED = 1
    """The policy judged it to be at its target, by all readings that count (or, forming: it conducts). Its last verify
    read may lie outside the tolerance by noise; `ProgramReport.converged_outside` counts such cells."""
    STUCK = 2
    """It answered neither a strong SET nor a strong RESET."""
    OUT_OF_PULSES = 3
    """It answers, but did not reach its target within the pulses allowed."""
    COMPLIANCE = 4
    """Its last verify read was at compliance or over range, so it has no valid reading."""
    FORM_FAILED = 5
    """It was virgin, and still is after the FORM ramp."""
    UNFINISHED = 6
    """The call was cut short before the policy was done with this cell, also while it rested."""


class CellState(IntEnum):
    """What a cell turned out to be when its yield was measured: formed, and written to a low and to a high level."""

    LEFT_ALONE = 0
    """Not asked for."""
    WORKING = 1
    """It reached both levels."""
    NOT_FORMED = 2
    """It was virgin, and still is after the FORM ramp."""
    STUCK_LOW = 3
    """It conducts little, whatever it is asked for."""
    STUCK_HIGH = 4
    """It conducts much, whatever it is asked for."""
    IMPRECISE = 5
    """It answers, but did not reach both levels within the tolerance and the pulses allowed."""
    NO_READING = 6
    """Its readings are at compliance or over range."""
    UNFINISHED = 7
    """The measurement was cut short before it was known."""


OUTSIDE_MAX = 0.01
"""1: share of the converged cells whose last read may lie outside the tolerance without a warning. Some always do:
those near its edge that were read several times (estimate, range 0.003 to 0.03)."""


class Progress(Protocol):
    """Called now and then by a call that takes long; an exception raised here ends the call."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Say that `done` of `total` cells are finished, or good for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramReport:
    """The result of `Crossbar.program` or `Crossbar.form`: arrays of the crossbar's shape.

    Attributes:
        target: S; NaN where the cell was left alone (and everywhere, for a report on forming).
        tolerance: S; NaN for a report on forming.
        achieved: S, the last verify read; NaN where there is none.
        believed: S, what the policy takes the cell to hold, such as a mean of several readings; NaN where it did not
            judge it.
        pulses: pulses given, by kind: `form`, `set` and `reset`, int64.
        reads: readings taken, each average counted, int64.
        outcome: `Outcome` codes, int8.
        maybe_pulsed: true where a transaction broke off, so that nobody knows whether its pulse was given. It is among
            `pulses` if the cell was read again, by a job that was resumed; else it is not.
        policy: name of the policy.
        provenance: the target that the cells are on, e.g. `sim(taox180, seed=7)`.
        seconds: s on the backend's clock between the first and the last reading.
    """

    target: Floats
    tolerance: Siemens
    achieved: Floats
    believed: Floats
    pulses: Mapping[str, Ints]
    reads: Ints
    outcome: NDArray[np.int8]
    maybe_pulsed: NDArray[np.bool_]
    policy: str
    provenance: str
    seconds: Seconds

    @property
    def error(self) -> Floats:
        """S: achieved minus target; NaN where there is none."""
        return self.achieved - self.target

    @property
    def asked_for(self) -> NDArray[np.bool_]:
        """True for the cells that were to be programmed."""
        return np.asarray(self.outcome != Outcome.LEFT_ALONE)

    def count(self, outcome: Outcome) -> int:
        """Cells with this outcome."""
        return int(np.count_nonzero(self.outcome == outcome))

    def converged_fraction(self) -> float:
        """Converged cells among those asked for (1: all); NaN if none was asked for."""
        return _fraction(self.count(Outcome.CONVERGED), int(np.count_nonzero(self.asked_for)))

    def working_converged_fraction(self) -> float:
        """Converged cells among those asked for that answer at all: neither stuck nor impossible to form; NaN: none."""
        dead = self.count(Outcome.STUCK) + self.count(Outcome.FORM_FAILED)
        working = np.count_nonzero(self.asked_for) - dead
        return _fraction(self.count(Outcome.CONVERGED), int(working))

    def converged_outside(self) -> int:
        """Converged cells whose last verify read lies outside the tolerance: the policy went by more than that one."""
        return int(np.count_nonzero((self.outcome == Outcome.CONVERGED) & (np.abs(self.error) > self.tolerance)))

    @property
    def beyond_readings(self) -> bool:
        """Whether the tolerance is finer than one reading can tell: too many converged cells were last read outside."""
        return self.converged_outside() > OUTSIDE_MAX * self.count(Outcome.CONVERGED)

    def pulses_per_cell(self) -> float:
        """Mean number of SET and RESET pulses of the cells asked for; FORM pulses are apart."""
        return self._mean(self.pulses["set"] + self.pulses["reset"])

    def form_pulses_per_cell(self) -> float:
        """Mean number of FORM pulses of the cells asked for."""
        return self._mean(self.pulses["form"])

    def followed_by(self, later: ProgramReport) -> ProgramReport:
        """This call and a later one of the same crossbar as one: cells that the later one asked for have its result."""
        again = later.asked_for
        return replace(
            self,
            target=np.where(again, later.target, self.target),
            achieved=np.where(again, later.achieved, self.achieved),
            believed=np.where(again, later.believed, self.believed),
            pulses={kind: given + later.pulses[kind] for kind, given in self.pulses.items()},
            reads=self.reads + later.reads,
            outcome=np.where(again, later.outcome, self.outcome),
            maybe_pulsed=self.maybe_pulsed | later.maybe_pulsed,
            seconds=self.seconds + later.seconds,
        )

    def _mean(self, counts: Ints) -> float:
        chosen = counts[self.asked_for]
        return float(chosen.mean()) if chosen.size else 0.0

    def __str__(self) -> str:
        cells = int(np.count_nonzero(self.asked_for))
        if not cells:
            return "no cells to program"
        if np.isnan(self.tolerance):
            parts = [f"{_percent(self.converged_fraction())} formed"]
        else:
            parts = [
                f"{_percent(self.converged_fraction())} within {self.tolerance / MICRO:g} uS",
                f"{self.pulses_per_cell():.1f} pulses a cell",
            ]
        if self.pulses["form"].any():
            parts.append(f"{self.form_pulses_per_cell():.1f} FORM pulses a cell")
        if self.converged_outside():
            parts.append(f"{self.converged_outside():,} converged with the last read outside")
        parts += [f"{self.count(outcome):,} {text}" for outcome, text in _TEXTS.items() if self.count(outcome)]
        return f"{cells:,} cells: " + ", ".join(parts)


class ProgramInterruptedError(KeyboardInterrupt):
    """Ctrl-C while cells were being programmed; the backend is safe.

    It stays a `KeyboardInterrupt`, so that what handles Ctrl-C anywhere handles this one too.

    Attributes:
        report: what became of each cell until then.
    """

    def __init__(self, report: ProgramReport) -> None:
        super().__init__(f"interrupted; {report}")
        self.report = report


_TEXTS = {
    Outcome.STUCK: "stuck",
    Outcome.OUT_OF_PULSES: "out of pulses",
    Outcome.COMPLIANCE: "at compliance",
    Outcome.FORM_FAILED: "not formed",
    Outcome.UNFINISHED: "unfinished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """The result of `Crossbar.verify`: arrays of the crossbar's shape; nothing was pulsed.

    Attributes:
        target: S; NaN where the cell was not read.
        tolerance: S.
        achieved: S, the reading; NaN where the cell was not read.
        status: `Status` codes of the readings, int8.
        provenance: the target that the cells are on.
        seconds: s on the backend's clock between the first and the last reading.
    """

    target: Floats
    tolerance: Siemens
    achieved: Floats
    status: NDArray[np.int8]
    provenance: str
    seconds: Seconds

    @property
    def error(self) -> Floats:
        """S: achieved minus target; NaN where the cell was not read."""
        return self.achieved - self.target

    @property
    def within(self) -> NDArray[np.bool_]:
        """True where a valid reading is within tolerance."""
        return np.asarray((np.abs(self.error) <= self.tolerance) & (self.status == Status.NORMAL))

    def converged_fraction(self) -> float:
        """Cells within tolerance among those read (1: all); NaN if none was read."""
        return _fraction(int(self.within.sum()), int(np.count_nonzero(~np.isnan(self.target))))

    def __str__(self) -> str:
        error = self.error[~np.isnan(self.error)]
        if np.isnan(self.target).all():
            return "no cells to verify"
        text = f"{error.size:,} cells: {_percent(self.converged_fraction())} within {self.tolerance / MICRO:g} uS"
        if not error.size:
            return text
        return text + f", error {error.mean() / MICRO:+.3f} +- {error.std() / MICRO:.3f} uS"


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _percent(fraction: float) -> str:
    """One decimal, rounded down: 100.0 % is said only of all."""
    return f"{int(fraction * 1000) / 10:.1f} %"
