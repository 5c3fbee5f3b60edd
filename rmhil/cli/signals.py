"""Ctrl-C and SIGTERM: raised at once, and again at the next report of progress if that went unheard.

While cells are pulsed there are two steps: the first request waits for the end of the step (a pulse and its reading),
the second one ends the work at once. The outputs are at 0 V after either.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. Inside a callback that C code calls (a
finaliser, say) it is printed and dropped, and the work would go on; so a request to stop is remembered too.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM); it leaves the way Ctrl-C does."""


_RAISED: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}

_asked: list[type[KeyboardInterrupt]] = []
"""Requests so far; of the process, as signals are."""

_finishing_steps: list[None] = []
"""One entry for each `step_by_step` that is entered."""


def install() -> None:
    """Handle both signals from now on; called once, by the script."""
    for number in _RAISED:
        signal.signal(number, _ask)


def pass_over() -> None:
    """Ignore both signals from now on, if they are handled here: the work has ended, and only words are left to say."""
    for number in _RAISED:
        if signal.getsignal(number) is _ask:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def step_by_step() -> Iterator[None]:
    """Inside, the first request to stop is raised at the end of the step: where `stop_if_asked` is called next.

    A request that nothing inside hears ends nothing: the work was done before it.
    """
    _finishing_steps.append(None)
    try:
        yield
    finally:
        _finishing_steps.pop()


def ask_to_stop() -> None:
    """Ask for what a first Ctrl-C asks for; from any thread."""
    _asked.append(KeyboardInterrupt)


def stopping() -> bool:
    """Whether the work was asked to stop and has not ended yet."""
    return bool(_asked)


def stop_if_asked() -> None:
    """Raise what was asked for, if it came and has not been raised, or was dropped.

    Raises:
        KeyboardInterrupt: the work is to stop.
    """
    if _asked:
        raise _asked[0]


def _ask(number: int, frame: FrameType | None) -> None:
    first = not _asked
    _asked.append(_RAISED[number])
    if not (first and _finishing_steps):
        raise _RAISED[number]
