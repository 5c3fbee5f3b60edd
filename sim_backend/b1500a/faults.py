"""Faults that can be injected: what happens on a bench sooner or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np

from rmhil.checks import whole_number
from sim_backend.b1500a.buffers import Answer
from sim_backend.b1500a.errors import EXCESS_CURRENT


class FaultKind(Enum):
    """What goes wrong."""

    TIME_OUT = "time-out"
    """The next answer never comes."""
    LATE = "late"
    """The next answer comes together with that of the message after."""
    TRUNCATED = "truncated"
    """The next answer ends half way."""
    GARBAGE = "garbage"
    """The next answer is other bytes, as many."""
    COMPLIANCE = "compliance"
    """The next readings come back as if at compliance."""
    INTERLOCK = "interlock"
    """The lid opens: outputs go to 0 V, and the message is refused."""
    DROPPED_LINK = "dropped-link"
    """The link breaks, after a message has been carried out and before its answer."""
    DROPPED_BEFORE = "dropped-before"
    """The link breaks before a message is carried out."""
    ERROR_BURST = "error-burst"
    """Errors are queued."""
    LEFTOVER = "leftover"
    """Data of somebody's measurement are in the data buffer."""
    CALIBRATION = "calibration"
    """The automatic calibration begins, outputs open, unless `CM 0` has switched it off."""


OF_ANSWERS: Final = (FaultKind.TIME_OUT, FaultKind.LATE, FaultKind.TRUNCATED, FaultKind.GARBAGE)
"""Those that wait for a message with an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: what goes wrong.
        after: messages that it lets through first (of those with `header`, if that is given).
        header: of a command that the message must hold; None takes any message.
        times: messages that it hits.
        count: readings at compliance, or errors in a burst.
        code: of the errors.
    """

    kind: FaultKind
    after: int = 0
    header: str | None = None
    times: int = 1
    count: int = 1
    code: int = EXCESS_CURRENT

    def __post_init__(self) -> None:
        for name, least in (("after", 0), ("times", 1), ("count", 1), ("code", 0)):
            whole_number(f"fault.{name}", getattr(self, name), least=least)


class Faults:
    """Faults that wait for their message.

    Args:
        seed: of garbage.
    """

    def __init__(self, seed: int = 0) -> None:
        self._waiting: list[Fault] = []
        self._generator = np.random.default_rng((seed, 0xFA))

    @property
    def armed(self) -> bool:
        """Whether any waits."""
        return bool(self._waiting)

    def inject(self, fault: Fault) -> None:
        """Arm a fault."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Disarm all of them."""
        self._waiting.clear()

    def due(self, headers: Sequence[str], *, answers: bool) -> list[Fault]:
        """Faults that hit a message.

        Args:
            headers: of its commands.
            answers: ask for those of answers (the message has one), or for the others.
        """
        found, kept = [], []
        for fault in self._waiting:
            if (fault.kind in OF_ANSWERS) != answers or (fault.header is not None and fault.header not in headers):
                kept.append(fault)
            elif fault.after > 0:
                kept.append(replace(fault, after=fault.after - 1))
            else:
                found.append(fault)
                if fault.times > 1:
                    kept.append(replace(fault, times=fault.times - 1))
        self._waiting = kept
        return found

    def spoil(self, kind: FaultKind, answer: Answer) -> Answer | None:
        """What becomes of an answer."""
        if kind is FaultKind.TRUNCATED:
            return replace(answer, payload=answer.payload[: len(answer.payload) // 2])
        if kind is FaultKind.GARBAGE:
            other = self._generator.integers(0x21, 0x7F, max(len(answer.payload) - 2, 0), dtype=np.uint8)
            return replace(answer, payload=other.tobytes() + answer.payload[-2:])
        return None
