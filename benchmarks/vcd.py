"""Reads wave dumps (IEEE 1364-2005, section 18: value change dump), as far as Verilator writes them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wave:
    """The values of one signal: `values[k]` from `times[k]` on.

    Attributes:
        times: units of the dump's time scale (ns here), ascending.
        values: unsigned.
    """

    times: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def changes_to(self, value: int) -> list[int]:
        """Times at which it becomes a value; what it is at the beginning is no change."""
        return [time for time, now in zip(self.times[1:], self.values[1:], strict=True) if now == value]

    def steps(self, end: int) -> list[tuple[int, int, int]]:
        """(from, to, value) up to a time."""
        return list(zip(self.times, [*self.times[1:], end], self.values, strict=True))

    def add(self, time: int, value: int) -> None:
        """From this time on; a value that is no other one is no change."""
        if not self.values or self.values[-1] != value:
            self.times.append(time)
            self.values.append(value)

    def at(self, time: int) -> int:
        """The value at a time, and the first one before."""
        return self.values[max(0, bisect_right(self.times, time) - 1)]

    def bits(self, low: int, count: int) -> Wave:
        """Some of its bits, as a signal of its own."""
        return self._with(lambda value: value >> low & ((1 << count) - 1))

    def any_bit(self) -> Wave:
        """Whether it is not zero."""
        return self._with(lambda value: int(value != 0))

    def _with(self, change: Callable[[int], int]) -> Wave:
        changed = Wave()
        for time, value in zip(self.times, self.values, strict=True):
            changed.add(time, change(value))
        return changed


def read_waves(path: Path, names: Iterable[str]) -> dict[str, Wave]:
    """Signals by their names with all scopes, joined by dots.

    Raises:
        KeyError: the dump has no such signal.
    """
    wanted = set(names)
    waves: dict[str, Wave] = {}
    by_code: dict[str, Wave] = {}
    scopes: list[str] = []
    time = 0
    with path.open(encoding="ascii") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == "$scope":
                scopes.append(words[2])
            elif words[0] == "$upscope":
                scopes.pop()
            elif words[0] == "$var":
                name = ".".join([*scopes, words[4]])
                if name in wanted:
                    waves[name] = by_code.setdefault(words[3], Wave())
            elif words[0].startswith("#"):
                time = int(words[0][1:])
            elif words[0][0] in "01b":
                _note(by_code, words, time)
    missing = sorted(wanted - waves.keys())
    if missing:
        raise KeyError(f"{path}: no signals {', '.join(missing)}")
    return waves


def _note(by_code: dict[str, Wave], words: list[str], time: int) -> None:
    """One change: `1!`, or `b1010 !`."""
    text, code = (words[0][1:], words[1]) if words[0][0] == "b" else (words[0][0], words[0][1:])
    wave = by_code.get(code)
    if wave is not None:
        wave.add(time, int(text, 2))
