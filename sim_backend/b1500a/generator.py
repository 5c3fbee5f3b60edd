"""The run of the pulse generators: which levels their pulses hold for how long.

All channels start together and have one period. A long run is not followed pulse by pulse: in the time that passes
between two looks at the device, each level of a period is held once, for as long as all its pulses together. That is
exact for rate laws without memory of the pauses, which those of the cells are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rmhil.units import Seconds, Volts
from sim_backend.b1500a.channel import Spgu
from sim_backend.b1500a.network import Source


@dataclass(slots=True)
class Generator:
    """Whether pulses are running.

    Attributes:
        started: s on the clock; None if they are not.
        ends: s on the clock, infinity in a free run.
        period: s.
    """

    started: Seconds | None = None
    ends: Seconds = -math.inf
    period: Seconds = 1e-6

    def start(self, now: Seconds, period: Seconds, lasts: Seconds) -> None:
        """Begin pulses."""
        self.started, self.period, self.ends = now, period, now + lasts

    def stop(self) -> None:
        """End them."""
        self.started, self.ends = None, -math.inf

    def running(self, now: Seconds) -> bool:
        """Whether there are pulses at a time (s on the clock)."""
        return self.started is not None and now < self.ends

    def segments(
        self, sources: Mapping[int, Source], channels: Mapping[int, Spgu], now: Seconds, seconds: Seconds
    ) -> Iterator[tuple[Mapping[int, Source], Seconds]]:
        """What has been driven in the seconds before now, and for how long each."""
        active = 0.0
        if self.started is not None:
            active = max(min(now, self.ends) - max(now - seconds, self.started), 0.0)
        if active > 0.0:
            periods = active / self.period
            for levels, share in _levels(channels, self.period):
                driven = {number: channels[number].source(volts) for number, volts in levels.items()}
                yield {**sources, **driven}, share * periods
        if seconds > active:
            yield sources, seconds - active


def _levels(channels: Mapping[int, Spgu], period: Seconds) -> Iterator[tuple[dict[int, Volts], Seconds]]:
    """Levels (V) of all pulsing channels within one period, and how long (s) each combination lasts."""
    windows = {
        number: windows_of(channel) for number, channel in channels.items() if channel.on and channel.mode in (1, 2, 3)
    }
    edges = sorted({0.0, period, *(min(edge, period) for one in windows.values() for w in one for edge in w[:2])})
    for begin, end in pairwise(edges):
        middle = 0.5 * (begin + end)
        yield {number: _level(channels[number], one, middle) for number, one in windows.items()}, end - begin


def windows_of(channel: Spgu) -> list[tuple[Seconds, Seconds, Volts]]:
    """Pulses of a channel within a period: begin, end (s, half of the edges included) and peak (V)."""
    used = {1: (1,), 2: (2,), 3: (1, 2)}[channel.mode]
    found = []
    for source in used:
        shape = channel.shapes[source]
        if shape.peak != channel.resting:
            found.append((shape.delay, shape.delay + shape.width, shape.peak))
    return found


def _level(channel: Spgu, windows: list[tuple[Seconds, Seconds, Volts]], time: Seconds) -> Volts:
    return next((peak for begin, end, peak in windows if begin <= time < end), channel.resting)
