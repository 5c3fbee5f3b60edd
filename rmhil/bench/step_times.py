"""How long each step of a bench took, by its own clocks."""

from __future__ import annotations

from array import array

import numpy as np

from rmhil.backend import Floats
from rmhil.units import Seconds


class StepTimes:
    """One row a transaction: 24 bytes each."""

    def __init__(self) -> None:
        self._routing, self._exchange, self._clock = array("d"), array("d"), array("d")

    def add(self, routing: Seconds, exchange: Seconds, clock: Seconds) -> None:
        """Take down one step.

        Args:
            routing: s of this machine until the cell was joined to the analyser; 0 where it was already.
            exchange: s of this machine from the message to its last datum.
            clock: s on the analyser's clock at its last reading.
        """
        self._routing.append(routing)
        self._exchange.append(exchange)
        self._clock.append(clock)

    def __len__(self) -> int:
        return len(self._clock)

    @property
    def routing(self) -> Floats:
        """S of this machine for the route of each step; 0 where the cell was joined to the analyser already."""
        return np.array(self._routing)

    @property
    def exchange(self) -> Floats:
        """S of this machine for the message and the data of each step."""
        return np.array(self._exchange)

    @property
    def clock(self) -> Floats:
        """S on the analyser's clock at the last reading of each step."""
        return np.array(self._clock)

    @property
    def steps_apart(self) -> Floats:
        """S on the analyser's clock from each step to the next one: what a step takes the instruments."""
        return np.diff(self.clock)

    def __str__(self) -> str:
        if not len(self):
            return "no steps yet"
        routes = int(np.count_nonzero(self.routing))
        apart = (
            f", one every {1e3 * float(np.median(self.steps_apart)):.3g} ms of the analyser" if len(self) > 1 else ""
        )
        here = 1e3 * float(self.exchange.mean() + self.routing.mean())
        return f"{len(self):,} steps on {routes:,} routes{apart}, {here:.3g} ms of this machine each"
