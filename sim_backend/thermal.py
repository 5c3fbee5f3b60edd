"""What temperature does to the cells.

Rates follow Arrhenius laws, so that a hotter chip is the same chip with shorter times: `at_temperature`
gives its preset, and the laws of a cell need to know no temperature.
"""

from __future__ import annotations

import math
from typing import Final

from sim_backend.presets import DevicePreset

REFERENCE_TEMPERATURE: Final = 300.0
"""K, at which presets are stated."""

_BOLTZMANN: Final = 8.617333e-5
"""eV/K (CODATA 2018)."""


def acceleration(energy: float, temperature: float) -> float:
    """How much faster a process runs than at the reference temperature.

    Args:
        energy: eV, of its activation.
        temperature: K.
    """
    return math.exp(energy / _BOLTZMANN * (1.0 / REFERENCE_TEMPERATURE - 1.0 / temperature))


def at_temperature(preset: DevicePreset, temperature: float) -> DevicePreset:
    """The parameters that cells of a preset have at a temperature (K).

    FORM, SET and RESET take `reference_time`, and drift takes `drift_time`, shortened by their Arrhenius
    factors; the gate's threshold moves linearly; read noise is taken as thermal in origin, so its standard
    deviation goes with the square root (estimate). What the transistor's mobility loses is left out.
    """
    if temperature == REFERENCE_TEMPERATURE:
        return preset
    warmer = temperature - REFERENCE_TEMPERATURE
    return preset.model_copy(
        update={
            "reference_time": preset.reference_time / acceleration(preset.switching_energy, temperature),
            "drift_time": preset.drift_time / acceleration(preset.drift_energy, temperature),
            "gate_threshold": preset.gate_threshold + preset.gate_threshold_temperature * warmer,
            "read_noise": preset.read_noise * math.sqrt(temperature / REFERENCE_TEMPERATURE),
        }
    )


def conductance_factor(preset: DevicePreset, temperature: float) -> float:
    """Conductance of a formed cell over what it has at the reference temperature."""
    return 1.0 + preset.conductance_temperature * (temperature - REFERENCE_TEMPERATURE)
