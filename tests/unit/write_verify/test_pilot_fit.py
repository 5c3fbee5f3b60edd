"""Pilot cells made from known numbers give them back."""

from __future__ import annotations

import numpy as np
import pytest

from rmhil.backend import Floats
from rmhil.write_verify.pilot import pilot_order
from rmhil.write_verify.pilot_fit import Law, Series, Watch, drift, read_noise, reset_line, set_line

WINDOW, CELLS = 70e-6, 2000
NOISE = Law(0.03e-6, 0.003)
SPREAD_KNOWN_TO = 5.0 / (2 * CELLS) ** 0.5
"""1: five standard errors of a standard deviation, which each of these estimates must come within."""


def correlated(generator: np.random.Generator, level: float, slope: float, correlation: float) -> tuple[Floats, Floats]:
    """Deviations of level and slope, cell by cell."""
    first, second = generator.standard_normal((2, CELLS))
    return level * first, slope * (correlation * first + (1 - correlation**2) ** 0.5 * second)


def reading(generator: np.random.Generator, conductance: Floats) -> Floats:
    return conductance + np.sqrt(NOISE.at(conductance)) * generator.standard_normal(conductance.shape)


def test_set_pulses_give_back_the_lines_of_their_cells() -> None:
    generator = np.random.default_rng(1)
    gates = np.linspace(1.0, 3.3, 6)
    off, turned = correlated(generator, 2.4e-6, 1.5e-6, 0.9)
    state, before, after = np.full(CELLS, 5e-6), [], []
    for gate in gates:
        level = 45e-6 + off + (30e-6 + turned) * (gate - 2.15) + 0.6e-6 * generator.standard_normal(CELLS)
        before.append(reading(generator, state))
        state = np.maximum(state, level)
        after.append(reading(generator, state))
    line = set_line(Series(gates, np.array(before), np.array(after)), NOISE, WINDOW)
    at = line.level + line.slope * (2.15 - line.origin)
    assert at == pytest.approx(45e-6, abs=5 * 2.4e-6 / CELLS**0.5)
    assert line.slope == pytest.approx(30e-6, abs=5 * 1.5e-6 / CELLS**0.5)
    assert line.slope_spread == pytest.approx(1.5e-6, rel=SPREAD_KNOWN_TO)
    assert line.level_spread == pytest.approx(2.4e-6, rel=SPREAD_KNOWN_TO)
    assert line.correlation == pytest.approx(0.9, abs=0.03)
    assert line.scatter == pytest.approx(0.6e-6, rel=0.05)


@pytest.mark.parametrize("softness", [2.4e-6, 5e-6])
def test_reset_pulses_give_back_lines_and_softness(softness: float) -> None:
    """The softness is above the scatter; a smaller one drowns in it, and does not matter then."""
    generator = np.random.default_rng(2)
    amplitudes = np.repeat(np.linspace(1.05, 1.95, 8), 2)
    off, turned = correlated(generator, 5e-6, 6e-6, -0.5)
    state, before, after = np.full(CELLS, 80e-6), [], []
    for amplitude in amplitudes:
        level = 45e-6 + off - (80e-6 + turned) * (amplitude - 1.5) + 1.2e-6 * generator.standard_normal(CELLS)
        before.append(reading(generator, state))
        state = state - softness * np.logaddexp(0.0, (state - level) / softness)
        after.append(reading(generator, state))
    line, found = reset_line(Series(amplitudes, np.array(before), np.array(after)), NOISE, WINDOW)
    assert found == pytest.approx(softness, rel=0.12)  # one step of the values that are tried
    assert line.level + line.slope * (-1.5 - line.origin) == pytest.approx(45e-6, abs=1e-6)
    assert line.slope == pytest.approx(80e-6, rel=0.03)
    assert line.level_spread == pytest.approx(5e-6, rel=0.1)
    assert line.scatter == pytest.approx(1.2e-6, rel=0.15)


def watched(generator: np.random.Generator, level: float) -> Watch:
    """Cells that lose 0.4 % over the pause, some more and some less, a few of which fluctuate wildly."""
    state = np.full(CELLS, level)
    later = state * (1 - 0.004 + 0.003 * generator.standard_normal(CELLS)) + 0.1e-6 * generator.standard_normal(CELLS)
    rested = reading(generator, np.tile(later, (8, 1)))
    wild = generator.random(CELLS) < 0.04
    rested[:, wild] *= 1 + 0.03 * generator.choice([-1, 1], (8, int(wild.sum())))
    return Watch(reading(generator, state), rested)


def test_quiet_cells_give_back_noise_and_drift_though_some_fluctuate() -> None:
    generator = np.random.default_rng(3)
    high, low = watched(generator, 80e-6), watched(generator, 10e-6)
    noise = read_noise(high, low)
    assert noise.share == pytest.approx(0.003, rel=0.07)
    assert noise.floor == pytest.approx(0.03e-6, rel=0.2)
    share, spread = drift(high, low, noise)
    assert share == pytest.approx(-0.004, rel=0.07)
    assert spread.share == pytest.approx(0.003, rel=0.15)
    assert spread.floor == pytest.approx(0.1e-6, rel=0.15)


def test_a_law_through_a_quieter_upper_end_has_no_negative_part() -> None:
    law = Law.through((80e-6, 1e-14), (10e-6, 2e-14))
    assert (law.share, law.floor) == (0.0, pytest.approx(2e-14**0.5))


@pytest.mark.parametrize("n_cells", [1, 17, 4096])
def test_pilot_cells_are_each_cell_once_and_spread_evenly(n_cells: int) -> None:
    order = pilot_order(n_cells)
    assert sorted(order) == list(range(n_cells))
    if n_cells == 4096:
        for lines in (order[:64] % 64, order[:64] // 64):  # no two of eight groups of lines differ much in cells
            assert np.bincount(lines // 8, minlength=8).min() >= 4
