"""The seam between the instrument and what it is joined to: sources in, voltages and currents out.

The instrument knows channels only. A network says what hangs on them: nothing, a resistor, one cell, or a board that
joins any cell of an array to three channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from rmhil.units import Amperes, Ohms, Seconds, Volts


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one channel drives, its output switch closed.

    Attributes:
        kind: `V` forces a voltage up to a current, `I` a current up to a voltage.
        value: V or A.
        limit: A or V, positive; what compliance means.
        series: ohm between the source and its terminal.
    """

    kind: Literal["V", "I"]
    value: float
    limit: float
    series: Ohms = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """What one channel sees.

    Attributes:
        voltage: V at the source.
        current: A out of the source.
        limited: whether the source is at its compliance.
    """

    voltage: Volts
    current: Amperes
    limited: bool


Sources = Mapping[int, Source]
"""By channel; a channel whose switch is open is not among them."""


class Network(Protocol):
    """What the channels are joined to."""

    def solve(self, sources: Sources, integration: Seconds) -> dict[int, Point]:
        """Voltages and currents of all sources, as they are now.

        Args:
            sources: what is driven.
            integration: s over which the reading averages; fluctuations faster than that are smaller.
        """

    def elapse(self, sources: Sources, seconds: Seconds) -> None:
        """Hold the sources for a time (s): what they do to the device happens now."""

    def describe(self) -> str:
        """What it is, for a log or a message."""
