"""What voltages too low to program do to a cell, over and over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil.backend import Operation
from sim_backend import SimBackend
from sim_backend.disturb import largest_reset, largest_set
from sim_backend.presets import TAOX_180
from tests.arrays import fill, pulse, read

OpenSim = Callable[..., SimBackend]


def test_reading_hundreds_of_times_at_the_read_voltage_moves_nothing(open_sim: OpenSim) -> None:
    chip = open_sim()
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.0)
    before, started = chip._chip._store.conductance.clone(), chip.clock
    for _ in range(300):
        read(chip)
    assert chip.clock > started + 50
    np.testing.assert_array_equal(chip._chip._store.conductance, before)


@pytest.mark.parametrize("volts", [0.5, 0.6, 0.75])
def test_a_raised_voltage_disturbs_by_the_rate_law_however_little_a_pulse_moves(
    open_sim: OpenSim, volts: float
) -> None:
    """From a sixteenth of what float32 resolves a pulse, at 0.5 V, to 130 times as much at 0.75 V."""
    chip, times = open_sim(n_bl=64, n_sl=64, ideal=True), 100
    pulse(chip, Operation.FORM, 4.5, 1.5)
    before = chip.true_conductance
    for _ in range(times):
        pulse(chip, Operation.SET, volts, 4.0)
    moved = chip.true_conductance - before
    level = TAOX_180.compliance_slope * (4.0 - TAOX_180.gate_threshold)
    rate = np.exp((volts - TAOX_180.set_voltage) / TAOX_180.set_voltage_scale)
    expected = float(np.mean(level - before)) * -np.expm1(-rate * times)
    steps = expected / 2.0**-39 * moved.size  # of float32, in all cells together
    assert moved.mean() == pytest.approx(expected, rel=max(5 / steps**0.5, 1e-4))


def test_a_disturb_does_not_start_the_drift_over(open_sim: OpenSim) -> None:
    """A thousand small moves would otherwise relax a thousand times."""
    left, disturbed = (open_sim(n_bl=32, n_sl=32, off=("telegraph", "read-noise")) for _ in range(2))
    for chip in (left, disturbed):
        fill(chip)
        chip.wait(1000.0)
    for _ in range(50):
        pulse(disturbed, Operation.SET, 0.5, 4.0)
        pulse(left, Operation.SET, 0.01, 4.0)
    apart = np.abs(disturbed.true_conductance - left.true_conductance)
    assert 0 < np.median(apart) < 1e-9


@pytest.mark.parametrize(("operation", "bound"), [(Operation.SET, largest_set), (Operation.RESET, largest_reset)])
def test_the_bounds_hold_for_whole_populations(
    open_sim: OpenSim, operation: Operation, bound: Callable[..., float]
) -> None:
    chip = open_sim(n_bl=100, n_sl=100, off=("retention", "lines"))
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.0)
    for volts in (0.5, 0.6, 0.7):
        before = chip.true_conductance
        pulse(chip, operation, volts, 5.0)
        moved = np.abs(chip.true_conductance - before)[before <= TAOX_180.conductance_max]
        assert 0 < moved.max() < bound(TAOX_180, volts, 5.0, 1e-3)
