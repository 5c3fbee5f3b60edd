"""What waits to be read: the query buffer, the data buffer, and the status byte that tells of both.

B1500A Programming Guide, Edition 11, pages 1-25, 1-56 and 1-57. Which buffer is read first when both hold something
was not found; here it is the query buffer (`NUB?` would be of little use otherwise), unless told otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

UNREAD: Final = 1
WAITING: Final = 2
INTERLOCK: Final = 8
READY: Final = 16
ERROR: Final = 32
SERVICE: Final = 64
"""Bits of the status byte."""


@dataclass(slots=True, eq=False)
class Answer:
    """Bytes for the controller; two are never the same one, whatever they say.

    Attributes:
        payload: with their terminator.
        ends: whether the message ends with them (EOI).
        count: data in it; 0 is the answer to a query.
    """

    payload: bytes
    ends: bool = True
    count: int = 0


class Buffers:
    """The two stores.

    Attributes:
        data_first: as given.

    Args:
        data_first: whether the data buffer is read first.
    """

    def __init__(self, *, data_first: bool = False) -> None:
        self._query: Answer | None = None
        self._data: deque[Answer] = deque()
        self.data_first = data_first

    def answer(self, text: str) -> None:
        """Put an answer to a query; one that nobody has read is lost."""
        self._query = Answer(text.encode("ascii") + b"\r\n")

    def put(self, payload: bytes, count: int, *, ends: bool) -> None:
        """Add the data of one measurement command."""
        self._data.append(Answer(payload, ends, count))

    def mark(self) -> tuple[Answer | None, int]:
        """What there is now, for `changed_since`."""
        return self._query, len(self._data)

    def changed_since(self, mark: tuple[Answer | None, int]) -> bool:
        """Whether an answer has come since a mark."""
        query, count = mark
        return (self._query is not None and self._query is not query) or len(self._data) > count

    def spoil(self, mark: tuple[Answer | None, int], spoilt: Callable[[Answer], Answer | None]) -> None:
        """Let something happen to the newest answer since a mark: it becomes another one, or none."""
        query, count = mark
        if self._query is not None and self._query is not query:
            self._query = spoilt(self._query)
        elif len(self._data) > count:
            changed = spoilt(self._data.pop())
            if changed is not None:
                self._data.append(changed)

    @property
    def data_count(self) -> int:
        """Data that nobody has read (`NUB?`)."""
        return sum(answer.count for answer in self._data)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to read."""
        return self._query is None and not self._data

    def clear_data(self) -> None:
        """Empty the data buffer."""
        self._data.clear()

    def clear(self) -> None:
        """Empty both."""
        self._query = None
        self._data.clear()

    def waiting(self) -> list[Answer]:
        """What a controller reads, in that order; it stays until it is cleared."""
        query = [] if self._query is None else [self._query]
        return [*self._data, *query] if self.data_first else [*query, *self._data]
