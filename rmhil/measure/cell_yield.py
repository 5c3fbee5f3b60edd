"""Which cells work: each is formed, and written to the lower and the upper part of its window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints
from rmhil.errors import OutOfRangeError
from rmhil.program_report import CellState, Outcome, ProgramReport
from rmhil.units import Siemens

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.crossbar import Crossbar
    from rmhil.measure.stage import Stages

LOW_SHARE, HIGH_SHARE = 0.15, 0.85
"""1: places of the two levels in the window, from its lower end; a cell that reaches both holds most weights (ours)."""

SUSPICION: Final = 0.01
"""1: a line is suspect if chance alone would show as many failures on any line with less than this probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """What each cell can do, in the shape of the crossbar.

    Attributes:
        state: `CellState` codes, int8.
        low, high: S reached when the low and the high level was asked for; NaN where there is no reading.
        pulses: given in all, by kind.
        bl, sl: line numbers in the backend.
        provenance: of the backend.
    """

    state: NDArray[np.int8]
    low: Floats
    high: Floats
    pulses: dict[str, Ints]
    bl: Ints
    sl: Ints
    provenance: str

    @classmethod
    def of(cls, labelled: xr.Dataset) -> Self:
        """The yield that a map keeps."""
        return cls(
            state=labelled["state"].values,
            low=labelled["low"].values,
            high=labelled["high"].values,
            pulses={kind: labelled[f"{kind}_pulses"].values for kind in ("form", "set", "reset")},
            bl=labelled["bl"].values,
            sl=labelled["sl"].values,
            provenance=str(labelled.attrs["provenance"]),
        )

    def count(self, state: CellState) -> int:
        """Cells in this state."""
        return int(np.count_nonzero(self.state == state))

    @property
    def judged(self) -> NDArray[np.bool_]:
        """True for the cells that were asked for and finished."""
        return np.asarray(~np.isin(self.state, (CellState.LEFT_ALONE, CellState.UNFINISHED)))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """True for the cells that do not work."""
        return np.asarray(self.judged & (self.state != CellState.WORKING))

    def share(self) -> float:
        """Working cells among those judged (1: all); NaN if none was."""
        judged = int(self.judged.sum())
        return self.count(CellState.WORKING) / judged if judged else float("nan")

    def line_failures(self, line: str) -> tuple[Ints, Ints]:
        """Cells that failed and cells judged, on each line.

        Args:
            line: `bl` or `sl`.
        """
        own = self.state.ndim - (2 if line == "bl" else 1)
        axes = tuple(axis for axis in range(self.state.ndim) if axis != own)
        return self.failed.sum(axis=axes), self.judged.sum(axis=axes)

    def suspects(self, line: str) -> Ints:
        """Numbers of the lines that have more failures than chance explains, given the other lines.

        Args:
            line: `bl` or `sl`.
        """
        from scipy.special import bdtrc

        failed, judged = self.line_failures(line)
        elsewhere, others = failed.sum() - failed, judged.sum() - judged
        usual = (elsewhere + 0.5) / (others + 1.0)
        chance = np.asarray(bdtrc(np.maximum(failed - 1, 0), judged, usual))  # of so many failures, or more
        found = (failed > 0) & (chance < SUSPICION / max(1, len(failed)))
        return (self.bl if line == "bl" else self.sl)[found]

    def summary(self) -> dict[str, Any]:
        """Shares, counts, and lines that stand out."""
        return {
            "cells": int(np.count_nonzero(self.state != CellState.LEFT_ALONE)),
            "working_fraction": self.share(),
            **{state.name.lower(): self.count(state) for state in CellState if state is not CellState.LEFT_ALONE},
            **{f"{kind}_pulses": int(count.sum()) for kind, count in self.pulses.items()},
            "suspect_bl": self.suspects("bl"),
            "suspect_sl": self.suspects("sl"),
        }


class YieldTest:
    """Forming and two levels, for some cells; what was found is there at any moment.

    Args:
        crossbar: that holds the cells.
        mask: bool, of the crossbar's shape: the cells meant.
        low, high: S, the two levels; None: at 15 and 85 % of the window.
        tolerance: S of the write-verify.
        max_pulses: SET and RESET pulses allowed for each level.
        averages: readings averaged for each verify read.

    Raises:
        OutOfRangeError, NotFiniteError: a level or the tolerance; nothing was driven.
    """

    def __init__(
        self,
        crossbar: Crossbar,
        mask: NDArray[np.bool_],
        low: Siemens | None = None,
        high: Siemens | None = None,
        tolerance: Siemens = 2e-6,
        max_pulses: int = 100,
        averages: int = 1,
    ) -> None:
        start, window = crossbar.spec.conductance_min, crossbar.spec.conductance_max - crossbar.spec.conductance_min
        self._crossbar, self._mask = crossbar, mask
        self._levels = (
            start + LOW_SHARE * window if low is None else low,
            start + HIGH_SHARE * window if high is None else high,
        )
        if not self._levels[0] < self._levels[1]:
            raise OutOfRangeError("low level", self._levels[0], start, self._levels[1], "S")
        for level in self._levels:
            crossbar.check_target(np.where(mask, level, np.nan), tolerance)
        self._tolerance, self._max_pulses, self._averages = tolerance, max_pulses, averages
        self._reports: list[ProgramReport] = []

    def run(self, display: Stages) -> None:
        """Form the cells, and write them to both levels.

        Args:
            display: told what is done, and how far it is.
        """
        shown: dict[str, Any] = {"averages": self._averages, "progress": display.progress, "watch": display.watch}
        display.aim("forming", None, np.nan)
        with self._reported():
            formed = self._crossbar.form(self._mask, **shown)
        for level, name in zip(self._levels, ("low level", "high level"), strict=True):
            target = np.where(formed.outcome == Outcome.CONVERGED, level, np.nan)
            display.aim(name, target, self._tolerance)
            with self._reported():
                self._crossbar.program(target, self._tolerance, max_pulses=self._max_pulses, **shown)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Keep the report of the work inside, also if it is cut short; what drove nothing has none."""
        before = self._crossbar.last_report
        try:
            yield
        finally:
            report = self._crossbar.last_report
            if report is not None and report is not before:
                self._reports.append(report)

    def measured(self) -> Yield | None:
        """What is known so far; None before anything was driven."""
        if not self._reports:
            return None
        nothing = np.full(self._mask.shape, np.nan)
        low, high = [*self._reports[1:], None, None][:2]
        return Yield(
            state=states(self._mask, self._reports[0], low, high, self._levels),
            low=nothing if low is None else low.achieved,
            high=nothing if high is None else high.achieved,
            pulses={
                kind: np.sum([report.pulses[kind] for report in self._reports], axis=0)
                for kind in ("form", "set", "reset")
            },
            bl=self._crossbar.bl,
            sl=self._crossbar.sl,
            provenance=self._crossbar.spec.provenance,
        )


def states(
    mask: NDArray[np.bool_],
    formed: ProgramReport,
    low: ProgramReport | None,
    high: ProgramReport | None,
    levels: tuple[Siemens, Siemens],
) -> NDArray[np.int8]:
    """`CellState` of each cell.

    Args:
        mask: the cells that were asked for.
        formed: of the forming.
        low: of the writing to the low level; None where it did not come to that.
        high: of the writing to the high level, likewise.
        levels: S, the two levels.
    """
    state = np.full(mask.shape, CellState.LEFT_ALONE, dtype=np.int8)
    state[mask] = CellState.UNFINISHED
    state[mask & (formed.outcome == Outcome.FORM_FAILED)] = CellState.NOT_FORMED
    if low is None or high is None:
        return state
    done = mask & ~np.isin(low.outcome, _OPEN) & ~np.isin(high.outcome, _OPEN)
    invalid = (low.outcome == Outcome.COMPLIANCE) | (high.outcome == Outcome.COMPLIANCE)
    reached = (low.outcome == Outcome.CONVERGED) & (high.outcome == Outcome.CONVERGED)
    answers = high.achieved - low.achieved > (levels[1] - levels[0]) / 2
    is_low = high.achieved + low.achieved < levels[0] + levels[1]
    judged = np.select(
        [invalid, reached, answers, is_low],
        [CellState.NO_READING, CellState.WORKING, CellState.IMPRECISE, CellState.STUCK_LOW],
        default=CellState.STUCK_HIGH,
    )
    state[done] = judged[done]
    return state


_OPEN: Final = (Outcome.LEFT_ALONE, Outcome.UNFINISHED)
"""Outcomes of cells that it did not come to."""
