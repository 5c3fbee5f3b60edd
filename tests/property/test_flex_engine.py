"""Whatever arrives, the engine stays sane; whatever is joined, the loop has one solution."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_backend.b1500a import DEFAULT_SLOTS, Engine, Instrument, Mainframe, Source, load_of
from sim_backend.b1500a.commands.index import ALL
from sim_backend.b1500a.dut.loop import solve_loop
from sim_backend.b1500a.dut.resistor import Resistor

LARGEST = 42.0
"""V: no output goes further while the interlock is open."""

NUMBERS = st.one_of(
    st.integers(-20, 30).map(str),
    st.sampled_from(["1", "2", "501", "0", "0.5", "1E-3", "0.01", "-1", "100", "1000", "%R1", "%I1", "", "x"]),
)
HEADERS = st.sampled_from([*sorted(set(ALL) - {"PA", "PAX"}), "ST", "END", "DO", "RU", "FOO", "*ESR?"])
COMMANDS = st.tuples(HEADERS, st.lists(NUMBERS, max_size=8)).map(lambda one: f"{one[0]} {','.join(one[1])}")


@settings(max_examples=150)
@given(st.lists(COMMANDS, max_size=25))
def test_no_sequence_of_commands_upsets_the_engine(commands: list[str]) -> None:
    instrument = Instrument(Mainframe.of(DEFAULT_SLOTS), load_of("10e3"))
    engine = Engine(instrument)
    engine.feed(b"CN;VAR 1,1,0.5\r\n")
    clock = instrument.clock
    for command in commands:
        engine.feed(command.encode() + b"\r\n")
        assert instrument.clock > clock or instrument.waiting_for_event
        clock = instrument.clock
        for output in instrument.outputs().values():
            assert output.kind == "I" or abs(output.value) <= LARGEST
    engine.device_clear()
    engine.feed(b"END\r\n*RST\r\n*OPC?\r\n")
    assert engine.take()[-1].payload == b"1\r\n"


@given(st.binary(max_size=600))
def test_no_bytes_upset_the_engine(noise: bytes) -> None:
    engine = Engine(Instrument(Mainframe.of(DEFAULT_SLOTS), load_of("open")))
    engine.feed(noise)
    engine.device_clear()
    engine.feed(b"*OPC?\r\n")
    assert engine.take()[-1].payload == b"1\r\n"


SOURCES = st.one_of(
    st.builds(
        Source, kind=st.just("V"), value=st.floats(-10, 10), limit=st.floats(1e-9, 0.1), series=st.floats(0, 1e6)
    ),
    st.builds(
        Source, kind=st.just("I"), value=st.floats(-0.1, 0.1), limit=st.floats(1e-3, 40), series=st.floats(0, 1e3)
    ),
)


@given(SOURCES, SOURCES, st.floats(1.0, 1e9))
def test_a_loop_keeps_to_the_laws_and_to_its_limits(high: Source, low: Source, ohms: float) -> None:
    found = solve_loop(Resistor(ohms), high, low)
    flowing = found.high.current
    assert found.low.current == -flowing
    across = found.high.voltage - found.low.voltage - flowing * (high.series + low.series)
    assert across == pytest.approx(flowing * ohms, rel=1e-6, abs=1e-9)
    for source, point in ((high, found.high), (low, found.low)):
        assert math.isfinite(point.voltage)
        if source.kind == "V":
            assert abs(point.current) <= source.limit * (1 + 1e-9)
            if not point.limited:
                assert point.voltage == pytest.approx(source.value, abs=1e-6)
        elif not point.limited:
            assert point.current == pytest.approx(source.value, rel=1e-9, abs=1e-15)
