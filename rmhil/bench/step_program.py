"""Pulse and verify as one message: programs in the analyser's memory, their variables, and the data that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rmhil.bench.flex import messages
from rmhil.bench.flex.messages import AUTO_RANGE, CurrentRange
from rmhil.bench.limits import require
from rmhil.bench.readings import Reading
from rmhil.bench.setups import READING_TIME, PulseTiming, VoltagePulse
from rmhil.checks import whole_number
from rmhil.errors import ConfigError
from rmhil.units import Amperes, Volts

if TYPE_CHECKING:
    from rmhil.bench.b1500a import B1500A

_PEAK, _GATE, _WIDTH, _PERIOD, _COMPLIANCE = 1, 2, 3, 4, 5
"""Numbers of the real variables that a step sets."""

FLOATING_VOLTAGE: Final[Volts] = 0.5
"""V: limit of a channel that forces no current. Its line is at the source line's 0 V while a cell is read."""

_AVERAGES_MAX: Final = 100
"""Readings of one step (estimate: a program of that length was never tried)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRead:
    """The reading at the end of a step.

    Attributes:
        channel: that drives and measures.
        voltage: V while it is read.
        gate_voltage: V on the gate meanwhile.
        compliance: A of both.
        ranging: of the current.
        averages: readings, one datum each.
    """

    channel: int
    voltage: Volts
    gate_voltage: Volts
    compliance: Amperes = 1e-3
    ranging: CurrentRange = AUTO_RANGE
    averages: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReading:
    """What a step gave.

    Attributes:
        pulse: the current during the pulse; None of a step without one.
        reads: the verify readings.
    """

    pulse: Reading | None
    reads: tuple[Reading, ...]


class PulseAndVerify:
    """A pulse on one channel with the gate, then a reading: two programs, written once and run by one message a step.

    Args:
        analyser: it runs on.
        number: of the program with the pulse; the next one holds the reading alone.
        pulsed: channel of the pulse.
        gate: channel of the gate, pulsed together with it.
        read: the verify reading.
        follower: channel that is pulsed as `pulsed` is and forces no current afterwards; None: there is none.

    Raises:
        ConfigError, OutOfRangeError: something is outside the limits; nothing was sent.
        ReportedError: the instrument took a command of the programs ill.
    """

    def __init__(
        self, analyser: B1500A, number: int, *, pulsed: int, gate: int, read: VerifyRead, follower: int | None = None
    ) -> None:
        if gate in (pulsed, read.channel):
            raise ConfigError(f"channel {gate} cannot be the gate and another line as well")
        if follower in (pulsed, gate, read.channel):
            raise ConfigError(f"channel {follower} cannot follow a line and be another one as well")
        averages = whole_number("averages", read.averages)
        require("averages", averages, 1, _AVERAGES_MAX, "")
        analyser.wiring.check_channel(pulsed)
        analyser.check_ranging([read.channel], read.ranging)
        analyser.wiring.check_voltage(read.channel, read.voltage, read.compliance)
        analyser.wiring.check_voltage(gate, read.gate_voltage, read.compliance)
        if follower is not None:
            analyser.wiring.check_channel(follower)
        self._analyser, self._number, self._read = analyser, number, read
        self._pulsed, self._gate, self._follower = pulsed, gate, follower
        reading = self._reading_commands()
        analyser.memory.store(number, [*self._pulse_commands(), *reading])
        analyser.memory.store(number + 1, reading)

    def step(self, peak: Volts, gate_voltage: Volts, timing: PulseTiming, compliance: Amperes = 1e-3) -> StepReading:
        """Give one pulse and read: one message out, one read in.

        Args:
            peak: V of the pulse.
            gate_voltage: V of the gate during it.
            timing: of both.
            compliance: A of the pulsed channel.

        Raises:
            ConfigError, OutOfRangeError: something is outside the limits; nothing was sent.
            InstrumentError: as `B1500A`; the pulse may have been given.
        """
        wiring = self._analyser.wiring
        for channel in self._together:
            VoltagePulse(channel=channel, peak=peak, compliance=compliance).check(wiring)
        wiring.check_voltage(self._gate, gate_voltage, self._read.compliance)
        require("hold time", timing.hold, 0.0, 0.0, "s (in a step)")
        period = wiring.pulse_period(timing.width, timing.period, timing.hold)
        values = {_PEAK: peak, _GATE: gate_voltage, _WIDTH: timing.width, _PERIOD: period, _COMPLIANCE: compliance}
        variables = [messages.real_variable(place, value) for place, value in values.items()]
        owners = [self._pulsed, *self._readers]
        expected = period + len(owners) * READING_TIME
        pulse, *reads = self._analyser.memory.run([*variables, f"DO {self._number}"], owners, expected)
        return StepReading(pulse=pulse, reads=tuple(reads))

    def read(self) -> StepReading:
        """Read without a pulse: one message out, one read in.

        Raises: as `step`.
        """
        owners = self._readers
        reads = self._analyser.memory.run([f"DO {self._number + 1}"], owners, len(owners) * READING_TIME)
        return StepReading(pulse=None, reads=tuple(reads))

    @property
    def _readers(self) -> list[int]:
        """Channel of each verify reading."""
        return [self._read.channel] * self._read.averages

    @property
    def _together(self) -> list[int]:
        """Channels that the pulse comes from."""
        return [self._pulsed] if self._follower is None else [self._pulsed, self._follower]

    def _pulse_commands(self) -> list[str]:
        widths = [messages.pulses_width(one, 0.0, _variable(_WIDTH)) for one in (*self._together, self._gate)]
        sources = [
            messages.pulses_source(place, one, 0.0, _variable(_PEAK), _variable(_COMPLIANCE))
            for place, one in enumerate(self._together, 2)
        ]
        floating = [] if self._follower is None else [no_current(self._follower)]
        return [
            messages.measure(messages.PULSES_TOGETHER, self._pulsed),
            messages.pulses_times(0.0, _variable(_PERIOD)),
            *widths,
            messages.pulses_source(1, self._gate, 0.0, _variable(_GATE), self._read.compliance),
            *sources,
            "XE",
            *floating,
        ]

    def _reading_commands(self) -> list[str]:
        read = self._read
        return [
            messages.force_voltage(self._gate, read.gate_voltage, read.compliance),
            messages.force_voltage(read.channel, read.voltage, read.compliance),
            *[messages.spot_current(read.channel, read.ranging)] * read.averages,
            messages.force_voltage(read.channel, 0.0, read.compliance),
            messages.force_voltage(self._gate, 0.0, read.compliance),
        ]


def no_current(channel: int) -> str:
    """The command that makes a channel float: it forces 0 A, at a voltage that its line gives it."""
    return messages.force_current(channel, 0.0, FLOATING_VOLTAGE)


def _variable(place: int) -> str:
    return f"%R{place}"
