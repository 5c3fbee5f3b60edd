"""A resistor between two channels, or between one and ground."""

from __future__ import annotations

import math

from rmhil.errors import OutOfRangeError
from rmhil.units import Amperes, Ohms, Seconds, Volts
from sim_backend.b1500a.dut.load import Terminals, driven, floating
from sim_backend.b1500a.dut.loop import solve_loop
from sim_backend.b1500a.network import Point, Sources


class Resistor:
    """A resistance between the channels of BL and SL; those of WL are open.

    Args:
        resistance: ohm, above 0.
        terminals: channels.

    Raises:
        OutOfRangeError: the resistance is not positive and finite.
    """

    def __init__(self, resistance: Ohms, terminals: Terminals | None = None) -> None:
        if not 0.0 < resistance < math.inf:
            raise OutOfRangeError("load", resistance, 0.0, math.inf, "ohm", above=True)
        self.resistance = resistance
        self._terminals = terminals or Terminals()

    def current(self, drive: Volts, series: Ohms) -> Amperes:
        """A by Ohm's law."""
        return drive / (self.resistance + series)

    def voltage(self, current: Amperes) -> Volts:
        """V by Ohm's law."""
        return current * self.resistance

    def solve(self, sources: Sources, integration: Seconds) -> dict[int, Point]:
        """Voltages and currents of all channels."""
        bl, high = driven(self._terminals.bl, sources)
        sl, low = driven(self._terminals.sl, sources)
        points = floating(sources)
        found = solve_loop(self, high, low)
        points.update({channel: point for channel, point in ((bl, found.high), (sl, found.low)) if channel is not None})
        return points

    def elapse(self, sources: Sources, seconds: Seconds) -> None:
        """A resistor stays as it is."""

    def describe(self) -> str:
        """Its resistance."""
        return f"{self.resistance:g} ohm between channels {self._terminals.bl} and {self._terminals.sl}"
