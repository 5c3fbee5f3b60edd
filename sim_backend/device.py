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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from sim_backend.parameters import CellParameters, CycleDraws
    from sim_backend.presets import DevicePreset

_EXPONENT_MAX = 50.0
"""1: largest exponent of a rate; any pulse of that rate has long run its course."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What is applied to some cells: float64 tensors of one shape, or of none where all have the same.

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
    return (
        (gate_voltage - cell.gate_threshold).clamp_min_(0.0).mul_(cell.compliance_slope).mul_(preset.set_stop_voltage)
    )


def current(
    preset: DevicePreset, cell: CellParameters, conductance: torch.Tensor, bias: Bias
) -> tuple[torch.Tensor, torch.Tensor]:
    """Current through cells of known conductance (S), and whether the source limits it.

    Returns:
        A, positive from BL to SL; bool, true where the source is at its compliance.
    """
    return _limited(conductance, bias, saturation_current(preset, cell, bias.gate_voltage))


def _limited(conductance: torch.Tensor, bias: Bias, limit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`current`, with the saturation current (A) known."""
    ohmic = conductance * bias.voltage / (bias.series * conductance).add_(1.0)
    flowing = torch.minimum(ohmic.abs(), limit)
    at_compliance = flowing > bias.compliance
    return torch.minimum(flowing, bias.compliance).copysign_(ohmic), at_compliance


def respond(
    preset: DevicePreset, cell: CellParameters, cycle: CycleDraws, state: torch.Tensor, bias: Bias
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Current at the end of a bias, whether its source limited it, and the state it leaves.

    Args:
        preset: what all cells have in common.
        cell: what each cell has.
        cycle: what this transaction has.
        state: S, float64; conductance of formed cells, minus the conductance of virgin ones.
        bias: voltages and time.

    Returns:
        A, positive from BL to SL; bool; the new state in S.
    """
    limit = saturation_current(preset, cell, bias.gate_voltage)
    new = _after(preset, cell, cycle, state, bias, limit)
    ending, at_compliance = _limited(new.abs(), bias, limit)
    return ending, at_compliance, new


def after_bias(
    preset: DevicePreset, cell: CellParameters, cycle: CycleDraws, state: torch.Tensor, bias: Bias
) -> torch.Tensor:
    """The state (S) that `respond` leaves."""
    return _after(preset, cell, cycle, state, bias, saturation_current(preset, cell, bias.gate_voltage))


def _after(
    preset: DevicePreset,
    cell: CellParameters,
    cycle: CycleDraws,
    state: torch.Tensor,
    bias: Bias,
    limit: torch.Tensor,
) -> torch.Tensor:
    conductance = state.abs()
    across = _voltage_across(conductance, bias, limit)
    dose = bias.time / preset.reference_time
    level = torch.minimum(limit, bias.compliance).div_(preset.set_stop_voltage)
    changed = _changed(preset, cell, cycle, conductance, across, dose, level)
    virgin = state < 0
    if bool(virgin.any()):
        still = virgin & ~_forms(preset, cell, cycle, across, dose)
        changed = torch.where(still, state, changed)
    return torch.where(cell.stuck, state, changed)


def _voltage_across(conductance: torch.Tensor, bias: Bias, limit: torch.Tensor) -> torch.Tensor:
    """Voltage (V) that drives the state, at the start of the bias; 0 where the gate lets nothing through."""
    falling = bias.voltage < 0
    unlimited = bias.voltage / (bias.series * conductance).add_(1.0)
    unlimited.mul_(limit > 0)
    if not bool(falling.any()):
        return unlimited
    flowing, _ = _limited(conductance, bias, limit)
    return torch.where(falling, flowing.div_(conductance.clamp_min(torch.finfo(torch.float64).tiny)), unlimited)


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
    return (across - onset).div_(scale).clamp_max_(_EXPONENT_MAX).exp_()


def _forms(
    preset: DevicePreset, cell: CellParameters, cycle: CycleDraws, across: torch.Tensor, dose: torch.Tensor
) -> torch.Tensor:
    taken = _rate(across, cell.form_voltage, preset.form_voltage_scale).mul_(dose)
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
    turned = _rate(across, cell.set_voltage + cycle.set_voltage, preset.set_voltage_scale).mul_(dose).neg_().expm1_()
    spread = (level * preset.cycle_level_share).clamp_max_(preset.cycle_level)
    missing = (spread.mul_(cycle.level).add_(level) - conductance).clamp_min_(0.0)
    return torch.addcmul(conductance, missing, turned, value=-1)


def _after_reset(
    preset: DevicePreset,
    cell: CellParameters,
    cycle: CycleDraws,
    conductance: torch.Tensor,
    across: torch.Tensor,
    dose: torch.Tensor,
) -> torch.Tensor:
    above = (conductance - cell.reset_floor).clamp_min_(0.0)
    onset = cell.reset_voltage + cycle.reset_voltage
    # The rate is stated for a cell at the top of the window: there b y is the exponent of the law.
    top = (preset.conductance_max - cell.reset_floor).mul_(cell.reset_rate)
    rate = (across + onset).div_(-preset.reset_voltage_scale).sub_(top).clamp_max_(_EXPONENT_MAX).exp_()
    share = (cell.reset_rate * above).neg_().exp_()
    turned = rate.mul_(dose).neg_().expm1_().neg_()
    left = torch.addcmul(share, 1.0 - share, turned)
    return (conductance - above).sub_(left.log_().div_(cell.reset_rate))
