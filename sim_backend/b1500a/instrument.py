"""The state of the mainframe and what every command is made of: drive, wait, sense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rmhil.bench.flex.facts import VOLTAGE_RANGES, current_range
from rmhil.units import Seconds, Volts
from sim_backend.b1500a.adc import Converter
from sim_backend.b1500a.buffers import ERROR, INTERLOCK, READY, SERVICE, UNREAD, WAITING, Buffers
from sim_backend.b1500a.channel import Force, Smu, Spgu
from sim_backend.b1500a.errors import (
    COMPLIANCE_MISSING,
    COMPLIANCE_VALUE,
    INTERLOCK_OPEN,
    PARAMETER_VALUE,
    SWITCH_OFF,
    WRONG_CHANNEL,
    ErrorQueue,
    Refused,
)
from sim_backend.b1500a.formats import Datum, encode, ends_message
from sim_backend.b1500a.generator import Generator
from sim_backend.b1500a.modules import (
    Mainframe,
    covering_current,
    covering_voltage,
    current_code,
    voltage_code,
)
from sim_backend.b1500a.network import Network, Point, Source
from sim_backend.b1500a.settings import Settings
from sim_backend.b1500a.timing import Timing

_IDENTITY: Final = "Agilent Technologies,B1500A,0,A.05.03.2013.0328"
"""Of a mainframe with older firmware; newer ones name Keysight Technologies (noted in public drivers)."""

_LEAST_COMPLIANCE: Final = 1e-12
"""A or V: smaller compliances are none."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one channel puts out, as the instrument itself knows it.

    Attributes:
        closed: whether its switch is.
        kind: `V` or `I`.
        value: V or A that it forces; 0 if the switch is open.
    """

    closed: bool
    kind: Literal["V", "I"]
    value: float


@dataclass(slots=True)
class Memory:
    """Programs by number, as lists of commands, and the variables that they use."""

    programs: dict[int, list[str]] = field(default_factory=dict)
    variables: dict[tuple[str, int], float] = field(default_factory=dict)
    storing: int | None = None


class Instrument:
    """An emulated B1500A without its link.

    Args:
        mainframe: modules in their slots.
        network: what the channels are joined to.
        timing: of everything.
        seed: of converters.
        ideal: whether converters show what is.

    Attributes:
        identity: answer of `*IDN?`.
        clock: s since power-on, on the virtual clock.
        timer: s on the clock, from which time stamps count.
        interlock_closed: whether the fixture's lid is.
        waiting_for_event: whether `PA` or `WS` waits; nothing is done until the event.
        forced_compliance: data that are to come back as if at compliance (an injected fault).
    """

    def __init__(
        self,
        mainframe: Mainframe,
        network: Network,
        timing: Timing | None = None,
        *,
        seed: int = 0,
        ideal: bool = False,
    ) -> None:
        self.mainframe = mainframe
        self.network = network
        self.timing = timing or Timing()
        self.identity = _IDENTITY
        self.smus = {number: self._smu_of(number) for number in mainframe.smu_channels}
        self.spgus = {number: Spgu(number) for number in mainframe.spgu_channels}
        self.settings = Settings()
        self.buffers = Buffers()
        self.errors = ErrorQueue()
        self.memory = Memory()
        self.converter = Converter(seed, ideal=ideal)
        self.generator = Generator()
        self.clock: Seconds = 0.0
        self.timer: Seconds = 0.0
        self.interlock_closed = False
        self.forced_compliance = 0
        self.waiting_for_event = False
        self._interlock_tripped = False
        self._pending: Seconds = 0.0
        self._sources: dict[int, Source] | None = None
        self._calibrated: Seconds = 0.0

    def _smu_of(self, number: int) -> Smu:
        model = self.mainframe.model(number)
        assert model is not None
        return Smu(number, model)

    # Channels

    def smu(self, channel: int) -> Smu:
        """The SMU of a channel.

        Raises:
            Refused: there is none.
        """
        number = self.mainframe.channel(channel)
        if number not in self.smus:
            raise Refused(WRONG_CHANNEL, number // 100)
        return self.smus[number]

    def live_smu(self, channel: int) -> Smu:
        """The SMU of a channel whose switch is closed.

        Raises:
            Refused: there is none, or its switch is open.
        """
        unit = self.smu(channel)
        if not unit.on:
            raise Refused(SWITCH_OFF, unit.number)
        return unit

    def spgu(self, channel: int) -> Spgu:
        """The pulse generator's channel of that number.

        Raises:
            Refused: there is none.
        """
        number = self.mainframe.channel(channel)
        if number not in self.spgus:
            raise Refused(WRONG_CHANNEL, number)
        return self.spgus[number]

    def unit(self, channel: int) -> Smu | Spgu:
        """The unit of any channel.

        Raises:
            Refused: there is none.
        """
        number = self.mainframe.channel(channel)
        return self.smus[number] if number in self.smus else self.spgus[number]

    @property
    def units(self) -> list[Smu | Spgu]:
        """All of them, by channel."""
        return [*self.smus.values(), *self.spgus.values()]

    @property
    def live_channels(self) -> list[int]:
        """Channels whose switches are closed."""
        return [unit.number for unit in self.units if unit.on]

    # Driving

    def checked_force(
        self,
        smu: Smu,
        kind: Literal["V", "I"],
        range_code: int,
        value: float,
        compliance: float | None,
        polarity: int = 0,
        compliance_range: int | None = None,
    ) -> Force:
        """What an SMU would force.

        Raises:
            Refused: a value is out of its range, a compliance is missing or too large, or the interlock is open.
        """
        if compliance is None:
            if smu.force.kind != kind:
                raise Refused(COMPLIANCE_MISSING, smu.number)
            compliance = smu.force.compliance
        compliance = abs(compliance)
        if kind == "V":
            code = covering_voltage(value, abs(voltage_code(range_code)))
            allowed, most = smu.model.voltage_max, smu.model.current_at(value)
        else:
            code = covering_current(smu.model, value, abs(current_code(smu.model, range_code)))
            allowed, most = smu.model.current_max, smu.model.voltage_at(value)
        if abs(value) > min(allowed, self.settings.output_limits[kind]) or (
            range_code < 0 and abs(value) > _full(kind, range_code)
        ):
            raise Refused(PARAMETER_VALUE, smu.number)
        if not _LEAST_COMPLIANCE <= compliance <= most:
            raise Refused(COMPLIANCE_VALUE, smu.number)
        force = Force(
            kind=kind,
            range_code=code,
            value=float(value),
            compliance=float(compliance),
            polarity=polarity,
            compliance_code=self._compliance_code(smu, kind, compliance, compliance_range),
        )
        self.check_interlock(force, smu)
        return force

    def _compliance_code(self, smu: Smu, kind: str, compliance: float, wanted: int | None) -> int:
        if kind == "V":
            return covering_current(smu.model, compliance, abs(current_code(smu.model, wanted or 0)))
        return covering_voltage(compliance, abs(voltage_code(wanted or 0)))

    def check_interlock(self, force: Force, smu: Smu) -> None:
        """Refuse what needs a closed interlock.

        Raises:
            Refused: it is open.
        """
        if force.high_voltage and not self.interlock_closed:
            self._interlock_tripped = True
            raise Refused(INTERLOCK_OPEN, smu.number)

    def force(self, smu: Smu, force: Force) -> None:
        """Let an SMU force something else from now on."""
        self.settle()
        smu.force = force
        self._sources = None
        factor, offset = self.settings.wait[1]
        self.wait(factor * self.timing.source_settling + offset)

    def level(self, smu: Smu, value: float) -> None:
        """Move an SMU's output, everything else as it is; takes no time."""
        self.settle()
        smu.force = replace(smu.force, value=value)
        self._sources = None

    def changed(self) -> None:
        """To be called after an output has been changed by other means than `force` and `level`."""
        self._sources = None

    def open_interlock(self) -> None:
        """Open the lid: what needs it closed is switched off."""
        self.interlock_closed = False
        self.settle()
        for smu in self.smus.values():
            if smu.on and smu.force.high_voltage:
                smu.reset()
                self._interlock_tripped = True
                self.errors.add(INTERLOCK_OPEN, smu.number)
        self._sources = None

    def trip_interlock(self) -> None:
        """Open the lid while something needed it closed: every output goes to 0 V."""
        self.interlock_closed = False
        self._interlock_tripped = True
        self.settle()
        for smu in self.smus.values():
            if smu.on:
                smu.force = smu.resting
        self._sources = None

    def calibrate(self) -> None:
        """Calibrate all modules, outputs open, as the instrument does by itself if `CM` lets it."""
        self.settle()
        for unit in self.units:
            unit.reset()
        self._sources = None
        self.wait(self.timing.calibration)
        self._calibrated = self.clock

    # Time

    def wait(self, seconds: Seconds) -> None:
        """Let time pass with the outputs as they are."""
        self.clock += seconds
        self._pending += seconds

    def settle(self) -> None:
        """Let the device catch up with the clock; before outputs move and before they are read."""
        if self._pending > 0.0:
            seconds, self._pending = self._pending, 0.0
            for sources, share in self.generator.segments(self.sources, self.spgus, self.clock, seconds):
                self.network.elapse(sources, share)

    def calibrate_if_due(self) -> None:
        """The automatic calibration: every 30 minutes while all switches are open."""
        if self.clock - self._calibrated <= self.timing.calibration_interval:
            return
        if self.settings.calibrating and not self.live_channels:
            self.calibrate()

    @property
    def sources(self) -> dict[int, Source]:
        """What all closed channels drive, generators at rest."""
        if self._sources is None:
            self._sources = {number: smu.source for number, smu in self.smus.items() if smu.on}
            self._sources |= {number: one.source(one.resting) for number, one in self.spgus.items() if one.on}
        return self._sources

    def sense(self, integration: Seconds) -> dict[int, Point]:
        """Voltages and currents of all closed channels now, in a reading of so many seconds."""
        self.settle()
        return self.network.solve(self.sources, integration)

    # Answers

    def put(self, data: Sequence[Datum]) -> None:
        """Put the data of one measurement command into the data buffer."""
        fmt = self.settings.fmt[0]
        self.buffers.put(encode(fmt, data), len(data), ends=ends_message(fmt))

    @property
    def status(self) -> int:
        """Status byte."""
        bits = READY if not self.waiting_for_event else WAITING
        bits |= 0 if self.buffers.empty else UNREAD
        bits |= ERROR if len(self.errors) else 0
        bits |= INTERLOCK if self._interlock_tripped else 0
        return bits | (SERVICE if bits & self.settings.service_mask else 0)

    def polled(self) -> int:
        """Status byte of a serial poll, which clears the interlock's bit."""
        bits = self.status
        if not self.settings.service_mask & INTERLOCK:
            self._interlock_tripped = False
        return bits

    def outputs(self) -> dict[int, Output]:
        """What every channel puts out."""
        found: dict[int, Output] = {}
        for unit in self.units:
            if isinstance(unit, Smu):
                found[unit.number] = Output(unit.on, unit.force.kind, unit.force.value if unit.on else 0.0)
            else:
                found[unit.number] = Output(unit.on, "V", unit.resting if unit.on else 0.0)
        return found

    @property
    def largest_output(self) -> Volts:
        """V, the largest magnitude that any closed channel may have at its terminal (`WZ?`)."""
        levels = [math.inf if smu.force.kind == "I" else abs(smu.force.value) for smu in self.smus.values() if smu.on]
        levels = [abs(point.voltage) for point in self.sense(0.0).values()] if math.inf in levels else levels
        return max(levels, default=0.0)

    def reset(self) -> None:
        """`*RST`: programs, variables and errors stay; everything else goes."""
        self.settle()
        for unit in self.units:
            unit.reset()
        self.generator = Generator()
        self.settings = Settings()
        self.buffers.clear()
        self.memory.storing = None
        self.waiting_for_event = False
        self._interlock_tripped = False
        self._sources = None
        self.wait(self.timing.switch)

    def device_clear(self) -> None:
        """What the link's device clear does: both buffers are empty, and nothing is waited for."""
        self.buffers.clear()
        self.errors.clear()
        self.memory.storing = None
        self.waiting_for_event = False
        self._interlock_tripped = False


def _full(kind: str, code: int) -> float:
    """V or A, of a range."""
    return VOLTAGE_RANGES[abs(code)] if kind == "V" else current_range(abs(code))
