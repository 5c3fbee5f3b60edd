"""Single-shot SET: the level that one SET leaves, from the fully RESET state, against its gate voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rmhil.backend import Backend, Cells, Floats
from rmhil.crossbar import Crossbar
from rmhil.measure.pulsing import reset_fully, set_pulses
from rmhil.program_report import Progress
from rmhil.units import Volts
from sim_backend.characterise.raw_data import RawData

LEVELS: Final = 129
"""Gate voltages: arXiv 2601.10037 tells more than 128 levels apart."""

REPEATS: Final = 100
"""SETs at each gate voltage on one cell."""

GATES: Final[tuple[Volts, Volts]] = (1.0, 3.3)
"""V: gate voltages that lead from the lower to the upper end of the window (estimate, as the preset's)."""

SIGNIFICANCE: Final = 0.01
"""1: of the test that two neighbouring levels have one mean."""

_SIGMAS: Final = 3.0
"""1: standard deviations from a level to the middle between it and its neighbour, where a single SET tells them apart:
0.1 % of the SETs then lie on the wrong side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What single SETs left.

    Attributes:
        cell: names, shape (cells,).
        gate: V, shape (levels,).
        conductance: S, shape (cells, levels, repeats).
        start: S, the same shape: what each SET began from.
        provenance: of the backend.
    """

    cell: NDArray[np.str_]
    gate: Floats
    conductance: Floats
    start: Floats
    provenance: str

    @property
    def mean(self) -> Floats:
        """S, shape (cells, levels)."""
        return np.asarray(self.conductance.mean(axis=2))

    @property
    def deviation(self) -> Floats:
        """S, standard deviation from SET to SET, shape (cells, levels)."""
        return np.asarray(self.conductance.std(axis=2, ddof=1))

    def r_squared(self) -> Floats:
        """1, of the straight line through each cell's means against gate voltage, shape (cells,)."""
        return np.array([stats.linregress(self.gate, mean).rvalue ** 2 for mean in self.mean])

    def p_values(self) -> Floats:
        """1: Welch's test that neighbouring levels have one mean, shape (cells, levels - 1)."""
        return np.asarray(self._welch(self.conductance[:, :-1], self.conductance[:, 1:]))

    def distinguishable(self) -> NDArray[np.int64]:
        """Levels of each cell, shape (cells,), of which no two neighbours have one mean by that test.

        Counted from the lowest one upwards; a level that cannot be told from the last one counted is left out.
        """
        return np.array([self._count(cell) for cell in self.conductance])

    def single_shot(self) -> NDArray[np.int64]:
        """Levels of each cell, shape (cells,), that a single SET tells apart: three deviations from their middle."""
        return np.array([self._count_apart(*both) for both in zip(self.mean, self.deviation, strict=True)])

    def _count(self, cell: Floats) -> int:
        last, count = cell[0], 1
        for level in cell[1:]:
            if level.mean() > last.mean() and self._welch(last, level) < SIGNIFICANCE:
                last, count = level, count + 1
        return count

    @staticmethod
    def _count_apart(mean: Floats, deviation: Floats) -> int:
        last, count = 0, 1
        for number in range(1, len(mean)):
            if mean[number] - mean[last] >= _SIGMAS * (deviation[number] + deviation[last]):
                last, count = number, count + 1
        return count

    @staticmethod
    def _welch(one: Floats, other: Floats) -> Any:  # noqa: ANN401 - a number or an array
        return stats.ttest_ind(one, other, axis=-1, equal_var=False).pvalue

    def summary(self) -> dict[str, Any]:
        """Linearity and number of levels; of several cells the worst one."""
        mean, p_values = self.mean, self.p_values()
        step = np.diff(mean, axis=1)
        return {
            "cells": len(self.cell),
            "levels": len(self.gate),
            "repeats": self.conductance.shape[2],
            "r_squared": float(self.r_squared().min()),
            "largest_p_of_neighbours": float(p_values.max()),
            "rising_steps": int((step > 0).all(axis=0).sum()),
            "distinguishable_levels": int(self.distinguishable().min()),
            "single_shot_levels": int(self.single_shot().min()),
            "mean_step_siemens": float(step.mean()),
            "deviation_siemens": float(np.median(self.deviation)),
            "lowest_siemens": float(mean.min()),
            "highest_siemens": float(mean.max()),
            "deviation_of_cells_siemens": float(np.median(mean.std(axis=0))),
        }

    def tables(self, name: str = "levels") -> dict[str, RawData]:
        """One row a SET."""
        repeats = self.conductance.shape[2]
        return {
            name: RawData.of(
                cell=self.cell[:, None, None],
                gate_voltage_v=self.gate[None, :, None],
                repeat=np.arange(repeats)[None, None, :],
                start_siemens=self.start,
                conductance_siemens=self.conductance,
            )
        }


def gate_voltages(levels: int = LEVELS) -> Floats:
    """V: so many gate voltages, evenly over the window."""
    return np.linspace(*GATES, levels)


def measure_levels(
    backend: Backend, cells: Cells, progress: Progress, gates: Floats | None = None, repeats: int = REPEATS
) -> Levels:
    """RESET fully, SET once, read; for each gate voltage in turn, and all of them again.

    Args:
        backend: an open backend.
        cells: working cells, treated side by side.
        progress: told how many repeats are done.
        gates: V; None: `gate_voltages()`.
        repeats: SETs at each gate voltage.
    """
    gate = gate_voltages() if gates is None else gates
    crossbar = Crossbar(backend)
    conductance = np.zeros((len(cells), len(gate), repeats))
    start = np.zeros_like(conductance)
    for repeat in range(repeats):
        for number, volts in enumerate(gate):
            start[:, number, repeat] = reset_fully(crossbar, cells)
            pulses = set_pulses(crossbar.spec, len(cells), volts)
            conductance[:, number, repeat] = crossbar.apply(cells, pulses).conductance
        progress(repeat + 1, repeats, f"{len(gate)} levels on {len(cells)} cell(s), repeats")
    return Levels(cell=cells.names, gate=gate, conductance=conductance, start=start, provenance=backend.spec.provenance)
