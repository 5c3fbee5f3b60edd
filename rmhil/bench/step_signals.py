"""Ctrl-C and requests to end in two steps: the first waits for the end of a step, the second does not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rmhil.bench.safety import STOPPING


class StepSignals:
    """Holds the first signal back while a step is under way, so that its readings reach whoever asked for them.

    It goes to the handler that was there when `deliver` is called next. A second signal goes there at once.
    """

    def __init__(self) -> None:
        self._came: list[int] = []

    def deliver(self) -> None:
        """Hand over what came during a step; the handler raises what it raises."""
        came, self._came = self._came, []
        for number in dict.fromkeys(came):
            signal.raise_signal(number)

    @contextmanager
    def step(self) -> Iterator[None]:
        """A step: what is done inside is finished, unless a second signal comes.

        Raises:
            KeyboardInterrupt: a second signal came, and its handler raised nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # handlers run in the main thread alone
            return
        before = {number: signal.getsignal(number) for number in STOPPING}

        def note(number: int, frame: FrameType | None) -> None:
            self._came.append(number)
            if len(self._came) > 1:
                self._go_now(before, frame)

        ours = [number for number in STOPPING if callable(before[number])]
        for number in ours:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _go_now(self, before: dict[Any, Any], frame: FrameType | None) -> None:
        came, self._came = self._came, []
        for number in came:
            before[number](number, frame)
        raise KeyboardInterrupt
