"""What a twin knows of itself that no bench can: levels at its chips, violations, pulses that cells were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rmhil.units import Amperes, Seconds, Volts
from sim_backend.b1500a.instrument import Output


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit of a data sheet, or a rule of the array, that was broken.

    Attributes:
        name, text: of the check.
        time: s on the board's clock, when it was first broken.
    """

    name: str
    text: str
    time: Seconds


@dataclass(frozen=True, slots=True)
class BoardOutputs:
    """Levels at the outputs of the board's chips.

    Attributes:
        time: s on the board's clock.
        outputs_enabled: whether the shift registers drive the multiplexers.
        gate: whether word lines are let through.
        lines_driven: BLs, SLs and WLs that something other than ground is joined to.
        dacs_off_rest: DAC channels away from the virtual ground.
    """

    time: Seconds
    outputs_enabled: bool
    gate: bool
    lines_driven: int
    dacs_off_rest: int

    @property
    def off(self) -> bool:
        """Whether nothing reaches the array; DACs that are not at rest are joined to nothing then."""
        return not (self.outputs_enabled or self.gate or self.lines_driven)


AnalyserOutput = Output
"""What one channel of the analyser puts out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseRecord:
    """What a cell was given, as the cell itself knows it.

    Attributes:
        number: of the record, from 0.
        bl, sl: of the cell.
        start: s on the array's clock.
        voltage: V of BL over SL.
        gate_voltage: V.
        compliance: A, at which a source gives way.
        seconds: s that it was held.
    """

    number: int
    bl: int
    sl: int
    start: Seconds
    voltage: Volts
    gate_voltage: Volts
    compliance: Amperes
    seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRecords:
    """What is driven at the moment, by the twin's own word, and what went wrong so far.

    Attributes:
        board: levels at the outputs of its chips.
        violations: of data sheets and of the array's rules, by the board; each kind once.
        analyser: output of every channel.
        clock: s on the array's clock.
        pulses: given to cells so far.
    """

    board: BoardOutputs
    violations: tuple[Violation, ...]
    analyser: Mapping[int, AnalyserOutput]
    clock: Seconds
    pulses: int

    @property
    def outputs_off(self) -> bool:
        """Whether nothing is driven: board off, every switch of the analyser open or at zero."""
        return self.board.off and not any(one.closed and one.value for one in self.analyser.values())
