"""How long an SMU rests after a pulse: the analyser refuses a shorter period, and the simulator's clock counts it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from rmhil.backend import Floats
from rmhil.units import Seconds

_SHORT_PULSE: Final[Seconds] = 100e-3
_AFTER_SHORT: Final[Seconds] = 2e-3
_AFTER_LONG: Final[Seconds] = 10e-3
"""s: a period is at least so much longer than a width of up to `_SHORT_PULSE`, or than a longer one. Source: Keysight
E5260/E5270 Programming Guide, edition 4, page 4-90 (command PT); not verified for the B1500A."""


def smu_rest(width: ArrayLike) -> Floats:
    """S of rest after pulses of some widths (s)."""
    return np.where(np.asarray(width) > _SHORT_PULSE, _AFTER_LONG, _AFTER_SHORT)
