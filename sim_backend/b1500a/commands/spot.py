"""High-speed spot measurements, which start at once: TI, TV, TIV and their forms with time."""

from __future__ import annotations

from typing import Final

from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_RANGE, Table
from sim_backend.b1500a.errors import UNDEFINED_COMMAND, Refused
from sim_backend.b1500a.formats import ASCII, Quantity
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import read, stamp
from sim_backend.b1500a.modules import current_code, voltage_code

TABLE: Final = Table()

_Readings = tuple[tuple[Quantity, int | None], ...]


def _measure(instrument: Instrument, channel: int, readings: _Readings, *, timed: bool) -> None:
    smu = instrument.live_smu(channel)
    checked: list[tuple[Quantity, int | None]] = []
    for quantity, code in readings:
        if code is not None:
            code = current_code(smu.model, code) if quantity == "I" else voltage_code(code)
        checked.append((quantity, code))
    if timed and instrument.settings.fmt[0] not in ASCII:
        raise Refused(UNDEFINED_COMMAND)
    data = [stamp(instrument, smu.number)] if timed else []
    data += [read(instrument, smu, quantity, code) for quantity, code in checked]
    instrument.put(data)


@TABLE.add("TI", takes=(CHANNEL, OPTIONAL_RANGE))
def current(instrument: Instrument, channel: int, code: int | None) -> None:
    """Current of one channel."""
    _measure(instrument, channel, (("I", code),), timed=False)


@TABLE.add("TV", takes=(CHANNEL, OPTIONAL_RANGE))
def voltage(instrument: Instrument, channel: int, code: int | None) -> None:
    """Voltage of one channel."""
    _measure(instrument, channel, (("V", code),), timed=False)


@TABLE.add("TIV", takes=(CHANNEL, OPTIONAL_RANGE, OPTIONAL_RANGE))
def both(instrument: Instrument, channel: int, current_range: int | None, voltage_range: int | None) -> None:
    """Current and voltage of one channel."""
    _measure(instrument, channel, (("I", current_range), ("V", voltage_range)), timed=False)


@TABLE.add("TTI", takes=(CHANNEL, OPTIONAL_RANGE))
def timed_current(instrument: Instrument, channel: int, code: int | None) -> None:
    """Time and current of one channel."""
    _measure(instrument, channel, (("I", code),), timed=True)


@TABLE.add("TTV", takes=(CHANNEL, OPTIONAL_RANGE))
def timed_voltage(instrument: Instrument, channel: int, code: int | None) -> None:
    """Time and voltage of one channel."""
    _measure(instrument, channel, (("V", code),), timed=True)


@TABLE.add("TTIV", takes=(CHANNEL, OPTIONAL_RANGE, OPTIONAL_RANGE))
def timed_both(instrument: Instrument, channel: int, current_range: int | None, voltage_range: int | None) -> None:
    """Time, current and voltage of one channel."""
    _measure(instrument, channel, (("I", current_range), ("V", voltage_range)), timed=True)
