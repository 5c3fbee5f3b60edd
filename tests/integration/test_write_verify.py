"""Whole arrays written with the default device and board, and exact cells written exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.write_verify import Adaptive, find_policy
from sim_backend import SimBackend

Opener = Callable[..., SimBackend]


def target(size: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(10e-6, 80e-6, (size, size))


@pytest.mark.parametrize(("policy", "size", "true_share"), [("adaptive", 128, 0.995), ("incremental", 64, 0.99)])
def test_nearly_all_working_cells_come_within_2_microsiemens_and_truly_are(
    open_sim: Opener, policy: str, size: int, true_share: float
) -> None:
    """The incremental policy stops at the first reading that is in tolerance, so more of its cells are at the edge."""
    backend, wanted = open_sim(n_bl=size, n_sl=size), target(size)
    report = Crossbar(backend).program(wanted, tolerance=2e-6, policy=policy)
    assert report.working_converged_fraction() >= 0.995
    truly = np.abs(backend.true_conductance[0] - wanted)[report.outcome == 1] <= 2e-6
    assert truly.mean() >= true_share


def test_the_adaptive_policy_takes_a_tenth_of_the_pulses(open_sim: Opener) -> None:
    """At 1 uS; the paper (arXiv 2601.10037) gives about 50 pulses for its incremental one."""
    wanted, size = target(32), 32
    reports = {
        policy: Crossbar(open_sim(n_bl=size, n_sl=size)).program(wanted, tolerance=1e-6, policy=policy)
        for policy in ("adaptive", "incremental")
    }
    assert all(report.working_converged_fraction() >= 0.995 for report in reports.values())
    assert 40 < reports["incremental"].pulses_per_cell() < 60
    assert reports["adaptive"].pulses_per_cell() < reports["incremental"].pulses_per_cell() / 10


@pytest.mark.parametrize(
    "policy",
    [
        Adaptive(gate_level=(25e-6, 15e-6)),
        Adaptive(gate_slope=(50e-6, 10e-6)),
        Adaptive(reset_level=(70e-6, 15e-6)),
        Adaptive(reset_slope=(40e-6, 25e-6)),
    ],
)
def test_a_wrong_first_guess_costs_the_adaptive_policy_pulses_but_no_cells(open_sim: Opener, policy: Adaptive) -> None:
    report = Crossbar(open_sim(n_bl=32, n_sl=32)).program(target(32), tolerance=1e-6, policy=policy)
    assert report.working_converged_fraction() >= 0.995
    assert report.pulses_per_cell() < 8


def test_exact_cells_are_written_exactly_in_a_few_pulses(open_sim: Opener) -> None:
    backend, wanted = open_sim(n_bl=64, n_sl=64, ideal=True, dtype="float64"), target(64)
    report = Crossbar(backend).program(wanted, tolerance=1e-11)
    assert report.converged_fraction() == 1.0
    assert report.pulses_per_cell() < 8
    assert np.abs(backend.true_conductance[0] - wanted).max() <= 1.1e-11


@pytest.mark.parametrize("edge", [10e-6, 80e-6])
@pytest.mark.parametrize("policy", ["adaptive", "incremental"])
def test_the_ends_of_the_window_can_be_written(open_sim: Opener, policy: str, edge: float) -> None:
    crossbar = Crossbar(open_sim(off=("stuck-cells",)))
    report = crossbar.program(np.full(crossbar.shape, edge), tolerance=1e-6, policy=find_policy(policy))
    assert report.converged_fraction() >= 0.995
