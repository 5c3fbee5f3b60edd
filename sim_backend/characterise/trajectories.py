"""The way of some cells to their targets, pulse by pulse, for each policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Cells, Floats, Ints
from rmhil.crossbar import Crossbar
from rmhil.measure.pulsing import reset_fully
from rmhil.program_report import Progress
from rmhil.units import Siemens
from sim_backend.fit.recorder import Recorder
from sim_backend.fit.tables import Table

POLICIES: Final = ("incremental", "adaptive")
LEGS: Final[tuple[tuple[Siemens, ...], ...]] = ((20e-6, 45e-6, 70e-6), (70e-6, 20e-6, 45e-6))
"""S: the targets of three cells, one after the other, so that each policy goes up and down."""

TOLERANCE: Final[Siemens] = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """Readings of cells on their way, from the fully RESET state to one target and then to another.

    Attributes:
        cell: names, shape (cells,).
        target: S, shape (legs, cells).
        tolerance: S.
        paths: policy -> one array a cell: S before the first pulse and after each.
        ends: policy -> pulses given until the end of each leg, shape (legs, cells).
        pulses: the pulses of all policies, as `rmhil fit` reads them.
    """

    cell: NDArray[np.str_]
    target: Floats
    tolerance: Siemens
    paths: dict[str, list[Floats]]
    ends: dict[str, Ints]
    pulses: Table

    def reached(self, policy: str) -> Floats:
        """S that each cell read at the end of each leg, shape (legs, cells)."""
        each = zip(self.paths[policy], self.ends[policy].T, strict=True)
        return np.stack([path[ends] for path, ends in each], axis=1)

    def summary(self) -> dict[str, Any]:
        """Pulses of a leg and the largest error at its end, for each policy."""
        found = {}
        for policy, ends in self.ends.items():
            given = np.diff(ends, axis=0, prepend=0)
            found[policy] = {
                "cells": len(self.cell),
                "pulses_per_leg_mean": float(given.mean()),
                "pulses_per_leg_most": int(given.max()),
                "largest_error_siemens": float(np.abs(self.reached(policy) - self.target).max()),
            }
        return found

    def tables(self) -> dict[str, Table]:
        """One row a pulse."""
        return {"trajectories-pulses": self.pulses}


def measure_trajectories(
    crossbar: Crossbar,
    cells: Cells,
    progress: Progress,
    policies: Sequence[str] = POLICIES,
    legs: Sequence[Sequence[Siemens]] = LEGS,
    tolerance: Siemens = TOLERANCE,
) -> Trajectories:
    """Write the same working cells with each policy, every time from the fully RESET state.

    Args:
        crossbar: of one whole array of the backend, to which the cells belong.
        cells: they get the targets of a leg in turn.
        progress: told how many policies are done.
        policies: names.
        legs: S: targets, leg by leg.
        tolerance: S.
    """
    backend = Recorder(crossbar.backend)
    array = Crossbar(backend, arrays=crossbar.arrays)
    wanted = np.stack([np.resize(np.asarray(targets), len(cells)) for targets in legs])
    paths, ends = {}, {}
    for number, policy in enumerate(policies):
        progress(number, len(policies), policy)
        reset_fully(Crossbar(backend), cells)
        first, given = backend.recorded, []
        for targets in wanted:
            target = np.full(array.shape, np.nan)
            target[cells.bl, cells.sl] = targets
            array.program(target, tolerance, policy)
            given.append([max(0, len(path) - 1) for path in backend.history(cells, first)])
        paths[policy], ends[policy] = backend.history(cells, first), np.array(given)
    progress(len(policies), len(policies), "")
    return Trajectories(
        cell=cells.names, target=wanted, tolerance=tolerance, paths=paths, ends=ends, pulses=backend.table()
    )
