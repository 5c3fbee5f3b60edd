"""Pulsed sources of one channel: PT, PV, PI, PWV, PWI, and the runs of modes 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from rmhil.units import Seconds
from sim_backend.b1500a.channel import Smu
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, RANGE, VOLTAGE, Table
from sim_backend.b1500a.commands.sweep import MODE, STEPS, SteppedSource, checked_stair, levels, run_steps
from sim_backend.b1500a.errors import NOT_SET_UP, PULSE_TIMING, SWEEP_POLARITY, Refused
from sim_backend.b1500a.formats import Datum
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import read_pulsed
from sim_backend.b1500a.parser import real
from sim_backend.b1500a.settings import PulseTiming, Stair, Step
from sim_backend.b1500a.timing import Timing

TABLE: Final = Table()

LONG_PULSE: Final[Seconds] = 0.1
_SHORT_PULSE: Final[Seconds] = 3e-3
PERIOD_MIN: Final[Seconds] = 5e-3
"""s: widths at which the rest and the automatic period change, and the shortest period (E5260/E5270 Programming
Guide, Edition 4, page 4-90)."""

_LSB: Final[Seconds] = 1e-6
"""s: times that differ by less are the same."""

_PULSE: Final = (CHANNEL, RANGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL)
_PULSED_SWEEP: Final = (CHANNEL, MODE, RANGE, VOLTAGE, VOLTAGE, VOLTAGE, STEPS, OPTIONAL_REAL, OPTIONAL_REAL)


def rest(timing: Timing, width: Seconds) -> Seconds:
    """Time (s) that a source rests at base at least after a pulse of that width."""
    return timing.pulse_rest_short if width <= LONG_PULSE + _LSB else timing.pulse_rest_long


def period_of(timing: Timing, width: Seconds, period: Seconds) -> Seconds:
    """Period (s) of pulses of a width; 0 lets the instrument choose."""
    if period != 0.0:
        return period
    return PERIOD_MIN if width <= _SHORT_PULSE + _LSB else width + rest(timing, width)


def check_period(instrument: Instrument, width: Seconds, period: Seconds) -> None:
    """Refuse a period that is too short for its width.

    Raises:
        Refused: it is.
    """
    if period == 0.0:
        return
    if not PERIOD_MIN - _LSB <= period <= 5.0 or period < width + rest(instrument.timing, width) - _LSB:
        raise Refused(PULSE_TIMING)


@TABLE.add("PT", takes=(real(0, 655.35), real(0.5e-3, 2.0), real(0, 5.0, optional=True), real(0, 2, optional=True)))
def timing(
    instrument: Instrument, hold: float, width: float, period: float | None, trigger_delay: float | None
) -> None:
    """Hold, width and period of pulses (s); a period of 0 is chosen by the instrument."""
    chosen = 0.0 if period is None else period
    check_period(instrument, width, chosen)
    instrument.settings.pulse = PulseTiming(hold=hold, width=width, period=chosen, trigger_delay=trigger_delay or 0.0)


def checked_step(instrument: Instrument, step: Step) -> Step:
    """A source of two levels that may be set up.

    Raises:
        Refused: a value is not allowed, or its switch is open.
    """
    smu = instrument.live_smu(step.channel)
    for value in (step.base, step.peak):
        instrument.checked_force(smu, step.kind, step.range_code, value, step.compliance)
    if step.kind == "I" and step.base * step.peak < 0:
        raise Refused(SWEEP_POLARITY, smu.number)
    return step


def _set_pulse(
    instrument: Instrument,
    kind: Literal["V", "I"],
    channel: int,
    code: int,
    base: float,
    peak: float,
    compliance: float | None,
) -> None:
    number = instrument.smu(channel).number
    step = Step(channel=number, kind=kind, range_code=code, base=base, peak=peak, compliance=compliance)
    instrument.settings.pulsed = checked_step(instrument, step)


@TABLE.add("PV", takes=_PULSE)
def pulse_voltage(instrument: Instrument, *values: float) -> None:
    """Pulsed source of a voltage."""
    _set_pulse(instrument, "V", *values)  # type: ignore[arg-type]


@TABLE.add("PI", takes=_PULSE)
def pulse_current(instrument: Instrument, *values: float) -> None:
    """Pulsed source of a current."""
    _set_pulse(instrument, "I", *values)  # type: ignore[arg-type]


def _set_pulsed_sweep(
    instrument: Instrument,
    kind: Literal["V", "I"],
    channel: int,
    mode: int,
    code: int,
    base: float,
    start: float,
    stop: float,
    steps: int,
    compliance: float | None,
    power: float | None,
) -> None:
    if kind == "I" and min(base, start, stop) < 0 < max(base, start, stop):
        raise Refused(SWEEP_POLARITY)
    stair = Stair(
        channel=instrument.smu(channel).number, kind=kind, mode=mode, range_code=code, start=start, stop=stop,
        steps=steps, compliance=compliance, power=power, base=base,
    )  # fmt: skip
    instrument.settings.pulsed_stair = checked_stair(instrument, stair)


@TABLE.add("PWV", takes=_PULSED_SWEEP)
def pulsed_voltage_sweep(instrument: Instrument, *values: float) -> None:
    """Pulsed sweep source of a voltage."""
    _set_pulsed_sweep(instrument, "V", *values)  # type: ignore[arg-type]


@TABLE.add("PWI", takes=_PULSED_SWEEP)
def pulsed_current_sweep(instrument: Instrument, *values: float) -> None:
    """Pulsed sweep source of a current."""
    _set_pulsed_sweep(instrument, "I", *values)  # type: ignore[arg-type]


def rest_at(instrument: Instrument, smu: Smu, step: Step) -> None:
    """Let a source go to its base."""
    force = instrument.checked_force(smu, step.kind, step.range_code, step.base, step.compliance)
    instrument.force(smu, force)


def pulse_once(instrument: Instrument, smu: Smu, base: float, peak: float, channels: Sequence[int]) -> list[Datum]:
    """One pulse of a source that rests at its base, with readings at its end; lasts one period."""
    pulse = instrument.settings.pulse
    # A range that holds both levels, so that the compliance is as it was checked.
    instrument.level(smu, peak)
    data = read_pulsed(instrument, channels, pulse.width)
    instrument.level(smu, base)
    instrument.wait(period_of(instrument.timing, pulse.width, pulse.period) - pulse.width)
    return data


def pulsed_spot(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 3."""
    step = instrument.settings.pulsed
    if step is None:
        raise Refused(NOT_SET_UP)
    smu = instrument.live_smu(step.channel)
    rest_at(instrument, smu, step)
    instrument.wait(instrument.settings.pulse.hold)
    instrument.put(pulse_once(instrument, smu, step.base, step.peak, channels))


def pulsed_sweep(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 4."""
    stair = instrument.settings.pulsed_stair
    if stair is None or (base := stair.base) is None:
        raise Refused(NOT_SET_UP)
    smu = instrument.live_smu(stair.channel)
    source = SteppedSource(smu, replace(stair, power=None), levels(stair, stair.mode, stair.steps))
    rest_at(instrument, smu, stair.pulse_to(stair.stop))
    instrument.wait(instrument.settings.pulse.hold)

    def read(step: int) -> list[Datum]:
        return pulse_once(instrument, smu, base, source.values[step], channels)

    data, _ = run_steps(instrument, channels, [source], read)
    instrument.put(data)
