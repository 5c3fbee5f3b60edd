"""Pulses of several channels at once: MCPT, MCPNT, MCPNX, MCPWS, MCPWNX, and the runs of modes 27 and 28."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from rmhil.units import Seconds
from sim_backend.b1500a.channel import Smu
from sim_backend.b1500a.commands.pulse import check_period, checked_step, period_of, rest_at
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, RANGE, VOLTAGE, Table
from sim_backend.b1500a.commands.sweep import MODE, STEPS, SteppedSource, levels, run_steps
from sim_backend.b1500a.errors import NOT_SET_UP, PULSE_TIMING, Refused
from sim_backend.b1500a.formats import DUMMY, Datum, Flags
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import read_pulsed
from sim_backend.b1500a.parser import one_of, real
from sim_backend.b1500a.settings import MultiTiming, Stair, Step

TABLE: Final = Table()

_PLACE: Final = one_of(1, 10)
_KIND: Final = one_of(1, 2)
_LSB: Final[Seconds] = 1e-6


@TABLE.add(
    "MCPT", takes=(real(0, 655.35), real(0, 5.0, optional=True), real(0, optional=True), one_of(1, 1023, optional=True))
)
def timing(
    instrument: Instrument, hold: float, period: float | None, delay: float | None, averages: int | None
) -> None:
    """Hold, period (0: chosen by the instrument) and delay of the readings (s; 0: at the end), and their number."""
    instrument.settings.multi = MultiTiming(hold=hold, period=period or 0.0, delay=delay or 0.0, averages=averages or 1)


@TABLE.add("MCPNT", takes=(CHANNEL, real(0, 2.0), real(0.5e-3, 2.0)))
def window(instrument: Instrument, channel: int, delay: float, width: float) -> None:
    """Delay and width (s) of a channel's pulse; all widths must be equal in a run."""
    instrument.settings.multi_windows[instrument.smu(channel).number] = (delay, width)


@TABLE.add("MCPNX", takes=(_PLACE, CHANNEL, _KIND, RANGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL))
def pulsed_source(
    instrument: Instrument,
    place: int,
    channel: int,
    kind: int,
    code: int,
    base: float,
    peak: float,
    compliance: float | None,
) -> None:
    """Pulsed source of a given number; number 1 forgets the others."""
    number = instrument.smu(channel).number
    step = Step(
        channel=number, kind="V" if kind == 1 else "I", range_code=code, base=base, peak=peak, compliance=compliance
    )
    checked_step(instrument, step)
    if place == 1:
        instrument.settings.multi_pulsed.clear()
    instrument.settings.multi_pulsed[place] = step


@TABLE.add("MCPWS", takes=(MODE, STEPS))
def sweep_steps(instrument: Instrument, mode: int, steps: int) -> None:
    """Mode and number of steps of a multi-channel pulsed sweep."""
    instrument.settings.multi_steps = (mode, steps)


@TABLE.add("MCPWNX", takes=(_PLACE, CHANNEL, _KIND, RANGE, VOLTAGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL, OPTIONAL_REAL))
def pulsed_sweep_source(
    instrument: Instrument,
    place: int,
    channel: int,
    kind: int,
    code: int,
    base: float,
    start: float,
    stop: float,
    compliance: float | None,
    power: float | None,
) -> None:
    """Pulsed sweep source of a given number; number 1 forgets the others."""
    number = instrument.smu(channel).number
    mode, steps = instrument.settings.multi_steps
    stair = Stair(
        channel=number, kind="V" if kind == 1 else "I", mode=mode, range_code=code, start=start, stop=stop,
        steps=steps, compliance=compliance, power=power, base=base,
    )  # fmt: skip
    for peak in (start, stop):
        checked_step(instrument, stair.pulse_to(peak))
    if place == 1:
        instrument.settings.multi_stairs.clear()
    instrument.settings.multi_stairs[place] = stair


@dataclass(frozen=True, slots=True)
class _Pulsed:
    """A pulsed channel of a run: its unit, its window (s), its base and its peak of this step."""

    smu: Smu
    delay: Seconds
    width: Seconds
    base: float
    peak: float


def _pulsed(instrument: Instrument, step: Step) -> _Pulsed:
    smu = instrument.live_smu(step.channel)
    delay, width = instrument.settings.multi_windows.get(smu.number, (0.0, 1e-3))
    return _Pulsed(smu, delay, width, step.base, step.peak)


def _prepare(instrument: Instrument, steps: Sequence[Step]) -> list[_Pulsed]:
    """All pulsed channels at their bases, after the hold.

    Raises:
        Refused: their windows do not fit.
    """
    pulsed = [_pulsed(instrument, step) for step in steps]
    widths = [one.width for one in pulsed]
    if max(widths) - min(widths) > _LSB:
        raise Refused(PULSE_TIMING)
    last = max(one.delay + one.width for one in pulsed)
    check_period(instrument, last, instrument.settings.multi.period)
    if instrument.settings.multi.delay > last + _LSB:
        raise Refused(PULSE_TIMING)
    for one, step in zip(pulsed, steps, strict=True):
        rest_at(instrument, one.smu, step)
    instrument.wait(instrument.settings.multi.hold)
    return pulsed


def _pulse_together(instrument: Instrument, pulsed: Sequence[_Pulsed], channels: Sequence[int]) -> list[Datum]:
    """One period: every channel's pulse in its window, and readings of all channels at one time."""
    multi = instrument.settings.multi
    last = max(one.delay + one.width for one in pulsed)
    read_at = multi.delay or min(one.delay + one.width for one in pulsed)
    edges = sorted({0.0, last, read_at, *(one.delay for one in pulsed), *(one.delay + one.width for one in pulsed)})
    data: list[Datum] = []
    for begin, end in pairwise(edges):
        for one in pulsed:
            inside = one.delay - _LSB <= begin < one.delay + one.width - _LSB
            instrument.level(one.smu, one.peak if inside else one.base)
        if end == read_at:
            data = read_pulsed(instrument, channels, end - begin)
        else:
            instrument.wait(end - begin)
    for one in pulsed:
        instrument.level(one.smu, one.base)
    instrument.wait(period_of(instrument.timing, last, multi.period) - last)
    return data


def _averaged(instrument: Instrument, pulsed: Sequence[_Pulsed], channels: Sequence[int]) -> list[Datum]:
    """Mean of the readings of some pulses, with all of their flags."""
    runs = [_pulse_together(instrument, pulsed, channels) for _ in range(instrument.settings.multi.averages)]
    if len(runs) == 1:
        return runs[0]
    data = []
    for same in zip(*runs, strict=True):
        flags = same[0].flags
        for one in same[1:]:
            flags |= one.flags
        value = same[0].value if same[0].quantity == "T" else sum(one.value for one in same) / len(same)
        value = DUMMY if flags & Flags.OVER_RANGE else value
        data.append(replace(same[0], value=value, flags=flags))
    return data


def multi_spot(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 27."""
    steps = [one for _, one in sorted(instrument.settings.multi_pulsed.items())]
    if not steps:
        raise Refused(NOT_SET_UP)
    pulsed = _prepare(instrument, steps)
    instrument.put(_averaged(instrument, pulsed, channels))


def multi_sweep(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 28: sweep sources and pulsed sources of constant peak together."""
    settings = instrument.settings
    mode, steps = settings.multi_steps
    stairs = [one for _, one in sorted(settings.multi_stairs.items())]
    if not stairs:
        raise Refused(NOT_SET_UP)
    sources = [SteppedSource(instrument.live_smu(one.channel), one, levels(one, mode, steps)) for one in stairs]
    swept = {one.channel for one in stairs}
    constant = [one for _, one in sorted(settings.multi_pulsed.items()) if one.channel not in swept]
    first = [stair.pulse_to(stair.start) for stair in stairs]
    pulsed = _prepare(instrument, [*first, *constant])

    def read(step: int) -> list[Datum]:
        peaks = [source.values[step] for source in sources] + [one.peak for one in constant]
        now = [replace(one, peak=peak) for one, peak in zip(pulsed, peaks, strict=True)]
        return _averaged(instrument, now, channels)

    data, _ = run_steps(instrument, channels, sources, read)
    instrument.put(data)
