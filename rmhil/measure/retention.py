"""Cells that are read for a long time and not pulsed: levels that were just written, or whatever they hold."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from rmhil.backend import Cells, Floats, Ints, Readings
from rmhil.checks import whole_number
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.measure.labelled import cells_of, labelled
from rmhil.measure.pulsing import in_the_backend
from rmhil.program_report import Outcome, Progress
from rmhil.units import MICRO, Seconds, Siemens
from rmhil.write_verify.cell_run import Watch

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.crossbar import Crossbar

LEVELS: Final = 17
DURATION: Final[Seconds] = 1e6
"""s. 17 levels read over 1e6 s: arXiv 2601.10037."""

CELLS_A_LEVEL: Final = 16

TOLERANCE: Final[Siemens] = 0.5e-6
"""S of the write-verify that writes the levels: a ninth of what lies between two of 17."""

WRITE_AVERAGES: Final = 4
"""Readings averaged for each verify read of the write: of a single one, the noise near the top of the window may be
half of that tolerance, and write-verify then gives up cells that hold it."""

FIRST: Final[Seconds] = 1.0
"""s from the first to the second of the timed readings."""

POINTS_A_DECADE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Readings of cells that were left alone.

    Attributes:
        cells: by their numbers in the backend.
        target: S that each was written to; NaN: it was read as it was found, shape (cells,).
        time: s since each cell's last write, or since its first reading where that is not known, shape (points, cells).
        conductance: S, shape (points, cells).
        provenance: of the backend.
    """

    cells: Cells
    target: Floats
    time: Floats
    conductance: Floats
    provenance: str

    @property
    def levels(self) -> Floats:
        """S, the targets, ascending; none where cells were read as found."""
        return np.unique(self.target[np.isfinite(self.target)])

    def means(self) -> Floats:
        """S, mean of each level, shape (points, levels)."""
        return np.stack([part.mean(axis=1) for part in self.parts()], axis=1)

    def gaps(self) -> Floats:
        """S between the highest cell of each level and the lowest one of the next, shape (points, levels - 1).

        Negative where two levels overlap.
        """
        gaps = [upper.min(axis=1) - lower.max(axis=1) for lower, upper in pairwise(self.parts())]
        return np.stack(gaps, axis=1)

    def parts(self) -> list[Floats]:
        """S of the cells of each level, shape (points, cells of the level)."""
        return [self.conductance[:, self.target == level] for level in self.levels]

    def summary(self) -> dict[str, Any]:
        """Drift, and the distances of levels."""
        change = self.conductance[-1] - self.conductance[0]
        found = {
            "levels": len(self.levels),
            "cells": len(self.cells),
            "last_reading_s": float(self.time[-1].min()),
            "drift_mean_siemens": float(change.mean()),
            "drift_std_siemens": float(change.std()),
            "largest_drift_siemens": float(np.abs(change).max()),
        }
        return found | self._between_levels() if len(self.levels) > 1 else found

    def _between_levels(self) -> dict[str, Any]:
        means = self.means()
        distance = np.abs(self.conductance[-1][:, None] - self.levels)
        level = np.abs(self.target[:, None] - self.levels).argmin(axis=1)
        return {
            "smallest_gap_siemens": float(self.gaps().min()),
            "smallest_step_of_means_siemens": float(np.diff(means, axis=1).min()),
            "largest_drift_of_a_mean_siemens": float(np.abs(means - means[0]).max()),
            "within_half_a_step_fraction": float((distance.argmin(axis=1) == level).mean()),
        }

    def dataset(self) -> xr.Dataset:
        """The readings over `reading` and `cell`, named as the tables that `rmhil fit` reads."""
        over = ("reading", "cell")
        return labelled(
            "retention",
            self.provenance,
            self.cells,
            {"conductance": (over, self.conductance, "S", "reading, with the wiring's resistance removed")},
            {
                "reading": (("reading",), np.arange(len(self.time)), "1", "number of the reading"),
                "time_since_write": (over, self.time, "s", "since the last write, or the first reading"),
                "target": (("cell",), self.target, "S", "conductance written; NaN: as it was found"),
            },
        )

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self:
        """The measurement that `dataset` wrote."""
        return cls(
            cells=cells_of(dataset),
            target=dataset["target"].values,
            time=dataset["time_since_write"].values,
            conductance=dataset["conductance"].values,
            provenance=str(dataset.attrs["provenance"]),
        )


def spread_levels(crossbar: Crossbar, count: int, levels: int) -> Floats:
    """S for each of `count` cells: levels evenly over the window, in turn.

    Raises:
        OutOfRangeError: fewer than two levels, or more than there are cells.
    """
    if not 2 <= levels <= count:
        raise OutOfRangeError("levels", levels, 2, count, "")
    window = np.linspace(crossbar.spec.conductance_min, crossbar.spec.conductance_max, levels)
    return np.resize(window, count)


class RetentionTest:
    """Cells written, or taken as they are, and read at times evenly in the logarithm.

    What was measured is there at any moment. `write` is left out for cells that are read as they are found.

    Args:
        crossbar: that holds the cells.
        cells: by their numbers in the crossbar.
        duration: s from the first to the last reading.
        averages: readings averaged for each point.

    Raises:
        OutOfRangeError, ConfigError: a setting makes no sense; nothing was driven.
    """

    def __init__(self, crossbar: Crossbar, cells: Cells, duration: Seconds = DURATION, averages: int = 1) -> None:
        if not FIRST <= duration < np.inf:  # written this way, NaN fails too
            raise OutOfRangeError("duration", duration, FIRST, np.inf, "s")
        self._crossbar, self._cells = crossbar, cells
        self._due = np.geomspace(FIRST, duration, round(POINTS_A_DECADE * np.log10(duration / FIRST)) + 1)
        self._averages = whole_number("averages", averages)
        self._target = np.full(len(cells), np.nan)
        self._readings: list[Readings] = []

    def write(
        self,
        target: Floats,
        progress: Progress,
        watch: Watch | None = None,
        tolerance: Siemens = TOLERANCE,
    ) -> None:
        """Write every cell afresh by write-verify; those that it gives up are left out from then on.

        Args:
            target: S of each cell, within the window.
            progress: told how many cells are done.
            watch: shown the record of all cells.
            tolerance: S.

        Raises:
            OutOfRangeError, NotFiniteError: the target or the tolerance; nothing was driven.
            ConfigError: no cell at all came to one of the levels.
        """
        wanted = self.target_map(target)
        report = self._crossbar.program(
            wanted, tolerance, rewrite=True, averages=WRITE_AVERAGES, progress=progress, watch=watch
        )
        outcome = report.outcome.reshape(self._shape)[self._cells.index]
        written = np.flatnonzero(outcome == Outcome.CONVERGED)
        _refuse_empty(target, target[written], tolerance)
        self._cells, self._target = self._cells[written], target[written]

    def target_map(self, target: Floats) -> Floats:
        """S, of the crossbar's shape: the target of each cell, NaN elsewhere."""
        wanted = np.full(self._shape, np.nan)
        wanted[self._cells.index] = target
        return wanted.reshape(self._crossbar.shape)

    @property
    def cells(self) -> Cells:
        """The cells that are read, by their numbers in the crossbar."""
        return self._cells

    @property
    def _shape(self) -> tuple[int, int, int]:
        return (len(self._crossbar.arrays), len(self._crossbar.bl), len(self._crossbar.sl))

    def read_on(self, progress: Progress) -> None:
        """Read the cells again and again.

        Args:
            progress: told after each reading.
        """
        self._read(progress)
        for seconds in self._due:
            passed = float(self._readings[-1].time[-1] - self._readings[0].time[-1])
            self._crossbar.backend.wait(max(0.0, float(seconds) - passed))
            self._read(progress)

    def _read(self, progress: Progress) -> None:
        self._readings.append(self._crossbar.apply(self._cells, None, self._averages))
        progress(len(self._readings), len(self._due) + 1, "readings")

    def measured(self) -> Retention | None:
        """The readings so far; None before the first."""
        if not self._readings:
            return None
        return self._built()

    def _built(self) -> Retention:
        time = np.stack([one.time for one in self._readings])
        written = self._crossbar.written_at.reshape(self._shape)[self._cells.index]
        return Retention(
            cells=in_the_backend(self._crossbar, self._cells),
            target=self._target,
            time=time - np.where(np.isnan(written), time[0], written),
            conductance=np.stack([one.conductance for one in self._readings]),
            provenance=self._crossbar.spec.provenance,
        )


def measure_retention(
    crossbar: Crossbar,
    progress: Progress,
    levels: int = LEVELS,
    cells_a_level: int = CELLS_A_LEVEL,
    duration: Seconds = DURATION,
) -> Retention:
    """Write levels to the first cells of a crossbar, and read them to the end.

    Args:
        crossbar: of at least `levels * cells_a_level` cells.
        progress: told how many cells are written, and how many readings are done.
        levels: how many, evenly over the window.
        cells_a_level: cells written to each; those that write-verify gives up are left out.
        duration: s to the last reading.

    Raises:
        ConfigError: write-verify brought no cell at all to one of the levels.
    """
    every = Cells.from_mask(np.ones((len(crossbar.arrays), len(crossbar.bl), len(crossbar.sl)), dtype=np.bool_))
    cells = every[: levels * cells_a_level]
    test = RetentionTest(crossbar, cells, duration)
    test.write(spread_levels(crossbar, len(cells), levels), progress)
    test.read_on(progress)
    return test._built()


def _refuse_empty(target: Floats, written: Floats, tolerance: Siemens) -> None:
    levels = np.unique(target)
    empty: Ints = np.flatnonzero(~np.isin(levels, written))
    if empty.size:
        raise ConfigError(
            f"no cell could be written to {levels[empty[0]] / MICRO:.1f} uS within {tolerance / MICRO:g} uS "
            f"({empty.size} of {len(levels)} levels are without cells)"
        )
