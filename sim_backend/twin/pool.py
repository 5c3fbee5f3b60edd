"""Twins that this process has started and does not use at the moment: another array is put in faster than one starts.

A start takes seconds, a renewal some 40 ms. Those that wait here are tied to this process, and end with it.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import Any, Final

from rmhil.errors import RmhilError
from sim_backend.twin.settings import ARRAY_OPTIONS, twin_settings
from sim_backend.twin.start import StartedTwin, start_twin

WAITING_MAX: Final = 2
"""1: twins that are kept; two arrays are often compared. Each takes some 300 MB of memory."""

_waiting: list[tuple[dict[str, Any], StartedTwin]] = []
_lent: dict[StartedTwin, dict[str, Any]] = {}


def lend(options: Mapping[str, Any]) -> StartedTwin:
    """A twin with a new array: one that waits, if it has the right board, or one that is started now.

    Args:
        options: as `start_twin`.

    Raises: as `start_twin`.
    """
    twin_settings(options)  # refused before anything is taken
    array = {name: value for name, value in options.items() if name in ARRAY_OPTIONS}
    process = {name: value for name, value in options.items() if name not in (*ARRAY_OPTIONS, "analyser_ideal")}
    for place, (made_for, twin) in enumerate(_waiting):
        if made_for == process:
            del _waiting[place]
            try:
                twin.renew(analyser_ideal=options.get("analyser_ideal"), **array)
            except BaseException:
                twin.stop()
                raise
            break
    else:
        twin = start_twin(**dict(options) | {"tied": True})
    _lent[twin] = process
    return twin


def give_back(twin: StartedTwin) -> None:
    """Keep a twin whose instruments were closed, or end it where enough of them wait already."""
    process = _lent.pop(twin)
    try:
        healthy = twin.records().outputs_off
    except RmhilError:
        healthy = False
    if healthy and len(_waiting) < WAITING_MAX:
        if not _waiting:
            atexit.unregister(end_waiting)
            atexit.register(end_waiting)
        _waiting.append((process, twin))
    else:
        twin.stop()


def end_waiting() -> None:
    """End all that wait."""
    while _waiting:
        _waiting.pop()[1].stop()
