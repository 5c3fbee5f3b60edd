"""Learning a straight line for each cell, one observation at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import Floats
from rmhil.write_verify.policy import Mask, PerCell
from rmhil.write_verify.population import LinePrior


@dataclass(frozen=True, slots=True)
class LineFit(PerCell):
    """`y = level + slope (x - origin)` for each cell, a normal belief updated by Bayes' rule.

    An observation far from what was expected makes the level uncertain again: the line is not quite
    straight, or the cell is not of the population.

    Attributes:
        origin: the x at which `level` holds, the same for all cells.
        slope_min: the slope never falls below this; the response is known to rise.
        level, slope: the line.
        level_variance, covariance, slope_variance: of the two.
    """

    origin: float
    slope_min: float
    level: Floats
    slope: Floats
    level_variance: Floats
    covariance: Floats
    slope_variance: Floats

    @classmethod
    def prior(cls, n_cells: int, line: LinePrior) -> LineFit:
        """What the population says, for every cell."""

        def full(value: float) -> Floats:
            return np.full(n_cells, value)

        level, slope = line.level_spread, line.slope_spread
        return cls(
            line.origin,
            line.slope * _SLOPE_SHARE,
            level=full(line.level),
            slope=full(line.slope),
            level_variance=full(level**2),
            covariance=full(level * slope * line.correlation),
            slope_variance=full(slope**2),
        )

    def at(self, x: Floats) -> Floats:
        """The y expected at x."""
        return self.level + self.slope * (x - self.origin)

    def variance(self, x: Floats) -> Floats:
        """The variance of that expectation."""
        dx = x - self.origin
        return np.maximum(self.level_variance + dx * (2.0 * self.covariance + self.slope_variance * dx), 0.0)

    def solve(self, y: Floats) -> Floats:
        """The x at which y is expected."""
        return self.origin + (y - self.level) / self.slope

    def observe(self, x: Floats, y: Floats, scatter: Floats, left: Floats, seen: Mask) -> LineFit:
        """The line after one more observation of the cells in `seen`.

        Args:
            x: where the observation was made; anything where not seen.
            y: what is believed of the value there.
            scatter: variance of values about the line.
            left: variance that is left in `y` itself: 0 for a value that was seen, more for one that is only bounded.
            seen: cells that were observed.
        """
        dx = np.where(seen, x - self.origin, 0.0)
        surprise = np.where(seen, y - self.at(x), 0.0)
        vc, vs = self.covariance, self.slope_variance
        expected = np.maximum(self.level_variance + dx * (2.0 * vc + vs * dx), 0.0)
        jump = np.maximum(surprise**2 - _SURPRISE * (expected + scatter), 0.0)
        vl = self.level_variance + jump
        to_level, to_slope, total = vl + vc * dx, vc + vs * dx, expected + jump + scatter
        gain_level, gain_slope = to_level / total, to_slope / total
        slope = np.maximum(self.slope + gain_slope * surprise, self.slope_min)
        at_x = self.at(x) + (gain_level + gain_slope * dx) * surprise
        told = 1.0 - np.minimum(left / total, 1.0)
        vl, vc, vs = (
            vl - told * gain_level * to_level,
            vc - told * gain_level * to_slope,
            vs - told * gain_slope * to_slope,
        )
        return replace(
            self,
            level=np.where(seen, at_x - slope * dx, self.level),
            slope=np.where(seen, slope, self.slope),
            level_variance=np.where(seen, vl, self.level_variance),
            covariance=np.where(seen, vc, self.covariance),
            slope_variance=np.where(seen, vs, self.slope_variance),
        )


_SURPRISE = 9.0
"""1: an error beyond so many expected variances (3 standard deviations) says that the line is wrong."""

_SLOPE_SHARE = 0.25
"""1: a slope is never taken to be smaller than this share of the population's."""
