"""How readings are taken and given: FMT, MM, ranges, converters, waits, filters, time stamps."""

from __future__ import annotations

from typing import Final

from sim_backend.b1500a.adc import (
    AUTO,
    COEFFICIENT_LIMITS,
    DEFAULT_COEFFICIENTS,
    HIGH_SPEED,
    POWER_LINE,
    TIME,
    Integration,
)
from sim_backend.b1500a.commands.registry import CHANNEL, RANGE, SWITCH, Table
from sim_backend.b1500a.errors import CHANNEL_COUNT, PARAMETER_VALUE, UNDEFINED_COMMAND, Refused
from sim_backend.b1500a.formats import FORMATS, TIMELESS
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import stamp
from sim_backend.b1500a.modules import current_code, voltage_code
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_CHANNELS_OF_MODE: Final = {1: (1, 10), 2: (1, 10), 3: (1, 1), 4: (1, 1), 10: (1, 10), 16: (1, 10),
                            27: (1, 10), 28: (1, 10)}  # fmt: skip
"""Modes that are emulated, with the fewest and the most channels that they take."""


@TABLE.add("FMT", takes=(one_of(1, 25), one_of(0, 10, optional=True)))
def data_format(instrument: Instrument, fmt: int, mode: int | None) -> None:
    """Format of data, and whether those of sources are among them; the data buffer is emptied."""
    if fmt not in FORMATS:
        raise Refused(PARAMETER_VALUE)
    instrument.settings.fmt = (fmt, mode or 0)
    instrument.buffers.clear_data()


@TABLE.add("MM", takes=(one_of(1, 28),), rest=CHANNEL)
def measurement_mode(instrument: Instrument, mode: int, *channels: int) -> None:
    """What `XE` does, and with which channels."""
    if mode not in _CHANNELS_OF_MODE:
        raise Refused(PARAMETER_VALUE)
    fewest, most = _CHANNELS_OF_MODE[mode]
    if not fewest <= len(channels) <= most:
        raise Refused(CHANNEL_COUNT)
    units = tuple(instrument.smu(channel).number for channel in channels)
    if len(set(units)) < len(units):
        raise Refused(CHANNEL_COUNT)
    instrument.settings.measurement = (mode, units)


@TABLE.add("RI", takes=(CHANNEL, RANGE))
def current_range(instrument: Instrument, channel: int, code: int) -> None:
    """Range of current measurements."""
    smu = instrument.smu(channel)
    smu.current_range = current_code(smu.model, code)


@TABLE.add("RV", takes=(CHANNEL, RANGE))
def voltage_range(instrument: Instrument, channel: int, code: int) -> None:
    """Range of voltage measurements."""
    instrument.smu(channel).voltage_range = voltage_code(code)


@TABLE.add("RM", takes=(CHANNEL, one_of(1, 3), one_of(11, 100, optional=True)))
def range_changes(instrument: Instrument, channel: int, mode: int, rate: int | None) -> None:
    """How automatic ranging goes; kept for the read-back."""
    instrument.smu(channel).ranging = (mode, 50 if rate is None else rate)


@TABLE.add("CMM", takes=(CHANNEL, one_of(0, 4)))
def measured_side(instrument: Instrument, channel: int, mode: int) -> None:
    """What a channel measures."""
    instrument.smu(channel).measured = mode


@TABLE.add("AAD", takes=(CHANNEL, one_of(0, 2)))
def converter(instrument: Instrument, channel: int, kind: int) -> None:
    """Converter of a channel."""
    instrument.smu(channel).converter = kind


@TABLE.add("AIT", takes=(one_of(0, 2), one_of(0, 3), real(optional=True)))
def integration(instrument: Instrument, kind: int, mode: int, coefficient: float | None) -> None:
    """Integration of a converter."""
    limits = COEFFICIENT_LIMITS.get((kind, mode))
    if limits is None:
        raise Refused(PARAMETER_VALUE)
    value = DEFAULT_COEFFICIENTS.get((kind, mode), 1) if coefficient is None else coefficient
    if not limits[0] <= value <= limits[1] or (mode != TIME and value != int(value)):
        raise Refused(PARAMETER_VALUE)
    instrument.settings.integration[kind] = Integration(mode, value if mode == TIME else int(value))


@TABLE.add("AV", takes=(one_of(-100, 1023), one_of(0, 1, optional=True)))
def averaging(instrument: Instrument, number: int, mode: int | None) -> None:
    """Averaging of the high-speed converter: samples, or power-line cycles where it is negative."""
    if number == 0:
        raise Refused(PARAMETER_VALUE)
    chosen = POWER_LINE if number < 0 else AUTO if not mode else 1
    instrument.settings.averaging_mode = mode or 0
    instrument.settings.integration[HIGH_SPEED] = Integration(chosen, abs(number))


@TABLE.add("AZ", takes=(SWITCH,))
def auto_zero(instrument: Instrument, state: int) -> None:
    """Whether the high-resolution converter measures its offset as well."""
    instrument.settings.auto_zero = bool(state)


@TABLE.add("FL", takes=(SWITCH,), rest=CHANNEL)
def filters(instrument: Instrument, state: int, *channels: int) -> None:
    """Output filters of some channels, or of all."""
    for number in channels or tuple(instrument.smus):
        instrument.smu(number).filtered = bool(state)


@TABLE.add("SSR", takes=(CHANNEL, SWITCH))
def series_resistor(instrument: Instrument, channel: int, state: int) -> None:
    """Resistor of about 1 Mohm in series with a channel."""
    smu = instrument.smu(channel)
    instrument.settle()
    smu.resistor = bool(state)
    instrument.changed()


@TABLE.add("WAT", takes=(one_of(1, 2), real(0, 10), real(0, 1, optional=True)))
def wait_times(instrument: Instrument, kind: int, factor: float, offset: float | None) -> None:
    """Waits of sources and of measurements, relative to the instrument's own."""
    instrument.settings.wait[kind] = (factor, offset or 0.0)


@TABLE.add("PAD", takes=(SWITCH,))
def parallel(instrument: Instrument, state: int) -> None:
    """Whether channels measure at the same time."""
    instrument.settings.parallel = bool(state)


@TABLE.add("TSC", takes=(SWITCH,))
def time_stamps(instrument: Instrument, state: int) -> None:
    """Whether data have time stamps."""
    instrument.settings.stamped = bool(state)


@TABLE.add("TSR", rest=CHANNEL)
def reset_timer(instrument: Instrument, *channels: int) -> None:
    """Count time from now on; there is one timer for all channels."""
    for channel in channels:
        instrument.smu(channel)
    instrument.timer = instrument.clock


@TABLE.add("TSQ")
def query_timer(instrument: Instrument) -> None:
    """The time, as a datum."""
    if instrument.settings.fmt[0] in TIMELESS:
        raise Refused(UNDEFINED_COMMAND)
    channels = instrument.live_channels or list(instrument.smus)
    instrument.put([stamp(instrument, channels[0])])


@TABLE.add("CM", takes=(SWITCH,))
def automatic_calibration(instrument: Instrument, state: int) -> None:
    """Whether the instrument calibrates itself every 30 minutes."""
    instrument.settings.calibrating = bool(state)


@TABLE.add("TM", takes=(one_of(1, 4),))
def trigger_source(instrument: Instrument, mode: int) -> None:
    """Source of triggers; kept for the read-back, `XE` works in every mode."""
    instrument.settings.trigger = mode


@TABLE.add("BC")
def clear_data(instrument: Instrument) -> None:
    """Empty the data buffer."""
    instrument.buffers.clear_data()


@TABLE.add("LIM", takes=(one_of(1, 2), real(0, 200)))
def output_limits(instrument: Instrument, kind: int, value: float) -> None:
    """Largest output voltage (1) or current (2) of any channel from now on."""
    instrument.settings.output_limits["V" if kind == 1 else "I"] = value


@TABLE.add("INTLKVTH", takes=(real(0, 42),))
def interlock_threshold(instrument: Instrument, value: float) -> None:
    """Voltage above which the interlock is needed; kept for the read-back."""
    instrument.settings.interlock_threshold = value
