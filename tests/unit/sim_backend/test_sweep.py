"""A sweep is a row of pulses: one for each stretch of one polarity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil.backend import Biases, Cells, Operation
from rmhil.errors import OutOfRangeError
from sim_backend import SimBackend
from sim_backend.presets import TAOX_180
from tests.arrays import fill, pulse

OpenSim = Callable[..., SimBackend]

CELL = Cells.of(0, 2, 3)
READ = 0.2
"""V of the steps at which a sweep shows the state of the cell."""


def writes(chip: SimBackend) -> int:
    """How often the swept cell has been written."""
    return int(chip._chip._store.counts.view(chip.spec.shape)[0, 2, 3]) >> 11


def cycles(count: int, chip: SimBackend) -> Biases:
    """SET, a look at the state, RESET, a look at the state, with a step at 0 V after each."""
    bl, sl = [1.8, 0.0, READ, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.2, 0.0, READ]
    return Biases.of(
        np.tile(bl, count), np.tile(sl, count), np.tile([2.5, 2.5, 2.5, 5.0, 5.0, 5.0], count), 1e-3,
        chip.spec.limits.current,
    )  # fmt: skip


def test_cycles_in_one_sweep_wear_and_vary_as_pulses_do(open_sim: OpenSim) -> None:
    """To the last bit: every turn of the polarity is the next pulse, with its own draws."""
    swept, pulsed = (open_sim(off=("retention", "telegraph", "read-noise")) for _ in range(2))
    for chip in (swept, pulsed):
        fill(chip)
        pulse(chip, Operation.RESET, 2.2, 5.0, CELL)
    first = writes(swept)
    trace = swept.sweep(CELL, cycles(10, swept))
    low = []
    for _ in range(10):
        low.append(pulse(pulsed, Operation.SET, 1.8, 2.5, CELL).current[0])
        pulse(pulsed, Operation.RESET, 2.2, 5.0, CELL)
    assert writes(swept) == writes(pulsed) == first + 20
    np.testing.assert_array_equal(swept.true_conductance, pulsed.true_conductance)
    np.testing.assert_allclose(
        trace.current[2::6], low, rtol=1e-6
    )  # a pulse ends in float32, a step of a sweep does not
    assert np.std(trace.current[2::6]) > 0.3 * TAOX_180.cycle_level * READ
    assert swept.clock == trace.time[-1]


@pytest.mark.parametrize("steps", [3, 400])
def test_a_sweep_of_one_polarity_is_one_write_however_fine_it_is(open_sim: OpenSim, steps: int) -> None:
    """A write restarts the drift, so that the cell is as young afterwards as the last steps that moved it."""
    chip = open_sim(off=("device-spread", "cycle-spread", "stuck-cells", "retention"))
    fill(chip)
    for _ in range(2):
        pulse(chip, Operation.RESET, 2.2, 5.0, CELL)
    before, state, start = writes(chip), chip.true_conductance[0, 2, 3], chip.clock
    volts = 0.89 - TAOX_180.set_voltage_scale * np.log(steps / 400)
    chip.sweep(CELL, Biases.of(np.full(steps, volts), 0.0, 2.0, 1e-3, chip.spec.limits.current))
    moved = chip.true_conductance[0, 2, 3] - state
    assert moved > 5e-6
    assert (moved / steps < 50e-9) == (steps == 400)
    assert writes(chip) == before + 1
    last = chip._chip._store.look(chip._chip.select(CELL).flat).written
    assert start + 0.9 * (chip.clock - start) < float(last) <= chip.clock


def test_a_sweep_that_hardly_moves_the_cell_writes_nothing(open_sim: OpenSim) -> None:
    chip = open_sim(off=("stuck-cells",))
    fill(chip)
    before = writes(chip)
    chip.sweep(CELL, Biases.of(np.linspace(0.0, 0.3, 50), 0.0, 2.0, 1e-3, 1e-3))
    assert writes(chip) == before


def test_a_sweep_of_more_steps_than_have_draws_of_their_own_is_refused_and_nothing_driven(open_sim: OpenSim) -> None:
    chip = open_sim()
    fill(chip)
    state, clock = chip.true_conductance, chip.clock
    with pytest.raises(OutOfRangeError, match="length of the sweep = 131073 steps, allowed 1 to 131072 steps"):
        chip.sweep(CELL, Biases.of(np.full(131_073, 1.0), 0.0, 2.0, 1e-6, 1e-3))
    np.testing.assert_array_equal(chip.true_conductance, state)
    assert chip.clock == clock
