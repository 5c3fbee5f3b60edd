"""The best settings of the incremental policy for one kind of cell and one tolerance, by search.

The comparator of benchmarks/write_verify.py is to be as good as its kind can be: not only the two steps are searched,
but also where the ramps start, and where they start again after a change of direction. Each candidate programs
one small chip; the best is the one with the fewest pulses among those that bring at least 99 % of the working
cells into tolerance by their verify reads.

1. Gate step and RESET step, all pairs of `GATE_STEPS` and `RESET_STEPS`.
2. For the best pair: `STEP_BACKS`.
3. With that: all pairs of `GATE_STARTS` and `RESET_STARTS`.
4. With those: each of the two steps by the factors `FINER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from rmhil import Crossbar
from rmhil.write_verify import Incremental
from sim_backend import open_backend
from sim_backend.presets import DevicePreset

GATE_STEPS = (0.05, 0.08, 0.13, 0.21)
RESET_STEPS = (0.02, 0.04, 0.08, 0.16)
STEP_BACKS = (None, 1.0, 2.0, 4.0)
GATE_STARTS = (0.9, 1.3, 1.7)
RESET_STARTS = (0.8, 1.1, 1.4)
FINER = (0.75, 1.3)
"""V; steps; V; V; factors."""

VERIFIED_MIN = 0.99
"""1: share of the working cells that must be in tolerance by their verify reads."""

PULSES_MAX = 80
"""1: pulses allowed for a cell; the best candidates need far fewer, and the worst ones are cut short."""

SIZE, SEED = 32, 1001
"""Lines of the chip that candidates are tried on, and its seed: no chip that is measured afterwards."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings, and what they came to on the chip of the search."""

    policy: Incremental
    pulses: float
    verified: float


def search(cells: DevicePreset, tolerance: float) -> tuple[Incremental, list[dict[str, Any]]]:
    """The best settings for some kind of cell at a tolerance (S), and all candidates as plain numbers.

    Raises:
        ValueError: no candidate brings enough cells into tolerance.
    """
    tried: list[Candidate] = []

    def best(policies: Iterable[Incremental]) -> Incremental:
        known = {one.policy for one in tried}
        tried.extend(attempt(policy, cells, tolerance) for policy in policies if policy not in known)
        good = [one for one in tried if one.verified >= VERIFIED_MIN]
        if not good:
            raise ValueError(f"{cells.name}: no incremental policy reaches {VERIFIED_MIN:.0%} at {tolerance:g} S")
        return min(good, key=lambda one: one.pulses).policy

    chosen = Incremental(step_back=1.0)
    for stage in STAGES:
        chosen = best(stage(chosen))
    return chosen, [asdict(one.policy) | {"pulses": one.pulses, "verified": one.verified} for one in tried]


def attempt(policy: Incremental, cells: DevicePreset, tolerance: float) -> Candidate:
    """Program one small chip."""
    with open_backend(preset=cells, n_bl=SIZE, n_sl=SIZE, seed=SEED) as backend:
        crossbar = Crossbar(backend)
        target = np.random.default_rng(SEED).uniform(cells.conductance_min, cells.conductance_max, crossbar.shape)
        report = crossbar.program(target, tolerance=tolerance, policy=policy, max_pulses=PULSES_MAX)
    return Candidate(policy, report.pulses_per_cell(), report.working_converged_fraction())


def _steps(given: Incremental) -> Iterable[Incremental]:
    return (replace(given, gate_step=gate, reset_step=reset) for gate, reset in product(GATE_STEPS, RESET_STEPS))


def _backs(given: Incremental) -> Iterable[Incremental]:
    return (replace(given, step_back=back) for back in STEP_BACKS)


def _starts(given: Incremental) -> Iterable[Incremental]:
    return (replace(given, gate_start=gate, reset_start=reset) for gate, reset in product(GATE_STARTS, RESET_STARTS))


def _finer(given: Incremental) -> Iterable[Incremental]:
    return (
        replace(given, **{name: factor * getattr(given, name)})
        for name, factor in product(("gate_step", "reset_step"), FINER)
    )


STAGES: tuple[Callable[[Incremental], Iterable[Incremental]], ...] = (_steps, _backs, _starts, _finer)
