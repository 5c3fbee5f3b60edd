"""`*LRN?`: settings, spelled as an instrument's answers noted in public drivers are, with no blank after a header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rmhil.bench.flex.facts import VOLTAGE_RANGES
from sim_backend.b1500a.adc import POWER_LINE
from sim_backend.b1500a.channel import Smu
from sim_backend.b1500a.commands.registry import Table
from sim_backend.b1500a.errors import PARAMETER_VALUE, Refused
from sim_backend.b1500a.formats import in_digits
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.modules import CURRENT_RANGES, SLOTS
from sim_backend.b1500a.parser import one_of
from sim_backend.b1500a.settings import Stair, Step

TABLE: Final = Table()


@TABLE.add("*LRN?", takes=(one_of(0, 110),))
def learn(instrument: Instrument, kind: int) -> None:
    """Settings of one kind."""
    if 1 <= kind <= SLOTS:
        instrument.buffers.answer(_slot(instrument, kind))
    elif kind in _KINDS:
        instrument.buffers.answer(_KINDS[kind](instrument))
    else:
        raise Refused(PARAMETER_VALUE)


def _switches(instrument: Instrument) -> str:
    live = instrument.live_channels
    return "CN" + ",".join(str(number) for number in live) if live else "CL"


def _level(kind: str, code: int, value: float) -> str:
    return in_digits(value, VOLTAGE_RANGES[code] if kind == "V" else CURRENT_RANGES[code])


def _plain(value: float) -> str:
    """A number as short as it goes; its exponent is a capital E."""
    return f"{value:g}".upper()


def _slot(instrument: Instrument, slot: int) -> str:
    smu = instrument.smus.get(slot)
    if smu is None:
        raise Refused(PARAMETER_VALUE)
    if not smu.on:
        return f"CL{slot}"
    force = smu.force
    other = "I" if force.kind == "V" else "V"
    value = _level(force.kind, force.range_code, force.value)
    compliance = _level(other, force.compliance_code, force.compliance)
    return f"D{force.kind}{slot},{force.range_code},{value},{compliance},{force.polarity},{force.compliance_code}"


def _each(instrument: Instrument, text: Callable[[Smu], str]) -> str:
    return ";".join(text(smu) for smu in instrument.smus.values())


def _filters(instrument: Instrument) -> str:
    on = [smu.number for smu in instrument.smus.values() if smu.filtered]
    off = [smu.number for smu in instrument.smus.values() if not smu.filtered]
    if not on or not off:
        return "FL1" if on else "FL0"
    return f"FL0,{','.join(map(str, off))};FL1,{','.join(map(str, on))}"


def _general(instrument: Instrument) -> str:
    settings = instrument.settings
    integration = settings.integration[0]
    average = -integration.coefficient if integration.mode == POWER_LINE else integration.coefficient
    parts = [
        f"TM{settings.trigger}",
        f"AV{_plain(average)},{settings.averaging_mode}",
        f"CM{int(settings.calibrating)}",
        f"FMT{settings.fmt[0]},{settings.fmt[1]}",
    ]
    if settings.measurement is not None:
        mode, channels = settings.measurement
        parts.append(f"MM{mode}," + ",".join(map(str, channels)))
    return ";".join(parts)


def _ranges(instrument: Instrument) -> str:
    return _each(instrument, lambda smu: f"RI{smu.number},{smu.current_range};RV{smu.number},{smu.voltage_range}")


def _stair_values(stair: Stair) -> str:
    text = f"{_plain(stair.start)},{_plain(stair.stop)}"
    base = "" if stair.base is None else f"{_plain(stair.base)},"
    return base + text


def _limits(stair: Stair) -> str:
    text = "" if stair.compliance is None else f",{_plain(stair.compliance)}"
    return text + ("" if stair.power is None else f",{_plain(stair.power)}")


def _staircase(instrument: Instrument) -> str:
    settings = instrument.settings
    times = settings.sweep
    delays = (times.hold, times.delay, times.step_delay, times.source_trigger, times.measure_trigger)
    parts = [
        f"WM{settings.sweep_abort[0]},{settings.sweep_abort[1]}",
        "WT" + ",".join(f"{delay:.4f}" for delay in delays),
    ]
    stair = settings.stair
    if stair is not None:
        head = f"W{stair.kind}{stair.channel},{stair.mode},{stair.range_code}"
        parts.append(f"{head},{_stair_values(stair)},{stair.steps}{_limits(stair)}")
    for place, one in sorted(settings.synchronous.items()):
        head = f"WS{one.kind}{one.channel}" if place == 1 else f"WN{place},{one.channel},{1 if one.kind == 'V' else 2}"
        parts.append(f"{head},{one.range_code},{_stair_values(one)}{_limits(one)}")
    return ";".join(parts)


def _step(header: str, step: Step) -> str:
    compliance = "" if step.compliance is None else f",{_plain(step.compliance)}"
    return f"{header}{step.channel},{step.range_code},{_plain(step.base)},{_plain(step.peak)}{compliance}"


def _pulses(instrument: Instrument) -> str:
    settings = instrument.settings
    pulse = settings.pulse
    parts = [f"PT{pulse.hold:.2f},{pulse.width:.4f},{pulse.period:.4f},{pulse.trigger_delay:.4f}"]
    if settings.pulsed is not None:
        parts.append(_step(f"P{settings.pulsed.kind}", settings.pulsed))
    stair = settings.pulsed_stair
    if stair is not None:
        head = f"PW{stair.kind}{stair.channel},{stair.mode},{stair.range_code}"
        parts.append(f"{head},{_stair_values(stair)},{stair.steps}{_limits(stair)}")
    return ";".join(parts)


def _sampling(instrument: Instrument) -> str:
    settings = instrument.settings
    times = settings.sampling
    parts = [
        f"MSC{settings.sampling_abort[0]},{settings.sampling_abort[1]}",
        f"ML{settings.sampling_mode}",
        f"MT{times.hold:.4f},{times.interval:.5f},{times.samples},{times.base_hold:.4f}",
    ]
    parts += [_step(f"M{step.kind}", step) for _, step in sorted(settings.sampled.items())]
    return ";".join(parts)


def _converters(instrument: Instrument) -> str:
    """Two entries a channel and doubled separators, as B1500 firmware answers."""
    return ";;".join(f"AAD{smu.number},{smu.converter};AAD{smu.number},2" for smu in instrument.smus.values())


def _integration(instrument: Instrument) -> str:
    settings = instrument.settings
    parts = [f"AIT{kind},{one.mode},{_plain(one.coefficient)}" for kind, one in sorted(settings.integration.items())]
    return ";".join([*parts, f"AZ{int(settings.auto_zero)}"])


def _waits(instrument: Instrument) -> str:
    return ";".join(
        f"WAT{kind},{factor:.1f},{offset:.4f}" for kind, (factor, offset) in sorted(instrument.settings.wait.items())
    )


def _capacitance(instrument: Instrument) -> str:
    settings = instrument.settings
    parts = ["WTDCV" + ",".join(f"{delay:.4f}" for delay in settings.capacitance_delays)]
    if settings.capacitance_sweep is not None:
        parts.append("WDCV" + ",".join(_plain(value) for value in settings.capacitance_sweep))
    return ";".join(parts)


_KINDS: Final[dict[int, Callable[[Instrument], str]]] = {
    0: _switches,
    30: _filters,
    31: _general,
    32: _ranges,
    33: _staircase,
    34: _pulses,
    46: lambda instrument: _each(instrument, lambda smu: f"CMM{smu.number},{smu.measured}"),
    47: _sampling,
    53: lambda instrument: _each(instrument, lambda smu: f"SSR{smu.number},{int(smu.resistor)}"),
    54: lambda instrument: _each(instrument, lambda smu: f"RM{smu.number},{smu.ranging[0]},{smu.ranging[1]}"),
    55: _converters,
    56: _integration,
    57: _waits,
    60: lambda instrument: f"TSC{int(instrument.settings.stamped)}",
    70: lambda instrument: f"IMP{instrument.settings.capacitance_parameters}",
    71: lambda instrument: f"LMN{int(instrument.settings.capacitance_monitor)}",
    72: lambda instrument: "ACT{},{}".format(*instrument.settings.capacitance_integration),
    100: _capacitance,
    110: lambda instrument: f"PAD{int(instrument.settings.parallel)}",
}
"""By the number of the kind. No answer of an instrument was found for 34, 47, 70 to 72 and 100; they are spelled like
the others."""
