"""What one reading of a cell shows of its conductance: read noise, and the traps of random-telegraph noise.

A trap goes its own way whether anybody looks or not: time is cut into slots of half its mean dwell time, and in
each slot it is up or down by a draw of (cell, number of the slot). Runs of equal slots then last the
dwell time on average, a slow trap stays put between two readings, a fast one does not, and nothing is stored.
"""

from __future__ import annotations

import math

import torch

from rmhil.units import Amperes, Seconds
from sim_backend.cells import STEP_EVENT
from sim_backend.config import SimConfig
from sim_backend.parameters import CellParameters
from sim_backend.presets import DevicePreset
from sim_backend.rng import Stream, normal, uniform


class ReadingNoise:
    """The noise of one chip's readings.

    Args:
        preset: at the chip's temperature.
        config: says what is on.
        smu_noise: A, standard deviation of one reading of the instrument.
        read_time: s from one of the averaged readings to the next.
    """

    def __init__(self, preset: DevicePreset, config: SimConfig, smu_noise: Amperes, read_time: Seconds) -> None:
        self._preset = preset
        on = config.has("read-noise")
        self.variance = preset.read_noise**2 if on else 0.0
        """1: of one reading without traps, relative to the square of the conductance."""
        self._smu_noise = smu_noise if on else 0.0
        self._read_time = read_time

    def of_cells(
        self, cell: CellParameters, keys: torch.Tensor, event: torch.Tensor, time: torch.Tensor, averages: int
    ) -> torch.Tensor:
        """1: relative deviation of the conductance in one (averaged) reading.

        Args:
            cell: the cells' parameters.
            keys: of their random numbers.
            event: int64, number of the reading.
            time: s on the clock, when its last part is taken.
            averages: readings averaged.
        """
        noise = torch.zeros_like(time)
        if self.variance:
            noise = normal(keys, Stream.READ, event).mul_((self.variance / averages) ** 0.5)
        (traps,) = torch.nonzero(cell.telegraph, as_tuple=True)
        if traps.numel():
            up = self.traps_up(keys[traps], time[traps], averages)
            noise[traps] += cell.telegraph[traps] * (up - 0.5)
        return noise

    def of_instrument(self, keys: torch.Tensor, event: torch.Tensor, averages: int) -> torch.Tensor | float:
        """A: deviation of the current in one (averaged) reading; arguments as `of_cells`."""
        if not self._smu_noise:
            return 0.0
        return normal(keys, Stream.SMU, event).mul_(self._smu_noise * averages**-0.5)

    def traps_up(self, keys: torch.Tensor, time: torch.Tensor, averages: int = 1) -> torch.Tensor:
        """Share of the averaged readings that find each trap in its upper level; arguments as `of_cells`."""
        shortest, longest = self._preset.telegraph_dwell
        ratio = uniform(keys, Stream.TELEGRAPH_DWELL)
        dwell = shortest * torch.exp(ratio * math.log(longest / shortest))
        earlier = torch.arange(averages, dtype=torch.float64, device=keys.device) * self._read_time
        slots = (time[:, None] - earlier) * (2.0 / dwell)[:, None] + uniform(keys, Stream.TELEGRAPH_PHASE)[:, None]
        drawn = uniform(keys[:, None], Stream.TELEGRAPH_STATE, slots.floor().to(torch.int64))
        return (drawn < 0.5).to(torch.float64).mean(dim=1)


def step_event(event: torch.Tensor, step: int) -> torch.Tensor:
    """Event number of one step within a transaction."""
    return event + step * STEP_EVENT if step else event
