"""The converters: how long a reading integrates, how noisy it is, how far off.

Modes and their ranges: B1500A Programming Guide, pages 4-39 and following; resolution and accuracy: B1500A User's
Guide, Edition 10, page 4-12 (high-speed converter: 5e-5 of the range).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from rmhil.units import Amperes, Seconds, Volts

HIGH_SPEED, HIGH_RESOLUTION, PULSED = 0, 1, 2
AUTO, MANUAL, POWER_LINE, TIME = 0, 1, 2, 3

POWER_LINE_CYCLE: Final[Seconds] = 0.02
"""s, at 50 Hz."""

_SAMPLE: Final[Seconds] = 2e-6
"""s of one high-speed sample: the step of the time mode (B1500A Programming Guide, AIT)."""

_SAMPLES_A_CYCLE: Final = 128
"""High-speed samples in a power-line cycle (same)."""

_UNIT: Final[Seconds] = 80e-6
"""s of one high-resolution integration (estimate, range 50 to 200 us)."""

RESOLUTION: Final = {HIGH_SPEED: 5e-5, HIGH_RESOLUTION: 1e-6, PULSED: 5e-5}
"""1 of the range: a step of the converter, also taken as standard deviation of its shortest reading. That of the
high-resolution converter is an estimate (range 1e-7 to 5e-6)."""

_FINEST: Final = 1e-6
"""1 of the range: step that averaging ends at, the count of eight-byte data."""

_ACCURACY: Final[tuple[tuple[Amperes, float], ...]] = ((1e-9, 2.5e-3), (1e-7, 1e-3), (1e-4, 5e-4), (1.0, 4e-4))
"""Up to which range (A), of the reading: limits of the error."""

_VOLTAGE_ACCURACY: Final = 2e-4
"""1: limit of the error of a measured voltage (0.01 to 0.035 %)."""

_SHARE_OF_LIMIT: Final = 0.4
"""1: standard deviation of the units' errors over their limit (estimate, range 0.3 to 0.5)."""


@dataclass(frozen=True, slots=True)
class Integration:
    """Setting of `AIT` for one converter: its mode and coefficient."""

    mode: int
    coefficient: float

    def time(self, converter: int) -> Seconds:
        """Time (s) of samples that make a reading."""
        if self.mode == POWER_LINE:
            cycles = self.coefficient
            return cycles * POWER_LINE_CYCLE
        if self.mode == TIME:
            return self.coefficient
        return self.coefficient * (_UNIT if converter == HIGH_RESOLUTION else _SAMPLE)

    def samples(self, converter: int) -> float:
        """Independent samples in it."""
        if converter == HIGH_RESOLUTION:
            return max(self.time(converter) / _UNIT, 1.0)
        if self.mode == POWER_LINE:
            return self.coefficient * _SAMPLES_A_CYCLE
        return max(self.time(converter) / _SAMPLE, 1.0)


DEFAULTS: Final = {
    HIGH_SPEED: Integration(AUTO, 1),
    HIGH_RESOLUTION: Integration(AUTO, 6),
    PULSED: Integration(TIME, _SAMPLE),
}
"""After `*RST` (public drivers; that of pulsed measurements is an estimate: it must fit any pulse)."""

COEFFICIENT_LIMITS: Final[dict[tuple[int, int], tuple[float, float]]] = {
    (HIGH_SPEED, AUTO): (1, 1023),
    (HIGH_SPEED, MANUAL): (1, 1023),
    (HIGH_SPEED, POWER_LINE): (1, 100),
    (HIGH_SPEED, TIME): (_SAMPLE, 0.02),
    (HIGH_RESOLUTION, AUTO): (1, 127),
    (HIGH_RESOLUTION, MANUAL): (1, 127),
    (HIGH_RESOLUTION, POWER_LINE): (1, 100),
    (PULSED, POWER_LINE): (1, 100),
    (PULSED, TIME): (_SAMPLE, 0.02),
}
"""Allowed coefficients of converter and mode; what is missing does not exist."""

DEFAULT_COEFFICIENTS: Final[dict[tuple[int, int], float]] = {
    (HIGH_SPEED, TIME): _SAMPLE,
    (HIGH_RESOLUTION, AUTO): 6,
    (HIGH_RESOLUTION, MANUAL): 3,
    (PULSED, TIME): _SAMPLE,
}
"""Where none is given; 1 elsewhere."""


class Converter:
    """Draws what readings show, from a seed.

    Args:
        seed: of noise and errors.
        ideal: no noise, no errors and no steps.
    """

    def __init__(self, seed: int, *, ideal: bool = False) -> None:
        self._generator = np.random.default_rng((seed, 0xB1500))
        self._seed = seed
        self._ideal = ideal
        self._gains: dict[tuple[int, str, float], float] = {}

    def reading(
        self, value: float, full_scale: float, channel: int, quantity: str, converter: int, integration: Integration
    ) -> float:
        """What the converter shows of a value (V or A).

        Args:
            value: as it is.
            full_scale: V or A of the range.
            channel: of the unit.
            quantity: `V` or `I`.
            converter: which one.
            integration: its setting.
        """
        if self._ideal:
            return value
        averaged = max(RESOLUTION[converter] / math.sqrt(integration.samples(converter)), _FINEST) * full_scale
        shown = value * (1.0 + self._gain_error(channel, quantity, full_scale))
        shown += self._generator.standard_normal() * averaged
        return averaged * round(shown / averaged)

    def _gain_error(self, channel: int, quantity: str, full_scale: Volts | Amperes) -> float:
        """1: what the unit's gain is off on a range; the same at every reading."""
        known = self._gains.get((channel, quantity, full_scale))
        if known is None:
            limit = _VOLTAGE_ACCURACY
            if quantity == "I":
                limit = next((share for up_to, share in _ACCURACY if full_scale <= up_to * 1.01), _ACCURACY[-1][1])
            decade = round(math.log10(full_scale)) + 20
            draw = np.random.default_rng((self._seed, channel, decade, ord(quantity))).standard_normal()
            known = float(np.clip(_SHARE_OF_LIMIT * draw, -1.0, 1.0)) * limit
            self._gains[channel, quantity, full_scale] = known
        return known
