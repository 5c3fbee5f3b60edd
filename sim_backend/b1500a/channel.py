"""One unit of the mainframe: what it forces, how it measures, whether its switch is closed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from rmhil.bench.flex.facts import INTERLOCK_VOLTAGE
from rmhil.units import Amperes, Ohms, Seconds, Volts
from sim_backend.b1500a.modules import (
    FORCE_RESISTANCE,
    SERIES_RESISTANCE,
    SPGU_RESISTANCE,
    SPGU_VOLTAGE_MAX,
    Model,
    covering_current,
)
from sim_backend.b1500a.network import Source

_VOLTAGE_RANGE_AT_START = 200
_COMPLIANCE_AT_START: Amperes = 100e-6
"""After the switch is closed: 0 V, 20 V range, 100 uA (answers of an instrument, noted in public drivers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """What an SMU forces.

    Attributes:
        kind: `V` or `I`.
        range_code: of the output, as answers give it.
        value: V or A.
        compliance: A or V, positive.
        polarity: 0 automatic, 1 as written.
        compliance_code: range of the compliance.
    """

    kind: Literal["V", "I"]
    range_code: int
    value: float
    compliance: float
    polarity: int = 0
    compliance_code: int = 0

    @property
    def high_voltage(self) -> bool:
        """Whether it needs the interlock closed."""
        return (abs(self.value) if self.kind == "V" else self.compliance) > INTERLOCK_VOLTAGE


@dataclass(slots=True)
class Smu:
    """State of one SMU.

    Attributes:
        number: channel, which is the slot as well.
        model: what it is.
        on: whether its output switch is closed.
        force: what it forces.
        current_range, voltage_range: of measurements (`RI`, `RV`): 0 automatic, above 0 limited, below 0 fixed.
        ranging: mode and rate of `RM`.
        measured: side of `CMM`.
        converter: of `AAD`.
        filtered: of `FL`.
        resistor: of `SSR`.
        remembered: what it forced before `DZ`.
        last_range: of the last reading of a current; None before the first.
    """

    number: int
    model: Model
    on: bool = False
    force: Force = field(init=False)
    current_range: int = 0
    voltage_range: int = 0
    ranging: tuple[int, int] = (1, 50)
    measured: int = 0
    converter: int = 0
    filtered: bool = False
    resistor: bool = False
    remembered: Force | None = None
    last_range: int | None = None

    def __post_init__(self) -> None:
        self.force = self.resting

    @property
    def resting(self) -> Force:
        """What a unit forces when its switch has just been closed."""
        return Force(
            kind="V",
            range_code=_VOLTAGE_RANGE_AT_START,
            value=0.0,
            compliance=_COMPLIANCE_AT_START,
            compliance_code=covering_current(self.model, _COMPLIANCE_AT_START),
        )

    def reset(self) -> None:
        """Open the switch and forget all settings."""
        fresh = Smu(self.number, self.model)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def close_switch(self) -> None:
        """Begin to force 0 V."""
        self.reset()
        self.on = True

    def go_to_zero(self) -> None:
        """Force 0 V and remember what was forced."""
        if self.remembered is None:
            self.remembered = self.force
        if self.force.kind == "V":
            self.force = replace(self.force, value=0.0)
        else:
            self.force = self.resting

    @property
    def source(self) -> Source:
        """What it applies to its terminal."""
        series: Ohms = FORCE_RESISTANCE + (SERIES_RESISTANCE if self.resistor else 0.0)
        return Source(kind=self.force.kind, value=self.force.value, limit=self.force.compliance, series=series)

    @property
    def widest_current_code(self) -> int:
        """Range of current that covers all it may measure: that of its compliance, or of its output."""
        if self.force.kind == "V":
            return covering_current(self.model, self.force.compliance)
        return self.force.range_code or covering_current(self.model, self.force.value)


@dataclass(slots=True)
class PulseShape:
    """One of the two signal sources of a pulse generator's channel.

    Attributes:
        delay, width, leading, trailing: s.
        base, peak: V.
    """

    delay: Seconds = 0.0
    width: Seconds = 100e-9
    leading: Seconds = 20e-9
    trailing: Seconds = 20e-9
    base: Volts = 0.0
    peak: Volts = 0.0


@dataclass(slots=True)
class Spgu:
    """State of one channel of a pulse generator.

    Attributes:
        number: slot, then 01 or 02.
        on: whether its output switch is closed.
        mode: of `SPM`: 0 DC, 1 and 2 two-level pulses of source 1 or 2, 3 three-level pulses.
        shapes: signal sources 1 and 2.
        dc: V, of source 0.
        load: ohm that it takes its load to be.
        pulse_switch: of `ODSW`: state, normal position, delay, width.
        trigger: of `STGP`.
    """

    number: int
    on: bool = False
    mode: int = 0
    shapes: dict[int, PulseShape] = field(default_factory=lambda: {1: PulseShape(), 2: PulseShape()})
    dc: Volts = 0.0
    load: Ohms = SPGU_RESISTANCE
    pulse_switch: tuple[int, int, Seconds, Seconds] = (0, 0, 0.0, 100e-9)
    trigger: int = 0

    def reset(self) -> None:
        """Open the switch and forget all settings."""
        fresh = Spgu(self.number)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    @property
    def resting(self) -> Volts:
        """V between pulses."""
        if self.mode == 0:
            return self.dc
        return self.shapes[2 if self.mode == 2 else 1].base

    def source(self, voltage: Volts) -> Source:
        """What it applies to its terminal, programmed to a voltage (V) at its load."""
        open_circuit = voltage * (SPGU_RESISTANCE + self.load) / self.load
        limited = max(-SPGU_VOLTAGE_MAX, min(open_circuit, SPGU_VOLTAGE_MAX))
        return Source(kind="V", value=limited, limit=SPGU_VOLTAGE_MAX / SPGU_RESISTANCE, series=SPGU_RESISTANCE)
