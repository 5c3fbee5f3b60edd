"""Learning a straight line for each cell, one observation at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import Floats
from rmhil.write_verify.policy import Mask, PerCell


@dataclass(frozen=True, slots=True)
class LineFit(PerCell):
    """`y = level + slope (x - origin)` for each cell, by recursive least squares.

    The first guess is a prior with a variance. Every observation moves level and slope in proportion to
    what is still uncertain of them. Two things keep the line learning where a response is not quite
    straight: an observation far from the line makes its level uncertain again, and after each
    observation the slope turns a little about it.

    Attributes:
        origin: the x at which `level` holds, the same for all cells.
        slope_min: the slope never falls below this; the response is known to rise.
        slope_variance_max: that of the first guess; the slope is never less certain than it was then.
        level, slope: the line.
        level_variance, covariance, slope_variance: of the two.
    """

    origin: float
    slope_min: float
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

        return cls(
            origin,
            slope_min,
            slope_variance_max=slope[1] ** 2,
            level=full(level[0]),
            slope=full(slope[0]),
            level_variance=full(level[1] ** 2),
            covariance=full(0.0),
            slope_variance=full(slope[1] ** 2),
        )

    def at(self, x: Floats) -> Floats:
        """The y expected at x."""
        return self.level + self.slope * (x - self.origin)

    def solve(self, y: Floats) -> Floats:
        """The x at which y is expected."""
        return self.origin + (y - self.level) / self.slope

    def observe(self, x: Floats, y: Floats, variance: Floats, seen: Mask) -> LineFit:
        """The line after one more observation of the cells in `seen`.

        Args:
            x: where the observation was made; anything where not seen.
            y: what was observed there.
            variance: of y.
            seen: cells that were observed.
        """
        dx = np.where(seen, x - self.origin, 0.0)
        surprise = np.where(seen, y - self.at(x), 0.0)
        vc, vs = self.covariance, self.slope_variance
        expected = np.maximum(self.level_variance + 2 * vc * dx + vs * dx**2, 0.0)
        jump = np.maximum(surprise**2 - _SURPRISE * (expected + variance), 0.0)
        vl = self.level_variance + jump
        to_level, to_slope, total = vl + vc * dx, vc + vs * dx, expected + jump + variance
        gain_level, gain_slope = to_level / total, to_slope / total
        slope = np.maximum(self.slope + gain_slope * surprise, self.slope_min)
        at_x = self.at(x) + (gain_level + gain_slope * dx) * surprise
        vl, vc, vs = vl - gain_level * to_level, vc - gain_level * to_slope, vs - gain_slope * to_slope
        turn = np.minimum(_TURN * self.slope_variance_max, self.slope_variance_max - vs)
        return replace(
            self,
            level=np.where(seen, at_x - slope * dx, self.level),
            slope=np.where(seen, slope, self.slope),
            level_variance=np.where(seen, vl + turn * dx**2, self.level_variance),
            covariance=np.where(seen, vc - turn * dx, self.covariance),
            slope_variance=np.where(seen, vs + turn, self.slope_variance),
        )


_SURPRISE = 4.0
"""1: an error beyond so many expected variances (2 standard deviations) says that the line is wrong."""

_TURN = 0.1
"""1: what an observation adds to the variance of the slope, as a share of that of the first guess."""
