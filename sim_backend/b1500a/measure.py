"""Readings: which quantity, on which range, for how long, with which status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rmhil.bench.flex.facts import VOLTAGE_RANGES
from rmhil.units import Seconds
from sim_backend.b1500a.adc import HIGH_RESOLUTION, PULSED
from sim_backend.b1500a.channel import Smu
from sim_backend.b1500a.formats import DUMMY, TIMELESS, Datum, Flags, Quantity
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.modules import CURRENT_RANGES, covering_voltage
from sim_backend.b1500a.network import Point

_OVER: Final = 1.15
"""1: what a range measures over its name (B1500A User's Guide, Edition 7, page 7-52)."""

_OVER_TOP: Final = 1.0
"""1: the same for the largest range of a unit."""


def quantities(smu: Smu) -> tuple[Quantity, ...]:
    """What a unit measures, by `CMM` and by what it forces."""
    compliance_side: Quantity = "I" if smu.force.kind == "V" else "V"
    force_side: Quantity = smu.force.kind
    sides: tuple[tuple[Quantity, ...], ...] = ((compliance_side,), ("I",), ("V",), (force_side,), ("I", "V"))
    return sides[smu.measured]


def range_for(smu: Smu, quantity: Quantity, points: dict[int, Point], wanted: int | None) -> int:
    """Code of the range of a reading.

    Args:
        smu: that measures.
        quantity: `V` or `I`.
        points: what there is to measure; looked at by automatic ranging only.
        wanted: code as in `RI` or `RV`; None takes the range that covers the compliance, or that of the output.
    """
    if quantity == "V":
        return _voltage_range(smu, points, wanted)
    widest = smu.widest_current_code
    if wanted is None:
        return widest
    if wanted < 0:
        return min(-wanted, smu.model.current_codes[-1])
    codes = [code for code in smu.model.current_codes if wanted <= code <= widest] or [widest]
    fits = [code for code in codes if abs(points[smu.number].current) <= _OVER * CURRENT_RANGES[code]]
    return fits[0] if fits else codes[-1]


def _voltage_range(smu: Smu, points: dict[int, Point], wanted: int | None) -> int:
    if wanted is None or smu.force.kind == "V":
        own = smu.force.range_code if smu.force.kind == "V" else smu.force.compliance_code
        return max(abs(wanted or 0), own)
    return -wanted if wanted < 0 else covering_voltage(points[smu.number].voltage / _OVER, wanted)


def _integration(instrument: Instrument, smu: Smu) -> Seconds:
    return instrument.settings.integration[smu.converter].time(smu.converter)


def reading_time(instrument: Instrument, smu: Smu, settling: Seconds) -> Seconds:
    """Time (s) that a reading takes, settling (s) included."""
    settings = instrument.settings
    integration = _integration(instrument, smu)
    if settings.auto_zero and smu.converter == HIGH_RESOLUTION:
        integration *= 2.0
    factor, offset = settings.wait[2]
    return factor * settling + offset + integration + instrument.timing.conversion


def _is_free(quantity: Quantity, wanted: int | None) -> bool:
    """Whether the range of a reading follows from what is there."""
    return quantity == "I" and wanted is not None and wanted >= 0


def _settling_before(instrument: Instrument, smu: Smu, quantity: Quantity, wanted: int | None) -> Seconds:
    """Time (s) that the range of a reading settles before it; a free one does so after its first look."""
    if quantity == "V" or _is_free(quantity, wanted):
        return instrument.timing.settling_min
    return instrument.timing.settling(CURRENT_RANGES[range_for(smu, quantity, {}, wanted)])


def _settling_after(instrument: Instrument, smu: Smu, quantity: Quantity, wanted: int | None, code: int) -> Seconds:
    """Time (s) from the first look to the reading on the range that was found."""
    if not _is_free(quantity, wanted):
        return 0.0
    before, smu.last_range = smu.last_range or smu.widest_current_code, code
    timing = instrument.timing
    return abs(before - code) * timing.range_change + timing.settling(CURRENT_RANGES[code]) - timing.settling_min


def datum_of(
    instrument: Instrument, smu: Smu, quantity: Quantity, code: int, points: dict[int, Point], converter: int
) -> Datum:
    """What a converter makes of a point."""
    point = points[smu.number]
    full = CURRENT_RANGES[code] if quantity == "I" else VOLTAGE_RANGES[code]
    value = point.current if quantity == "I" else point.voltage
    flags = _flags(instrument, smu, points)
    top = quantity == "I" and code == smu.model.current_codes[-1]
    over = abs(value) > full * (_OVER_TOP if top else _OVER)
    integration = instrument.settings.integration[converter]
    shown = instrument.converter.reading(value, full, smu.number, quantity, converter, integration)
    return Datum(
        quantity=quantity,
        channel=smu.number,
        value=DUMMY if over else shown,
        range_code=code,
        flags=flags | (Flags.OVER_RANGE if over else Flags.NORMAL),
        converter=1 if converter == HIGH_RESOLUTION else 0,
    )


def _flags(instrument: Instrument, smu: Smu, points: dict[int, Point]) -> Flags:
    own = points[smu.number].limited
    if instrument.forced_compliance > 0:
        instrument.forced_compliance -= 1
        own = True
    flags = Flags.OWN_COMPLIANCE if own else Flags.NORMAL
    if any(point.limited for number, point in points.items() if number != smu.number):
        flags |= Flags.OTHER_COMPLIANCE
    return flags


def read(instrument: Instrument, smu: Smu, quantity: Quantity, wanted: int | None) -> Datum:
    """One reading; time passes."""
    instrument.wait(reading_time(instrument, smu, _settling_before(instrument, smu, quantity, wanted)))
    points = instrument.sense(_integration(instrument, smu))
    code = range_for(smu, quantity, points, wanted)
    instrument.wait(_settling_after(instrument, smu, quantity, wanted, code))
    return datum_of(instrument, smu, quantity, code, points, smu.converter)


def stamp(instrument: Instrument, channel: int) -> Datum:
    """The time since the timer was reset."""
    return Datum(quantity="T", channel=channel, value=instrument.clock - instrument.timer)


def stamped(instrument: Instrument) -> bool:
    """Whether data have time stamps before them."""
    return instrument.settings.stamped and instrument.settings.fmt[0] not in TIMELESS


def wanted_range(smu: Smu, quantity: Quantity) -> int:
    """Code of `RI` or `RV`."""
    return smu.current_range if quantity == "I" else smu.voltage_range


def read_channels(instrument: Instrument, channels: Sequence[int]) -> list[Datum]:
    """Readings of some channels, one after the other, or all at once where `PAD` says so."""
    units = [instrument.live_smu(channel) for channel in channels]
    wanted = [(smu, quantity) for smu in units for quantity in quantities(smu)]
    if instrument.settings.parallel:
        return _together(instrument, wanted)
    data: list[Datum] = []
    for smu, quantity in wanted:
        if stamped(instrument):
            data.append(stamp(instrument, smu.number))
        data.append(read(instrument, smu, quantity, wanted_range(smu, quantity)))
    return data


def _together(instrument: Instrument, readings: Sequence[tuple[Smu, Quantity]]) -> list[Datum]:
    stamps = [stamp(instrument, smu.number) for smu, _ in readings]
    wanted = [wanted_range(smu, quantity) for smu, quantity in readings]
    before = [
        reading_time(instrument, smu, _settling_before(instrument, smu, quantity, code))
        for (smu, quantity), code in zip(readings, wanted, strict=True)
    ]
    instrument.wait(max(before))
    points = instrument.sense(max(_integration(instrument, smu) for smu, _ in readings))
    data: list[Datum] = []
    after = 0.0
    for (smu, quantity), given, time in zip(readings, wanted, stamps, strict=True):
        code = range_for(smu, quantity, points, given)
        after = max(after, _settling_after(instrument, smu, quantity, given, code))
        data += [time] if stamped(instrument) else []
        data.append(datum_of(instrument, smu, quantity, code, points, smu.converter))
    instrument.wait(after)
    return data


def read_pulsed(instrument: Instrument, channels: Sequence[int], width: Seconds) -> list[Datum]:
    """Readings at the end of a pulse of which so many seconds are left; all channels at once."""
    integration = min(instrument.settings.integration[PULSED].time(PULSED), width)
    begun = instrument.clock + width - integration - instrument.timer
    instrument.wait(width)
    points = instrument.sense(integration)
    data: list[Datum] = []
    for channel in channels:
        smu = instrument.live_smu(channel)
        for quantity in quantities(smu):
            code = range_for(smu, quantity, points, wanted_range(smu, quantity))
            if stamped(instrument):
                data.append(Datum(quantity="T", channel=smu.number, value=begun))
            data.append(datum_of(instrument, smu, quantity, code, points, PULSED))
    return data
