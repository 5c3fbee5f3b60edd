"""From bytes to commands: messages, `;`, headers and parameters with their ranges.

Syntax: B1500A Programming Guide, Edition 11, pages 1-22 to 1-24.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rmhil.bench.flex.facts import MESSAGE_LENGTH_MAX
from sim_backend.b1500a.errors import (
    INPUT_FULL,
    NUMERIC_SYNTAX,
    PARAMETER_VALUE,
    TERMINATOR_POSITION,
    UNDEFINED_COMMAND,
    Refused,
)

_COMMAND: Final = re.compile(r"\s*(\*?[A-Za-z]+\??)\s*(.*?)\s*", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")
_VARIABLE: Final = re.compile(r"%([IiRr])(\d+)")

Number = int | float
Lookup = Callable[[str, int], Number]
"""Value of the variable of a kind (`I` or `R`) and number."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it was written: its header in capitals, its parameters as text, and both together."""

    header: str
    arguments: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a command takes at one place.

    Attributes:
        low, high: allowed values.
        whole: whether it is a whole number.
        optional: whether it may be left out.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    optional: bool = False


def one_of(low: int, high: int, *, optional: bool = False) -> Parameter:
    """A whole number of a range."""
    return Parameter(low=low, high=high, whole=True, optional=optional)


def real(low: float = -math.inf, high: float = math.inf, *, optional: bool = False) -> Parameter:
    """A number of a range."""
    return Parameter(low=low, high=high, optional=optional)


class MessageReader:
    """Cuts the bytes of a link into messages; their end is CR LF, LF, or the end that the link tells."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes, *, end: bool = False) -> tuple[str, ...]:
        """Take bytes and return the messages that they complete.

        Raises:
            Refused: more than the input buffer holds came without an end; it is thrown away up to the next end.
        """
        held, self._buffer = self._buffer + data, b""
        messages, self._buffer = _cut_again(held, end) if len(held) <= MESSAGE_LENGTH_MAX else _cut(held, end)
        return messages

    def clear(self) -> None:
        """Forget an unfinished message."""
        self._buffer = b""


def _cut(held: bytes, end: bool) -> tuple[tuple[str, ...], bytes]:
    """Messages, and the beginning of the next one."""
    lines = held.split(b"\n")
    if max(map(len, lines)) > MESSAGE_LENGTH_MAX:
        raise Refused(INPUT_FULL)
    rest = b"" if end else lines.pop()
    return tuple(text for line in lines if (text := line.decode("ascii", errors="replace").strip())), rest


_cut_again: Final = lru_cache(maxsize=4096)(_cut)
"""For short ones, which mostly come again."""


@lru_cache(maxsize=4096)
def commands_of(message: str) -> tuple[str, ...]:
    """The commands of one message."""
    return tuple(text for part in message.split(";") if (text := part.strip()))


@lru_cache(maxsize=4096)
def parse(text: str) -> Call:
    """One command.

    Raises:
        Refused: it does not begin with a header.
    """
    match = _COMMAND.fullmatch(text)
    if match is None:
        raise Refused(UNDEFINED_COMMAND)
    header, rest = match.groups()
    arguments = tuple(part.strip() for part in rest.split(",")) if rest else ()
    return Call(header.upper(), arguments, text.strip())


def bind(
    arguments: Sequence[str], parameters: Sequence[Parameter], rest: Parameter | None, lookup: Lookup
) -> list[Number | None]:
    """Values of a command's parameters; those left out are None.

    Args:
        arguments: as written.
        parameters: what the command takes.
        rest: what any number of further ones are; None where there may be none.
        lookup: of variables.

    Raises:
        Refused: one is missing, too many, not a number, or outside its range.
    """
    if not arguments and not parameters:
        return []
    if len(arguments) > len(parameters) and rest is None:
        raise Refused(TERMINATOR_POSITION)
    values = [_value(text, one, lookup) for text, one in zip(arguments, parameters, strict=False)]
    if rest is not None:
        values += [_value(text, rest, lookup) for text in arguments[len(parameters) :]]
    for missing in parameters[len(values) :]:
        if not missing.optional:
            raise Refused(TERMINATOR_POSITION)
        values.append(None)
    return values


def _value(text: str, parameter: Parameter, lookup: Lookup) -> Number | None:
    if not text and parameter.optional:
        return None
    value = _number(text, lookup)
    if parameter.whole:
        if value != int(value):
            raise Refused(PARAMETER_VALUE)
        value = int(value)
    if not parameter.low <= value <= parameter.high:
        raise Refused(PARAMETER_VALUE)
    return value


def _number(text: str, lookup: Lookup) -> Number:
    if text.startswith("%"):
        variable = _VARIABLE.fullmatch(text)
        if variable is not None:
            return lookup(variable[1].upper(), int(variable[2]))
    return _literal(text)


@lru_cache(maxsize=4096)
def _literal(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise Refused(NUMERIC_SYNTAX)
    value = float(text)
    if not math.isfinite(value):
        raise Refused(PARAMETER_VALUE)
    return value
