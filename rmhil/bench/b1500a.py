"""The Keysight B1500A over VISA: its SMUs, with limits before a byte is sent and 0 V however a program ends."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from loguru import logger

from rmhil.bench.exchange import Exchange
from rmhil.bench.flex import messages
from rmhil.bench.flex.facts import INTERLOCK_OPEN, PAUSE_MAX
from rmhil.bench.flex.messages import AUTO_RANGE, CurrentRange
from rmhil.bench.limits import AnalyserWiring, require
from rmhil.bench.program_memory import ProgramMemory
from rmhil.bench.readings import OnFlag, Reading, Readings, arranged
from rmhil.bench.safety import OutputGuard, zero_outputs
from rmhil.bench.session import ANSWER_WAIT, Session
from rmhil.bench.setups import (
    READING_TIME,
    SHORTEST_PULSE,
    PulseTiming,
    Sampling,
    Staircase,
    VoltagePulse,
    check_measured,
    ranged,
)
from rmhil.bench.startup import (
    Identity,
    check_modules,
    check_range,
    discover,
    identify,
    settle,
)
from rmhil.bench.wire import DEFAULT_LIBRARY, resources_seen, visa_links
from rmhil.errors import ConfigError
from rmhil.units import Amperes, Seconds, Volts


class B1500A:
    """An open analyser; made by `B1500A.open`, and best used as a context manager.

    Every voltage, current and pulse is checked against the wiring before a byte is sent. A fault - silence, a broken
    link, data that are none, an error of the instrument - switches all outputs off before it is raised.

    Attributes:
        identity: who answered `*IDN?`.
        modules: model of each module, by slot.
        wiring: the channels, and what they may do.
        left_over: errors that were in its queue when it was opened, and are no more.
        memory: its stored programs.
    """

    def __init__(self, session: Session, wiring: AnalyserWiring, guard: OutputGuard) -> None:
        self.wiring = wiring
        self.identity: Identity = identify(session)
        self.modules = discover(session)
        check_modules(self.modules, wiring)
        self.left_over = settle(session)
        guard.switch_off()
        guard.arm()
        self._guard, self._exchange = guard, Exchange(session, guard)
        self.memory = ProgramMemory(self._exchange)
        self._finalizer = weakref.finalize(self, guard.leave)
        self._finalizer.atexit = False  # the guard does that, before VISA closes its sessions
        logger.info("{}, modules {}", self.identity, self.modules)

    @classmethod
    def open(
        cls,
        resource: str,
        wiring: AnalyserWiring,
        *,
        library: str = DEFAULT_LIBRARY,
        patience: Seconds = ANSWER_WAIT,
        exclusive: bool = False,
    ) -> Self:
        """Open an analyser, and put it into a known state: outputs off, nothing left over.

        Args:
            resource: VISA name: `GPIB0::17::INSTR`, a gateway's `TCPIP0::host::gpib0,17::INSTR`, a socket, HiSLIP.
            wiring: the channels, and what they may do.
            library: VISA library: `@py` (pyvisa-py), `@ivi` (the vendor's), or a path.
            patience: s for an answer to a query, and beyond twice the expected time of a measurement.
            exclusive: whether to lock it for others, where VISA and the transport have locks.

        Raises:
            InstrumentNotFoundError: nothing answers there; the message lists what VISA sees.
            BusHeldError: something is there and does not answer, EasyEXPERT perhaps.
            WrongInstrumentError: it is no B1500A.
            ModuleMissingError: the wiring names a channel that is no SMU.
            OutputsUnknownError: its outputs cannot be switched off.
        """
        links = visa_links(resource, library, exclusive)
        return cls.over(Session(links, resource, lambda: resources_seen(library), patience), wiring)

    @classmethod
    def over(cls, session: Session, wiring: AnalyserWiring) -> Self:
        """As `open`, over a link that is open."""
        guard = OutputGuard(session)
        try:
            return cls(session, wiring, guard)
        except BaseException:
            session.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether the analyser was let go of."""
        return self._guard.left

    @property
    def on(self) -> bool:
        """Whether switches have been closed, and neither `switch_off` nor a fault has opened them since."""
        return self._guard.driving

    @property
    def lost(self) -> bool:
        """Whether it gave no answer when its outputs were to be switched off last."""
        return self._guard.lost

    def isolated_by(self, isolate: Callable[[], None]) -> None:
        """Have the device taken off the outputs as soon as an answer is missing or spoilt; `isolate` raises nothing."""
        self._guard.isolate = isolate

    @property
    def locked(self) -> bool:
        """Whether VISA keeps others from it."""
        return self._exchange.session.locked

    @property
    def traffic(self) -> tuple[int, int]:
        """Messages written and reads made since the link was opened."""
        return self._exchange.session.writes, self._exchange.session.reads

    def switch_on(self, *channels: int) -> None:
        """Close the output switches of some channels (none named: of all wired ones); they are at 0 V.

        Raises:
            ConfigError: a channel is not wired; nothing was sent.
            ReportedError: the instrument refuses.
        """
        chosen = channels or tuple(sorted(self.wiring.channels))
        for channel in chosen:
            self.wiring.check_channel(channel)
        self._guard.driving = True
        self._exchange.send_checked(messages.command("CN", *chosen))

    def switch_off(self) -> None:
        """Put every output to 0 V, open every switch, and have the instrument say so.

        Raises:
            OutputsUnknownError: it could not be done.
        """
        self._exchange.require_open()
        self._guard.switch_off()

    def check_ranging(self, channels: Sequence[int], ranging: CurrentRange) -> None:
        """Refuse channels that are not wired, and a current range that one of their modules does not have.

        Raises:
            ConfigError, OutOfRangeError: it is so; nothing was sent.
        """
        check_measured(channels, self.wiring)
        for channel in channels:
            check_range(self.modules, channel, ranging)

    def zero(self) -> None:
        """Put every output to 0 V; switches stay as they are."""
        self._exchange.send("DZ")

    def zero_verified(self) -> None:
        """Put every output to 0 V, and have the instrument say that all are near it; switches stay as they are.

        Raises: OutputsUnknownError, if it says otherwise; as the class says.
        """
        with self._exchange.watched() as session:
            zero_outputs(session)

    def force_voltage(self, channel: int, voltage: Volts, compliance: Amperes) -> None:
        """Drive one channel with a voltage (V), its current limited (A).

        Raises:
            ConfigError, OutOfRangeError: it is outside the limits; nothing was sent.
            LinkDroppedError: the link is gone.
        """
        self.wiring.check_voltage(channel, voltage, compliance)
        self._exchange.send(messages.force_voltage(channel, voltage, compliance))

    def force_current(self, channel: int, current: Amperes, compliance: Volts) -> None:
        """Drive one channel with a current (A), its voltage limited (V).

        Raises: as `force_voltage`.
        """
        self.wiring.check_current(channel, current, compliance)
        self._exchange.send(messages.force_current(channel, current, compliance))

    def integrate(self, *, samples: int | None = None, power_line_cycles: int | None = None) -> None:
        """Set the high-speed converter's averaging: 1 to 1023 samples, or 1 to 100 cycles of the mains.

        Raises:
            ConfigError: not one of the two is given; nothing was sent.
            OutOfRangeError: it is outside its range; nothing was sent.
        """
        if (samples is None) == (power_line_cycles is None):
            raise ConfigError("integrate takes samples or power_line_cycles, one of the two")
        if samples is not None:
            require("samples", samples, 1, 1023, "")
            chosen = f"AIT 0,1,{samples}"
        elif power_line_cycles is not None:
            require("power_line_cycles", power_line_cycles, 1, 100, "")
            chosen = f"AIT 0,2,{power_line_cycles}"
        self._exchange.send_checked(chosen)

    def measure_current(
        self, channel: int, ranging: CurrentRange = AUTO_RANGE, on_flag: OnFlag = OnFlag.RAISE
    ) -> Reading:
        """Measure one channel's current at its present output (A, positive out of the SMU).

        Raises:
            ComplianceError, FlaggedError: the value carries a status, and `on_flag` says to raise.
            InstrumentError: as the class says.
        """
        self.check_ranging([channel], ranging)
        return Reading.of(
            *self._exchange.measure([messages.spot_current(channel, ranging)], [channel], READING_TIME, on_flag)
        )

    def measure_voltage(self, channel: int, on_flag: OnFlag = OnFlag.RAISE) -> Reading:
        """Measure one channel's voltage at its present output (V).

        Raises: as `measure_current`.
        """
        self.wiring.check_channel(channel)
        return Reading.of(
            *self._exchange.measure([messages.spot_voltage(channel)], [channel], READING_TIME, on_flag, "V")
        )

    def measure_currents(
        self, channels: Sequence[int], ranging: CurrentRange = AUTO_RANGE, on_flag: OnFlag = OnFlag.RAISE
    ) -> Readings:
        """Measure several channels' currents at their present outputs; one point each.

        Raises: as `measure_current`.
        """
        self.check_ranging(channels, ranging)
        parts = [messages.measure(messages.SPOT, *channels), *ranged(channels, ranging), "XE"]
        items = self._exchange.measure(parts, channels, len(channels) * READING_TIME, on_flag)
        return arranged(items, channels, np.array([np.nan]))

    def sweep(
        self,
        staircase: Staircase,
        channels: Sequence[int] | None = None,
        ranging: CurrentRange = AUTO_RANGE,
        on_flag: OnFlag = OnFlag.RAISE,
    ) -> Readings:
        """Step one channel through a staircase of voltages and measure currents at each step.

        Args:
            staircase: the steps.
            channels: that measure; None is the one that steps.
            ranging: of their currents.
            on_flag: what becomes of values with a status.

        Raises: as `measure_current`; and `ConfigError`, `OutOfRangeError` before anything was sent.
        """
        staircase.check(self.wiring)
        measured = (staircase.channel,) if channels is None else tuple(channels)
        self.check_ranging(measured, ranging)
        mode = [messages.measure(messages.STAIRCASE, *measured), *ranged(measured, ranging)]
        owners, expected = measured * staircase.points, staircase.duration(len(measured))
        items = self._exchange.measure([*mode, *staircase.messages(), "XE"], owners, expected, on_flag)
        return arranged(items, measured, staircase.voltages)

    def sample(
        self,
        sampling: Sampling,
        channels: Sequence[int] | None = None,
        ranging: CurrentRange = AUTO_RANGE,
        on_flag: OnFlag = OnFlag.RAISE,
    ) -> Readings:
        """Hold one channel at a voltage and measure currents again and again.

        Raises: as `sweep`.
        """
        measured = (sampling.channel,) if channels is None else tuple(channels)
        self.check_ranging(measured, ranging)
        sampling.check(self.wiring, len(measured))
        mode = [messages.measure(messages.SAMPLING, *measured), *ranged(measured, ranging)]
        owners, expected = measured * sampling.points, sampling.duration(len(measured))
        items = self._exchange.measure([*mode, *sampling.messages(), "XE"], owners, expected, on_flag)
        return arranged(items, measured, np.full(sampling.points, sampling.voltage))

    def pulse(
        self,
        pulse: VoltagePulse,
        timing: PulseTiming = SHORTEST_PULSE,
        ranging: CurrentRange = AUTO_RANGE,
        on_flag: OnFlag = OnFlag.RAISE,
    ) -> Reading:
        """Give one channel one pulse, and measure its current at the end of it.

        Raises: as `sweep`.
        """
        self.check_ranging([pulse.channel], ranging)
        pulse.check(self.wiring)
        period = self.wiring.pulse_period(timing.width, timing.period, timing.hold)
        parts = [
            messages.measure(messages.PULSED_SPOT, pulse.channel),
            messages.range_current(pulse.channel, ranging),
            messages.pulse_times(timing.hold, timing.width, period),
            messages.pulsed_voltage(pulse.channel, pulse.base, pulse.peak, pulse.compliance),
            "XE",
        ]
        return Reading.of(*self._exchange.measure(parts, [pulse.channel], timing.hold + period + READING_TIME, on_flag))

    def pulse_together(
        self,
        pulses: Sequence[VoltagePulse],
        timing: PulseTiming = SHORTEST_PULSE,
        ranging: CurrentRange = AUTO_RANGE,
        on_flag: OnFlag = OnFlag.RAISE,
    ) -> Readings:
        """Give several channels one pulse at the same time, gate and bit line say, and measure each of them in it.

        Raises: as `sweep`.
        """
        channels = [pulse.channel for pulse in pulses]
        self.check_ranging(channels, ranging)
        for pulse in pulses:
            pulse.check(self.wiring)
        period = self.wiring.pulse_period(timing.width, timing.period, timing.hold)
        parts = [messages.measure(messages.PULSES_TOGETHER, *channels), *ranged(channels, ranging)]
        parts += [messages.pulses_times(timing.hold, period)]
        parts += [messages.pulses_width(channel, 0.0, timing.width) for channel in channels]
        parts += [
            messages.pulses_source(place, pulse.channel, pulse.base, pulse.peak, pulse.compliance)
            for place, pulse in enumerate(pulses, 1)
        ]
        items = self._exchange.measure([*parts, "XE"], channels, timing.hold + period + READING_TIME, on_flag)
        return arranged(items, channels, np.array([pulses[0].peak]))

    def wait(self, seconds: Seconds) -> None:
        """Let time pass on the analyser's clock, its outputs as they are.

        Raises:
            OutOfRangeError: negative or not finite; nothing was sent.
            SilenceError, LinkDroppedError: it did not come back.
        """
        require("seconds", seconds, 0.0, 1e9, "s")
        left = seconds
        with self._exchange.watched() as session:
            while left > 0.0:
                part = min(left, PAUSE_MAX)
                session.ask(f"{messages.command('PA', part)};*OPC?", part)
                left -= part

    def asks_for_interlock(self) -> bool:
        """Whether the instrument says that an output or a compliance needs the interlock closed, and it is open."""
        with self._exchange.watched() as session:
            return bool(int(session.ask("*STB?")) & INTERLOCK_OPEN)

    def check_errors(self) -> None:
        """Ask for errors; once for each unit of work, a cell say, is enough.

        Raises:
            InterlockError, ChannelError, ReportedError: there are some, all in one error; outputs are off.
        """
        with self._exchange.watched() as session:
            self._exchange.raise_reports(session.sent)

    def close(self) -> None:
        """Switch off, and let go of the analyser. Idempotent; afterwards every other call but this one raises.

        Raises:
            OutputsUnknownError: it could not be switched off; the link is closed all the same.
        """
        self._finalizer.detach()
        self._guard.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
