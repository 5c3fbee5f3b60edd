"""What is wired to the analyser, and what must never be exceeded there: checked before a byte is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from rmhil.backend import Limits
from rmhil.bench.flex.facts import HOLD_TIME_MAX, INTERLOCK_VOLTAGE, PULSE_PERIOD, PULSE_WIDTH
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.smu_rest import smu_rest
from rmhil.units import Amperes, Seconds, Volts

CURRENT_MAX: Final[Amperes] = 0.1
"""A: largest of a B1517A or B1511 (4155C/4156C VXIplug&play Driver User's Guide, page 2-9)."""

_SMALLEST_COMPLIANCE: Final[Amperes] = 1e-12
"""A: below it no SMU limits (estimate: its lowest range)."""

_ROUNDING: Final = 1e-9
"""1: relative room for values that were computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLimits:
    """What one channel may do to the device.

    Attributes:
        voltage: V, largest magnitude of an output, and of a compliance.
        current: A, largest magnitude of an output, and of a compliance.
    """

    voltage: Volts = 5.0
    current: Amperes = 1e-3

    def __post_init__(self) -> None:
        require("voltage of a channel", self.voltage, 0.0, INTERLOCK_VOLTAGE, "V (more needs a closed interlock)")
        require("current of a channel", self.current, 0.0, CURRENT_MAX, "A")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyserWiring:
    """The channels that are wired to the device, and the pulses that it takes.

    Attributes:
        channels: limits of each wired channel, by number; other channels are never used.
        pulse_width_min, pulse_width_max: s, of a pulse.
        pulse_period_min: s, from one pulse to the next.
    """

    channels: Mapping[int, ChannelLimits]
    pulse_width_min: Seconds = PULSE_WIDTH[0]
    pulse_width_max: Seconds = PULSE_WIDTH[1]
    pulse_period_min: Seconds = PULSE_PERIOD[0]

    def __post_init__(self) -> None:
        if not self.channels:
            raise ConfigError("the wiring names no channel")
        require("pulse_width_min", self.pulse_width_min, *PULSE_WIDTH, "s")
        require("pulse_width_max", self.pulse_width_max, self.pulse_width_min, PULSE_WIDTH[1], "s")
        require("pulse_period_min", self.pulse_period_min, *PULSE_PERIOD, "s")

    @classmethod
    def of_lines(cls, channels: Mapping[str, int], limits: Limits) -> Self:
        """What each channel may do, by the line of an array that it drives: `bl`, `sl`, `wl`, perhaps `inhibit`."""
        largest = {
            "bl": max(limits.form_voltage, limits.set_voltage),
            "sl": limits.reset_voltage,
            "wl": limits.gate_voltage,
            "inhibit": limits.reset_voltage,
        }
        return cls(
            channels={
                channel: ChannelLimits(voltage=largest[line], current=limits.current)
                for line, channel in channels.items()
            },
            pulse_width_min=limits.pulse_width_min,
            pulse_width_max=limits.pulse_width_max,
            pulse_period_min=limits.pulse_period_min,
        )

    def check_channel(self, channel: int) -> ChannelLimits:
        """The limits of a channel.

        Raises:
            ConfigError: it is not wired.
        """
        if channel not in self.channels:
            wired = ", ".join(str(one) for one in sorted(self.channels))
            raise ConfigError(f"channel {channel} is not in the wiring, which has {wired}")
        return self.channels[channel]

    def check_voltage(self, channel: int, voltage: Volts, compliance: Amperes) -> None:
        """Refuse a voltage output.

        Raises:
            ConfigError: the channel is not wired.
            OutOfRangeError: the voltage or its current compliance is too large.
        """
        limits = self.check_channel(channel)
        require(f"voltage of channel {channel}", voltage, -limits.voltage, limits.voltage, "V")
        require(f"compliance of channel {channel}", abs(compliance), _SMALLEST_COMPLIANCE, limits.current, "A")

    def check_current(self, channel: int, current: Amperes, compliance: Volts) -> None:
        """Refuse a current output; the compliance (V) is a voltage that the device may see.

        Raises:
            ConfigError: the channel is not wired.
            OutOfRangeError: the current or its voltage compliance is too large.
        """
        limits = self.check_channel(channel)
        require(f"current of channel {channel}", current, -limits.current, limits.current, "A")
        require(f"compliance of channel {channel}", compliance, -limits.voltage, limits.voltage, "V")

    def pulse_period(self, width: Seconds, period: Seconds | None, hold: Seconds) -> Seconds:
        """The period (s) of a pulse: as asked for, or the shortest that is allowed.

        Raises:
            OutOfRangeError: width, period or hold time is outside what the device or the instrument takes.
        """
        require("pulse width", width, self.pulse_width_min, self.pulse_width_max, "s")
        require("hold time", hold, 0.0, HOLD_TIME_MAX, "s")
        shortest = max(self.pulse_period_min, width + float(smu_rest(width)))
        chosen = shortest if period is None else period
        require("pulse period", chosen, shortest, PULSE_PERIOD[1], "s")
        return chosen


def require(name: str, value: float, low: float, high: float, unit: str) -> None:
    """Refuse a value outside its limits, NaN too.

    Raises:
        OutOfRangeError: it is.
    """
    below = low - _ROUNDING * abs(low) if math.isfinite(low) else low
    above = high + _ROUNDING * abs(high) if math.isfinite(high) else high
    if not below <= value <= above:
        raise OutOfRangeError(name, value, low, high, unit)
