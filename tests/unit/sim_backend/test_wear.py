"""The window closes with the writes, from below and for good."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil.backend import Floats, Operation
from sim_backend import SimBackend
from sim_backend.presets import TAOX_180
from tests.arrays import fill, pulse, read

OpenSim = Callable[..., SimBackend]

SPREADLESS = ("device-spread", "cycle-spread", "retention", "stuck-cells")


def age(chip: SimBackend, writes: int) -> None:
    """Make every cell one that has been written so many times."""
    chip._chip._store.counts[:] = writes << 11


def floor(chip: SimBackend) -> Floats:
    """S where strong RESETs end."""
    for _ in range(3):
        pulse(chip, Operation.RESET, 2.8, 5.0)
    return chip.true_conductance


def test_the_floor_of_reset_rises_by_the_law(open_sim: OpenSim) -> None:
    for writes in (10_000, 100_000, 200_000, 400_000):
        chip = open_sim(off=SPREADLESS)
        fill(chip)
        pulse(chip, Operation.SET, 1.8, 4.0)
        age(chip, writes)
        closed = 1 - np.exp(-((writes / TAOX_180.endurance) ** TAOX_180.endurance_shape))
        expected = TAOX_180.reset_floor + closed * (TAOX_180.conductance_max - TAOX_180.reset_floor)
        assert floor(chip) == pytest.approx(expected, rel=1e-3)


def test_thirty_thousand_cycles_leave_the_window_open(open_sim: OpenSim) -> None:
    """60,000 pulses (arXiv 2601.10037)."""
    chip = open_sim(n_bl=64, n_sl=64)
    fill(chip)
    age(chip, 60_000)
    low = floor(chip)
    high = pulse(chip, Operation.SET, 1.8, 4.0).conductance
    working = ~chip.stuck_cells
    assert np.mean(low[working] < TAOX_180.conductance_min) > 0.99
    assert np.mean(high[working.ravel()] > TAOX_180.conductance_max) > 0.98


def test_cells_wear_out_one_after_the_other(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=32, n_sl=32)
    fill(chip)
    age(chip, 300_000)
    low = floor(chip)[~chip.stuck_cells]
    assert np.quantile(low, 0.05) < 10e-6
    assert np.quantile(low, 0.95) > 25e-6


def test_only_pulses_that_write_wear(open_sim: OpenSim) -> None:
    chip = open_sim(off=("stuck-cells",))
    fill(chip)  # FORM, RESET, SET
    writes = chip._chip._store.counts >> 11
    assert int(writes.min()) >= 2
    assert int(writes.max()) == 3
    for _ in range(5):
        read(chip)
    pulse(chip, Operation.SET, 0.3, 5.0)
    np.testing.assert_array_equal(chip._chip._store.counts >> 11, writes)
    pulse(chip, Operation.RESET, 2.4, 5.0)
    pulse(chip, Operation.SET, 1.8, 3.0)
    np.testing.assert_array_equal(chip._chip._store.counts >> 11, writes + 2)


def test_without_wear_a_cell_lasts_for_ever(open_sim: OpenSim) -> None:
    chip = open_sim(off=(*SPREADLESS, "wear"))
    fill(chip)
    age(chip, 1_000_000)
    assert floor(chip) == pytest.approx(TAOX_180.reset_floor, rel=1e-3)
