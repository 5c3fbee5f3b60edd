"""Two sources joined by one element: the only loop that a two-terminal device has.

Each source is a staircase. A voltage source holds its voltage up to its current limit; a current source drives with
its voltage limit until its current flows. So the element sees a fixed voltage while the current stays within a
segment, and at the edge of two segments one of the sources gives way. The current of an element never falls with the
voltage across it, and the voltage of the sources never rises with the current, so there is one solution.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, Protocol

from rmhil.units import Amperes, Ohms, Volts
from sim_backend.b1500a.network import Point, Source

_FAR: Final[Volts] = 1e4
"""V: more than any unit forces; a voltage source past its limit gives way as far as it must."""

OPEN: Final = Source(kind="I", value=0.0, limit=200.0)
"""An open switch: no current at any voltage that a mainframe can force (V)."""

GROUND: Final = Source(kind="V", value=0.0, limit=4.2)
"""The ground unit: 0 V, up to 4.2 A (B1500A data sheet)."""


class Element(Protocol):
    """What joins the two terminals."""

    def current(self, drive: Volts, series: Ohms) -> Amperes:
        """A through it at a voltage (V) across it and a resistance (ohm) in series; never falls with the voltage."""

    def voltage(self, current: Amperes) -> Volts:
        """V across it at a current (A) that it carries."""


@dataclass(frozen=True, slots=True)
class Drive:
    """What the sources apply to the element.

    Attributes:
        voltage: V of both together, before all resistances.
        limit: A, the current at which one of them gives way.
    """

    voltage: Volts
    limit: Amperes


@dataclass(frozen=True, slots=True)
class LoopPoint:
    """Solution of a loop: points of the high and of the low source, and what they drive."""

    high: Point
    low: Point
    drive: Drive


def solve_loop(element: Element, high: Source, low: Source) -> LoopPoint:
    """Currents and voltages of an element between two sources."""
    edges = sorted({*_edges(high), *(-edge for edge in _edges(low))})
    bounds = [-math.inf, *edges, math.inf]
    segment = bisect_right(edges, 0.0)
    came_from: int | None = None
    while True:
        lower, upper = bounds[segment], bounds[segment + 1]
        drive = _drive(high, low, lower, upper)
        flowing = element.current(drive, high.series + low.series)
        if lower <= flowing <= upper:
            limit = abs(upper if drive >= 0 else lower)
            within = _middle(lower, upper)
            return LoopPoint(_holding(high, flowing, within), _holding(low, -flowing, -within), Drive(drive, limit))
        following = segment + 1 if flowing > upper else segment - 1
        if following == came_from:
            return _at_edge(element, high, low, upper if flowing > upper else lower)
        came_from, segment = segment, following


def _edges(source: Source) -> tuple[Amperes, ...]:
    """Currents out of a source at which it gives way."""
    return (source.value,) if source.kind == "I" else (-source.limit, source.limit)


def _drive(high: Source, low: Source, lower: Amperes, upper: Amperes) -> Volts:
    """V of both sources together while the current lies between two neighbouring edges."""
    within = _middle(lower, upper)
    return _voltage(high, within) - _voltage(low, -within)


def _middle(lower: Amperes, upper: Amperes) -> Amperes:
    if math.isinf(lower):
        return upper - 1.0
    return lower + 1.0 if math.isinf(upper) else 0.5 * (lower + upper)


def _voltage(source: Source, current: Amperes) -> Volts:
    """V of a source that gives so much current, which is not one of its edges."""
    if source.kind == "I":
        return math.copysign(source.limit, source.value - current)
    return source.value if abs(current) < source.limit else -math.copysign(_FAR, current)


def _holding(source: Source, current: Amperes, within: Amperes) -> Point:
    """Point of a source between its edges, where `within` lies: a current source there is at its voltage limit."""
    limited = source.kind == "I" and current != source.value
    return Point(_voltage(source, within), current, limited)


def _at_edge(element: Element, high: Source, low: Source, edge: Amperes) -> LoopPoint:
    """The current of an edge flows; the source that it belongs to has the voltage that is left for it."""
    across = element.voltage(edge) + edge * (high.series + low.series)
    drive = Drive(_inner_drive(high, low, edge), abs(edge))
    if edge in _edges(high):
        other = Point(_voltage_beside(low, -edge), -edge, low.kind == "I" and -edge != low.value)
        return LoopPoint(Point(other.voltage + across, edge, high.kind == "V"), other, drive)
    other = Point(_voltage_beside(high, edge), edge, high.kind == "I")
    return LoopPoint(other, Point(other.voltage - across, -edge, low.kind == "V"), drive)


def _voltage_beside(source: Source, current: Amperes) -> Volts:
    """V of a source whose loop is at an edge of the other one; 0 if it is one of its own as well."""
    return 0.0 if current in _edges(source) and source.kind == "I" else _voltage(source, current * (1.0 - 1e-12))


def _inner_drive(high: Source, low: Source, edge: Amperes) -> Volts:
    """V that both apply on that side of an edge where less current flows."""
    inside = edge - math.copysign(min(abs(edge) * 1e-9, 1e-12), edge) if edge else 0.0
    return 0.0 if not edge else _voltage(high, inside) - _voltage(low, -inside)
