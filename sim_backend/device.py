"""One 1T1R cell: its current and the change of its state, for any number of cells at once.

`respond` is the one function behind pulses, sweeps and reads. At constant voltage its rate laws are
closed forms, so that a pulse of any length is one vectorised expression:

- The cell is ohmic up to the current at which its transistor saturates (or the source reaches its
  compliance), `I_max = min(k (Vg - Vt) V_stop, compliance)`; beyond, the voltage across the cell is
  `I_max / G`.
- SET, BL positive: `dG/dt = (Gc - G) r(V)`, only upwards, with `Gc = I_max / V_stop` and
  `r = exp((V - V_set) / v_set) / t0`. So `G -> Gc` exponentially, and a SET level is linear in Vg.
- RESET, SL positive: with y = G - G_floor, `dy/dt = -(exp(b y) - 1) / b  r(V)`: a conducting cell
  resets first, and where the walk ends falls linearly with the amplitude (`b = 1 / (slope v_reset)`).
  In `u = exp(-b y)` it is `1 - u -> 0` exponentially.
- FORM, BL positive and the cell virgin: the first filament nucleates after an exponentially
  distributed dose of `exp((V - V_form) / v_form) / t0`; it is then a SET cell like any other.

The voltage of a rate is the one at the start of the bias: the drop over routing and wire is taken
with the conductance before it, and in a RESET, what the transistor cannot carry as well. There the
conductance only falls, so that is the largest drop. In a SET and in FORM the transistor's share is
what `Gc` expresses, and the level does not depend on the rate once that has run its course.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from sim_backend.rng import Stream, normal, uniform

if TYPE_CHECKING:
    from sim_backend.config import SimConfig
    from sim_backend.presets import DevicePreset

_EXPONENT_MAX = 50.0
"""1: largest exponent of a rate; any pulse of that rate has long run its course."""

_RELATIVE_MIN = 0.2
"""1: smallest factor of a relative spread, so that no cell has a parameter of the wrong sign. Reached
beyond 5 standard deviations at the default spreads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellParameters:
    """Parameters of some cells, float64 tensors of one shape; SI units as in `DevicePreset`.

    Attributes:
        gate_threshold, set_voltage, reset_voltage, form_voltage: V.
        compliance_slope: S/V.
        reset_rate: 1/S, the `b` of the RESET law.
        reset_floor: S.
        virgin: S, conductance before FORM.
        read_noise: 1, relative standard deviation of one reading.
        telegraph: 1, relative step of the cell's trap; 0 where it has none.
        stuck: bool, whether the cell answers to no pulse.
        stuck_level: S, conductance of a stuck cell.
    """

    gate_threshold: torch.Tensor
    compliance_slope: torch.Tensor
    set_voltage: torch.Tensor
    reset_voltage: torch.Tensor
    reset_rate: torch.Tensor
    reset_floor: torch.Tensor
    form_voltage: torch.Tensor
    virgin: torch.Tensor
    read_noise: torch.Tensor
    telegraph: torch.Tensor
    stuck: torch.Tensor
    stuck_level: torch.Tensor

    def __getitem__(self, chosen: torch.Tensor) -> CellParameters:
        return CellParameters(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleDraws:
    """What differs from pulse to pulse, float64 tensors of one shape.

    Attributes:
        level: S, added to the level at which a SET stops.
        set_voltage, reset_voltage: V, added to those of the cell.
        form_dose: 1, at which the first filament nucleates.
    """

    level: torch.Tensor
    set_voltage: torch.Tensor
    reset_voltage: torch.Tensor
    form_dose: torch.Tensor


def cell_parameters(preset: DevicePreset, config: SimConfig, keys: torch.Tensor) -> CellParameters:
    """Parameters of the named cells; a seed brings them back at any time, so none is stored."""
    spread = 1.0 if config.has("device-spread") else 0.0

    def draw(stream: Stream, scale: float) -> torch.Tensor:
        if scale * spread == 0.0:
            return torch.zeros(keys.shape, dtype=torch.float64, device=keys.device)
        return normal(keys, stream) * (scale * spread)

    def factor(stream: Stream, scale: float) -> torch.Tensor:
        return (1.0 + draw(stream, scale)).clamp_min(_RELATIVE_MIN)

    slope = preset.reset_slope * factor(Stream.RESET_SLOPE, preset.reset_slope_spread)
    return CellParameters(
        gate_threshold=preset.gate_threshold + draw(Stream.GATE_THRESHOLD, preset.gate_threshold_spread),
        compliance_slope=preset.compliance_slope * factor(Stream.COMPLIANCE_SLOPE, preset.compliance_slope_spread),
        set_voltage=preset.set_voltage + draw(Stream.SET_VOLTAGE, preset.set_voltage_spread),
        reset_voltage=preset.reset_voltage + draw(Stream.RESET_VOLTAGE, preset.reset_voltage_spread),
        reset_rate=1.0 / (slope * preset.reset_voltage_scale),
        reset_floor=preset.reset_floor * factor(Stream.CONDUCTANCE_MIN, preset.reset_floor_spread),
        form_voltage=preset.form_voltage + draw(Stream.FORM_VOLTAGE, preset.form_voltage_spread),
        virgin=preset.virgin_conductance * draw(Stream.VIRGIN, preset.virgin_spread).exp(),
        **_reading_parameters(preset, config, keys),
        **_stuck_parameters(preset, config, keys),
    )


def _reading_parameters(preset: DevicePreset, config: SimConfig, keys: torch.Tensor) -> dict[str, torch.Tensor]:
    noise = torch.full(keys.shape, preset.read_noise, dtype=torch.float64, device=keys.device)
    if not config.has("read-noise"):
        noise = torch.zeros_like(noise)
    if not config.has("telegraph"):
        return {"read_noise": noise, "telegraph": torch.zeros_like(noise)}
    present = uniform(keys, Stream.TELEGRAPH_PRESENT) < preset.telegraph_share
    depth = -preset.telegraph_depth * uniform(keys, Stream.TELEGRAPH_DEPTH).log()
    return {"read_noise": noise, "telegraph": torch.where(present, depth, torch.zeros_like(depth))}


def _stuck_parameters(preset: DevicePreset, config: SimConfig, keys: torch.Tensor) -> dict[str, torch.Tensor]:
    share = preset.stuck_share if config.has("stuck-cells") else 0.0
    level = preset.stuck_conductance_max * uniform(keys, Stream.STUCK_LEVEL)
    return {"stuck": uniform(keys, Stream.STUCK) < share, "stuck_level": level}


def cycle_draws(preset: DevicePreset, config: SimConfig, keys: torch.Tensor, event: torch.Tensor) -> CycleDraws:
    """What is particular to one transaction of each named cell."""
    if not config.has("cycle-spread"):
        zero = torch.zeros(keys.shape, dtype=torch.float64, device=keys.device)
        return CycleDraws(level=zero, set_voltage=zero, reset_voltage=zero, form_dose=zero + 1.0)

    def draw(stream: Stream, scale: float) -> torch.Tensor:
        return normal(keys, stream, event) * scale

    return CycleDraws(
        level=draw(Stream.CYCLE_LEVEL, preset.cycle_level),
        set_voltage=draw(Stream.CYCLE_SET, preset.cycle_set_voltage),
        reset_voltage=draw(Stream.CYCLE_RESET, preset.cycle_reset_voltage),
        form_dose=-uniform(keys, Stream.CYCLE_FORM, event).log(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What is applied to some cells: float64 tensors of one shape.

    Attributes:
        voltage: V, BL over SL, at the drivers.
        gate_voltage: V.
        compliance: A, of the source.
        time: s.
        series: ohm between the drivers and the cell.
    """

    voltage: torch.Tensor
    gate_voltage: torch.Tensor
    compliance: torch.Tensor
    time: torch.Tensor
    series: torch.Tensor


def saturation_current(preset: DevicePreset, cell: CellParameters, gate_voltage: torch.Tensor) -> torch.Tensor:
    """Current (A) that the transistor carries at most."""
    overdrive = (gate_voltage - cell.gate_threshold).clamp_min(0.0)
    return cell.compliance_slope * overdrive * preset.set_stop_voltage


def current(
    preset: DevicePreset, cell: CellParameters, conductance: torch.Tensor, bias: Bias
) -> tuple[torch.Tensor, torch.Tensor]:
    """Current through cells of known conductance (S), and whether the source limits it.

    Returns:
        A, positive from BL to SL; bool, true where the source is at its compliance.
    """
    ohmic = conductance * bias.voltage / (1.0 + bias.series * conductance)
    limit = saturation_current(preset, cell, bias.gate_voltage)
    limited = torch.minimum(ohmic.abs(), limit)
    return torch.minimum(limited, bias.compliance).copysign(ohmic), limited > bias.compliance


def respond(
    preset: DevicePreset, cell: CellParameters, cycle: CycleDraws, state: torch.Tensor, bias: Bias
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Current at the end of a bias, whether its source limited it, and the state it leaves.

    Args:
        preset: what all cells have in common.
        cell: what each cell has.
        cycle: what this transaction has.
        state: S, conductance of formed cells, minus the conductance of virgin ones.
        bias: voltages and time.

    Returns:
        A, positive from BL to SL; bool; the new state in S.
    """
    conductance = state.abs()
    level = torch.minimum(saturation_current(preset, cell, bias.gate_voltage), bias.compliance)
    level = level / preset.set_stop_voltage
    across = _voltage_across(preset, cell, conductance, bias, level)
    dose = bias.time / preset.reference_time
    changed = _changed(preset, cell, cycle, conductance, across, dose, level)
    virgin = state < 0
    if bool(virgin.any()):
        still = virgin & ~_forms(preset, cell, cycle, across, dose)
        changed = torch.where(still, -conductance, changed)
    new = torch.where(cell.stuck, cell.stuck_level, changed)
    ending, at_compliance = current(preset, cell, new.abs(), bias)
    return ending, at_compliance, new


def _voltage_across(
    preset: DevicePreset, cell: CellParameters, conductance: torch.Tensor, bias: Bias, level: torch.Tensor
) -> torch.Tensor:
    """Voltage (V) that drives the state, at the start of the bias; 0 where the gate lets nothing through."""
    flowing, _ = current(preset, cell, conductance, bias)
    limited = flowing / conductance.clamp_min(torch.finfo(torch.float64).tiny)
    unlimited = bias.voltage / (1.0 + bias.series * conductance) * (level > 0)
    return torch.where(bias.voltage > 0, unlimited, limited)


def _changed(
    preset: DevicePreset,
    cell: CellParameters,
    cycle: CycleDraws,
    conductance: torch.Tensor,
    across: torch.Tensor,
    dose: torch.Tensor,
    level: torch.Tensor,
) -> torch.Tensor:
    """Conductance (S) of formed cells after the bias; a law that no cell needs is left out."""
    rising, falling = across > 0, across < 0
    changed = conductance
    if bool(rising.any()):
        changed = torch.where(rising, _after_set(preset, cell, cycle, conductance, across, dose, level), changed)
    if bool(falling.any()):
        changed = torch.where(falling, _after_reset(preset, cell, cycle, conductance, across, dose), changed)
    return changed


def _rate(across: torch.Tensor, onset: torch.Tensor, scale: float) -> torch.Tensor:
    """Rate at a voltage over that at the onset."""
    return ((across - onset) / scale).clamp_max(_EXPONENT_MAX).exp()


def _forms(
    preset: DevicePreset, cell: CellParameters, cycle: CycleDraws, across: torch.Tensor, dose: torch.Tensor
) -> torch.Tensor:
    taken = dose * _rate(across, cell.form_voltage, preset.form_voltage_scale)
    return (across > 0) & (taken >= cycle.form_dose)


def _after_set(
    preset: DevicePreset,
    cell: CellParameters,
    cycle: CycleDraws,
    conductance: torch.Tensor,
    across: torch.Tensor,
    dose: torch.Tensor,
    level: torch.Tensor,
) -> torch.Tensor:
    rate = _rate(across, cell.set_voltage + cycle.set_voltage, preset.set_voltage_scale)
    missing = (level + cycle.level - conductance).clamp_min(0.0)
    return conductance - missing * torch.expm1(-rate * dose)


def _after_reset(
    preset: DevicePreset,
    cell: CellParameters,
    cycle: CycleDraws,
    conductance: torch.Tensor,
    across: torch.Tensor,
    dose: torch.Tensor,
) -> torch.Tensor:
    above = (conductance - cell.reset_floor).clamp_min(0.0)
    onset = cell.reset_voltage + cycle.reset_voltage
    # The rate is stated for a cell at the top of the window: there b y is the exponent of the law.
    top = (preset.conductance_max - cell.reset_floor) * cell.reset_rate
    rate = ((-across - onset) / preset.reset_voltage_scale - top).clamp_max(_EXPONENT_MAX).exp()
    share = (-cell.reset_rate * above).exp()
    turned = -torch.expm1(-rate * dose)
    left = share + (1.0 - share) * turned
    return conductance - above - left.log() / cell.reset_rate
