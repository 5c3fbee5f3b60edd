"""Parameters of single cells, and what differs from pulse to pulse: drawn from the seed when a law asks for them.

A pulse needs a few of them only, so each is drawn, or looked up, by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from sim_backend.presets import RELATIVE_MIN
from sim_backend.rng import Stream, normal, uniform

if TYPE_CHECKING:
    from sim_backend.config import SimConfig
    from sim_backend.presets import DevicePreset


class CellParameters:
    """Parameters of some cells, float64 tensors of one shape; SI units as in `DevicePreset`.

    Attributes:
        gate_threshold, set_voltage, reset_voltage, form_voltage: V.
        compliance_slope: S/V.
        reset_rate: 1/S, the `b` of the RESET law.
        reset_floor: S.
        virgin: S, conductance before FORM.
        telegraph: 1, relative step of the cell's trap; 0 where it has none.
        drift: 1 a decade of time, relative drift after a write.
        endurance: 1, writes after which the window has closed by 1 - 1/e.
        stuck: bool, whether the cell answers to no pulse.
        stuck_level: S, conductance of a stuck cell.

    Args:
        find: gives the attribute of a name, when it is first asked for.
    """

    gate_threshold: torch.Tensor
    compliance_slope: torch.Tensor
    set_voltage: torch.Tensor
    reset_voltage: torch.Tensor
    reset_rate: torch.Tensor
    reset_floor: torch.Tensor
    form_voltage: torch.Tensor
    virgin: torch.Tensor
    telegraph: torch.Tensor
    drift: torch.Tensor
    endurance: torch.Tensor
    stuck: torch.Tensor
    stuck_level: torch.Tensor

    def __init__(self, find: Callable[[str], torch.Tensor]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> torch.Tensor:
        if name not in CellParameters.__annotations__:
            raise AttributeError(name)
        found = self._find(name)
        setattr(self, name, found)
        return found

    def at(self, positions: torch.Tensor) -> CellParameters:
        """The parameters of some of them (int64)."""
        return CellParameters(lambda name: getattr(self, name).index_select(0, positions))

    def altered(self, **values: torch.Tensor) -> CellParameters:
        """The same cells with other values of some attributes."""
        other = CellParameters(lambda name: getattr(self, name))
        other.__dict__.update(values)
        return other


def cell_parameters(preset: DevicePreset, config: SimConfig, keys: torch.Tensor) -> CellParameters:
    """Parameters of the named cells; a seed brings them back at any time, so none is stored."""
    draws = _Draws(preset, config, keys)
    return CellParameters(lambda name: getattr(draws, name)())


class _Draws:
    """How each attribute of `CellParameters` is drawn: a method of its name."""

    def __init__(self, preset: DevicePreset, config: SimConfig, keys: torch.Tensor) -> None:
        self._preset = preset
        self._config = config
        self._keys = keys
        self._spread = config.has("device-spread")

    def _normal(self, stream: Stream, scale: float) -> torch.Tensor:
        if not self._spread or scale == 0.0:
            return torch.zeros(self._keys.shape, dtype=torch.float64, device=self._keys.device)
        return normal(self._keys, stream).mul_(scale)

    def _factor(self, stream: Stream, scale: float) -> torch.Tensor:
        return self._normal(stream, scale).add_(1.0).clamp_min_(RELATIVE_MIN)

    def gate_threshold(self) -> torch.Tensor:
        return self._normal(Stream.GATE_THRESHOLD, self._preset.gate_threshold_spread) + self._preset.gate_threshold

    def compliance_slope(self) -> torch.Tensor:
        spread = self._preset.compliance_slope_spread
        return self._factor(Stream.COMPLIANCE_SLOPE, spread) * self._preset.compliance_slope

    def set_voltage(self) -> torch.Tensor:
        return self._normal(Stream.SET_VOLTAGE, self._preset.set_voltage_spread) + self._preset.set_voltage

    def reset_voltage(self) -> torch.Tensor:
        return self._normal(Stream.RESET_VOLTAGE, self._preset.reset_voltage_spread) + self._preset.reset_voltage

    def reset_rate(self) -> torch.Tensor:
        factor = self._factor(Stream.RESET_SLOPE, self._preset.reset_slope_spread)
        return 1.0 / (factor * (self._preset.reset_slope * self._preset.reset_voltage_scale))

    def reset_floor(self) -> torch.Tensor:
        return self._factor(Stream.CONDUCTANCE_MIN, self._preset.reset_floor_spread) * self._preset.reset_floor

    def form_voltage(self) -> torch.Tensor:
        return self._normal(Stream.FORM_VOLTAGE, self._preset.form_voltage_spread) + self._preset.form_voltage

    def virgin(self) -> torch.Tensor:
        return self._normal(Stream.VIRGIN, self._preset.virgin_spread).exp_() * self._preset.virgin_conductance

    def telegraph(self) -> torch.Tensor:
        depth = uniform(self._keys, Stream.TELEGRAPH_DEPTH).log_() * -self._preset.telegraph_depth
        share = self._preset.telegraph_share if self._config.has("telegraph") else 0.0
        return depth * (uniform(self._keys, Stream.TELEGRAPH_PRESENT) < share)

    def drift(self) -> torch.Tensor:
        return self._normal(Stream.DRIFT, self._preset.drift_spread) + self._preset.drift

    def endurance(self) -> torch.Tensor:
        return self._normal(Stream.ENDURANCE, self._preset.endurance_spread).exp_() * self._preset.endurance

    def stuck(self) -> torch.Tensor:
        share = self._preset.stuck_share if self._config.has("stuck-cells") else 0.0
        return uniform(self._keys, Stream.STUCK) < share

    def stuck_level(self) -> torch.Tensor:
        return uniform(self._keys, Stream.STUCK_LEVEL) * self._preset.stuck_conductance_max


class CycleDraws:
    """What differs from pulse to pulse: float64 tensors of the shape of `keys`.

    Args:
        preset: of the cells.
        config: says whether there is a cycle-to-cycle spread.
        keys: of the cells' random numbers.
        event: int64, the number of the present transaction of each.
    """

    def __init__(self, preset: DevicePreset, config: SimConfig, keys: torch.Tensor, event: torch.Tensor) -> None:
        self._preset = preset
        self._keys = keys
        self._event = event
        self._on = config.has("cycle-spread")

    def _normal(self, stream: Stream, scale: float) -> torch.Tensor:
        if not self._on:
            return torch.zeros(self._keys.shape, dtype=torch.float64, device=self._keys.device)
        return normal(self._keys, stream, self._event).mul_(scale)

    @cached_property
    def level(self) -> torch.Tensor:
        """Standard deviations, added to the level at which a SET stops."""
        return self._normal(Stream.CYCLE_LEVEL, 1.0)

    @cached_property
    def set_voltage(self) -> torch.Tensor:
        """V, added to the SET voltage of the cell."""
        return self._normal(Stream.CYCLE_SET, self._preset.cycle_set_voltage)

    @cached_property
    def reset_voltage(self) -> torch.Tensor:
        """V, added to the RESET voltage of the cell."""
        return self._normal(Stream.CYCLE_RESET, self._preset.cycle_reset_voltage)

    @cached_property
    def form_dose(self) -> torch.Tensor:
        """1: dose at which the first filament nucleates."""
        if not self._on:
            return torch.ones(self._keys.shape, dtype=torch.float64, device=self._keys.device)
        return uniform(self._keys, Stream.CYCLE_FORM, self._event).log_().neg_()
