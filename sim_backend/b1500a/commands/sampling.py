"""Sampling measurements: MT, ML, MV, MI, MSC, MCC, and the run of mode 10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from rmhil.units import Seconds
from sim_backend.b1500a.commands.pulse import checked_step
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, RANGE, VOLTAGE, Table
from sim_backend.b1500a.commands.sweep import aborting, dummies
from sim_backend.b1500a.errors import PARAMETER_VALUE, Refused
from sim_backend.b1500a.formats import ASCII, Datum
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import read_channels
from sim_backend.b1500a.parser import one_of, real
from sim_backend.b1500a.settings import SamplingTiming, Step

TABLE: Final = Table()

_DATA_MAX: Final = 100_001
"""Samples times channels."""

_FAST: Final[Seconds] = 2e-3
_FAST_MIN: Final[Seconds] = 1e-4
_FAST_CHANNEL: Final[Seconds] = 2e-5
"""s: below the first, an interval is at least the second, and the third for each further channel (B1500A Programming
Guide, MT)."""

_BEFORE: Final = (-0.09, -1e-4)
"""s: a negative hold begins before the bias; only where intervals are short."""

_A_DECADE: Final = {2: 10, 3: 25, 4: 50, 5: 100, 6: 250, 7: 5000}
"""Samples a decade of time, of the logarithmic modes of `ML`."""

_SOURCE: Final = (CHANNEL, RANGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL)


@TABLE.add("MT", takes=(real(-0.09, 655.35), real(1e-4, 65.535), one_of(1, _DATA_MAX), real(0, 655.35, optional=True)))
def timing(instrument: Instrument, hold: float, interval: float, samples: int, base_hold: float | None) -> None:
    """Hold, interval (s) and number of samples; hold at the base before the bias (s)."""
    channels = len(instrument.settings.measurement[1]) if instrument.settings.measurement else 1
    if hold < 0 and not (_BEFORE[0] <= hold <= _BEFORE[1] and interval < _FAST):
        raise Refused(PARAMETER_VALUE)
    if interval < _FAST and interval < _FAST_MIN + _FAST_CHANNEL * (channels - 1) - 1e-9:
        raise Refused(PARAMETER_VALUE)
    if samples * channels > _DATA_MAX:
        raise Refused(PARAMETER_VALUE)
    instrument.settings.sampling = SamplingTiming(
        hold=hold, interval=interval, samples=samples, base_hold=base_hold or 0.0
    )


@TABLE.add("ML", takes=(one_of(1, 7),))
def spacing(instrument: Instrument, mode: int) -> None:
    """Whether samples are evenly spaced (1), or so many a decade."""
    instrument.settings.sampling_mode = mode


@TABLE.add("MSC", takes=(one_of(1, 2), one_of(1, 2, optional=True)))
def abort_condition(instrument: Instrument, abort: int, post: int | None) -> None:
    """Whether compliance ends the measurement; sources go to base (1) or stay at bias (2) afterwards."""
    instrument.settings.sampling_abort = (abort, post or 2)


@TABLE.add("MCC", rest=CHANNEL)
def forget_sources(instrument: Instrument, *channels: int) -> None:
    """Forget the sources of some channels, or all of them."""
    for channel in channels or tuple(instrument.settings.sampled):
        instrument.settings.sampled.pop(instrument.smu(channel).number, None)


def _set(
    instrument: Instrument,
    kind: Literal["V", "I"],
    channel: int,
    code: int,
    base: float,
    bias: float,
    compliance: float | None,
) -> None:
    number = instrument.smu(channel).number
    step = Step(channel=number, kind=kind, range_code=code, base=base, peak=bias, compliance=compliance)
    instrument.settings.sampled[number] = checked_step(instrument, step)


@TABLE.add("MV", takes=_SOURCE)
def voltage_source(instrument: Instrument, *values: float) -> None:
    """Source of a voltage: base and bias."""
    _set(instrument, "V", *values)  # type: ignore[arg-type]


@TABLE.add("MI", takes=_SOURCE)
def current_source(instrument: Instrument, *values: float) -> None:
    """Source of a current: base and bias."""
    _set(instrument, "I", *values)  # type: ignore[arg-type]


def sample_times(timing: SamplingTiming, mode: int) -> list[Seconds]:
    """Times (s) of all samples after the bias."""
    numbers = np.arange(timing.samples, dtype=np.float64)
    if mode == 1:
        return [float(time) for time in timing.hold + timing.interval * numbers]
    ratios = 10.0 ** (numbers / _A_DECADE[mode])
    spread = np.maximum.accumulate(np.maximum(np.round(ratios), numbers + 1))
    return [float(time) for time in timing.hold + timing.interval * (spread - 1)]


def sampling(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 10."""
    settings = instrument.settings
    sources = [settings.sampled[number] for number in sorted(settings.sampled)]
    timing, (abort, post) = settings.sampling, settings.sampling_abort
    _go(instrument, sources, peak=False)
    instrument.wait(timing.base_hold)
    times = sample_times(timing, settings.sampling_mode)
    before = [time for time in times if time < 0]
    biased_at = instrument.clock + (-before[0] if before else 0.0)
    biased = False
    data: list[Datum] = []
    stopped = False
    for number, time in enumerate(times):
        if not biased and time >= 0:
            instrument.wait(max(biased_at - instrument.clock, 0.0))
            _go(instrument, sources, peak=True)
            biased_at, biased = instrument.clock, True
        instrument.wait(max(biased_at + time - instrument.clock, 0.0))
        readings = list(dummies(instrument, channels)) if stopped else read_channels(instrument, channels)
        stopped = stopped or aborting(readings, abort)
        data += readings
        if settings.fmt[1] and settings.fmt[0] in ASCII:
            data.append(Datum(quantity="X", channel=channels[0], value=float(number + 1)))
    if post == 1:
        _go(instrument, sources, peak=False)
    instrument.put(data)


def _go(instrument: Instrument, sources: Sequence[Step], *, peak: bool) -> None:
    for step in sources:
        smu = instrument.live_smu(step.channel)
        value = step.peak if peak else step.base
        instrument.force(smu, instrument.checked_force(smu, step.kind, step.range_code, value, step.compliance))
