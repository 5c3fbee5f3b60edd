"""The driver's start on an emulated analyser in whatever state somebody left it, and what is said if there is none."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator

import pytest

from rmhil.bench import (
    B1500A,
    AnalyserWiring,
    BusHeldError,
    ChannelLimits,
    InstrumentNotFoundError,
    ModuleMissingError,
    WrongInstrumentError,
)
from rmhil.bench.flex.facts import FORMATS
from sim_backend.b1500a import Emulator, Engine, Fault, FaultKind, emulate

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pyvisa-py, of a refused connection

WIRING = AnalyserWiring(channels={channel: ChannelLimits() for channel in (1, 2, 3)})
TRANSPORTS = ("SOCKET", "HiSLIP")
MESS = "CN 1,2;DV 1,0,1.5,1E-3;TI 1,0;TI 1,0;NOSUCH;*CLS;TI 7,0"
"""Outputs on, data in the buffer, three errors in the queue."""


@pytest.fixture(autouse=True)
def _nothing_left_for_other_tests() -> Iterator[None]:
    """A socket that pyvisa-py has not closed is collected here, where its warning is expected."""
    yield
    gc.collect()


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """With `True` as parameter, its data buffer is read before its answers."""
    with emulate("10e3", data_first=getattr(request, "param", False)) as opened:
        yield opened


def feed(emulator: Emulator, *messages: str) -> None:
    """What somebody else sent, and never read the answers of."""

    def send(engine: Engine) -> None:
        for message in messages:
            engine.feed(message.encode() + b"\r\n")

    emulator.ask(send)


def works(emulator: Emulator, transport: str) -> None:
    with B1500A.open(emulator.resources[transport], WIRING, patience=0.5) as analyser:
        assert not any(one.closed for one in emulator.outputs().values())
        analyser.switch_on()
        analyser.force_voltage(1, 0.5, 1e-3)
        assert analyser.measure_current(1).value == pytest.approx(50e-6, rel=0.01)
        analyser.check_errors()
    assert not any(one.closed for one in emulator.outputs().values())


@pytest.mark.parametrize(
    ("number", "transport", "emulator"),
    [(number, TRANSPORTS[place % 2], place % 4 > 1) for place, number in enumerate(sorted(FORMATS))],
    indirect=["emulator"],
)
def test_it_starts_in_any_format_with_data_errors_and_outputs_left(
    emulator: Emulator, number: int, transport: str
) -> None:
    feed(emulator, f"FMT {number},1", MESS, "*IDN?")
    works(emulator, transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "left", [("ST 5", "DV 1,0,1,1E-3"), ("PA",), ("CN 1", "TSC 1", "FMT 4,1", "MM 2,1", "WV 1,1,0,0,1,11,1E-3", "XE")],
    ids=["an open program", "a wait for an event", "a sweep nobody read"],
)  # fmt: skip
def test_it_starts_in_the_middle_of_somebody_elses_work(
    emulator: Emulator, left: tuple[str, ...], transport: str
) -> None:
    feed(emulator, *left)
    works(emulator, transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_second_client_is_told_that_the_instrument_is_held(emulator: Emulator, transport: str) -> None:
    with (
        B1500A.open(emulator.resources["SOCKET"], WIRING),
        pytest.raises(BusHeldError if transport == "SOCKET" else InstrumentNotFoundError),  # HiSLIP refuses to open
    ):
        B1500A.open(emulator.resources[transport], WIRING, patience=0.3)
    works(emulator, transport)


def test_an_instrument_that_does_not_answer_points_to_easyexpert(emulator: Emulator) -> None:
    emulator.inject(Fault(kind=FaultKind.TIME_OUT, header="*IDN?", times=5))
    with pytest.raises(BusHeldError, match="EasyEXPERT"):
        B1500A.open(emulator.resources["HiSLIP"], WIRING, patience=0.3)


def test_nobody_at_that_port_is_not_found() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for resource in (f"TCPIP0::127.0.0.1::{port}::SOCKET", f"TCPIP0::127.0.0.1::hislip0,{port}::INSTR"):
        with pytest.raises(InstrumentNotFoundError, match="VISA sees"):
            B1500A.open(resource, WIRING)


def test_a_name_that_visa_cannot_read_is_not_found() -> None:
    with pytest.raises(InstrumentNotFoundError):
        B1500A.open("the analyser in the corner", WIRING)


def test_a_missing_vendor_library_is_not_found() -> None:
    with pytest.raises(InstrumentNotFoundError):
        B1500A.open("GPIB0::17::INSTR", WIRING, library="/no/such/libvisa.so@ivi")


def test_a_gpib_address_without_an_adapter_is_not_found() -> None:
    with pytest.raises(InstrumentNotFoundError):
        B1500A.open("GPIB0::17::INSTR", WIRING)


def test_another_instrument_is_refused(emulator: Emulator) -> None:
    def rename(engine: Engine) -> None:
        engine.instrument.identity = "Agilent Technologies,E5270B,0,B.01.10"

    emulator.ask(rename)
    with pytest.raises(WrongInstrumentError, match="E5270B"):
        B1500A.open(emulator.resources["SOCKET"], WIRING, patience=0.3)


def test_a_module_that_is_not_there_is_named(emulator: Emulator) -> None:
    wiring = AnalyserWiring(channels={7: ChannelLimits()})
    with pytest.raises(ModuleMissingError, match="channel 7"):
        B1500A.open(emulator.resources["SOCKET"], wiring)
