"""Wear: with every write the window of a cell closes a little, from below."""

from __future__ import annotations

import math
from typing import Final

import torch

from sim_backend.parameters import CellParameters
from sim_backend.presets import DevicePreset

_CLOSED_MIN: Final = 1e-9
"""1: share of the window that may be lost before it is computed; 0.08 pS of the default window."""

_EXTREME: Final = 5.0
"""1: standard deviations of the endurance within which every cell is taken to lie."""


class Wear:
    """The closing window of one chip's cells.

    The floor of RESET rises towards the top of the window by `1 - exp(-(writes / endurance)^shape)`.

    Args:
        preset: of the cells.
        on: whether they wear at all.
    """

    def __init__(self, preset: DevicePreset, on: bool) -> None:
        self._preset = preset
        self._on = on
        weakest = preset.endurance * math.exp(-_EXTREME * preset.endurance_spread)
        self._fresh = int(weakest * _CLOSED_MIN ** (1.0 / preset.endurance_shape))

    def worn(self, cell: CellParameters, writes: torch.Tensor) -> CellParameters:
        """Parameters of cells after so many writes (int64) each."""
        if not self._on or not bool((writes > self._fresh).any()):
            return cell
        closed = -torch.expm1(-((writes / cell.endurance) ** self._preset.endurance_shape))
        rise = (self._preset.conductance_max - cell.reset_floor).clamp_min(0.0) * closed
        return cell.altered(reset_floor=cell.reset_floor + rise * (writes > self._fresh))
