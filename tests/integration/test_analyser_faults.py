"""Each fault of the emulated analyser, in each operation of the driver: the named error, and outputs at 0 V."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from rmhil.bench import (
    B1500A,
    AnalyserWiring,
    ChannelLimits,
    ComplianceError,
    CurrentRange,
    DataError,
    InstrumentError,
    InterlockError,
    LinkDroppedError,
    PulseAndVerify,
    PulseTiming,
    ReportedError,
    Sampling,
    SilenceError,
    Staircase,
    VerifyRead,
    VoltagePulse,
)
from sim_backend.b1500a import Emulator, Fault, FaultKind, emulate

WIRING = AnalyserWiring(channels={channel: ChannelLimits() for channel in (1, 2, 3)})
READ = VerifyRead(channel=1, voltage=0.2, gate_voltage=5.0, ranging=CurrentRange.fixed(100e-6))
PATIENCE = 0.1
"""s; the emulator answers in well under a millisecond."""

Operation = Callable[["Bench"], object]


class Bench:
    """An emulated analyser with a resistor of 10 kohm, the driver over one link, and its programs."""

    def __init__(self, transport: str) -> None:
        self.emulator: Emulator = emulate("10e3")
        self.analyser = B1500A.open(self.emulator.resources[transport], WIRING, patience=PATIENCE)
        self.program = PulseAndVerify(self.analyser, 1, pulsed=1, gate=3, read=READ)

    def drive(self) -> None:
        """Every output on, one of them at a voltage."""
        self.analyser.switch_on()
        self.analyser.force_voltage(1, 0.5, 1e-3)

    @property
    def driven(self) -> list[int]:
        """Channels that the emulator's own record says are on, or not at 0 V."""
        return [channel for channel, one in self.emulator.outputs().items() if one.closed or one.value]

    def close(self) -> None:
        self.analyser.close()
        self.emulator.close()


def staircase() -> Staircase:
    return Staircase(channel=1, start=0.0, stop=1.0, steps=2)


WITH_DATA: dict[str, Operation] = {
    "spot": lambda b: b.analyser.measure_current(1),
    "spot of a voltage": lambda b: b.analyser.measure_voltage(1),
    "spots": lambda b: b.analyser.measure_currents([1, 2]),
    "staircase": lambda b: b.analyser.sweep(staircase()),
    "sampling": lambda b: b.analyser.sample(Sampling(channel=1, voltage=0.2, points=2, interval=0.01)),
    "pulse": lambda b: b.analyser.pulse(VoltagePulse(channel=1, peak=1.0)),
    "pulses together": lambda b: b.analyser.pulse_together(
        [VoltagePulse(channel=1, peak=1.0), VoltagePulse(channel=3, peak=1.0)]
    ),
    "step": lambda b: b.program.step(1.0, 1.2, PulseTiming()),
    "verify read": lambda b: b.program.read(),
}
WITH_ANSWER: dict[str, Operation] = {
    "waiting": lambda b: b.analyser.wait(0.1),
    "error check": lambda b: b.analyser.check_errors(),
    "switching on": lambda b: b.analyser.switch_on(),
    "storing": lambda b: b.analyser.memory.store(9, ["DV 1,0,0,0.001"]),
    "integration": lambda b: b.analyser.integrate(samples=10),
}
SILENT: dict[str, Operation] = {
    "output": lambda b: b.analyser.force_voltage(1, 0.3, 1e-3),
    "current output": lambda b: b.analyser.force_current(1, 1e-6, 1.0),
    "zero": lambda b: b.analyser.zero(),
}
EVERY = WITH_DATA | WITH_ANSWER | SILENT


FEW = ("spot", "staircase", "step", "error check", "output")
"""Operations that are tried over the second transport as well."""


def cases(names: Iterable[str]) -> pytest.MarkDecorator:
    """All of them over a socket, and the few over HiSLIP."""
    chosen = list(names)
    found = [("SOCKET", name) for name in chosen] + [("HiSLIP", name) for name in chosen if name in FEW]
    return pytest.mark.parametrize(("bench", "name"), found, indirect=["bench"], scope="module")


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    opened = Bench(request.param)
    yield opened
    opened.close()


@pytest.fixture
def driven(bench: Bench) -> Iterator[Bench]:
    """Outputs on, whatever the test before has done, and measured: a fault does not outlive its test."""
    bench.drive()
    assert bench.analyser.measure_current(1).value == pytest.approx(50e-6, rel=0.01)
    yield bench
    bench.emulator.ask(lambda engine: engine.faults.clear())


def fails(
    bench: Bench, operation: Operation, kind: type[InstrumentError] | tuple[type[InstrumentError], ...]
) -> InstrumentError:
    """The error that an operation ends in; outputs are then off."""
    with pytest.raises(kind) as caught:
        operation(bench)
    assert bench.driven == []
    assert "0 V and opened" in str(caught.value)
    return caught.value


@cases(WITH_DATA | WITH_ANSWER)
def test_an_answer_that_does_not_come_is_silence(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.TIME_OUT))
    error = fails(driven, EVERY[name], (SilenceError, DataError))  # a step ends early after the pulse's datum
    assert isinstance(error, SilenceError) or name == "step"


@cases(name for name in FEW if name not in SILENT)
def test_an_answer_that_comes_late_is_silence_and_nobody_elses_answer(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.LATE))
    fails(driven, EVERY[name], (SilenceError, DataError))


@cases(WITH_DATA)
def test_an_answer_that_is_cut_short_gives_what_there_was(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.TRUNCATED))
    error = fails(driven, EVERY[name], (SilenceError, DataError))
    if name in (
        "spot",
        "spots",
        "staircase",
        "sampling",
        "step",
        "verify read",
        "pulses together",
        "spot of a voltage",
    ):
        assert error.data is not None
        assert len(error.data) >= 1
        assert np.isfinite(error.data.value).all()


@cases(WITH_DATA)
def test_garbage_is_no_data(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.GARBAGE))
    fails(driven, EVERY[name], DataError)


@cases(WITH_DATA)
def test_somebody_elses_data_are_not_taken_for_ones_own(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.LEFTOVER))
    fails(driven, EVERY[name], DataError)


@cases(WITH_DATA)
def test_a_limited_source_is_compliance_and_no_fault(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.COMPLIANCE, count=1))
    if name in ("step", "verify read"):  # those carry each status
        found = EVERY[name](driven)
        readings = [found.pulse, *found.reads] if found.pulse else found.reads  # type: ignore[attr-defined]
        assert [reading.normal for reading in readings].count(False) == 1
    else:
        with pytest.raises(ComplianceError) as caught:
            EVERY[name](driven)
        assert caught.value.data is not None
    assert driven.driven != []


@cases(EVERY)
def test_an_open_interlock_is_named(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.INTERLOCK))

    def checked(bench: Bench) -> None:
        EVERY[name](bench)
        bench.analyser.check_errors()

    fails(driven, checked, InterlockError)


@cases(EVERY)
def test_errors_of_the_instrument_are_told_at_the_next_check(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.ERROR_BURST, count=5))

    def checked(bench: Bench) -> None:
        EVERY[name](bench)
        bench.analyser.check_errors()

    error = fails(driven, checked, ReportedError)
    assert isinstance(error, ReportedError)
    assert len(error.reports) == 5


def dropped(driven: Bench, kind: FaultKind, name: str) -> None:
    driven.emulator.inject(Fault(kind=kind))

    def checked(bench: Bench) -> None:
        EVERY[name](bench)
        bench.analyser.check_errors()

    fails(driven, checked, LinkDroppedError)


@cases(EVERY)
def test_a_link_that_breaks_is_named_and_opened_anew_to_switch_off(driven: Bench, name: str) -> None:
    dropped(driven, FaultKind.DROPPED_LINK, name)


@cases(FEW)
def test_a_link_that_breaks_before_the_message_is_carried_out_does_so_too(driven: Bench, name: str) -> None:
    dropped(driven, FaultKind.DROPPED_BEFORE, name)


@cases(WITH_DATA)
def test_the_automatic_calibration_is_off(driven: Bench, name: str) -> None:
    driven.emulator.inject(Fault(kind=FaultKind.CALIBRATION))
    EVERY[name](driven)
    assert driven.driven != []
