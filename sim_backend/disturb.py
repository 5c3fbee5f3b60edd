"""Bounds on how far a bias can move cells that nobody means to move.

They hold for cells within the window. One that was written far above it resets at a voltage as much lower.
"""

from __future__ import annotations

import math
from typing import Final

from rmhil.backend import Limits
from rmhil.units import Ohms, Seconds, Siemens, Volts
from sim_backend.presets import DevicePreset

_EXPONENT_MAX: Final = 50.0
"""1: largest exponent of a rate; any pulse of that rate has long run its course."""

_EXTREME: Final = 4.0
"""1: standard deviations within which every cell of a bound is taken to lie."""


def largest_set(preset: DevicePreset, across: Volts, gate_voltage: Volts, seconds: Seconds) -> Siemens:
    """How far a positive voltage across a cell can raise its conductance at the most (S)."""
    spread = math.hypot(preset.set_voltage_spread, preset.cycle_set_voltage)
    exponent = (across - preset.set_voltage + _EXTREME * spread) / preset.set_voltage_scale
    return _largest(preset, exponent, gate_voltage, seconds)


def largest_reset(preset: DevicePreset, across: Volts, gate_voltage: Volts, seconds: Seconds) -> Siemens:
    """How far a negative voltage of that magnitude can lower it at the most (S)."""
    spread = math.hypot(preset.reset_voltage_spread, preset.cycle_reset_voltage)
    exponent = (across - preset.reset_voltage + _EXTREME * spread) / preset.reset_voltage_scale
    return _largest(preset, exponent, gate_voltage, seconds)


def _largest(preset: DevicePreset, exponent: float, gate_voltage: Volts, seconds: Seconds) -> Siemens:
    turned = -math.expm1(-seconds / preset.reference_time * math.exp(min(exponent, _EXPONENT_MAX)))
    return _largest_level(preset, gate_voltage) * turned


def _largest_level(preset: DevicePreset, gate_voltage: Volts) -> Siemens:
    """What the strongest transistor lets a SET reach (S)."""
    strongest = preset.compliance_slope * (1.0 + _EXTREME * preset.compliance_slope_spread)
    overdrive = gate_voltage - preset.gate_threshold + _EXTREME * preset.gate_threshold_spread
    return strongest * max(overdrive, 0.0)


def half_selected_drift(preset: DevicePreset, path: Ohms, limits: Limits, seconds: Seconds) -> Siemens:
    """How far a pulse of that length can move a half-selected cell at the most (S).

    While a cell is pulsed, its SL's word line is on, so the other cells of that SL conduct as well.
    Their BLs are held at the SL's own level, and the voltage across them is what the pulse's
    current drops between there and the driver: at the most that of the strongest transistor at the
    highest gate voltage, through the longest way. They follow the rate law at that voltage, of either
    sign; the bound takes the cell that moves most easily.

    Args:
        preset: of the cells, at their temperature.
        path: ohm between the driver of an SL and its furthest cell.
        limits: of the pulses.
        seconds: how long they last.
    """
    gate = limits.gate_voltage
    across = min(_largest_level(preset, gate) * preset.set_stop_voltage, limits.current) * path
    return max(largest_set(preset, across, gate, seconds), largest_reset(preset, across, gate, seconds))
