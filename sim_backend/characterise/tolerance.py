"""What write-verify takes: pulses per cell against the tolerance asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rmhil.backend import Floats, Ints
from rmhil.crossbar import Crossbar
from rmhil.measure.pulsing import reset_fully
from rmhil.program_report import Outcome, Progress
from rmhil.units import MICRO, Siemens
from sim_backend.characterise.cells import named_cells
from sim_backend.characterise.raw_data import RawData
from sim_backend.characterise.trajectories import POLICIES

TOLERANCES: Final[tuple[Siemens, ...]] = (0.5e-6, 0.7e-6, 1e-6, 1.5e-6, 2e-6, 3e-6, 5e-6)
"""S. arXiv 2601.10037 names 2 uS (tens of pulses) and 1 uS (about 50)."""

MOST_PULSES: Final = 400
"""SET and RESET pulses allowed for each cell: so many that the tightest tolerance is not cut short in the mean."""

_PERCENTILES: Final = (10, 50, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseCounts:
    """Pulses of the same cells for each policy and tolerance.

    Attributes:
        policy: names, in the order of the first axis.
        tolerance: S, in the order of the second axis.
        pulses: SET and RESET pulses, shape (policies, tolerances, cells).
        converged: whether the cell's last reads were in tolerance, the same shape.
    """

    policy: tuple[str, ...]
    tolerance: Floats
    pulses: Ints
    converged: Any

    def mean(self) -> Floats:
        """Pulses a cell, shape (policies, tolerances)."""
        return np.asarray(self.pulses.mean(axis=2))

    def percentiles(self) -> Floats:
        """The 10th, 50th and 90th of a hundred cells, shape (3, policies, tolerances)."""
        return np.asarray(np.percentile(self.pulses, _PERCENTILES, axis=2))

    def summary(self) -> dict[str, Any]:
        """Mean, spread and share converged of each policy at each tolerance."""
        found: dict[str, Any] = {}
        for row, policy in enumerate(self.policy):
            points = enumerate(self.tolerance)
            found[policy] = {f"{tolerance / MICRO:g} uS": self._at(row, column) for column, tolerance in points}
        return found

    def _at(self, row: int, column: int) -> dict[str, float]:
        pulses = self.pulses[row, column]
        low, middle, high = np.percentile(pulses, _PERCENTILES)
        return {
            "tolerance_siemens": float(self.tolerance[column]),
            "pulses_per_cell": float(pulses.mean()),
            "pulses_std": float(pulses.std()),
            "pulses_p10": float(low),
            "pulses_median": float(middle),
            "pulses_p90": float(high),
            "converged_fraction": float(self.converged[row, column].mean()),
        }

    def tables(self) -> dict[str, RawData]:
        """One row a cell, policy and tolerance."""
        return {
            "tolerance": RawData.of(
                policy=np.array(self.policy)[:, None, None],
                tolerance_siemens=self.tolerance[None, :, None],
                cell=np.arange(self.pulses.shape[2])[None, None, :],
                pulses=self.pulses,
                converged=self.converged.astype(np.int64),
            )
        }


def measure_tolerance(
    crossbar: Crossbar,
    seed: int,
    progress: Progress,
    policies: Sequence[str] = POLICIES,
    tolerances: Sequence[Siemens] = TOLERANCES,
) -> PulseCounts:
    """Write one random map over the window with each policy to each tolerance, every time from the fully RESET state.

    Args:
        crossbar: its cells are formed first; those that do not answer are left out.
        seed: of the map.
        progress: told how many writings are done.
        policies: names.
        tolerances: S.
    """
    crossbar.form()
    low, high = crossbar.spec.conductance_min, crossbar.spec.conductance_max
    target = np.random.default_rng(seed).uniform(low, high, crossbar.shape)
    work = [(policy, tolerance) for policy in policies for tolerance in tolerances]
    reports = []
    for number, (policy, tolerance) in enumerate(work):
        progress(number, len(work), f"{policy}, {tolerance / MICRO:g} uS")
        reset_fully(Crossbar(crossbar.backend), named_cells(crossbar))
        reports.append(crossbar.program(target, tolerance, policy, max_pulses=MOST_PULSES))
    progress(len(work), len(work), "")
    outcome = np.stack([report.outcome.reshape(-1) for report in reports])
    answers = ~np.isin(outcome, (Outcome.STUCK, Outcome.FORM_FAILED)).any(axis=0)
    pulses = np.stack([(report.pulses["set"] + report.pulses["reset"]).reshape(-1) for report in reports])
    shape = (len(policies), len(tolerances), -1)
    return PulseCounts(
        policy=tuple(policies),
        tolerance=np.asarray(tolerances),
        pulses=pulses[:, answers].reshape(shape),
        converged=(outcome == Outcome.CONVERGED)[:, answers].reshape(shape),
    )
