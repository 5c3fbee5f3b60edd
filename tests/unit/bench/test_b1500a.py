from __future__ import annotations

import math

import numpy as np
import pytest

from rmhil.bench import (
    AnalyserWiring,
    BusHeldError,
    ChannelLimits,
    CurrentRange,
    Flag,
    InstrumentNotFoundError,
    LinkDroppedError,
    ModuleMissingError,
    PulseAndVerify,
    PulseTiming,
    Sampling,
    Staircase,
    VerifyRead,
    VoltagePulse,
    WrongInstrumentError,
)
from rmhil.errors import ConfigError, OutOfRangeError
from tests.unit.bench.scripted import (
    BROKEN,
    FAULT,
    IDENTITY,
    MODULES,
    NO_ERRORS,
    OFF,
    ONE_UA,
    START,
    TIME,
    ScriptedWire,
    opened,
    over,
)


def test_start_up_knows_instrument_and_modules_and_leaves_all_off() -> None:
    analyser, wire = opened(OFF)
    assert analyser.identity.model == "B1500A"
    assert analyser.modules[4] == "B1511B"
    assert 6 not in analyser.modules
    analyser.close()
    assert not wire.steps
    assert wire.closed


def test_errors_that_the_last_user_left_do_not_stop_the_start() -> None:
    left = [*START[:4], ("ERRX?", '+100,"Undefined GPIB command."\r\n'), *START[4:]]
    wire = ScriptedWire(left, OFF)
    over(lambda: wire).close()
    assert not wire.steps


def test_another_instrument_is_refused() -> None:
    steps = [
        ("*IDN?", "KEITHLEY,2636B,1,2\r\n"),
        ("END", ""),
        ("AB", ""),
        ("BC", ""),
        ("*IDN?", "KEITHLEY,2636B,1,2\r\n"),
    ]
    with pytest.raises(WrongInstrumentError, match="2636B"):
        over(lambda: ScriptedWire(steps))


def test_an_instrument_that_says_nothing_points_to_easyexpert() -> None:
    steps = [("*IDN?", ""), ("END", ""), ("AB", ""), ("BC", ""), ("*IDN?", "")]
    with pytest.raises(BusHeldError, match="EasyEXPERT"):
        over(lambda: ScriptedWire(steps))


def test_nobody_there_lists_what_visa_sees() -> None:
    with pytest.raises(InstrumentNotFoundError, match="ASRL1::INSTR"):
        over(lambda: ScriptedWire([("*IDN?", BROKEN)]), seen=["ASRL1::INSTR"])


@pytest.mark.parametrize("channel", [6, 5, 9])
def test_wiring_to_what_is_no_smu_is_refused_and_lists_the_modules(channel: int) -> None:
    wiring = AnalyserWiring(channels={channel: ChannelLimits()})
    steps = [("*IDN?", IDENTITY + "\r\n"), ("UNT? 0", MODULES + "\r\n")]
    with pytest.raises(ModuleMissingError, match="B1517A"):
        over(lambda: ScriptedWire(steps), wiring)


def test_wiring_that_asks_more_than_the_module_can_do_is_refused() -> None:
    wiring = AnalyserWiring(channels={1: ChannelLimits(voltage=42.0, current=0.05)})
    steps = [("*IDN?", IDENTITY + "\r\n"), ("UNT? 0", MODULES + "\r\n")]
    with pytest.raises(OutOfRangeError, match="42 V"):
        over(lambda: ScriptedWire(steps), wiring)


def test_a_channel_above_42_volts_cannot_be_wired() -> None:
    with pytest.raises(OutOfRangeError, match="interlock"):
        ChannelLimits(voltage=42.5)


def test_a_spot_is_one_message_and_one_read() -> None:
    analyser, wire = opened([("TTI 1,0", TIME + ONE_UA)], OFF)
    before = analyser.traffic
    reading = analyser.measure_current(1)
    assert (reading.value, reading.flag, reading.time) == (1e-6, Flag.NONE, 0.123)
    assert reading.normal
    assert tuple(np.subtract(analyser.traffic, before)) == (1, 1)
    analyser.close()
    assert not wire.steps


def test_an_end_of_line_after_the_last_datum_does_no_harm() -> None:
    """The guide says that there is none in this format; an instrument that sends one is read all the same."""
    ended = ("TTI 1,0", TIME + ONE_UA + "\r\n")
    analyser, wire = opened([ended, ended], NO_ERRORS, OFF)
    assert [analyser.measure_current(1).value for _ in range(2)] == [1e-6, 1e-6]
    analyser.check_errors()
    analyser.close()
    assert not wire.steps


@pytest.mark.parametrize(
    "refused",
    [
        lambda a: a.force_voltage(1, 1000.0, 1e-3),
        lambda a: a.force_voltage(1, 5.1, 1e-3),
        lambda a: a.force_voltage(1, math.nan, 1e-3),
        lambda a: a.force_voltage(3, 1.0, 1e-3),
        lambda a: a.force_voltage(1, 1.0, 0.0),
        lambda a: a.force_current(1, 2e-3, 1.0),
        lambda a: a.force_current(1, 1e-6, 50.0),
        lambda a: a.force_voltage(4, 1.0, 1e-3),
        lambda a: a.switch_on(4),
        lambda a: a.measure_current(7),
        lambda a: a.measure_currents([1, 1]),
        lambda a: a.sweep(Staircase(channel=1, start=0.0, stop=6.0, steps=11)),
        lambda a: a.sweep(Staircase(channel=1, start=0.0, stop=1.0, steps=10_002)),
        lambda a: a.sweep(Staircase(channel=1, start=0.0, stop=1.0, steps=11, logarithmic=True)),
        lambda a: a.sweep(Staircase(channel=1, start=0.0, stop=1.0, steps=11, delay=66.0)),
        lambda a: a.pulse(VoltagePulse(channel=1, peak=1.0), PulseTiming(width=0.4e-3)),
        lambda a: a.pulse(VoltagePulse(channel=1, peak=1.0), PulseTiming(width=1e-3, period=4e-3)),
        lambda a: a.pulse(VoltagePulse(channel=1, peak=1.0), PulseTiming(width=200e-3, period=205e-3)),
        lambda a: a.pulse(VoltagePulse(channel=1, peak=-5.5)),
        lambda a: a.pulse_together([VoltagePulse(channel=1, peak=1.0), VoltagePulse(channel=3, peak=1.0)]),
        lambda a: a.sample(Sampling(channel=1, voltage=0.2, points=10, interval=0.05e-3)),
        lambda a: a.sample(Sampling(channel=1, voltage=0.2, points=100_002, interval=1.0)),
        lambda a: a.sample(Sampling(channel=1, voltage=0.2, points=20_000, interval=1.0)),
        lambda a: a.measure_current(1, CurrentRange.at_least(1e-12)),
        lambda a: a.measure_current(1, CurrentRange.fixed(1.0)),
        lambda a: a.integrate(),
        lambda a: a.integrate(samples=2000),
        lambda a: a.integrate(samples=0),
        lambda a: a.wait(-1.0),
        lambda a: a.memory.store(2001, ["XE"]),
        lambda a: CurrentRange.fixed(3e-6),
    ],
)  # fmt: skip
def test_what_is_outside_the_limits_is_refused_before_a_byte_is_sent(refused: object) -> None:
    analyser, wire = opened(OFF)
    sent = len(wire.sent)
    with pytest.raises((ConfigError, OutOfRangeError)):
        refused(analyser)  # type: ignore[operator]
    assert len(wire.sent) == sent
    analyser.close()


def test_outputs_are_driven_by_these_messages() -> None:
    steps = [("CN 1,3", ""), *NO_ERRORS, ("DV 1,0,0.2,0.0001", ""), ("DI 1,0,-1E-06,2", ""), ("DZ", "")]
    analyser, wire = opened(steps, OFF)
    analyser.switch_on(1, 3)
    analyser.force_voltage(1, 0.2, 100e-6)
    analyser.force_current(1, -1e-6, 2.0)
    analyser.zero()
    analyser.close()
    assert not wire.steps


def test_a_sweep_gives_current_status_time_and_voltage_of_each_step() -> None:
    points = "".join(f"NAT+000.{n}000E+00,NBI+00{n}.0000E-06," for n in range(6))
    message = "MM 2,2;RI 2,0;WM 1,1;WT 0,0.01;WV 1,3,0,0,1,3,0.001;XE"
    analyser, _ = opened([(message, points)], OFF)
    sweep = analyser.sweep(Staircase(channel=1, start=0.0, stop=1.0, steps=3, there_and_back=True, delay=0.01), [2])
    assert sweep.voltage.tolist() == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    np.testing.assert_allclose(sweep.of(2), np.arange(6) * 1e-6)
    np.testing.assert_allclose(sweep.time[0], np.arange(6) / 10)
    assert sweep.normal.all()
    analyser.close()


def test_a_pulse_takes_the_shortest_period_that_is_allowed() -> None:
    steps = [
        ("MM 3,1;RI 1,0;PT 0,0.001,0.005;PV 1,0,0,2,0.001;XE", TIME + ONE_UA),
        ("MM 3,1;RI 1,0;PT 0,0.05,0.052;PV 1,0,0,2,0.001;XE", TIME + ONE_UA),
        ("MM 3,1;RI 1,0;PT 0,0.2,0.21;PV 1,0,0,2,0.001;XE", TIME + ONE_UA),
    ]
    analyser, wire = opened(steps, OFF)
    for width in (1e-3, 50e-3, 200e-3):
        assert analyser.pulse(VoltagePulse(channel=1, peak=2.0), PulseTiming(width=width)).value == 1e-6
    analyser.close()
    assert not wire.steps


def test_gate_and_bit_line_are_pulsed_together() -> None:
    message = (
        "MM 27,1,3;RI 1,0;RI 3,0;MCPT 0,0.005;MCPNT 1,0,0.001;MCPNT 3,0,0.001;"
        "MCPNX 1,1,1,0,0,2,0.001;MCPNX 2,3,1,0,0,1.2,0.0001;XE"
    )
    analyser, _ = opened([(message, TIME + ONE_UA + TIME + "NCI+000.0001E-06,")], OFF)
    pulses = [VoltagePulse(channel=1, peak=2.0), VoltagePulse(channel=3, peak=1.2, compliance=1e-4)]
    readings = analyser.pulse_together(pulses)
    assert readings.channels == (1, 3)
    assert readings.of(1).tolist() == [1e-6]
    analyser.close()


def test_sampling_measures_again_and_again() -> None:
    points = "".join(f"NAT+000.{n}000E+00,NAI+00{n}.0000E-06," for n in range(4))
    message = "MM 10,1;RI 1,0;MT 0,0.1,4;MV 1,0,0,0.2,0.001;XE"
    analyser, _ = opened([(message, points)], OFF)
    samples = analyser.sample(Sampling(channel=1, voltage=0.2, points=4, interval=0.1))
    np.testing.assert_allclose(samples.time[0], [0.0, 0.1, 0.2, 0.3])
    analyser.close()


READ = VerifyRead(channel=1, voltage=0.2, gate_voltage=5.0, compliance=1e-4, ranging=CurrentRange.fixed(100e-6))
READING = ["DV 3,0,5,0.0001", "DV 1,0,0.2,0.0001", "TTI 1,-16", "DV 1,0,0,0.0001", "DV 3,0,0,0.0001"]
PULSE = [
    "MM 27,1", "MCPT 0,%R4", "MCPNT 1,0,%R3", "MCPNT 3,0,%R3", "MCPNX 1,3,1,0,0,%R2,0.0001",
    "MCPNX 2,1,1,0,0,%R1,%R5", "XE",
]  # fmt: skip


def stored(number: int, commands: list[str]) -> list[tuple[str, object]]:
    """The script of writing a program."""
    lines = [(command, "") for command in commands]
    return [(f"SCR {number}", ""), *NO_ERRORS, (f"ST {number}", ""), *lines, ("END", ""), *NO_ERRORS]


def test_a_step_is_one_message_and_one_read() -> None:
    step = "VAR 1,1,2;VAR 1,2,1.25;VAR 1,3,0.001;VAR 1,4,0.005;VAR 1,5,0.001;DO 1"
    script = [*stored(1, [*PULSE, *READING]), *stored(2, READING)]
    analyser, wire = opened(script, [(step, TIME + "NAI+050.0000E-06," + TIME + ONE_UA), ("DO 2", TIME + ONE_UA)], OFF)
    program = PulseAndVerify(analyser, 1, pulsed=1, gate=3, read=READ)
    before = analyser.traffic
    found = program.step(2.0, 1.25, PulseTiming(width=1e-3))
    assert tuple(np.subtract(analyser.traffic, before)) == (1, 1)
    assert found.pulse is not None
    assert found.pulse.value == pytest.approx(50e-6)
    assert [read.value for read in found.reads] == [1e-6]
    assert program.read().pulse is None
    assert tuple(np.subtract(analyser.traffic, before)) == (2, 2)
    analyser.close()
    assert not wire.steps


def test_a_step_outside_the_limits_is_refused_before_a_byte_is_sent() -> None:
    analyser, wire = opened(stored(1, [*PULSE, *READING]), stored(2, READING), OFF)
    program = PulseAndVerify(analyser, 1, pulsed=1, gate=3, read=READ)
    sent = len(wire.sent)
    for peak, gate, width in ((5.5, 1.0, 1e-3), (2.0, 5.5, 1e-3), (2.0, 1.0, 0.1e-3), (2.0, 1.0, 3.0)):
        with pytest.raises(OutOfRangeError):
            program.step(peak, gate, PulseTiming(width=width))
    assert len(wire.sent) == sent
    analyser.close()


def test_a_program_that_was_interrupted_is_ended_before_anything_else() -> None:
    begun = [("SCR 1", ""), *NO_ERRORS, ("ST 1", ""), ("MM 27,1", BROKEN)]
    ended = [("END", ""), *FAULT]
    analyser, wire = opened(begun, ended, OFF)
    with pytest.raises(LinkDroppedError):
        PulseAndVerify(analyser, 1, pulsed=1, gate=3, read=READ)
    analyser.close()
    assert not wire.steps


def test_waiting_goes_by_the_analysers_clock_in_parts_that_it_takes() -> None:
    analyser, wire = opened([("PA 99.9999;*OPC?", "1\r\n"), ("PA 50.0001;*OPC?", "1\r\n")], OFF)
    analyser.wait(150.0)
    analyser.close()
    assert not wire.steps
