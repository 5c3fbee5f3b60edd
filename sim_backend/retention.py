"""Drift of a written cell with the logarithm of time, evaluated when it is asked for.

`G(t) = G_w + (relaxation z + drift_cell G_w) log10(1 + age / drift_time)`: every write draws a relaxation
of its own, and every cell has a slope of its own. Nothing is stepped: conductance and time of the last
write give the conductance at any later time. A pulse starts from the drifted conductance.

A bias that moves a cell by less than it would relax in a decade anyway is no write: it shifts the
conductance and leaves the history alone. Otherwise a thousand reads that each disturb a cell a little would
make it relax a thousand times.
"""

from __future__ import annotations

import math
from typing import Final

import torch

from rmhil.units import Seconds, Siemens
from sim_backend.parameters import CellParameters
from sim_backend.presets import DevicePreset
from sim_backend.rng import Stream, normal

_WRITE_MIN: Final[Siemens] = 1e-9
"""S: smallest move that counts as a write where a preset has no relaxation: a thirtieth of the read noise at 10 uS."""

_EXTREME: Final = 4.0
"""1: standard deviations within which every cell of a bound is taken to lie."""

_DRIFT_HELD: Final[Siemens] = 30e-9
"""S: how far cells may drift, at most, before an effective matrix is solved anew: the read noise of one reading
at the lower end of the default window, which every vector draws again. Most cells drift a quarter of it."""


class Retention:
    """The drift of one chip's cells.

    Args:
        preset: at the chip's temperature.
        on: whether they drift at all.
    """

    def __init__(self, preset: DevicePreset, on: bool) -> None:
        self._preset = preset
        self._on = on
        self.write_min: Siemens = max(preset.relaxation, _WRITE_MIN)
        """S: a smaller move is no write."""

    def at(
        self,
        cell: CellParameters,
        keys: torch.Tensor,
        state: torch.Tensor,
        writes: torch.Tensor,
        age: torch.Tensor,
    ) -> torch.Tensor:
        """States of some cells some time after they were written; virgin and stuck ones stay as they are.

        Args:
            cell: their parameters.
            keys: of their random numbers.
            state: S, as written; float64, negative where virgin.
            writes: int64, how often each has been written.
            age: s since the last time, not negative.

        Returns:
            S, float64, of the same signs; a cell never drifts below what an unformed one has.
        """
        if not self._on:
            return state
        preset = self._preset
        slope = normal(keys, Stream.RELAXATION, writes).mul_(preset.relaxation).addcmul_(cell.drift, state)
        drifted = slope.mul_(age.div(preset.drift_time).add_(1.0).log10_()).add_(state)
        drifted.clamp_min_(preset.virgin_conductance)
        return torch.where((state > 0) & ~cell.stuck, drifted, state)

    def held_until(self, youngest: Seconds, clock: Seconds) -> Seconds:
        """Until when (s) no cell drifts too far for a matrix that is solved now.

        Args:
            youngest: s on the clock, when the last cell of its arrays was written; minus infinity if none was.
            clock: s, now.
        """
        preset = self._preset
        fastest = _EXTREME * preset.relaxation
        fastest += (abs(preset.drift) + _EXTREME * preset.drift_spread) * preset.conductance_max
        if not self._on or fastest == 0.0 or youngest == -math.inf:
            return math.inf
        growth: float = 10.0 ** min(_DRIFT_HELD / fastest, 300.0)
        return youngest + (preset.drift_time + clock - youngest) * growth - preset.drift_time
