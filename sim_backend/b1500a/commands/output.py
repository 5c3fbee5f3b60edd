"""Switches and sources: CN, CL, IN, DZ, RZ, DV, DI, TDV, TDI."""

from __future__ import annotations

from typing import Final, Literal

from sim_backend.b1500a.channel import Smu, Spgu
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_RANGE, OPTIONAL_REAL, RANGE, VOLTAGE, Table
from sim_backend.b1500a.errors import UNDEFINED_COMMAND, ZERO_BEFORE_RECOVERY, Refused
from sim_backend.b1500a.formats import TIMELESS
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import stamp
from sim_backend.b1500a.parser import one_of

TABLE: Final = Table()

_POLARITY: Final = one_of(0, 1, optional=True)
_SOURCE: Final = (CHANNEL, RANGE, VOLTAGE, OPTIONAL_REAL, _POLARITY, OPTIONAL_RANGE)


def _units(instrument: Instrument, channels: tuple[int, ...]) -> list[Smu | Spgu]:
    return [instrument.unit(channel) for channel in channels] if channels else instrument.units


@TABLE.add("CN", "CNX", rest=CHANNEL)
def close_switches(instrument: Instrument, *channels: int) -> None:
    """Close output switches; a unit whose switch was open begins at 0 V."""
    units = _units(instrument, channels)
    instrument.settle()
    for unit in units:
        if isinstance(unit, Spgu):
            unit.on = True
        elif not unit.on:
            unit.close_switch()
    instrument.changed()
    instrument.wait(instrument.timing.switch)


@TABLE.add("CL", rest=CHANNEL)
def open_switches(instrument: Instrument, *channels: int) -> None:
    """Open output switches; outputs are at 0 V before that."""
    units = _units(instrument, channels)
    instrument.settle()
    for unit in units:
        unit.reset()
    instrument.changed()
    instrument.wait(instrument.timing.switch)


@TABLE.add("IN", rest=CHANNEL)
def initialise(instrument: Instrument, *channels: int) -> None:
    """Put channels into their first state, switches as they are."""
    units = _units(instrument, channels)
    instrument.settle()
    for unit in units:
        was_on = unit.on
        unit.reset()
        unit.on = was_on
    instrument.changed()


@TABLE.add("DZ", rest=CHANNEL)
def go_to_zero(instrument: Instrument, *channels: int) -> None:
    """Force 0 V and remember what was forced."""
    units = [unit for unit in _units(instrument, channels) if unit.on and isinstance(unit, Smu)]
    instrument.settle()
    for unit in units:
        unit.go_to_zero()
    instrument.changed()
    instrument.wait(instrument.timing.source_settling)


@TABLE.add("RZ", rest=CHANNEL)
def recover(instrument: Instrument, *channels: int) -> None:
    """Force again what `DZ` has put to zero."""
    units = [instrument.live_smu(channel) for channel in channels]
    if not channels:
        units = [smu for smu in instrument.smus.values() if smu.on and smu.remembered is not None]
    if not units or any(smu.remembered is None for smu in units):
        raise Refused(ZERO_BEFORE_RECOVERY)
    for smu in units:
        remembered, smu.remembered = smu.remembered, None
        if remembered is not None:
            instrument.check_interlock(remembered, smu)
            instrument.force(smu, remembered)


def _force(
    instrument: Instrument,
    kind: Literal["V", "I"],
    channel: int,
    code: int,
    value: float,
    compliance: float | None,
    polarity: int | None,
    compliance_range: int | None,
) -> None:
    smu = instrument.live_smu(channel)
    force = instrument.checked_force(smu, kind, code, value, compliance, polarity or 0, compliance_range)
    smu.remembered = None
    instrument.force(smu, force)


def _force_timed(instrument: Instrument, kind: Literal["V", "I"], channel: int, *values: float) -> None:
    if instrument.settings.fmt[0] in TIMELESS:
        raise Refused(UNDEFINED_COMMAND)
    time = stamp(instrument, instrument.live_smu(channel).number)
    _force(instrument, kind, channel, *values)  # type: ignore[arg-type]
    instrument.put([time])


@TABLE.add("DV", takes=_SOURCE)
def force_voltage(instrument: Instrument, *values: float) -> None:
    """Force a voltage (V) up to a current (A)."""
    _force(instrument, "V", *values)  # type: ignore[arg-type]


@TABLE.add("DI", takes=_SOURCE)
def force_current(instrument: Instrument, *values: float) -> None:
    """Force a current (A) up to a voltage (V)."""
    _force(instrument, "I", *values)  # type: ignore[arg-type]


@TABLE.add("TDV", takes=_SOURCE)
def force_voltage_timed(instrument: Instrument, channel: int, *values: float) -> None:
    """`DV`, and the time at which it began."""
    _force_timed(instrument, "V", channel, *values)


@TABLE.add("TDI", takes=_SOURCE)
def force_current_timed(instrument: Instrument, channel: int, *values: float) -> None:
    """`DI`, and the time at which it began."""
    _force_timed(instrument, "I", channel, *values)
