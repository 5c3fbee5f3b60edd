"""An event loop that waits awake for a moment after each message, since the next one is mostly on its way.

To wake a sleeping process takes a virtual machine up to some hundred microseconds, several times what the emulator
needs for a message. The price is one busy core for that moment; an idle emulator sleeps.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Final

from rmhil.units import Seconds

ALERT: Final[Seconds] = 0.5e-3
"""s awake after a message: a client that asks in a loop comes back within 0.1 ms (benchmarks/b1500a_emulator.py)."""


class AlertSelector(selectors.DefaultSelector):
    """Looks again and again before it sleeps.

    Args:
        alert: s to look for.
    """

    def __init__(self, alert: Seconds) -> None:
        super().__init__()
        self._alert = alert

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class."""
        alert = self._alert if timeout is None else min(timeout, self._alert)
        look, now = super().select, time.perf_counter
        end = now() + alert
        while alert > 0.0 and now() < end:
            if found := look(0.0):
                return found
        return look(timeout)


def event_loop(alert: Seconds) -> asyncio.AbstractEventLoop:
    """A new loop; with 0 s, the usual one."""
    return asyncio.SelectorEventLoop(AlertSelector(alert)) if alert > 0.0 else asyncio.new_event_loop()
