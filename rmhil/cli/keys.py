"""The abort key: `q` on a terminal asks for what a first Ctrl-C asks for, without the risk of a second one.

It works where the command is in the foreground of a POSIX terminal. Anywhere else nothing is read and nothing changes.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rmhil.cli.signals import ask_to_stop
from rmhil.units import Seconds

try:
    import termios
except ImportError:  # Windows has no such terminals
    termios = None  # type: ignore[assignment]

ABORT: Final = frozenset(b"qQ")
"""Keys that ask to stop."""

_LOOK_EVERY: Final[Seconds] = 0.1
"""s between two looks whether the work has ended (ours: short for a person, long for the processor)."""


@contextmanager
def abort_key() -> Iterator[bool]:
    """Listen for the key while the work inside lasts; the terminal is as it was afterwards.

    Yields:
        Whether somebody listens.
    """
    terminal = _terminal()
    if terminal is None:
        yield False
        return
    ended = threading.Event()
    listener = threading.Thread(target=_listen, args=(terminal, ended), name="abort key", daemon=True)
    before = termios.tcgetattr(terminal)
    try:
        _key_by_key(terminal)
        listener.start()
        yield True
    finally:
        ended.set()
        if listener.is_alive():
            listener.join()
        if _in_foreground(terminal):  # who is in the background is stopped for touching the terminal
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _terminal() -> int | None:
    """File descriptor of a terminal that keys can be read from; None where there is none."""
    if termios is None or sys.stdin is None or sys.stdin.closed:
        return None
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):  # replaced by something that is no file
        return None
    return descriptor if os.isatty(descriptor) and _in_foreground(descriptor) else None


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it hung up, or it is not the terminal of this session
        return False


def _key_by_key(terminal: int) -> None:
    """Have keys delivered at once and not shown; Ctrl-C stays a signal."""
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~(termios.ICANON | termios.ECHO)
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _listen(terminal: int, ended: threading.Event) -> None:
    while not ended.is_set():
        if not _in_foreground(terminal):
            ended.wait(_LOOK_EVERY)
            continue
        ready, _, _ = select.select([terminal], [], [], _LOOK_EVERY)
        if ready and _in_foreground(terminal):
            try:
                pressed = os.read(terminal, 1)
            except OSError:  # it hung up
                return
            if not pressed or ABORT.intersection(pressed):
                if pressed:
                    ask_to_stop()
                return
