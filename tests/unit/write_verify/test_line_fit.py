"""Promises of the line that is learnt for each cell."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmhil.write_verify import LinePrior
from rmhil.write_verify.line_fit import LineFit

ORIGIN = 2.0
EXACT = 1e-12  # variance of an observation without noise, against unit variances of the first guess


def first_guess(n_cells: int = 1) -> LineFit:
    return LineFit.prior(
        n_cells, LinePrior(origin=ORIGIN, level=0.0, slope=1.0, level_spread=1.0, slope_spread=1.0, scatter=1.0)
    )


def observe(line: LineFit, x: float, y: float, variance: float = EXACT, left: float = 0.0) -> LineFit:
    one = np.ones(len(line.level))
    return line.observe(one * x, one * y, one * variance, one * left, one.astype(bool))


@given(st.floats(-2, 2), st.floats(0.5, 3), st.floats(0, 1.5), st.floats(0.5, 1.5))
def test_two_exact_observations_fix_the_line(level: float, slope: float, x: float, apart: float) -> None:
    line = first_guess()
    for at in (x, x + apart):
        line = observe(line, at, level + slope * (at - ORIGIN))
    for at in (0.0, 4.0):
        np.testing.assert_allclose(line.at(np.array([at])), level + slope * (at - ORIGIN), atol=1e-3)


def test_solve_undoes_at() -> None:
    line = observe(first_guess(), 1.3, 0.7)
    np.testing.assert_allclose(line.at(line.solve(np.array([0.4]))), 0.4)


def test_cells_that_were_not_seen_keep_their_line() -> None:
    line = first_guess(2)
    seen = np.array([True, False])
    after = line.observe(np.array([1.0, np.nan]), np.array([5.0, np.nan]), np.array([EXACT, EXACT]), np.zeros(2), seen)
    assert after.level[0] != line.level[0]
    for name in ("level", "slope", "level_variance", "covariance", "slope_variance"):
        assert getattr(after, name)[1] == getattr(line, name)[1]


def test_noisy_observations_are_averaged() -> None:
    """With the right variance the line ends nearer to the truth than one observation is likely to be."""
    generator = np.random.default_rng(0)
    n, noise = 2000, 0.3
    line = first_guess(n)
    for x in np.tile([1.5, 2.5], 15):
        y = 0.5 + 1.2 * (x - ORIGIN) + noise * generator.standard_normal(n)
        line = line.observe(np.full(n, x), y, np.full(n, noise**2), np.zeros(n), np.ones(n, dtype=bool))
    errors = line.at(np.full(n, ORIGIN)) - 0.5
    assert np.std(errors) < 0.6 * noise


def test_a_line_that_was_sure_learns_again_from_a_surprise() -> None:
    line = first_guess()
    for _ in range(10):
        line = observe(line, 2.0, 0.0)
    line = observe(line, 2.0, 1.0)
    assert line.at(np.array([2.0]))[0] > 0.9


def test_the_slope_stays_positive_and_the_line_goes_through_what_was_seen() -> None:
    line = observe(observe(first_guess(), 1.0, 0.5), 3.0, 0.0)
    assert line.slope[0] == line.slope_min
    assert abs(line.at(np.array([3.0]))[0]) < 0.1


def test_an_observation_with_all_its_variance_left_makes_nothing_surer() -> None:
    before = first_guess()
    after = observe(before, 2.5, 0.7, variance=0.1, left=float(before.variance(np.array([2.5]))[0]) + 0.1)
    assert after.at(np.array([2.5]))[0] > before.at(np.array([2.5]))[0]
    np.testing.assert_allclose(after.variance(np.array([1.0, 2.5])), before.variance(np.array([1.0, 2.5])))


def test_what_is_known_of_the_population_is_known_of_the_slope_from_one_observation() -> None:
    """Where high cells are steep cells, one that is high is taken to be steep."""
    prior = LinePrior(origin=ORIGIN, level=0, slope=1, level_spread=1, slope_spread=0.5, correlation=0.9, scatter=1)
    line = observe(LineFit.prior(1, prior), ORIGIN, 1.0)
    np.testing.assert_allclose(line.slope, 1.0 + 0.9 * 0.5, rtol=1e-6)


@given(st.lists(st.tuples(st.floats(0, 4), st.floats(-3, 3), st.floats(1e-9, 1)), max_size=30))
def test_variances_stay_those_of_a_distribution(observations: list[tuple[float, float, float]]) -> None:
    line = first_guess()
    for x, y, variance in observations:
        line = observe(line, x, y, variance)
        assert np.isfinite(line.level[0])
        scale = line.level_variance[0] + line.slope_variance[0]
        assert line.level_variance[0] > -1e-9 * scale
        assert line.slope_variance[0] > -1e-9 * scale
        determinant = line.level_variance[0] * line.slope_variance[0] - line.covariance[0] ** 2
        assert determinant > -1e-9 * scale**2
