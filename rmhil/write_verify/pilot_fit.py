"""From what the pilot cells showed to a population: pure functions of readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from rmhil.backend import Floats
from rmhil.units import Siemens
from rmhil.write_verify.policy import Mask
from rmhil.write_verify.population import LinePrior
from rmhil.write_verify.response import fall_share, reset_line_at

_CLEAR: Final = 4.0
"""1: standard deviations of reading noise by which a reading must have changed to count as an answer."""

_RISE_MIN: Final = 0.05
"""1: smallest rise that is used, as a share of the window: a smaller one may be the rare end of a SET that mostly lies
below the cell."""

_FALL_MIN: Final = 0.01
"""1: smallest fall that is used, as a share of the window: a smaller one may be a fluctuation of the reading."""

_POINTS_MIN: Final = 3
"""1: answers of one kind from which a cell's line is fitted, one more than a line has parameters."""

_FALL_MAX: Final = 0.25
"""1: largest fall that is used, as a share of the window: in deeper ones the transistor limits the RESET."""

_SOFTNESS: Final = np.geomspace(0.002, 0.2, 47)
"""1: softness of a RESET that is tried, as a share of the window; from one to the next by 11 %."""

_SPREAD_MIN: Final = 1e-4
"""1: no spread or scatter is taken to be smaller than this share of the window."""

FLOOR_MIN: Siemens = 1e-10
"""S: no reading is taken to be quieter than this, a thousandth of what an SMU resolves at 0.2 V."""

_NORMAL_MAD: Final = 1.4826
"""1: standard deviation of a normal law over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Series:
    """Pulses of one kind, given to all pilot cells alike.

    Attributes:
        level: V, gate voltage or amplitude of each pulse.
        before, after: S, shape (pulses, cells).
    """

    level: Floats
    before: Floats
    after: Floats

    def of(self, cells: Mask) -> Series:
        """The same for some of the cells."""
        return Series(self.level, self.before[:, cells], self.after[:, cells])


@dataclass(frozen=True, slots=True)
class Watch:
    """Cells that were left alone for the pause.

    Attributes:
        fresh: S, the reading that came with the last pulse, shape (cells,).
        rested: S, readings after the pause, shape (readings, cells).
    """

    fresh: Floats
    rested: Floats

    def of(self, cells: Mask) -> Watch:
        """The same for some of the cells."""
        return Watch(self.fresh[cells], self.rested[:, cells])

    @property
    def level(self) -> Siemens:
        """S: where most of the cells are."""
        return float(np.median(self.rested))


@dataclass(frozen=True, slots=True)
class Law:
    """A variance that grows with the square of the conductance: `floor^2 + (share G)^2`, floor in S."""

    floor: Siemens
    share: float

    @classmethod
    def through(cls, high: tuple[Siemens, float], low: tuple[Siemens, float]) -> Law:
        """The law that gives two variances, each (conductance in S, variance in S^2); no part below zero."""
        share = max(0.0, (high[1] - low[1]) / (high[0] ** 2 - low[0] ** 2))
        return cls(max(0.0, low[1] - share * low[0] ** 2) ** 0.5, share**0.5)

    def at(self, conductance: Floats) -> Floats:
        """S^2."""
        return self.floor**2 + (self.share * conductance) ** 2


def read_noise(high: Watch, low: Watch) -> Law:
    """Noise of one reading, from the median cell: a few fluctuate far more, and are no rule for the others."""

    def of_one(watch: Watch) -> tuple[Siemens, float]:
        freedom = len(watch.rested) - 1
        median_of_law = 2.0 * float(gammaincinv(0.5 * freedom, 0.5)) / freedom  # chi-squared
        return watch.level, float(np.median(watch.rested.var(axis=0, ddof=1))) / median_of_law

    return Law.through(of_one(high), of_one(low))


def drift(high: Watch, low: Watch, noise: Law) -> tuple[float, Law]:
    """Mean relative change over the pause, and the law of its spread; medians, as in `read_noise`."""
    means, variances = [], []
    for watch in (high, low):
        change = watch.rested.mean(axis=0) - watch.fresh
        middle = float(np.median(change))
        spread = _NORMAL_MAD * float(np.median(np.abs(change - middle)))
        of_reading = float(noise.at(np.array(watch.level))) * (1.0 + 1.0 / len(watch.rested))
        means.append(middle)
        variances.append(max(0.0, spread**2 - of_reading))
    levels = np.array([high.level, low.level])
    share = float(levels @ np.array(means) / (levels @ levels))
    return share, Law.through((high.level, variances[0]), (low.level, variances[1]))


def set_line(series: Series, noise: Law, window: Siemens) -> LinePrior:
    """Lines of a SET, from the pulses that raised a cell."""
    of_reading = noise.at(series.after)
    clear = _CLEAR * np.sqrt(of_reading + noise.at(series.before))
    answered = series.after - series.before > np.maximum(clear, _RISE_MIN * window)
    x = np.broadcast_to(series.level[:, None], answered.shape)
    return _line(x, series.after, of_reading, answered, window)[0]


def reset_line(series: Series, noise: Law, window: Siemens) -> tuple[LinePrior, Siemens]:
    """Lines of a RESET, and the softness (S) under which what was seen is likeliest."""
    of_reading = noise.at(series.after) + noise.at(series.before)
    fall = series.before - series.after
    clear = np.maximum(_CLEAR * np.sqrt(of_reading), _FALL_MIN * window)
    answered = (fall > clear) & (fall < _FALL_MAX * window)
    x = np.broadcast_to(-series.level[:, None], answered.shape)

    def fitted(softness: Siemens) -> tuple[float, LinePrior, Siemens]:
        some = np.where(answered, fall, softness)
        share = fall_share(some, softness)
        line, residual = _line(x, reset_line_at(series.before, some, softness), of_reading / share**2, answered, window)
        likelihood = -0.5 * answered.sum() * np.log(residual) - np.log(share[answered]).sum()
        return float(likelihood), line, softness

    _, line, softness = max((fitted(float(one) * window) for one in _SOFTNESS), key=lambda one: one[0])
    return line, softness


def _line(x: Floats, y: Floats, noise: Floats, seen: Mask, window: Siemens) -> tuple[LinePrior, float]:
    """One straight line a cell by least squares, how they differ, and the variance of what is left.

    Args:
        x: V, shape (pulses, cells).
        y: S, the same.
        noise: S^2, of y.
        seen: which of them count.
        window: S.
    """
    enough = seen.sum(axis=0) >= _POINTS_MIN
    x, y, noise, seen = x[:, enough], y[:, enough], noise[:, enough], seen[:, enough]
    origin = float(x[seen].mean())
    dx, count = np.where(seen, x - origin, 0.0), seen.sum(axis=0)
    sx, sxx = dx.sum(axis=0), (dx**2).sum(axis=0)
    sy, sxy = np.where(seen, y, 0.0).sum(axis=0), (dx * np.where(seen, y, 0.0)).sum(axis=0)
    scale = count * sxx - sx**2
    slope, level = (count * sxy - sx * sy) / scale, (sxx * sy - sx * sxy) / scale
    left = np.where(seen, y - level - slope * dx, 0.0)
    residual = max(float((left**2).sum() / (count - 2).sum()), (_SPREAD_MIN * window) ** 2)
    of_fit = residual * np.array([[np.mean(sxx / scale), -np.mean(sx / scale)], [0.0, np.mean(count / scale)]])
    spread = _spread(np.cov(level, slope), of_fit + np.triu(of_fit, 1).T, window)
    scatter = max(residual - float(noise[seen].mean()), (_SPREAD_MIN * window) ** 2) ** 0.5
    of_level, of_slope = np.sqrt(np.diag(spread))
    prior = LinePrior(
        origin=origin,
        level=float(level.mean()),
        slope=float(slope.mean()),
        level_spread=float(of_level),
        slope_spread=float(of_slope),
        correlation=float(spread[0, 1] / (of_level * of_slope)),
        scatter=scatter,
    )
    return prior, residual


def _spread(seen: NDArray[np.float64], of_fit: NDArray[np.float64], window: Siemens) -> NDArray[np.float64]:
    """Covariance of level and slope from cell to cell: that of the fits less that of fitting."""
    scale = np.maximum(np.sqrt(np.diag(seen)), _SPREAD_MIN * window)
    values, vectors = np.linalg.eigh((seen - of_fit) / np.outer(scale, scale))
    kept: NDArray[np.float64] = (vectors * np.maximum(values, _SPREAD_MIN)) @ vectors.T
    scaled: NDArray[np.float64] = kept * np.outer(scale, scale)
    return scaled
