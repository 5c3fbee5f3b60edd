"""Likelihood of SET and RESET pulses under the rate laws of `sim_backend.device`.

What a pulse leaves depends on the shift of the onset voltage that is particular to it. Of a SET, the share switched
gives that shift back. Of a RESET, each reading is taken as normal with the mean and the variance that the law gives
over the shift: its first two moments are then right wherever the law bends, and nothing else is used (a
quasi-likelihood).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch

from rmhil.units import Siemens, Volts
from sim_backend.fit.population import Loss

_NODES = 7
"""1: points of the moments over the pulse's own shift (Gauss-Hermite)."""

_LAW_ERROR: Siemens = 0.1e-6
"""S: what no law of a cell is trusted below (estimate, range 0.05 to 0.3 uS: what a cell relaxes from one pulse to the
next). Without it, readings at the floor, where no shift moves them, would outweigh all others."""

_STRAY_SHARE = 1e-3
_STRAY_RANGE: Siemens = 200e-6
"""Share of pulses that follow no law, and the range (S) their readings lie in evenly: one bad contact must not decide a
fit (estimate, range 1e-4 to 1e-2)."""

_STRAY_EXPONENTS = 20.0
"""1: the same range for the exponents of SET rates."""

_SURE = 5.0
"""1: standard deviations of its readings that a rise must have to be one."""

_SHARE_MAX = 0.85
"""1: share switched beyond which the scatter of the level hides the rate."""

_RATE_MAX = 5.0
"""1: largest exponent of a rate times a time: exp(-exp(5)) is 0."""

_RATE_MIN = -60.0
"""1: smallest one; nothing moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseData:
    """Pulses of one operation, float64 tensors of one length.

    Attributes:
        unit: int64, which unit each belongs to.
        across: V, magnitude across the cell at its start.
        log_dose: 1, logarithm of the width over the reference time.
        level: S, at which a SET of that unit and gate stops; unused in a RESET.
        level_spread: S, its standard deviation from pulse to pulse.
        before, after: S, readings.
        noise, noise_before: S, standard deviations of the two readings.
    """

    unit: torch.Tensor
    across: torch.Tensor
    log_dose: torch.Tensor
    level: torch.Tensor
    level_spread: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    noise: torch.Tensor
    noise_before: torch.Tensor

    def __len__(self) -> int:
        return len(self.unit)

    def __getitem__(self, chosen: torch.Tensor) -> PulseData:
        return PulseData(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def set_onsets(data: PulseData, scale: Volts, cycle: Volts) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """SET voltage of each pulse itself, from the share that it switched.

    Args:
        data: the pulses.
        scale: V per e-fold of the rate.
        cycle: V, standard deviation from pulse to pulse.

    Returns:
        V; V, standard deviation about that of the cell; bool, whether the pulse shows it rather than a bound.
    """
    seen = _exponents(data)
    onset = data.across - scale * (seen.exponent - data.log_dose)
    return onset, torch.hypot(scale * seen.error, torch.full_like(onset, cycle)), seen.bound == 0


def set_loss(data: PulseData, units: int) -> Loss:
    """Loss of SET pulses whose levels are known.

    The share that a pulse has switched gives the exponent of its rate, which is normal about that of the cell. A share
    too small to be told from noise, or too large to be told from the scatter of the level, only bounds it.

    Latent number of a unit: its SET voltage. Parameters, in order: `set_voltage`, its spread, `set_voltage_scale`,
    `cycle_set_voltage`.
    """
    seen = _exponents(data)

    def loss(eta: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        onset = theta[:, 0] + theta[:, 1] * eta[:, 0]
        scale = theta[data.unit, 2]
        rate = (data.across - onset[data.unit]) / scale + data.log_dose
        spread = ((theta[data.unit, 3] / scale).square() + seen.error.square()).sqrt()
        away = (seen.exponent - rate) / spread
        logs = torch.where(
            seen.bound == 0,
            -0.5 * away.square() - spread.log() - 0.5 * math.log(2 * math.pi),
            torch.special.log_ndtr(torch.where(seen.bound > 0, -away, away)),
        )
        return _sum_of_units(_with_strays(logs, _STRAY_EXPONENTS), data.unit, units)

    return loss


@dataclass(frozen=True, slots=True)
class _Exponents:
    """What SET pulses say of the exponents of their rates.

    Attributes:
        exponent: 1, measured, or the bound.
        error: 1, standard deviation by which the readings make it uncertain; 0 for a bound.
        bound: -1 where it lies below, 1 where it lies above, 0 where it is measured.
    """

    exponent: torch.Tensor
    error: torch.Tensor
    bound: torch.Tensor


def _exponents(data: PulseData) -> _Exponents:
    missing = (data.level - data.before).clamp_min(1e-12)
    share = (data.after - data.before) / missing
    noise = (data.noise.square() + data.noise_before.square() + _LAW_ERROR**2).sqrt() / missing
    least = _SURE * noise
    bound = torch.where(share < least, -1, 0) + torch.where(share > _SHARE_MAX, 1, 0)
    inside = torch.where(bound < 0, least, share.clamp(1e-9, _SHARE_MAX))
    dose = -torch.log1p(-inside)
    error = torch.hypot(noise, inside * data.level_spread / missing) / ((1.0 - inside) * dose)
    return _Exponents(dose.log(), torch.where(bound == 0, error, torch.zeros_like(error)), bound)


def reset_response(
    data: PulseData,
    onset: torch.Tensor,
    slope: torch.Tensor,
    floor: torch.Tensor,
    scale: torch.Tensor,
    cycle: torch.Tensor,
    conductance_max: Siemens,
) -> _Moments:
    """Mean and variance (S, S2) of what RESET pulses leave.

    Args:
        data: the pulses.
        onset: V, of the RESET voltage, one a pulse as the next four.
        slope: S/V.
        floor: S.
        scale: V per e-fold of the rate.
        cycle: V, standard deviation of the onset from pulse to pulse.
        conductance_max: S, conductance at which the onset is stated.
    """
    bend = 1.0 / (slope * scale)
    rate = (data.across - onset) / scale - (conductance_max - floor) * bend + data.log_dose
    above = (data.before - floor).clamp_min(0.0)
    kept = (-bend * above).exp()[:, None]

    def fallen(u: torch.Tensor) -> torch.Tensor:
        turned = _switched(rate[:, None] + (cycle / scale)[:, None] * u)
        return (kept + (1.0 - kept) * turned).log() / bend[:, None] + above[:, None]

    fall, spread = _moments(fallen)
    # How far an error of the first reading is still there after the pulse.
    passed = (1.0 - fall / above.clamp_min(1e-9)).clamp(0.0, 1.0)
    variance = spread.square() + data.noise.square() + _LAW_ERROR**2 + (passed * data.noise_before).square()
    return data.before - fall, variance


def reset_loss(data: PulseData, units: int, conductance_max: Siemens) -> Loss:
    """Loss of RESET pulses.

    Latent numbers of a unit: RESET voltage, slope, floor. Parameters, in order: their three means, their three spreads
    (those of slope and floor relative), `reset_voltage_scale`, `cycle_reset_voltage`.
    """

    def loss(eta: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        onset = theta[:, 0] + theta[:, 3] * eta[:, 0]
        slope = theta[:, 1] * (1.0 + theta[:, 4] * eta[:, 1]).clamp_min(0.2)
        floor = theta[:, 2] * (1.0 + theta[:, 5] * eta[:, 2]).clamp_min(0.2)
        at = data.unit
        mean, variance = reset_response(
            data, onset[at], slope[at], floor[at], theta[at, 6], theta[at, 7], conductance_max
        )
        return _loss_of_units(data, mean, variance, units)

    return loss


_Moments = tuple[torch.Tensor, torch.Tensor]


def _switched(exponent: torch.Tensor) -> torch.Tensor:
    """Share that a rate of this exponent (time included) has switched."""
    return -torch.expm1(-exponent.clamp(_RATE_MIN, _RATE_MAX).exp())


def _moments(function: Callable[[torch.Tensor], torch.Tensor]) -> _Moments:
    places, weights = _gauss_hermite()
    values = function(places)
    mean = (values * weights).sum(dim=1)
    variance = ((values - mean[:, None]).square() * weights).sum(dim=1)
    return mean, (variance + 1e-24).sqrt()


def _loss_of_units(data: PulseData, mean: torch.Tensor, variance: torch.Tensor, units: int) -> torch.Tensor:
    logs = -0.5 * ((data.after - mean).square() / variance + (2 * math.pi * variance).log())
    return _sum_of_units(_with_strays(logs, _STRAY_RANGE), data.unit, units)


def _with_strays(logs: torch.Tensor, evenly: float) -> torch.Tensor:
    """Logarithms of densities with the share of strays, which lie evenly over a range."""
    # Not logaddexp: its second derivatives are NaN where the two are far apart.
    stray = math.log(_STRAY_SHARE / evenly)
    return stray + torch.nn.functional.softplus(logs + math.log1p(-_STRAY_SHARE) - stray)


def _sum_of_units(logs: torch.Tensor, unit: torch.Tensor, units: int) -> torch.Tensor:
    return torch.zeros(units, dtype=torch.float64).index_add(0, unit, -logs)


@cache
def _gauss_hermite() -> tuple[torch.Tensor, torch.Tensor]:
    """Points and weights of the mean over a standard normal number."""
    places, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return torch.from_numpy(places), torch.from_numpy(weights / weights.sum())
