"""The best settings of the incremental policy for one kind of cell and one tolerance, by search.

The comparator of benchmarks/write_verify.py is to be as good as its kind can be: not only the two steps are searched,
but also where the ramps start, and where they start again after a change of direction. Each candidate programs
one small chip; the best is the one with the fewest pulses among those that bring at least 99 % of the working
cells into tolerance by their verify reads.

1. Gate step and RESET step, all pairs of `GATE_STEPS` and `RESET_STEPS`.
2. For the best pair: `STEP_BACKS`.
3. With that: all pairs of `GATE_STARTS` and `RESET_STARTS`.
4. With those: each of the two steps by the factors `FINER`.

All of these confirm a cell by three further readings. How many readings there should be is a choice too, between cost
and cells that are truly in tolerance, and is made last, on a larger chip: `confirmed` takes the fewest with which as
many are truly in tolerance after their last reading as is asked of every policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from cell_populations import Watched, fluctuating

from rmhil import Crossbar
from rmhil.crossbar import Outcome
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

TRULY_MIN = 0.995
"""1: share of the cells that can hold the tolerance which must truly be in it, by the simulator's own state."""

CONFIRM_READS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
CONFIRM_SIZE = 64
"""1: confirming reads that are tried; lines of the chip on which they are."""

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
    """The settings of the fewest pulses for some kind of cell at a tolerance (S), and all candidates as plain numbers.

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


@dataclass(frozen=True, slots=True)
class Confirming:
    """A number of confirming reads, and what it came to."""

    confirm_reads: int
    cost: float
    truly: float


def confirmed(best: Incremental, cells: DevicePreset, tolerance: float) -> tuple[Incremental | None, list[Confirming]]:
    """The same settings with the fewest confirming reads that suffice (None: none does), and what was tried."""
    tried = []
    for reads in CONFIRM_READS:
        policy = replace(best, confirm_reads=reads)
        tried.append(confirming(policy, cells, tolerance))
        if tried[-1].truly >= TRULY_MIN:
            return policy, tried
    return None, tried


def confirming(policy: Incremental, cells: DevicePreset, tolerance: float) -> Confirming:
    """Program one larger chip, and look at its true state."""
    with open_backend(preset=cells, n_bl=CONFIRM_SIZE, n_sl=CONFIRM_SIZE, seed=SEED) as backend:
        watched = Watched(backend)
        crossbar = Crossbar(watched)
        target = np.random.default_rng(SEED).uniform(cells.conductance_min, cells.conductance_max, crossbar.shape)
        report = crossbar.program(target, tolerance=tolerance, policy=policy)
        formed = report.outcome != Outcome.FORM_FAILED
        able = formed & ~backend.stuck_cells[0] & ~fluctuating(backend, target, tolerance)
        within = np.abs(watched.seen[0] - target) <= tolerance
    spent = report.reads - report.pulses["form"]
    return Confirming(policy.confirm_reads, float(spent.mean()), float(within[able].mean()))


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
