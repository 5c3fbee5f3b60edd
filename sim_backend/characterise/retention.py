"""Levels that are written once and read for a long time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Backend, Cells, Floats, Ints, Read
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError
from rmhil.program_report import Outcome, Progress
from rmhil.units import MICRO, Seconds, Siemens
from sim_backend.fit.pulsing import transact
from sim_backend.fit.recorder import Recorder
from sim_backend.fit.tables import Table, cell_names, retention_table

LEVELS: Final = 17
DURATION: Final[Seconds] = 1e6
"""s. 17 levels read over 1e6 s: arXiv 2601.10037."""

CELLS_A_LEVEL: Final = 16

_TOLERANCE: Final[Siemens] = 0.5e-6
"""S of the write-verify that writes the levels: a ninth of what lies between two of them."""

_AVERAGES: Final = 4
"""Readings averaged for each verify read: of a single one, the noise near the top of the window may be half of that
tolerance, and write-verify then gives up cells that hold it."""

_FIRST: Final[Seconds] = 1.0
"""s from the last write to the first of the timed readings."""

_POINTS_A_DECADE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Readings of cells that were written and then left alone.

    Attributes:
        cell: names, shape (cells,).
        level: number of each cell's level, from 0, shape (cells,).
        target: S of each level, shape (levels,).
        time: s since each cell's last write, shape (points, cells).
        conductance: S, shape (points, cells).
        provenance: of the backend.
    """

    cell: NDArray[np.str_]
    level: Ints
    target: Floats
    time: Floats
    conductance: Floats
    provenance: str

    def means(self) -> Floats:
        """S, mean of each level, shape (points, levels)."""
        return np.stack([part.mean(axis=1) for part in self._parts()], axis=1)

    def gaps(self) -> Floats:
        """S between the highest cell of each level and the lowest one of the next, shape (points, levels - 1).

        Negative where two levels overlap.
        """
        gaps = [upper.min(axis=1) - lower.max(axis=1) for lower, upper in pairwise(self._parts())]
        return np.stack(gaps, axis=1)

    def _parts(self) -> list[Floats]:
        """S of the cells of each level, shape (points, cells of the level)."""
        return [self.conductance[:, self.level == one] for one in range(len(self.target))]

    def summary(self) -> dict[str, Any]:
        """Drift and distances of the levels."""
        change = self.conductance[-1] - self.conductance[0]
        return {
            "levels": len(self.target),
            "cells": len(self.cell),
            "last_reading_s": float(self.time[-1].min()),
            "smallest_gap_siemens": float(self.gaps().min()),
            "smallest_step_of_means_siemens": float(np.diff(self.means(), axis=1).min()),
            "largest_drift_of_a_mean_siemens": float(np.abs(self.means() - self.means()[0]).max()),
            "drift_mean_siemens": float(change.mean()),
            "drift_std_siemens": float(change.std()),
            "within_half_a_step_fraction": float(self._nearest_share()),
        }

    def _nearest_share(self) -> float:
        """Share of the last readings that are nearer to their own level than to any other."""
        distance = np.abs(self.conductance[-1][:, None] - self.target)
        return float((distance.argmin(axis=1) == self.level).mean())

    def tables(self) -> dict[str, Table]:
        """The readings as `rmhil fit` reads them."""
        points = len(self.time)
        return {
            "retention": retention_table(
                self.provenance,
                cell=np.tile(self.cell, points),
                time_since_write_s=self.time.reshape(-1),
                conductance_siemens=self.conductance.reshape(-1),
            )
        }


def measure_retention(
    crossbar: Crossbar,
    progress: Progress,
    levels: int = LEVELS,
    cells_a_level: int = CELLS_A_LEVEL,
    duration: Seconds = DURATION,
) -> Retention:
    """Write levels evenly over the window by write-verify, then read at times evenly in the logarithm.

    Cells that write-verify gave up are left out.

    Args:
        crossbar: of at least `levels * cells_a_level` cells.
        progress: told how many readings are done.
        levels: how many.
        cells_a_level: cells written to each.
        duration: s to the last reading.

    Raises:
        ConfigError: write-verify brought no cell at all to one of the levels.
    """
    backend = Recorder(crossbar.backend)
    region = Crossbar(backend, arrays=crossbar.arrays).region(crossbar.bl, crossbar.sl)
    target = np.linspace(crossbar.spec.conductance_min, crossbar.spec.conductance_max, levels)
    wanted = np.full(crossbar.shape, np.nan)
    wanted.flat[: levels * cells_a_level] = np.tile(target, cells_a_level)
    report = region.program(wanted, _TOLERANCE, rewrite=True, averages=_AVERAGES)
    place = np.nonzero(report.outcome == Outcome.CONVERGED)
    level = np.abs(wanted[place][:, None] - target).argmin(axis=1)
    _refuse_empty(target, level)
    cells = _cells(crossbar, place)
    time, conductance = _read_on(backend, cells, duration, progress)
    return Retention(
        cell=cell_names(cells),
        level=level,
        target=target,
        time=time - backend.written_at(cells),
        conductance=conductance,
        provenance=crossbar.spec.provenance,
    )


def _refuse_empty(target: Floats, level: Ints) -> None:
    empty = np.flatnonzero(np.bincount(level, minlength=len(target)) == 0)
    if empty.size:
        raise ConfigError(
            f"no cell could be written to {target[empty[0]] / MICRO:.1f} uS within {_TOLERANCE / MICRO:g} uS "
            f"({empty.size} of {len(target)} levels are without cells)"
        )


def _cells(crossbar: Crossbar, place: tuple[Ints, ...]) -> Cells:
    """The cells at places of a map of a crossbar of one array."""
    bl, sl = place
    return Cells.of(crossbar.arrays[0], crossbar.bl[bl], crossbar.sl[sl])


def _read_on(backend: Backend, cells: Cells, duration: Seconds, progress: Progress) -> tuple[Floats, Floats]:
    """S of each cell, read again and again, and s on the backend's clock when it was."""
    due = np.geomspace(_FIRST, duration, round(_POINTS_A_DECADE * np.log10(duration / _FIRST)) + 1)
    read = Read.default(backend.spec)
    readings = [transact(backend, cells, None, read)]
    for number, seconds in enumerate(due):
        progress(number, len(due), "readings")
        passed = readings[-1].time[-1] - readings[0].time[-1]
        backend.wait(max(0.0, float(seconds - passed)))
        readings.append(transact(backend, cells, None, read))
    progress(len(due), len(due), "readings")
    return np.stack([one.time for one in readings]), np.stack([one.conductance for one in readings])
