"""Learning a straight line for each cell, one observation at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import Floats
from rmhil.write_verify.policy import Mask, PerCell


@dataclass(frozen=True, slots=True)
class LineFit(PerCell):
    """`y = level + slope (x - origin)` for each cell, by recursive least squares with forgetting.

    The first guess is a prior with a variance. Every observation moves level and slope in proportion to
    what is still uncertain; older observations are slowly forgotten, so that the line follows a
    response that is not quite straight. An observation far from the line widens the variance again.

    Attributes:
        origin: the x at which `level` holds, the same for all cells.
        level, slope: the line.
        level_variance, covariance, slope_variance: of the two.
        level_variance_max, slope_variance_max: those of the first guess; forgetting goes no further.
        slope_min: the slope never falls below this; the response is known to rise.
    """

    origin: float
    slope_min: float
    level_variance_max: float
    slope_variance_max: float
    level: Floats
    slope: Floats
    level_variance: Floats
    covariance: Floats
    slope_variance: Floats

    @classmethod
    def prior(
        cls, n_cells: int, origin: float, level: tuple[float, float], slope: tuple[float, float], slope_min: float
    ) -> LineFit:
        """The same first guess for every cell; `level` and `slope` are (value, standard deviation)."""

        def full(value: float) -> Floats:
            return np.full(n_cells, value)

        level_variance, slope_variance = level[1] ** 2, slope[1] ** 2
        return cls(
            origin,
            slope_min,
            level_variance,
            slope_variance,
            level=full(level[0]),
            slope=full(slope[0]),
            level_variance=full(level_variance),
            covariance=full(0.0),
            slope_variance=full(slope_variance),
        )

    def at(self, x: Floats) -> Floats:
        """The y expected at x."""
        return self.level + self.slope * (x - self.origin)

    def solve(self, y: Floats) -> Floats:
        """The x at which y is expected."""
        return self.origin + (y - self.level) / self.slope

    def observe(self, x: Floats, y: Floats, variance: Floats, seen: Mask, forgetting: float) -> LineFit:
        """The line after one more observation of the cells in `seen`.

        Args:
            x, y: the observation; anything where not seen.
            variance: of y.
            seen: cells that were observed.
            forgetting: 1 for none; below, the variance grows by its inverse before each observation.
        """
        dx = np.where(seen, x - self.origin, 0.0)
        surprise = np.where(seen, y - self.at(x), 0.0)
        expected = np.maximum(self.level_variance + 2 * self.covariance * dx + self.slope_variance * dx**2, 0.0)
        wrong = surprise**2 / (_SURPRISE * (expected + variance))
        vl, vc, vs = self._widened(np.maximum(wrong, 1.0 / forgetting))
        to_level, to_slope = vl + vc * dx, vc + vs * dx
        total = to_level + to_slope * dx + variance
        gain_level, gain_slope = to_level / total, to_slope / total
        return replace(
            self,
            level=np.where(seen, self.level + gain_level * surprise, self.level),
            slope=np.where(seen, np.maximum(self.slope + gain_slope * surprise, self.slope_min), self.slope),
            level_variance=self._positive(
                seen, vl - gain_level * to_level, self.level_variance, self.level_variance_max
            ),
            covariance=np.where(seen, vc - gain_level * to_slope, self.covariance),
            slope_variance=self._positive(
                seen, vs - gain_slope * to_slope, self.slope_variance, self.slope_variance_max
            ),
        )

    @staticmethod
    def _positive(seen: Mask, after: Floats, before: Floats, largest: float) -> Floats:
        """A variance, kept above what rounding makes of an exact observation."""
        return np.where(seen, np.maximum(after, largest * _ROUNDING), before)

    def _widened(self, factor: Floats) -> tuple[Floats, Floats, Floats]:
        """The variances times a factor, but no wider than those of the first guess."""
        wide_level = np.sqrt(np.minimum(factor, self.level_variance_max / self.level_variance))
        wide_slope = np.sqrt(np.minimum(factor, self.slope_variance_max / self.slope_variance))
        return (
            self.level_variance * wide_level**2,
            self.covariance * wide_level * wide_slope,
            self.slope_variance * wide_slope**2,
        )


_SURPRISE = 4.0
"""1: an error beyond so many expected variances (2 standard deviations) says that the line is wrong."""

_ROUNDING = 1e-15
"""1: smallest variance, as a share of that of the first guess; of the order of float64 rounding."""
