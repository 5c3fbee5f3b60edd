"""Pulse generator and selector: SIM, SPPER, SPRM, SPM, SPT, SPV, SER, ODSW, SPUPD, SRP, SPP, STGP, ERMOD, ERSSP."""

from __future__ import annotations

import math
from typing import Final

from sim_backend.b1500a.channel import Spgu
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, SWITCH, VOLTAGE, Table
from sim_backend.b1500a.errors import PARAMETER_VALUE, PULSE_TIMING, SWITCH_OFF, Refused
from sim_backend.b1500a.formats import in_digits
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.modules import SPGU_RESISTANCE, SPGU_VOLTAGE_MAX
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_FREE, _COUNT, _DURATION = 0, 1, 2
_WIDTH_MIN: Final = 10e-9
_EDGE_MIN, _EDGE_MAX = 8e-9, 0.4
_PERIOD_MIN, _PERIOD_MAX = 20e-9, 10.0
"""s (B1500A data sheet, page 19)."""

_SHAPE: Final = one_of(1, 2)


def _number(value: float) -> str:
    return in_digits(value, abs(value))


@TABLE.add("SIM", takes=(SWITCH,))
def operation(instrument: Instrument, mode: int) -> None:
    """Pulses (0); arbitrary waveforms (1) are not emulated. Channels go to 0 V."""
    if mode != 0:
        raise Refused(PARAMETER_VALUE)
    _stop(instrument)
    for channel in instrument.spgus.values():
        channel.dc, channel.mode = 0.0, 0
    instrument.settings.generator_operation = mode
    instrument.changed()


@TABLE.add("SIM?")
def query_operation(instrument: Instrument) -> None:
    """Whether pulses or waveforms."""
    instrument.buffers.answer(str(instrument.settings.generator_operation))


@TABLE.add("SPPER", takes=(real(_PERIOD_MIN, _PERIOD_MAX),))
def period(instrument: Instrument, seconds: float) -> None:
    """Period of all channels (s)."""
    _stop(instrument)
    instrument.settings.generator_period = seconds


@TABLE.add("SPPER?")
def query_period(instrument: Instrument) -> None:
    """Period (s)."""
    instrument.buffers.answer(_number(instrument.settings.generator_period))


@TABLE.add("SPRM", takes=(one_of(0, 2), OPTIONAL_REAL))
def run_mode(instrument: Instrument, mode: int, condition: float | None) -> None:
    """Free run, a number of pulses, or a time (s)."""
    if mode == _COUNT:
        condition = 1 if condition is None else condition
        if not (1 <= condition <= 1e6 and condition == int(condition)):
            raise Refused(PARAMETER_VALUE)
    if mode == _DURATION and (condition is None or not 1e-6 <= condition <= 31556926.0):
        raise Refused(PARAMETER_VALUE)
    _stop(instrument)
    instrument.settings.generator_run = (mode, condition or 0.0)


@TABLE.add("SPRM?")
def query_run_mode(instrument: Instrument) -> None:
    """Mode, and its condition if it has one."""
    mode, condition = instrument.settings.generator_run
    instrument.buffers.answer("0" if mode == _FREE else f"{mode},{condition:g}")


@TABLE.add("SPM", takes=(CHANNEL, one_of(0, 3)))
def output_mode(instrument: Instrument, channel: int, mode: int) -> None:
    """DC, two-level pulses of source 1 or 2, or three-level pulses."""
    unit = instrument.spgu(channel)
    _stop(instrument)
    unit.mode = mode
    instrument.changed()


@TABLE.add("SPM?", takes=(CHANNEL,))
def query_output_mode(instrument: Instrument, channel: int) -> None:
    """Mode of a channel."""
    instrument.buffers.answer(str(instrument.spgu(channel).mode))


@TABLE.add(
    "SPT",
    takes=(
        CHANNEL, _SHAPE, real(0, _PERIOD_MAX), real(_WIDTH_MIN, _PERIOD_MAX), real(_EDGE_MIN, _EDGE_MAX),
        real(_EDGE_MIN, _EDGE_MAX, optional=True),
    ),
)  # fmt: skip
def shape(
    instrument: Instrument,
    channel: int,
    source: int,
    delay: float,
    width: float,
    leading: float,
    trailing: float | None,
) -> None:
    """Delay, width and edges (s) of a signal source."""
    one = instrument.spgu(channel).shapes[source]
    one.delay, one.width, one.leading = delay, width, leading
    one.trailing = leading if trailing is None else trailing


@TABLE.add("SPT?", takes=(CHANNEL, _SHAPE))
def query_shape(instrument: Instrument, channel: int, source: int) -> None:
    """Delay, width and edges (s)."""
    one = instrument.spgu(channel).shapes[source]
    times = (one.delay, one.width, one.leading, one.trailing)
    instrument.buffers.answer(",".join(_number(time) for time in times))


@TABLE.add("SPV", takes=(CHANNEL, one_of(0, 2), VOLTAGE, OPTIONAL_REAL))
def voltages(instrument: Instrument, channel: int, source: int, base: float, peak: float | None) -> None:
    """Base and peak (V) of a signal source; source 0 has a base only."""
    unit = instrument.spgu(channel)
    for value in (base, peak or 0.0):
        _check_voltage(unit, value)
    instrument.settle()
    if source == 0:
        unit.dc = base
    else:
        unit.shapes[source].base = base
        unit.shapes[source].peak = base if peak is None else peak
    instrument.changed()


def _check_voltage(unit: Spgu, value: float) -> None:
    if abs(value) * (unit.load + SPGU_RESISTANCE) / unit.load > SPGU_VOLTAGE_MAX * (1 + 1e-9):
        raise Refused(PARAMETER_VALUE, unit.number // 100)


@TABLE.add("SPV?", takes=(CHANNEL, one_of(0, 2)))
def query_voltages(instrument: Instrument, channel: int, source: int) -> None:
    """Base and peak (V)."""
    unit = instrument.spgu(channel)
    pair = (unit.dc, unit.dc) if source == 0 else (unit.shapes[source].base, unit.shapes[source].peak)
    instrument.buffers.answer(",".join(_number(volts) for volts in pair))


@TABLE.add("SER", takes=(CHANNEL, real(0.1, 1e6)))
def load(instrument: Instrument, channel: int, resistance: float) -> None:
    """Resistance (ohm) that a channel takes its load to be: the voltage at that load is the programmed one."""
    unit = instrument.spgu(channel)
    instrument.settle()
    unit.load = resistance
    instrument.changed()


@TABLE.add("SER?", takes=(CHANNEL,))
def query_load(instrument: Instrument, channel: int) -> None:
    """Resistance (ohm)."""
    instrument.buffers.answer(_number(instrument.spgu(channel).load))


@TABLE.add("ODSW", takes=(CHANNEL, SWITCH, one_of(0, 1, optional=True), OPTIONAL_REAL, OPTIONAL_REAL))
def pulse_switch(
    instrument: Instrument, channel: int, state: int, normal: int | None, delay: float | None, width: float | None
) -> None:
    """Pulse switch of a channel; kept for the read-back, the emulated output is always connected while it is on."""
    unit = instrument.spgu(channel)
    unit.pulse_switch = (state, normal or 0, delay or 0.0, width or 100e-9)


@TABLE.add("ODSW?", takes=(CHANNEL,))
def query_pulse_switch(instrument: Instrument, channel: int) -> None:
    """State, normal position, delay and width (s)."""
    state, normal, delay, width = instrument.spgu(channel).pulse_switch
    instrument.buffers.answer(f"{state},{normal},{_number(delay)},{_number(width)}")


@TABLE.add("STGP", takes=(CHANNEL, one_of(0, 3)))
def trigger_output(instrument: Instrument, channel: int, mode: int) -> None:
    """Trigger output; kept for the read-back."""
    instrument.spgu(channel).trigger = mode


@TABLE.add("STGP?", takes=(CHANNEL,))
def query_trigger_output(instrument: Instrument, channel: int) -> None:
    """Trigger output of a channel."""
    instrument.buffers.answer(str(instrument.spgu(channel).trigger))


@TABLE.add("SPUPD", rest=CHANNEL)
def apply_base(instrument: Instrument, *channels: int) -> None:
    """Put out the base voltages now; the emulated outputs have them as soon as they are set."""
    for channel in channels:
        if not instrument.spgu(channel).on:
            raise Refused(SWITCH_OFF, channel // 100)
    instrument.wait(instrument.timing.source_settling)


@TABLE.add("SRP")
def start(instrument: Instrument) -> None:
    """Start pulses on all channels whose switches are closed."""
    live = [unit for unit in instrument.spgus.values() if unit.on]
    if not live:
        raise Refused(SWITCH_OFF)
    period_now = instrument.settings.generator_period
    for unit in live:
        for source in {1: (1,), 2: (2,), 3: (1, 2)}.get(unit.mode, ()):
            one = unit.shapes[source]
            if one.delay + one.width > period_now - _WIDTH_MIN + 1e-15:
                raise Refused(PULSE_TIMING, unit.number // 100)
    mode, condition = instrument.settings.generator_run
    lasts = {_FREE: math.inf, _COUNT: condition * period_now, _DURATION: condition}[mode]
    instrument.settle()
    instrument.generator.start(instrument.clock, period_now, lasts)


@TABLE.add("SPP")
def stop(instrument: Instrument) -> None:
    """Stop pulses; channels go to their bases."""
    _stop(instrument)


def _stop(instrument: Instrument) -> None:
    instrument.settle()
    instrument.generator.stop()


@TABLE.add("SPST?")
def query_running(instrument: Instrument) -> None:
    """1 while pulses run."""
    instrument.buffers.answer(str(int(instrument.generator.running(instrument.clock))))


@TABLE.add("CORRSER?", takes=(CHANNEL, SWITCH, real(0), real(0), one_of(1, 1_000_000)))
def measure_load(instrument: Instrument, channel: int, use: int, delay: float, interval: float, count: int) -> None:
    """Load resistance (ohm) as the channel finds it, and its voltage and current ratio (V)."""
    unit = instrument.spgu(channel)
    if not unit.on:
        raise Refused(SWITCH_OFF, unit.number // 100)
    instrument.wait(delay + interval * count)
    point = instrument.sense(interval)[unit.number]
    source = unit.source(unit.resting)
    across = source.value - point.current * source.series
    found = abs(across / point.current) if point.current else 1e6
    resistance = min(max(found, 0.1), 1e6)
    if use:
        instrument.settle()
        unit.load = resistance
        instrument.changed()
    instrument.buffers.answer(_number(resistance))


@TABLE.add("ERMOD", takes=(one_of(0, 8),))
def digital_mode(instrument: Instrument, mode: int) -> None:
    """What the digital port controls: 1 is the 16440A selector."""
    instrument.settings.digital = mode


@TABLE.add("ERMOD?")
def query_digital_mode(instrument: Instrument) -> None:
    """Mode of the digital port."""
    instrument.buffers.answer(str(instrument.settings.digital))


@TABLE.add("ERSSP", takes=(one_of(0, 3), one_of(0, 3)))
def selector(instrument: Instrument, port: int, state: int) -> None:
    """A port of the selector: open, SMU, PGU, PGU open; kept for the read-back, terminals follow output switches."""
    if instrument.settings.digital != 1:
        raise Refused(PARAMETER_VALUE)
    instrument.settings.selector[port] = state


@TABLE.add("ERSSP?", takes=(one_of(0, 3),))
def query_selector(instrument: Instrument, port: int) -> None:
    """State of a port."""
    instrument.buffers.answer(str(instrument.settings.selector[port]))
