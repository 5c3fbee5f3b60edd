"""Drift after a write: its law, its spread, and what counts as a write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rmhil.backend import Cells, Floats, Operation
from sim_backend import NON_IDEALITIES, SimBackend
from sim_backend.presets import TAOX_180
from tests.arrays import fill, pulse, read

MICRO = 1e-6
OpenSim = Callable[..., SimBackend]

ALL_BUT_RETENTION = tuple(name for name in NON_IDEALITIES if name not in ("retention", "device-spread"))


def written(chip: SimBackend, gate: float = 2.0) -> None:
    """SET every cell of a filled chip to one level."""
    pulse(chip, Operation.RESET, 2.4, 5.0)
    pulse(chip, Operation.SET, 1.8, gate)


def slopes(chip: SimBackend) -> Floats:
    """S a decade, of every cell, between ages of some 1e3 s and 1e6 s; what was before is too short to count."""
    chip.wait(1e3)
    early, start = chip.true_conductance, chip.clock
    chip.wait(1e6)
    return (chip.true_conductance - early) / np.log10((chip.clock - start + 1e3) / 1e3)


def test_a_written_cell_drifts_evenly_in_log_time(open_sim: OpenSim) -> None:
    chip, cell = open_sim(off=ALL_BUT_RETENTION), Cells.of(0, 3, 4)
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.0, cell)
    write_time = chip.clock - 5e-3  # the pulse ends 1 ms after it began, and its reading 5 ms later
    ages, levels = [], []
    for seconds in np.logspace(-2, 6, 17):
        chip.wait(seconds)
        ages.append(chip.clock - write_time)
        levels.append(chip.true_conductance[cell.index][0])
    decades = np.log10(1 + np.array(ages) / TAOX_180.drift_time)
    slope, start = np.polyfit(decades, levels, 1)
    np.testing.assert_allclose(levels, start + slope * decades, rtol=1e-6)
    assert abs(slope) > 1e-9


def test_drift_has_the_mean_and_the_spread_of_the_preset(open_sim: OpenSim) -> None:
    """Relaxation differs from write to write, the relative drift from cell to cell."""
    chip = open_sim(n_bl=64, n_sl=64, off=ALL_BUT_RETENTION)
    fill(chip)
    found = []
    for _ in range(2):
        written(chip)
        level = np.median(chip.true_conductance)
        found.append(slopes(chip))
    first, second = found
    own, count = TAOX_180.drift_spread * level, first.size
    total = np.hypot(TAOX_180.relaxation, own)
    assert first.mean() == pytest.approx(TAOX_180.drift * level, abs=4 * total / count**0.5)
    assert first.std() == pytest.approx(total, rel=4 / (2 * count) ** 0.5)
    shared = np.cov(first.ravel(), second.ravel())[0, 1]
    assert shared == pytest.approx(own**2, abs=4 * total**2 / count**0.5)


def test_seventeen_levels_stay_apart_for_a_million_seconds(open_sim: OpenSim) -> None:
    """4.4 uS apart (arXiv 2601.10037): hardly a cell comes half way to the next level."""
    chip = open_sim(n_bl=17, n_sl=60, off=ALL_BUT_RETENTION)
    fill(chip)
    pulse(chip, Operation.RESET, 2.4, 5.0)
    gates = np.repeat(np.linspace(1.0, 3.3, 17), 60)
    at_once = pulse(chip, Operation.SET, 1.8, gates).conductance
    chip.wait(1e6)
    moved = np.abs(chip.true_conductance.ravel() - at_once)
    assert np.mean(moved < 2.2 * MICRO) > 0.98
    assert moved.mean() > 0.1 * MICRO
    assert np.all(np.diff(np.median(chip.true_conductance[0], axis=1)) > 3.0 * MICRO)


def test_virgin_and_stuck_cells_do_not_drift(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=64, n_sl=64)
    virgin = chip.true_conductance
    chip.wait(1e6)
    np.testing.assert_array_equal(chip.true_conductance, virgin)
    fill(chip)
    before = chip.true_conductance
    chip.wait(1e6)
    still = chip.true_conductance == before
    assert chip.stuck_cells.any()
    np.testing.assert_array_equal(still, chip.stuck_cells)


def test_a_pulse_starts_from_where_the_cell_has_drifted_to(open_sim: OpenSim) -> None:
    """A SET that the gate keeps from doing anything leaves the drift as it was; one that lifts starts it over."""
    options = {"off": ALL_BUT_RETENTION, "preset": {"name": "falling", "drift": -0.02, "relaxation": 0.0}}
    left, held, lifted = (open_sim(**options) for _ in range(3))
    for chip in (left, held, lifted):
        fill(chip)
        written(chip, gate=2.0)
        chip.wait(1e4)
    level = np.median(left.true_conductance)
    assert level < 0.95 * 40.4 * MICRO
    pulse(held, Operation.SET, 1.8, 1.2)
    pulse(lifted, Operation.SET, 1.8, 2.0)
    pulse(left, Operation.SET, 0.01, 2.0)
    np.testing.assert_array_equal(held.true_conductance, left.true_conductance)
    assert np.median(lifted.true_conductance) > level + MICRO


def test_retention_does_not_depend_on_when_it_is_looked_at(open_sim: OpenSim) -> None:
    """Nothing is stepped: readings and waits in between change nothing."""
    often, once = open_sim(), open_sim()
    for chip in (often, once):
        fill(chip)
    started = once.clock
    for _ in range(5):
        often.wait(100.0)
        read(often)
    once.wait(often.clock - started)
    np.testing.assert_allclose(often.true_conductance, once.true_conductance, rtol=1e-12)


def test_ages_are_right_on_a_clock_that_has_run_for_years(open_sim: OpenSim) -> None:
    """float32 would resolve 8 s there."""
    off = (*ALL_BUT_RETENTION, "device-spread")
    young, old = open_sim(off=off), open_sim(off=off)
    for chip in (young, old):
        fill(chip)
    old.wait(1e8)
    pulse(old, Operation.RESET, 2.4, 5.0)  # now it has no memory of how long it waited
    pulse(young, Operation.RESET, 2.4, 5.0)
    young_after, old_after = (pulse(chip, Operation.SET, 1.8, 2.0).conductance for chip in (young, old))
    np.testing.assert_allclose(old_after, young_after, rtol=2e-5)


def test_what_is_on_an_array_can_be_saved_in_the_middle_of_its_drift(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    chip = open_sim()
    fill(chip)
    chip.wait(700.0)
    pulse(chip, Operation.SET, 1.8, 3.0, Cells.of(0, 0, 0))
    chip.save_state(path)
    again = open_sim(state=path)
    for one in (chip, again):
        one.wait(3e4)
    np.testing.assert_array_equal(again.true_conductance, chip.true_conductance)
