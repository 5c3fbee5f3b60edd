"""Both front ends, as pyvisa-py sees them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import pyvisa
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource

from rmhil.errors import BackendClosedError, ConfigError, UnknownNameError
from sim_backend.b1500a import Emulator, Fault, FaultKind, Timing, emulate
from sim_backend.b1500a.dut.load import Terminals

TRANSPORTS = ("SOCKET", "HiSLIP")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulate("10e3", ideal=True) as running:
        yield running


@pytest.fixture
def manager() -> Iterator[pyvisa.ResourceManager]:
    manager = pyvisa.ResourceManager("@py")
    yield manager
    manager.close()


def opened(manager: pyvisa.ResourceManager, resource: str, timeout_ms: int = 2000) -> MessageBasedResource:
    session = manager.open_resource(resource, read_termination="\r\n", write_termination="\r\n", timeout=timeout_ms)
    assert isinstance(session, MessageBasedResource)
    return session


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_asks_and_measures(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    with opened(manager, emulator.resources[transport]) as session:
        assert session.query("*IDN?").split(",")[1] == "B1500A"
        session.write("CN 1,2;DV 1,0,2,0.01;DV 2,0,0,0.01")
        assert float(session.query("TI 1,0")[3:]) == pytest.approx(2e-4, rel=1e-3)
        assert session.query("ERRX?") == '+0,"No Error."'
        assert emulator.outputs()[1].value == 2.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_long_answers_come_whole(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    with opened(manager, emulator.resources[transport], 20_000) as session:
        session.write("CN 1,2;MM 10,1,2;MT 0,0.01,5000;MV 1,0,0,1,0.01")
        assert len(session.query("XE").split(",")) == 10_000


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_binary_data_come_by_count(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    with opened(manager, emulator.resources[transport]) as session:
        session.write("CN 1,2;FMT 13;MM 10,1,2;MT 0,0.01,50;MV 1,0,0,1,0.01;XE")
        assert len(session.read_bytes(8 * 100 + 2, break_on_termchar=False)) == 802
        assert session.query("*OPC?") == "1"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_state_outlives_a_client(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    with opened(manager, emulator.resources[transport]) as session:
        session.query("CN 1;DV 1,0,1,0.01;*OPC?")
    with opened(manager, emulator.resources[transport]) as session:
        assert session.query("*LRN? 0") == "CN1"


def test_a_second_socket_client_is_told_why_it_is_refused(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["HiSLIP"]) as first:
        assert first.query("*OPC?") == "1"
        port = emulator.ports.socket
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as second:
            assert b"one client at a time, and HiSLIP client 127.0.0.1" in second.recv(200)
            assert second.recv(1) == b""
        assert first.query("*OPC?") == "1"


def test_a_second_hislip_client_is_refused(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["SOCKET"]) as first:
        assert first.query("*OPC?") == "1"
        port = emulator.ports.hislip
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as second:
            second.sendall(b"HS\x00\x00\x01\x00xx" + (7).to_bytes(8, "big") + b"hislip0")
            answer = second.recv(200)
            assert answer[:4] == b"HS\x02\x04"
            assert b"one client at a time" in answer


def test_another_device_name_is_refused(emulator: Emulator) -> None:
    port = emulator.ports.hislip
    assert port is not None
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"HS\x00\x00\x01\x00xx" + (7).to_bytes(8, "big") + b"hislip7")
        assert b"no device 'hislip7' here" in link.recv(200)


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"HS\x06\x00" + bytes(12), b"HS" + b"\xff" * 14])
def test_nonsense_on_the_hislip_port_harms_nobody(
    emulator: Emulator, manager: pyvisa.ResourceManager, nonsense: bytes
) -> None:
    port = emulator.ports.hislip
    assert port is not None
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(nonsense)
        assert link.recv(200)[:3] == b"HS\x02"
    with opened(manager, emulator.resource) as session:
        assert session.query("*OPC?") == "1"


# What only HiSLIP can do


def test_serial_poll_and_device_clear(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["HiSLIP"]) as session:
        assert session.read_stb() == 16
        session.write("FOO")
        assert session.read_stb() == 16 + 32
        session.clear()
        assert session.read_stb() == 16
        assert session.query("*OPC?") == "1"


def test_data_wait_until_they_are_read(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["HiSLIP"]) as session:
        session.write("CN 1")
        session.write("TI 1")
        session.write("TI 1")
        assert session.read_stb() & 1
        assert session.query("NUB?") == "2"
        session.write("BC")
        assert session.query("*OPC?") == "1"
        assert session.query("NUB?") == "0"
        assert not session.read_stb() & 1


def test_an_answer_that_nobody_read_is_overwritten(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["HiSLIP"]) as session:
        session.write("*IDN?")
        assert session.query("*OPC?") == "1"
        session.write("*LRN? 0")
        session.write("CN 1")
        assert session.read() == "CL"


def test_a_device_clear_ends_a_wait(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resources["HiSLIP"], 200) as session:
        session.write("PA")
        assert session.read_stb() == 2
        session.write("*OPC?")
        with pytest.raises(VisaIOError, match="Timeout"):
            session.read()
        session.clear()
        assert session.query("*OPC?") == "1"


# Faults, pace, handle


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_broken_link_can_be_opened_again(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    emulator.inject(Fault(kind=FaultKind.DROPPED_LINK, header="DV"))
    session = opened(manager, emulator.resources[transport])
    session.write("CN 1")
    with pytest.raises((VisaIOError, OSError, RuntimeError)):
        session.query("DV 1,0,1,0.01;*OPC?")
    session.close()
    assert emulator.outputs()[1].value == 1.0
    with opened(manager, emulator.resources[transport]) as again:
        assert again.query("*LRN? 0") == "CN1"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_wire_log_counts_what_was_said(emulator: Emulator, manager: pyvisa.ResourceManager, transport: str) -> None:
    with opened(manager, emulator.resources[transport]) as session:
        session.query("*OPC?")
        session.write("CN 1")
        session.query("TI 1")
        session.query("*OPC?")
    entries = emulator.wire_log()
    assert [entry.payload for entry in entries if entry.direction == ">"] == [b"*OPC?", b"CN 1", b"TI 1", b"*OPC?"]
    assert [entry.direction for entry in entries].count("<") >= 2
    times = [entry.clock for entry in entries]
    assert times == sorted(times)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_pace_of_the_instrument_can_be_kept(manager: pyvisa.ResourceManager, transport: str) -> None:
    timing = Timing(real_time_factor=0.5)
    with emulate("open", timing=timing) as emulator, opened(manager, emulator.resources[transport]) as session:
        session.query("*OPC?")
        begun = time.perf_counter()
        session.query("PA 0.6;*OPC?")
        assert time.perf_counter() - begun > 0.29


def test_a_port_in_use_is_told(emulator: Emulator) -> None:
    with pytest.raises(ConfigError, match=f"SOCKET: cannot listen on 127.0.0.1:{emulator.ports.socket}"):
        emulate("open", socket=emulator.ports.socket)


def test_the_lid_can_be_closed_and_opened(emulator: Emulator, manager: pyvisa.ResourceManager) -> None:
    with opened(manager, emulator.resource) as session:
        emulator.set_interlock(closed=True)
        session.write("CN 1;DV 1,0,60,0.001")
        assert session.query("ERRX? 1") == "+0"
        emulator.set_interlock(closed=False)
        assert not emulator.outputs()[1].closed
        assert session.query("ERRX? 1") == "+202"


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="load 'banana'"):
        emulate("banana")
    with pytest.raises(UnknownNameError, match="B1517A"):
        emulate("open", slots=("B9999A",))
    with pytest.raises(ConfigError, match="terminal SL: no channel 9 in the mainframe"):
        emulate("10e3", terminals=Terminals(sl=(9,)))
    with pytest.raises(ConfigError, match="10 slots"):
        emulate("open", slots=("B1517A",) * 11)


def test_a_stopped_emulator_says_so() -> None:
    emulator = emulate("open", hislip=None)
    assert list(emulator.resources) == ["SOCKET"]
    emulator.close()
    emulator.close()
    with pytest.raises(BackendClosedError, match="stopped"):
        emulator.outputs()
