"""Numbers of a summary in words: names without units, values with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rmhil.units import MICRO

_UNITS: Final = {"siemens": ("uS", MICRO), "v": ("V", 1.0), "s": ("s", 1.0), "fraction": ("%", 0.01)}
"""Last such part of a number's name -> its unit as it is written, and what one of it is."""


def number_rows(summary: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of each number of a summary, with its unit in usual letters."""
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield from number_rows(value, f"{prefix}{name}, ")
        else:
            yield prefix + _words(name), _written(name, value)


def _unit(name: str) -> tuple[str, float]:
    found = [_UNITS[word] for word in name.split("_") if word in _UNITS]
    return found[-1] if found else ("", 1.0)


def _words(name: str) -> str:
    return " ".join(word for word in name.split("_") if word not in _UNITS)


def _written(name: str, value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    unit, one = _unit(name)
    return f"{value / one:.5g} {unit}".rstrip()
