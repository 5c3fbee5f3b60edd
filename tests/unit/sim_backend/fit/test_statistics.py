"""Estimates of means and spreads: what they find, and what they say of their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sim_backend.fit.population import Unknown, fit_population
from sim_backend.fit.statistics import mean_and_spread, most_likely


def test_a_spread_is_that_of_the_values_and_not_of_their_errors() -> None:
    generator = np.random.default_rng(1)
    errors = generator.uniform(0.5, 3.0, 4000)
    values = 10.0 + 2.0 * generator.standard_normal(4000) + errors * generator.standard_normal(4000)
    found = mean_and_spread(values, errors)
    assert abs(found.mean - 10.0) < 3 * found.mean_error
    assert abs(found.spread - 2.0) < 3 * found.spread_error
    assert found.spread_error < 0.1


def test_values_that_differ_by_their_errors_alone_have_no_spread() -> None:
    generator = np.random.default_rng(2)
    found = mean_and_spread(generator.standard_normal(500), np.ones(500))
    assert found.spread < 0.3


def test_intervals_of_means_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    held = []
    for _ in range(200):
        errors = generator.uniform(0.2, 1.0, 64)
        values = generator.standard_normal(64) + errors * generator.standard_normal(64)
        found = mean_and_spread(values, errors)
        held.append((abs(found.mean) < 1.96 * found.mean_error, abs(found.spread - 1.0) < 1.96 * found.spread_error))
    shares = np.mean(held, axis=0)
    assert (shares > 0.89).all(), shares


def test_what_the_data_do_not_say_is_held_at_its_centre() -> None:
    data = 3.0 + np.random.default_rng(4).standard_normal(400)

    def loss(values: np.ndarray) -> float:
        return 0.5 * float(((data - values[0]) ** 2).sum())

    unknowns = (Unknown(name="known", start=1.0, width=2.0), Unknown(name="unknown", start=5.0, width=1.0, log=True))
    fit = most_likely(loss, unknowns)
    assert fit.determined == (True, False)
    assert fit["unknown"] == pytest.approx(5.0)
    assert abs(fit["known"] - data.mean()) < 0.1 * fit.errors[0]  # the prior draws as little as that
    assert fit.errors[0] == pytest.approx(0.05, rel=0.02)


def test_a_population_fit_finds_means_spreads_and_noise() -> None:
    generator = torch.Generator().manual_seed(5)
    units, each = 120, 12
    own = 2.0 + 0.5 * torch.randn(units, generator=generator, dtype=torch.float64)
    data = own[:, None] + 0.8 * torch.randn(units, each, generator=generator, dtype=torch.float64)

    def loss(eta: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        middle = theta[:, 0] + theta[:, 1] * eta[:, 0]
        away = (data - middle[:, None]) / theta[:, 2][:, None]
        return (0.5 * away.square() + theta[:, 2].log()[:, None]).sum(dim=1)

    unknowns = (
        Unknown(name="mean", start=0.0, width=5.0),
        Unknown(name="spread", start=2.0, width=1.0, log=True),
        Unknown(name="noise", start=0.3, width=1.0, log=True),
    )
    fit = fit_population(loss, units, 1, unknowns)
    errors = np.sqrt(np.diag(fit.covariance))
    assert all(fit.determined)
    assert abs(fit["mean"] - 2.0) < 3 * errors[0]
    assert abs(np.log(fit["spread"] / 0.5)) < 3 * errors[1]
    assert abs(np.log(fit["noise"] / 0.8)) < 3 * errors[2]
    # The exact standard errors of this model, which is normal throughout.
    assert errors[0] == pytest.approx((0.25 + 0.64 / each) ** 0.5 / units**0.5, rel=0.2)
    assert errors[2] == pytest.approx((2 * units * (each - 1)) ** -0.5, rel=0.25)
