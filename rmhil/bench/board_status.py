"""What a board says of itself, decoded: state and counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rmhil.bench.board_map import FIELDS, Cause, Error, Route, State

COUNTERS: Final = ("VECTORS_TOTAL", "PULSES_TOTAL", "CONVERSIONS_TOTAL", "OVER_RANGE_TOTAL", "LINK_ERRORS_TOTAL")
"""Registers of `BoardCounters`, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatus:
    """Register STATUS.

    Attributes:
        state: what the board does.
        cause: why it is in FAULT.
        error: why a command was refused, with cause COMMAND.
        route: what the lines are joined to.
        gate: word lines are let through.
        outputs: line switches may be closed.
        idle: no command waits or runs.
        dac_busy: a DAC frame is on its way.
    """

    state: State
    cause: Cause
    error: Error
    route: Route
    gate: bool
    outputs: bool
    idle: bool
    dac_busy: bool

    @classmethod
    def of(cls, word: int) -> BoardStatus:
        """Decode the register."""

        def field(name: str) -> int:
            return FIELDS[f"STATUS.{name}"].of(word)

        return cls(
            state=State(field("STATE")),
            cause=Cause(field("CAUSE")),
            error=Error(field("ERROR")),
            route=Route(field("ROUTE")),
            gate=bool(field("GATE")),
            outputs=bool(field("OUTPUTS")),
            idle=bool(field("IDLE")),
            dac_busy=bool(field("DAC_BUSY")),
        )

    @property
    def is_armed(self) -> bool:
        """Whether it takes commands that drive lines."""
        return self.state in (State.READY, State.BUSY)

    def __str__(self) -> str:
        why = f" ({self.cause.name}{f', {self.error.name}' if self.cause is Cause.COMMAND else ''})"
        switches = "enabled" if self.outputs else "off"
        gate = "open" if self.gate else "closed"
        state = self.state.name + (why if self.cause is not Cause.NONE else "")
        return f"{state}, route {self.route.name}, outputs {switches}, gate {gate}"


@dataclass(frozen=True, slots=True)
class BoardCounters:
    """What the board has counted since its reset, each modulo 2^32.

    Attributes:
        vectors: multiplied.
        pulses: times that the gate was opened on a cell.
        conversions: all ADCs together are one.
        over_range: results at an end of the converter's range.
        link_errors: results that no ADC answered.
    """

    vectors: int
    pulses: int
    conversions: int
    over_range: int
    link_errors: int
