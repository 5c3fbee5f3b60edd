"""How the answer to a pulse shows the line behind it.

A SET leaves the higher of a cell's conductance and its SET line. A RESET lowers a cell at g to
`g - softness * ln(1 + exp((g - line) / softness))`: hardly below its RESET line, softly to the line above.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from rmhil.backend import Floats
from rmhil.units import Siemens

_LOG_ROOT_2_PI = 0.5 * np.log(2.0 * np.pi)

_FAR = 1e4
"""1: standard deviations beyond which a bound is as good as a value."""


def reset_line_at(before: Floats, fall: Floats, softness: Siemens) -> Floats:
    """S: where the RESET line lies when a cell falls so far.

    Args:
        before: S, of the cell before the RESET.
        fall: S, above 0.
        softness: S.
    """
    ratio = fall / softness
    return before - fall - softness * np.log(-np.expm1(-ratio))


def fall_share(fall: Floats, softness: Siemens) -> Floats:
    """1: how much farther a cell falls for a line that is lower by 1."""
    return -np.expm1(-fall / softness)


def bounded(mean: Floats, variance: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a normal value once it is known to be no higher than a bound.

    Args:
        mean: before that is known.
        variance: before that is known.
        bound: of the value.
    """
    sigma = np.sqrt(variance)
    alpha = np.maximum((bound - mean) / sigma, -_FAR)
    ratio = np.exp(-0.5 * alpha**2 - _LOG_ROOT_2_PI - log_ndtr(alpha))
    return np.minimum(mean, bound) - sigma * (np.minimum(alpha, 0.0) + ratio), variance * np.maximum(
        1.0 - ratio * (alpha + ratio), 0.0
    )
