"""Small estimation problems: a mean and a spread of uncertain values, and most likely values of a few parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from rmhil.backend import Floats
from sim_backend.fit.population import DETERMINED, Unknown

_DIFFERENCE = 0.02
"""1: step of the differences that give a curvature, in prior widths."""

_ITERATIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and spread of a population.

    Attributes:
        mean, spread: in the unit of the values.
        mean_error, spread_error: one standard error of each.
        count: values.
    """

    mean: float
    mean_error: float
    spread: float
    spread_error: float
    count: int


def mean_and_spread(values: Floats, errors: Floats) -> Spread:
    """Mean and spread of values that are known to within their errors: maximum likelihood, normal laws.

    Args:
        values: one a cell, at least two.
        errors: standard error of each; the spread is that of the values without them.
    """
    mean, variance = float(np.median(values)), float(np.var(values, ddof=1))
    for _ in range(_ITERATIONS):
        weights = 1.0 / (variance + errors**2)
        mean = float(weights @ values / weights.sum())
        excess = float((weights**2) @ ((values - mean) ** 2 - errors**2) / (weights**2).sum())
        excess += variance / len(values)  # the mean is fitted, too
        if abs(excess - variance) < 1e-10 * max(excess, variance, 1e-300):
            break
        variance = max(excess, 1e-6 * float(np.var(values)))
    weights = 1.0 / (variance + errors**2)
    spread = variance**0.5
    return Spread(
        mean=mean, mean_error=float(weights.sum() ** -0.5), spread=spread,
        spread_error=float((0.5 * (weights**2).sum()) ** -0.5 / (2.0 * spread)), count=len(values),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFit:
    """Most likely values of a few parameters.

    Attributes:
        unknowns: what was searched for.
        values: in their units.
        errors: standard errors, relative where the unknown is searched by its logarithm; 0 for what was held.
        determined: whether the data say what it is.
    """

    unknowns: tuple[Unknown, ...]
    values: Floats
    errors: Floats
    determined: tuple[bool, ...]

    def __getitem__(self, name: str) -> float:
        return float(self.values[[unknown.name for unknown in self.unknowns].index(name)])


def most_likely(loss: Callable[[Floats], float], unknowns: Sequence[Unknown]) -> SmallFit:
    """Least loss, with weak priors; what the data do not determine is set to its prior's centre and held.

    Args:
        loss: minus log likelihood of the data, from the values in their units.
        unknowns: parameters in the order of its argument.
    """
    widths = np.array([unknown.width for unknown in unknowns])
    logs = np.array([unknown.log for unknown in unknowns])
    centres = np.array([unknown.inner(unknown.centre_or_start) for unknown in unknowns])
    place = (np.array([unknown.inner(unknown.start) for unknown in unknowns]) - centres) / widths
    free = np.ones(len(unknowns), dtype=bool)

    def natural(point: Floats) -> Floats:
        inner = np.clip(centres + point * widths, -700.0 * logs - 1e9 * ~logs, 700.0 * logs + 1e9 * ~logs)
        return np.where(logs, np.exp(np.where(logs, inner, 0.0)), inner)

    def total(chosen: Floats) -> float:
        point = np.zeros_like(place)
        point[free] = chosen
        value = loss(natural(point)) + 0.5 * float(chosen @ chosen)
        return value if np.isfinite(value) else 1e300

    while True:
        found = minimize(total, place[free], method="Nelder-Mead" if free.sum() == 1 else "BFGS").x
        place[free] = found
        curvature = _curvature(total, found)
        errors = np.zeros(len(unknowns))
        if np.linalg.eigvalsh(curvature).min() > 0:
            errors[free] = np.sqrt(np.diag(np.linalg.inv(curvature)))
        else:
            errors[free] = np.where(np.diag(curvature) > 4.0, 1.0 / np.sqrt(np.abs(np.diag(curvature))), 1.0)
        loose = errors > DETERMINED
        if not loose.any():
            break
        worst = int(np.argmax(errors))
        free[worst], place[worst] = False, 0.0
        if not free.any():
            errors = np.zeros(len(unknowns))
            break
    return SmallFit(
        unknowns=tuple(unknowns), values=natural(np.where(free, place, 0.0)), errors=errors * widths,
        determined=tuple(bool(one) for one in free),
    )  # fmt: skip


def _curvature(function: Callable[[Floats], float], place: Floats) -> Floats:
    """Second derivatives by central differences."""
    steps = _DIFFERENCE * np.eye(len(place))
    curvature = np.zeros((len(place), len(place)))
    for i, one in enumerate(steps):
        for j, other in enumerate(steps[: i + 1]):
            corners = (
                function(place + one + other) - function(place + one - other)
                - function(place - one + other) + function(place - one - other)
            )  # fmt: skip
            curvature[i, j] = curvature[j, i] = corners / (4.0 * _DIFFERENCE**2)
    return curvature
