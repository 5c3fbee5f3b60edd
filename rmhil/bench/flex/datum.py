"""One datum, and the flags of a status byte: what every format decodes to."""

from __future__ import annotations

from dataclasses import dataclass

from rmhil.bench.flex.facts import Flag


@dataclass(frozen=True, slots=True)
class Datum:
    """One decoded datum.

    Attributes:
        value: A, V or s; NaN where the instrument says that it means nothing.
        flag: what the instrument says of it.
        channel: it belongs to; 0 for none.
        kind: `I`, `V`, `T` (time) or another type letter; empty in a format without header.
        source: whether a source's setting is echoed, not measured.
    """

    value: float
    flag: Flag
    channel: int
    kind: str
    source: bool = False


def known_flags(bits: int) -> Flag:
    """The flags of a status byte; bits that no table knows become `Flag.UNKNOWN`."""
    known = bits & 0xFF
    return Flag(known) if known == bits else Flag(known) | Flag.UNKNOWN
