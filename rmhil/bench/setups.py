"""What a measurement is to do: frozen descriptions that know their own limits and their own commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rmhil.bench.flex import messages
from rmhil.bench.flex.facts import (
    CHANNELS_AT_ONCE,
    DELAY_TIME_MAX,
    HOLD_TIME_MAX,
    SAMPLING_INTERVAL,
    SAMPLING_INTERVAL_SLOW,
    SAMPLING_POINTS_MAX,
    SAMPLING_STEP_PER_CHANNEL,
    SWEEP_STEPS_MAX,
)
from rmhil.bench.flex.messages import CurrentRange
from rmhil.bench.limits import AnalyserWiring, require
from rmhil.checks import whole_number
from rmhil.errors import ConfigError
from rmhil.units import Amperes, Seconds, Volts

READING_TIME: Final[Seconds] = 0.1
"""s of one measurement, for time-outs only (estimate; a low range takes some tens of ms to settle)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltagePulse:
    """One channel's part in a pulse.

    Attributes:
        channel: that drives it.
        peak: V during the pulse.
        base: V before and after it.
        compliance: A.
    """

    channel: int
    peak: Volts
    base: Volts = 0.0
    compliance: Amperes = 1e-3

    def check(self, wiring: AnalyserWiring) -> None:
        """Refuse what is outside the limits.

        Raises:
            ConfigError, OutOfRangeError: it is; nothing was driven.
        """
        for voltage in (self.base, self.peak):
            wiring.check_voltage(self.channel, voltage, self.compliance)


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseTiming:
    """When a pulse comes.

    Attributes:
        width: s, at half height.
        period: s until the next one may come; None is the shortest allowed.
        hold: s at base before the first one.
    """

    width: Seconds = 1e-3
    period: Seconds | None = None
    hold: Seconds = 0.0


SHORTEST_PULSE: Final = PulseTiming()
"""1 ms, and the shortest period after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """A staircase of voltages on one channel.

    Attributes:
        channel: that drives it.
        start, stop: V, its first and its last step (the turning point where it goes there and back).
        steps: from start to stop, both counted.
        there_and_back: whether it returns; the turning point is measured twice.
        logarithmic: whether the steps are equal ratios; start and stop then have one sign.
        compliance: A.
        hold: s at the first step.
        delay: s in each step before it is measured.
        stay_at_stop: whether the output stays at the last step afterwards, instead of going back to the first.
    """

    channel: int
    start: Volts
    stop: Volts
    steps: int
    there_and_back: bool = False
    logarithmic: bool = False
    compliance: Amperes = 1e-3
    hold: Seconds = 0.0
    delay: Seconds = 0.0
    stay_at_stop: bool = False

    @property
    def points(self) -> int:
        """Steps that are measured."""
        return self.steps * (2 if self.there_and_back else 1)

    @property
    def voltages(self) -> NDArray[np.float64]:
        """V of each step."""
        make = np.geomspace if self.logarithmic else np.linspace
        there = make(self.start, self.stop, self.steps, dtype=np.float64)
        return np.concatenate([there, there[::-1]]) if self.there_and_back else there

    def check(self, wiring: AnalyserWiring) -> None:
        """Refuse what is outside the limits.

        Raises:
            ConfigError, OutOfRangeError: it is; nothing was driven.
        """
        require("steps", whole_number("steps", self.steps), 1, SWEEP_STEPS_MAX, "")
        for voltage in (self.start, self.stop):
            wiring.check_voltage(self.channel, voltage, self.compliance)
        require("hold time", self.hold, 0.0, HOLD_TIME_MAX, "s")
        require("delay", self.delay, 0.0, DELAY_TIME_MAX, "s")
        if self.logarithmic and not self.start * self.stop > 0.0:
            raise ConfigError(f"a logarithmic staircase from {self.start:g} V to {self.stop:g} V crosses 0 V")

    def messages(self) -> list[str]:
        """Its commands."""
        mode = 1 + self.logarithmic + 2 * self.there_and_back
        source = messages.staircase(self.channel, mode, self.start, self.stop, self.steps, self.compliance)
        return [f"WM 1,{2 if self.stay_at_stop else 1}", messages.sweep_times(self.hold, self.delay), source]

    def duration(self, channels: int) -> Seconds:
        """S that it takes at most, for time-outs."""
        return self.hold + self.points * (self.delay + channels * READING_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """A constant voltage on one channel, measured again and again.

    Attributes:
        channel: that drives it.
        voltage: V while it is sampled.
        base: V before.
        points: samples of each channel.
        interval: s between them.
        compliance: A.
        hold: s at the voltage before the first sample.
    """

    channel: int
    voltage: Volts
    points: int
    interval: Seconds
    base: Volts = 0.0
    compliance: Amperes = 1e-3
    hold: Seconds = 0.0

    def check(self, wiring: AnalyserWiring, channels: int) -> None:
        """Refuse what is outside the limits.

        Raises:
            ConfigError, OutOfRangeError: it is; nothing was driven.
        """
        for voltage in (self.base, self.voltage):
            wiring.check_voltage(self.channel, voltage, self.compliance)
        require("points", whole_number("points", self.points), 1, SAMPLING_POINTS_MAX // channels, "")
        shortest = SAMPLING_INTERVAL[0]
        if self.interval < SAMPLING_INTERVAL_SLOW:
            shortest += SAMPLING_STEP_PER_CHANNEL * (channels - 1)
        require("interval", self.interval, shortest, SAMPLING_INTERVAL[1], "s")
        require("hold time", self.hold, 0.0, HOLD_TIME_MAX, "s")

    def messages(self) -> list[str]:
        """Its commands."""
        return [
            messages.sampling_times(self.hold, self.interval, self.points),
            messages.sampling_voltage(self.channel, self.base, self.voltage, self.compliance),
        ]

    def duration(self, channels: int) -> Seconds:
        """S that it takes at most, for time-outs."""
        return self.hold + self.points * max(self.interval, channels * READING_TIME)


def check_measured(channels: Sequence[int], wiring: AnalyserWiring) -> None:
    """Refuse channels to measure that are not wired, repeat, or are too many.

    Raises:
        ConfigError, OutOfRangeError: they are; nothing was driven.
    """
    require("channels that measure", len(channels), 1, CHANNELS_AT_ONCE, "")
    if len(set(channels)) != len(channels):
        raise ConfigError(f"channels {list(channels)}: one is named twice")
    for channel in channels:
        wiring.check_channel(channel)


def ranged(channels: Sequence[int], ranging: CurrentRange) -> list[str]:
    """Commands that range the current of each channel."""
    return [messages.range_current(channel, ranging) for channel in channels]
