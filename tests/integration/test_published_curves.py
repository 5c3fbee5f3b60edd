"""The published curves of the device (arXiv 2601.10037), measured through the seam on simulated chips.

Sizes are those of the publication where the statement needs them; elsewhere they are smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rmhil import Crossbar
from rmhil.backend import Cells
from rmhil.measure.endurance import OPEN, Endurance, measure_endurance
from rmhil.measure.pulsing import reset_fully
from rmhil.measure.retention import measure_retention
from rmhil.measure.sweeps import SweepPlan, measure_sweeps
from sim_backend import SimBackend
from sim_backend.characterise.cells import named_cells, working_cells
from sim_backend.characterise.levels import gate_voltages, measure_levels
from sim_backend.characterise.pattern import measure_patterns
from sim_backend.characterise.tolerance import measure_tolerance
from sim_backend.characterise.trajectories import measure_trajectories
from sim_backend.fit.tables import load_table
from sim_backend.state import SavedState

Opener = Callable[..., SimBackend]

WRITES_SHIFT = 11
"""Bits of a saved count below the number of writes, as `sim_backend.cells` keeps it."""


def quiet(done: int, total: int, text: str) -> None:
    """Progress that nobody looks at."""


# Quasi-static sweeps: 50 of them overlap -----------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 5)), 7])
def test_fifty_sweeps_of_one_cell_overlap(open_sim: Opener, seed: int) -> None:
    """Seed 0 has a cell that RESETs late."""
    backend = open_sim(seed=seed, n_bl=1, n_sl=128)
    array = Crossbar(backend)
    measured = measure_sweeps(array, working_cells(array, 1), quiet, sweeps=50, plan=SweepPlan(step=0.1))
    assert measured.current.shape[:2] == (1, 50)
    assert measured.low_resistance().min() > 3 * measured.high_resistance().max()
    assert measured.low_resistance().std() < 0.05 * measured.low_resistance().mean()
    assert measured.set_voltages().std() < 0.1
    assert measured.reset_voltages().std() < 0.1
    away = np.abs(measured.voltage) >= 0.2
    spread = np.log10(np.abs(measured.traces()[:, away])).std(axis=0)
    assert np.median(spread) < 0.05, "the traces lie within some 10 % of one another at most voltages"


def test_set_is_abrupt_and_limited_by_the_transistor_while_reset_is_gradual(open_sim: Opener) -> None:
    backend = open_sim()
    array = Crossbar(backend)
    measured = measure_sweeps(array, working_cells(array, 1), quiet, sweeps=5, plan=SweepPlan(step=0.05))
    volts, current = measured.voltage, np.median(measured.traces(), axis=0)
    rising = slice(0, int(np.argmax(volts)) + 1)
    jump = np.diff(current[rising]).max()
    assert jump > 0.4 * current.max(), "most of the SET happens within one step"
    flat = current[rising][volts[rising] > 1.4]
    assert np.ptp(flat) < 0.01 * flat.mean(), "beyond it, the transistor holds the current"
    down = slice(int(np.flatnonzero(measured.sl > 0)[0]), int(np.argmin(volts)) + 1)
    strongest = int(np.argmin(current[down]))
    after = -current[down][strongest:]
    weakest = int(np.argmin(after))
    assert weakest >= 5
    assert (np.diff(after[: weakest + 1]) < 0).all(), "from its peak on, the RESET current falls step by step"
    conductance = after / -volts[down][strongest:]
    assert np.diff(conductance).min() > -0.5 * np.ptp(conductance), "no single step takes most of the RESET"
    ohmic = conductance[weakest + 2 :]
    assert len(ohmic) >= 3
    assert np.ptp(ohmic) < 0.1 * ohmic.mean(), "the sweep goes on until nothing is left to RESET"


# Endurance: 30,000 SET/RESET cycles ----------------------------------------------------------------


def aged(open_sim: Opener, folder: Path, writes: int) -> SimBackend:
    """A chip whose cells have been written so often."""
    path = folder / f"aged-{writes}.npz"
    backend = open_sim(n_bl=4, n_sl=16)
    Crossbar(backend).form()
    backend.save_state(path)
    saved = SavedState.load(path)
    replace(saved, counts=np.full_like(saved.counts, writes << WRITES_SHIFT)).save(path)
    return open_sim(n_bl=4, n_sl=16, state=path)


def cycled(backend: SimBackend, cycles: int) -> Endurance:
    every = named_cells(Crossbar(backend))
    return measure_endurance(Crossbar(backend), every[np.flatnonzero(~backend.stuck_cells[every.index])], quiet, cycles)


def test_a_cycle_of_set_and_reset_wears_a_cell_by_two_writes(open_sim: Opener, tmp_path: Path) -> None:
    """So that a chip aged by 60,000 writes has seen the published 30,000 cycles."""
    backend = open_sim(n_bl=2, n_sl=8)
    cells = working_cells(Crossbar(backend), 8)
    writes = []
    for number in range(2):
        backend.save_state(tmp_path / f"{number}.npz")
        writes.append(SavedState.load(tmp_path / f"{number}.npz").counts.reshape(2, 8)[cells.bl, cells.sl])
        measure_endurance(Crossbar(backend), cells, quiet, cycles=50)
    counted = (writes[1] >> WRITES_SHIFT) - (writes[0] >> WRITES_SHIFT)
    assert (np.abs(counted - 100) <= 2).all(), "the RESETs at the beginning may be one or two more"


def test_the_window_is_open_after_thirty_thousand_cycles(open_sim: Opener, tmp_path: Path) -> None:
    fresh, old = (cycled(aged(open_sim, tmp_path, writes), 10) for writes in (1, 60_000))
    assert (old.open_share() > 0.95).all()
    assert np.median(old.window()) > 0.9 * np.median(fresh.window())
    assert np.median(old.low) == pytest.approx(np.median(fresh.low), rel=0.05)


def test_the_window_closes_beyond_the_endurance_of_a_cell(open_sim: Opener, tmp_path: Path) -> None:
    shares = [cycled(aged(open_sim, tmp_path, writes), 5).open_share()[-1] for writes in (60_000, 300_000, 800_000)]
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.05


def test_a_closing_window_closes_from_the_high_resistance_side(open_sim: Opener, tmp_path: Path) -> None:
    fresh, worn = (cycled(aged(open_sim, tmp_path, writes), 5) for writes in (1, 300_000))
    assert np.median(worn.high[-1]) > 2 * np.median(fresh.high[-1])
    assert np.median(worn.low[-1]) == pytest.approx(np.median(fresh.low[-1]), rel=0.1)
    assert np.median(fresh.window()) > 2 * OPEN


# Levels by single-shot SET: more than 128 ----------------------------------------------------------


def test_129_levels_are_nearly_linear_and_each_differs_from_the_next(open_sim: Opener) -> None:
    """129 gate voltages, 100 single-shot SETs each, every one from the fully RESET state.

    What differs from pulse to pulse is drawn afresh for each cell and each pulse, so that a hundred cells without a
    spread among them are a hundred repeats on one cell, in a hundredth of the transactions. Their traps stay.
    """
    backend = open_sim(n_bl=10, n_sl=10, off=("device-spread", "stuck-cells"))
    cells = working_cells(Crossbar(backend), 100)
    measured = measure_levels(backend, cells, quiet, gate_voltages(129), repeats=1)
    levels = measured.conductance[:, :, 0].T
    assert levels.shape == (129, 100)
    assert measured.start.max() < backend.spec.conductance_min
    mean = levels.mean(axis=1)
    assert stats.linregress(measured.gate, mean).rvalue ** 2 > 0.99
    assert (np.diff(mean) > 0).all()
    p_values = stats.ttest_ind(levels[:-1], levels[1:], axis=1, equal_var=False).pvalue
    assert p_values.max() < 0.01
    one = replace(measured, cell=measured.cell[:1], conductance=levels[None])
    assert one.distinguishable().tolist() == [129]
    assert mean[0] < 12e-6
    assert mean[-1] > 78e-6


def test_levels_of_one_real_cell_are_linear_and_differ_whatever_its_spread(open_sim: Opener) -> None:
    backend = open_sim()
    cells = working_cells(Crossbar(backend), 16)
    measured = measure_levels(backend, cells, quiet, gate_voltages(17), repeats=8)
    assert (measured.r_squared() > 0.99).all()
    assert (measured.p_values() < 0.01).all()
    assert (measured.distinguishable() == 17).all()
    between_cells, between_shots = measured.mean.std(axis=0), np.median(measured.deviation, axis=0)
    assert (between_cells > between_shots).mean() > 0.8, "why an array needs write-verify"


def test_a_bench_that_takes_one_cell_at_a_time_measures_the_same(open_sim: Opener) -> None:
    """Drift and traps go by the clock, which runs on between two cells; without them nothing differs."""
    means = []
    for at_once in (None, 1):
        backend = open_sim(n_bl=2, n_sl=4, cells_at_once=at_once, off=("retention", "telegraph"))
        cells = working_cells(Crossbar(backend), 4)
        means.append(measure_levels(backend, cells, quiet, gate_voltages(5), repeats=2).conductance)
    np.testing.assert_allclose(means[0], means[1], rtol=1e-9)


# Retention: 17 levels over 1e6 s -------------------------------------------------------------------


def test_seventeen_levels_stay_apart_for_a_million_seconds(open_sim: Opener) -> None:
    backend = open_sim(n_bl=16, n_sl=17)
    measured = measure_retention(Crossbar(backend), quiet, levels=17, cells_a_level=8)
    assert measured.time[-1].min() >= 0.999e6
    assert len(measured.levels) == 17
    assert (np.diff(measured.means(), axis=1) > 0).all(), "mean levels never cross"
    assert (measured.gaps() > 0).mean() > 0.98, "hardly ever do two cells of neighbouring levels meet"
    step = measured.levels[1] - measured.levels[0]
    assert np.abs(measured.means() - measured.levels).max() < 0.3 * step
    moved = np.abs(measured.conductance - measured.conductance[0])
    assert moved[-1].mean() > moved[1].mean(), "they do drift"


# Write-verify: trajectories, pulses, letters -------------------------------------------------------


def test_trajectories_end_in_tolerance_from_below_and_from_above(open_sim: Opener, tmp_path: Path) -> None:
    backend = open_sim()
    crossbar = Crossbar(backend)
    measured = measure_trajectories(crossbar, working_cells(crossbar, 6), quiet)
    for policy in ("incremental", "adaptive"):
        error = np.abs(measured.reached(policy) - measured.target)
        assert error.max() <= 1.3 * measured.tolerance, "several readings decide, this is one of them"
        assert np.mean(error <= measured.tolerance) > 0.8
    ends = measured.ends["incremental"]
    climbing = [path[: end + 1] for path, end in zip(measured.paths["incremental"], ends[0], strict=True)]
    assert all(np.mean(np.diff(path)[1:] > 0) > 0.7 for path in climbing), "step by step upwards"
    table = load_table(measured.pulses.write(tmp_path / "pulses.csv"), "pulses")
    after = table["conductance_after_siemens"]
    recorded = np.concatenate([path[1:] for paths in measured.paths.values() for path in paths])
    nearest = np.abs(recorded[:, None] - after).min(axis=1)
    assert (nearest <= 1e-8 * np.abs(recorded)).all(), "every pulse of every path is in the table, to its digits"


def test_the_incremental_policy_takes_tens_of_pulses_at_2_and_about_50_at_1_microsiemens(open_sim: Opener) -> None:
    measured = measure_tolerance(Crossbar(open_sim()), 7, quiet, tolerances=(1e-6, 2e-6))
    incremental, adaptive = measured.mean()
    assert 20 <= incremental[1] < 60, "tens at 2 uS"
    assert 35 < incremental[0] < 65, "about 50 at 1 uS"
    assert incremental[1] < incremental[0], "a wider tolerance takes fewer"
    assert measured.converged.mean() > 0.98
    assert (adaptive < incremental / 3).all()


def test_the_letters_are_written_to_2_microsiemens(open_sim: Opener) -> None:
    backend = open_sim(n_bl=32, n_sl=64)
    measured = measure_patterns(Crossbar(backend), quiet)
    assert list(measured.reports) == ["CL", "UL"]
    for report in measured.reports.values():
        assert report.target.shape == (32, 32)
        assert report.tolerance == 2e-6
        assert report.working_converged_fraction() > 0.995
        assert report.converged_fraction() > 0.98
        assert 0.05 < np.mean(report.target > 50e-6) < 0.5, "letters on a ground"
    letters = measured.reports["CL"].achieved > 45e-6
    assert np.mean(letters == (measured.reports["CL"].target > 45e-6)) > 0.99, "they can be read"


# What the measurements stand on --------------------------------------------------------------------


def test_the_fully_reset_state_is_below_the_window_whatever_was_written(open_sim: Opener) -> None:
    backend = open_sim()
    crossbar = Crossbar(backend)
    cells: Cells = working_cells(crossbar, 100)
    target = np.full(crossbar.shape, np.nan)
    target[cells.bl, cells.sl] = np.linspace(10e-6, 80e-6, 100)
    crossbar.program(target)
    assert (reset_fully(crossbar, cells) < 0.8 * backend.spec.conductance_min).all()


def test_cells_that_do_not_work_are_not_measured(open_sim: Opener) -> None:
    backend = open_sim(n_bl=64, n_sl=64, seed=3)
    stuck = backend.stuck_cells
    assert stuck.any()
    works = working_cells(Crossbar(backend), 4000)
    assert not stuck[works.index].any()
