"""Staircase sweeps: WT, WM, WV, WI, WSV, WSI, WNX, and the runs of modes 1, 2 and 16."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from sim_backend.b1500a.channel import Smu
from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, RANGE, VOLTAGE, Table
from sim_backend.b1500a.errors import NOT_SET_UP, PARAMETER_VALUE, SWEEP_POLARITY, Refused
from sim_backend.b1500a.formats import DUMMY, Datum, Flags
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.measure import quantities, read_channels, stamp, stamped
from sim_backend.b1500a.modules import covering_current, covering_voltage
from sim_backend.b1500a.parser import one_of, real
from sim_backend.b1500a.settings import Stair, SweepTiming

TABLE: Final = Table()

_LOGARITHMIC: Final = (2, 4)
_BOTH_WAYS: Final = (3, 4)
STEPS: Final = one_of(1, 10001)
MODE: Final = one_of(1, 4)
_SWEEP: Final = (CHANNEL, MODE, RANGE, VOLTAGE, VOLTAGE, STEPS, OPTIONAL_REAL, OPTIONAL_REAL)
_SYNCHRONOUS: Final = (CHANNEL, RANGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL, OPTIONAL_REAL)
_NUMBERED: Final = (
    one_of(2, 10), CHANNEL, one_of(1, 2), RANGE, VOLTAGE, VOLTAGE, OPTIONAL_REAL, OPTIONAL_REAL
)  # fmt: skip

_ABORTING: Final = Flags.OWN_COMPLIANCE | Flags.OTHER_COMPLIANCE | Flags.OVER_RANGE | Flags.OSCILLATION


def levels(stair: Stair, mode: int, steps: int) -> list[float]:
    """Values (V or A) of a source, step by step; up and back the last one is there twice."""
    if mode in _LOGARITHMIC:
        values = np.geomspace(stair.start, stair.stop, steps) if steps > 1 else np.array([stair.start])
    else:
        values = np.linspace(stair.start, stair.stop, steps)
    found = [float(value) for value in values]
    return [*found, *reversed(found)] if mode in _BOTH_WAYS else found


def checked_stair(instrument: Instrument, stair: Stair) -> Stair:
    """A sweep source that may be set up.

    Raises:
        Refused: a value is not allowed, or its switch is open.
    """
    smu = instrument.live_smu(stair.channel)
    for value in (stair.start, stair.stop, *((stair.base,) if stair.base is not None else ())):
        instrument.checked_force(smu, stair.kind, stair.range_code, value, stair.compliance)
    if stair.mode in _LOGARITHMIC and stair.start * stair.stop <= 0:
        raise Refused(SWEEP_POLARITY, smu.number)
    if stair.power is not None and not 1e-3 <= stair.power <= smu.model.power_max:
        raise Refused(PARAMETER_VALUE, smu.number)
    return stair


@TABLE.add(
    "WT",
    takes=(
        real(0, 655.35), real(0, 65.535), real(0, 1, optional=True),
        real(0, 65.535, optional=True), real(0, 65.535, optional=True),
    ),
)  # fmt: skip
def timing(
    instrument: Instrument,
    hold: float,
    delay: float,
    step_delay: float | None,
    source_trigger: float | None,
    measure_trigger: float | None,
) -> None:
    """Hold and delays of sweeps (s)."""
    if (source_trigger or 0.0) > delay:
        raise Refused(PARAMETER_VALUE)
    instrument.settings.sweep = SweepTiming(
        hold=hold,
        delay=delay,
        step_delay=step_delay or 0.0,
        source_trigger=source_trigger or 0.0,
        measure_trigger=measure_trigger or 0.0,
    )


@TABLE.add("WM", takes=(one_of(1, 2), one_of(1, 2, optional=True)))
def abort_condition(instrument: Instrument, abort: int, post: int | None) -> None:
    """Whether a sweep ends at compliance, and where its source goes afterwards."""
    instrument.settings.sweep_abort = (abort, post or 1)


def _primary(
    instrument: Instrument,
    kind: Literal["V", "I"],
    channel: int,
    mode: int,
    code: int,
    start: float,
    stop: float,
    steps: int,
    compliance: float | None,
    power: float | None,
) -> None:
    number = instrument.smu(channel).number
    instrument.settings.stair = checked_stair(
        instrument,
        Stair(
            channel=number, kind=kind, mode=mode, range_code=code, start=start, stop=stop, steps=steps,
            compliance=compliance, power=power,
        ),
    )  # fmt: skip
    instrument.settings.synchronous.clear()


@TABLE.add("WV", takes=_SWEEP)
def sweep_voltage(instrument: Instrument, *values: float) -> None:
    """Primary sweep source of a voltage; synchronous sources are forgotten."""
    _primary(instrument, "V", *values)  # type: ignore[arg-type]


@TABLE.add("WI", takes=_SWEEP)
def sweep_current(instrument: Instrument, *values: float) -> None:
    """Primary sweep source of a current; synchronous sources are forgotten."""
    _primary(instrument, "I", *values)  # type: ignore[arg-type]


def _follow(
    instrument: Instrument,
    place: int,
    kind: Literal["V", "I"],
    channel: int,
    code: int,
    start: float,
    stop: float,
    compliance: float | None,
    power: float | None,
) -> None:
    primary = instrument.settings.stair
    if primary is None:
        raise Refused(NOT_SET_UP)
    number = instrument.smu(channel).number
    if number == primary.channel:
        raise Refused(PARAMETER_VALUE, number)
    instrument.settings.synchronous[place] = checked_stair(
        instrument,
        Stair(
            channel=number, kind=kind, mode=primary.mode, range_code=code, start=start, stop=stop,
            steps=primary.steps, compliance=compliance, power=power,
        ),
    )  # fmt: skip


@TABLE.add("WSV", takes=_SYNCHRONOUS)
def follow_voltage(instrument: Instrument, *values: float) -> None:
    """Source of a voltage that steps with the primary one."""
    _follow(instrument, 1, "V", *values)  # type: ignore[arg-type]


@TABLE.add("WSI", takes=_SYNCHRONOUS)
def follow_current(instrument: Instrument, *values: float) -> None:
    """Source of a current that steps with the primary one."""
    _follow(instrument, 1, "I", *values)  # type: ignore[arg-type]


@TABLE.add("WNX", takes=_NUMBERED)
def follow_numbered(instrument: Instrument, place: int, channel: int, kind: int, *values: float) -> None:
    """Source of a given number that steps with the primary one."""
    _follow(instrument, place, "V" if kind == 1 else "I", channel, *values)  # type: ignore[arg-type]


def spot(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in mode 1."""
    instrument.put(read_channels(instrument, channels))


@dataclass(frozen=True, slots=True)
class SteppedSource:
    """A sweep source in a run: its unit, its set-up and its values."""

    smu: Smu
    stair: Stair
    values: list[float]

    def go(self, instrument: Instrument, step: int) -> None:
        """Force the value of a step, within the power compliance."""
        value, stair = self.values[step], self.stair
        compliance = stair.compliance if stair.compliance is not None else self.smu.force.compliance
        if stair.power is not None and value != 0.0:
            compliance = min(abs(compliance), stair.power / abs(value))
        instrument.force(self.smu, instrument.checked_force(self.smu, stair.kind, stair.range_code, value, compliance))

    def datum(self, step: int) -> Datum:
        """Its value as a datum."""
        largest = max(abs(self.stair.start), abs(self.stair.stop))
        code = covering_voltage(largest) if self.stair.kind == "V" else covering_current(self.smu.model, largest)
        return Datum(
            quantity=self.stair.kind,
            channel=self.smu.number,
            value=self.values[step],
            range_code=code,
            source=True,
            last=step == len(self.values) - 1,
        )


def stepped_sources(instrument: Instrument) -> list[SteppedSource]:
    """All sources of a staircase sweep, the primary one first.

    Raises:
        Refused: none is set up, or a switch is open.
    """
    primary = instrument.settings.stair
    if primary is None:
        raise Refused(NOT_SET_UP)
    stairs = [primary, *(one for _, one in sorted(instrument.settings.synchronous.items()))]
    return [
        SteppedSource(instrument.live_smu(stair.channel), stair, levels(stair, primary.mode, primary.steps))
        for stair in stairs
    ]


def _source_data(instrument: Instrument, sources: Sequence[SteppedSource], step: int) -> list[Datum]:
    """Values of the source that the mode of `FMT` asks for."""
    wanted = instrument.settings.fmt[1]
    return [sources[wanted - 1].datum(step)] if 1 <= wanted <= len(sources) else []


def dummies(instrument: Instrument, channels: Sequence[int]) -> Iterator[Datum]:
    """What stands for the readings of a step after an abort."""
    for channel in channels:
        smu = instrument.live_smu(channel)
        for quantity in quantities(smu):
            if stamped(instrument):
                yield stamp(instrument, smu.number)
            code = smu.widest_current_code if quantity == "I" else covering_voltage(smu.model.voltage_max)
            yield Datum(quantity=quantity, channel=smu.number, value=DUMMY, range_code=code, flags=Flags.OVER_RANGE)


def aborting(readings: Sequence[Datum], abort: int) -> bool:
    """Whether the readings of a step end the measurement."""
    return abort == 2 and any(datum.flags & _ABORTING for datum in readings)


def run_steps(
    instrument: Instrument,
    channels: Sequence[int],
    sources: Sequence[SteppedSource],
    read: Callable[[int], list[Datum]],
) -> tuple[list[Datum], bool]:
    """Data of a sweep, and whether a reading has ended it: from there on it has dummies."""
    data: list[Datum] = []
    stopped = False
    for step in range(len(sources[0].values)):
        if stopped:
            data += dummies(instrument, channels)
        else:
            readings = read(step)
            stopped = aborting(readings, instrument.settings.sweep_abort[0])
            data += readings
        data += _source_data(instrument, sources, step)
    return data, stopped


def staircase(instrument: Instrument, channels: Sequence[int]) -> None:
    """`XE` in modes 2 and 16."""
    sources, timing = stepped_sources(instrument), instrument.settings.sweep

    def read(step: int) -> list[Datum]:
        for source in sources:
            source.go(instrument, step)
        instrument.wait((timing.hold if step == 0 else 0.0) + timing.delay)
        begun = instrument.clock
        readings = read_channels(instrument, channels)
        instrument.wait(max(timing.step_delay - (instrument.clock - begun), 0.0))
        return readings

    data, stopped = run_steps(instrument, channels, sources, read)
    last = 0 if stopped or instrument.settings.sweep_abort[1] == 1 else len(sources[0].values) - 1
    for source in sources:
        source.go(instrument, last)
    instrument.put(data)
