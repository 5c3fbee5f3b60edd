"""What a check of the preflight is, and what it can come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from rmhil.bench.bench_under_test import BenchUnderTest


class Light(Enum):
    """What a check came to."""

    GREEN = "green"
    AMBER = "amber"
    """It works, or cannot be told; worth a look."""
    RED = "red"
    SKIPPED = "skipped"
    """Not looked at: something that it stands on is red."""


class Seen(NamedTuple):
    """What a check found; an error that it raises is red.

    Attributes:
        light: how it is.
        text: what was found.
        remedy: what to do; empty where there is nothing to do.
    """

    light: Light
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: of the light.
        look: looks.
        stands_on: checks that must not be red.
    """

    name: str
    look: Callable[[BenchUnderTest], Seen]
    stands_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One light, as `Seen`, with the name of its check."""

    check: str
    light: Light
    text: str
    remedy: str = ""
