"""Promises of the answer to a pulse: what a fall and a bound say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm

from rmhil.write_verify.response import bounded, fall_share, reset_line_at

SOFTNESS = 2.4e-6


def fall_of(before: float, line: float) -> float:
    """The law that a RESET is taken to follow."""
    return float(SOFTNESS * np.logaddexp(0.0, (before - line) / SOFTNESS))


@given(st.floats(5e-6, 100e-6), st.floats(-10e-6, 80e-6))
def test_a_fall_tells_the_line_that_caused_it(before: float, above: float) -> None:
    line = before - above
    found = reset_line_at(np.array([before]), np.array([fall_of(before, line)]), SOFTNESS)
    np.testing.assert_allclose(found, line, atol=1e-9)


@given(st.floats(-5e-6, 30e-6))
def test_a_lower_line_lowers_the_cell_by_the_share(above: float) -> None:
    step, before = 1e-9, 60e-6
    more = fall_of(before, before - above - step) - fall_of(before, before - above)
    share = fall_share(np.array([fall_of(before, before - above)]), SOFTNESS)
    np.testing.assert_allclose(share, more / step, atol=1e-3)


@given(st.floats(-5, 5), st.floats(0.01, 4))
def test_a_bound_leaves_the_truncated_normal_law(bound: float, variance: float) -> None:
    sigma = variance**0.5
    law = truncnorm(-np.inf, (bound - 0.3) / sigma, loc=0.3, scale=sigma)
    mean, left = bounded(np.array([0.3]), np.array([variance]), np.array([bound]))
    np.testing.assert_allclose(mean, law.mean(), rtol=1e-6, atol=1e-6 * sigma)
    np.testing.assert_allclose(left, law.var(), rtol=1e-3, atol=1e-6 * variance)


def test_a_bound_far_below_is_as_good_as_a_value() -> None:
    mean, left = bounded(np.array([1.0]), np.array([1e-20]), np.array([0.5]))
    np.testing.assert_allclose(mean, 0.5, atol=1e-9)
    assert 0.0 <= left[0] < 1e-20


def test_a_bound_far_above_says_nothing() -> None:
    mean, left = bounded(np.array([1.0]), np.array([0.01]), np.array([9.0]))
    np.testing.assert_allclose(mean, 1.0)
    np.testing.assert_allclose(left, 0.01)
