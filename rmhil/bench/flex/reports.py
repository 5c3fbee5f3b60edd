"""The error queue: its answers, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rmhil.bench.flex.facts import ERRORS, Cause

_ANSWER: Final = re.compile(r'\s*([+-]?\d+)\s*(?:,\s*"?(.*?)"?)?\s*')
_CAUSES: Final = {row.code: row.cause for row in ERRORS}
_HARDWARE: Final = range(300, 400)
"""Codes by which the instrument protects itself. Source: PG15; not verified."""


@dataclass(frozen=True, slots=True)
class Report:
    """One entry of the error queue.

    Attributes:
        code: 0 where the queue is empty.
        text: in the instrument's words.
    """

    code: int
    text: str

    def __str__(self) -> str:
        return f"error {self.code} ({self.text})"

    @property
    def cause(self) -> Cause:
        """What can be done about it; an unknown code below 300 is a refused message."""
        return _CAUSES.get(self.code, Cause.HARDWARE if self.code in _HARDWARE else Cause.MESSAGE)


def read_report(answer: str) -> Report | None:
    """The entry that an answer to `ERRX?` holds; None where it is not such an answer."""
    found = _ANSWER.fullmatch(answer)
    return None if found is None else Report(int(found[1]), found[2] or "")


def worst(reports: Sequence[Report]) -> Cause:
    """The cause that decides what is raised: the interlock before hardware, a channel before a message."""
    causes = {report.cause for report in reports}
    order = (Cause.INTERLOCK, Cause.HARDWARE, Cause.CHANNEL)
    return next((cause for cause in order if cause in causes), Cause.MESSAGE)
