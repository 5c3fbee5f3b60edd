"""Errors of the FLEX language, as the emulated B1500A queues them; wordings are in `rmhil.bench.flex.facts`.

Family of a code by its hundreds: 1xx syntax, 2xx parameter or condition, 3xx hardware and interlock, 6xx set-up, 7xx
execution, 8xx SPGU, 9xx data (page index of the B1500A Programming Guide, Edition 15).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from rmhil.bench.flex.facts import ERROR_QUEUE_LENGTH, ERRORS

NO_ERROR: Final = 0
UNDEFINED_COMMAND: Final = 100
NUMERIC_SYNTAX: Final = 102
TERMINATOR_POSITION: Final = 103
PARAMETER_VALUE: Final = 120
CHANNEL_COUNT: Final = 122
COMPLIANCE_VALUE: Final = 123
RANGE_VALUE: Final = 124
SWEEP_POLARITY: Final = 130
INPUT_FULL: Final = 150
WRONG_CHANNEL: Final = 151
NO_MODULE: Final = 153
STORE_EXECUTION: Final = 160
END_POSITION: Final = 161
NOT_STORABLE: Final = 162
VARIABLE_USE: Final = 170
SWITCH_OFF: Final = 200
COMPLIANCE_MISSING: Final = 201
INTERLOCK_OPEN: Final = 202
ZERO_BEFORE_RECOVERY: Final = 205
NOT_SET_UP: Final = 214
EXCESS_CURRENT: Final = 305
PULSE_TIMING: Final = PARAMETER_VALUE
"""No code of its own is known."""


_TEXTS: Final = {row.code: row.text for row in ERRORS}

_SHORT_MAX: Final = 999
"""Largest code that `ERR?` gives (B1500A Programming Guide, ERR?)."""


class Refused(Exception):  # noqa: N818 - the instrument queues it, nobody raises it to a user
    """The instrument does not carry out a command.

    Attributes:
        code: of the error.
        slot: number of the slot that is concerned; None names none.
    """

    def __init__(self, code: int, slot: int | None = None) -> None:
        super().__init__(code)
        self.code, self.slot = code, slot


def text_of(code: int) -> str:
    """Wording of a code, empty where there is none."""
    return _TEXTS.get(code, "")


class ErrorQueue:
    """Errors in the order in which they happened."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, int | None]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def codes(self) -> list[int]:
        """All codes that wait."""
        return [code for code, _ in self._entries]

    def add(self, code: int, slot: int | None = None) -> None:
        """Queue an error; a full queue drops it."""
        if len(self._entries) < ERROR_QUEUE_LENGTH:
            self._entries.append((code, slot))

    def clear(self) -> None:
        """Forget all of them."""
        self._entries.clear()

    def next_with_text(self, *, with_text: bool) -> str:
        """Take one entry from the head, as `ERRX?` answers: `+0,"No Error."`, or the code alone."""
        code, slot = self._entries.popleft() if self._entries else (NO_ERROR, None)
        if not with_text:
            return f"{code:+d}"
        place = "" if slot is None else f"; SLOT{slot}"
        return f'{code:+d},"{text_of(code)}{place}"'

    def next_codes(self, count: int) -> str:
        """Take some entries that `ERR?` can tell, filled up with 0."""
        told = [code for code in self.codes if code <= _SHORT_MAX][:count]
        self.clear()
        return ",".join(str(code) for code in [*told, *[NO_ERROR] * (count - len(told))])
