"""What went over the link, with the time of the virtual clock."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rmhil.units import Seconds

_KEPT: Final = 100_000
"""Entries; older ones are forgotten, and stay counted."""


class Entry(NamedTuple):
    """One message.

    Attributes:
        direction: `>` to the instrument, `<` from it.
        clock: s on the virtual clock: when it arrived, or when it was ready.
        payload: without the terminator of a command.
    """

    direction: Literal[">", "<"]
    clock: Seconds
    payload: bytes

    def __str__(self) -> str:
        text = self.payload.decode("latin-1").encode("unicode_escape").decode("ascii")
        return f"{self.clock:14.6f} {self.direction} {text}"


class WireLog:
    """The newest entries, and how many there were.

    Attributes:
        received: messages to the instrument.
        sent: answers from it.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[Literal[">", "<"], Seconds, bytes]] = deque(maxlen=_KEPT)
        self.received = 0
        self.sent = 0

    def add(self, direction: Literal[">", "<"], clock: Seconds, payload: bytes) -> None:
        """Note a message."""
        self._entries.append((direction, clock, payload))
        if direction == ">":
            self.received += 1
        else:
            self.sent += 1

    @property
    def entries(self) -> list[Entry]:
        """What is kept, oldest first."""
        return [Entry(*one) for one in self._entries]

    def clear(self) -> None:
        """Forget everything and count anew."""
        self._entries.clear()
        self.received = self.sent = 0

    def save(self, path: Path) -> None:
        """Write what is kept, a line an entry."""
        path.write_text("".join(f"{entry}\n" for entry in self.entries), encoding="ascii")
