"""Ctrl-C and SIGTERM: raised at once, and again at the next report of progress if that went unheard.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. Inside a callback that C code calls (a
finaliser, say) it is printed and dropped, and the work would go on; so a request to stop is remembered too.
"""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM); it leaves the way Ctrl-C does."""


_RAISED: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}

_asked: list[type[KeyboardInterrupt]] = []
"""Requests so far; of the process, as signals are."""


def install() -> None:
    """Handle both signals from now on; called once, by the script."""
    for number in _RAISED:
        signal.signal(number, _ask)


def stop_if_asked() -> None:
    """Raise what a signal asked for, if it came and was dropped.

    Raises:
        KeyboardInterrupt: the work is to stop.
    """
    if _asked:
        raise _asked[0]


def _ask(number: int, frame: FrameType | None) -> None:
    _asked.append(_RAISED[number])
    raise _RAISED[number]
