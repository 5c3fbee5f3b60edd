"""A sweep of any shape, cut into what an analyser can do by itself: staircases of one line with equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rmhil.backend import Biases, Floats

_SAME: Final = 1e-9
"""V: two voltages, or two steps, that differ by less are one."""


@dataclass(frozen=True, slots=True)
class StraightPart:
    """Neighbouring steps of a sweep.

    Attributes:
        steps: which ones.
        moving: the line that moves; the others stay.
    """

    steps: slice
    moving: Literal["bl", "sl"]


def straight_parts(biases: Biases) -> list[StraightPart]:
    """The parts of a sweep, in order; a step that fits no staircase is one by itself."""
    parts, first = [], 0
    while first < len(biases):
        moving: Literal["bl", "sl"] = "sl" if _moves(biases.sl, first) or biases.sl[first] else "bl"
        other = biases.bl if moving == "sl" else biases.sl
        stop = first + 1
        if _moves(getattr(biases, moving), first):
            stop = min(_straight(getattr(biases, moving), first), _constant(other, first), _constant(biases.wl, first))
        parts.append(StraightPart(slice(first, stop), moving))
        first = stop
    return parts


def _moves(values: Floats, first: int) -> bool:
    return first + 1 < len(values) and abs(values[first + 1] - values[first]) > _SAME


def _straight(values: Floats, first: int) -> int:
    """Where the steps stop being equal."""
    step, stop = values[first + 1] - values[first], first + 2
    while stop < len(values) and abs(values[stop] - values[stop - 1] - step) <= _SAME:
        stop += 1
    return stop


def _constant(values: Floats, first: int) -> int:
    """Where a line stops being where it was."""
    stop = first + 1
    while stop < len(values) and abs(values[stop] - values[first]) <= _SAME:
        stop += 1
    return stop
