from __future__ import annotations

import pytest

from sim_backend.b1500a import Fault, FaultKind
from tests.unit.sim_backend.b1500a.desk import Desk


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.send("CN 1,2", "DV 1,0,1,0.01")
    return found


def inject(desk: Desk, kind: FaultKind, **facts: object) -> None:
    desk.engine.faults.inject(Fault(kind=kind, **facts))  # type: ignore[arg-type]


def test_an_answer_may_never_come_but_the_command_was_done(desk: Desk) -> None:
    inject(desk, FaultKind.TIME_OUT)
    desk.send("DV 1,0,1.5", "TI 1")
    assert desk.read() == b""
    assert desk.instrument.outputs()[1].value == 1.5
    assert desk.ask("*OPC?") == "1"


def test_a_late_answer_comes_with_the_next_one(desk: Desk) -> None:
    inject(desk, FaultKind.LATE)
    desk.send("TI 1")
    assert desk.read() == b""
    first, second = desk.ask("*OPC?").split("\r\n")
    assert (first, second[:3]) == ("1", "NAI")


def test_an_answer_may_be_cut_short_or_be_garbage(desk: Desk) -> None:
    inject(desk, FaultKind.TRUNCATED)
    assert desk.ask("*IDN?").startswith("Agilent")
    whole = desk.ask("*IDN?")
    inject(desk, FaultKind.GARBAGE)
    spoilt = desk.ask("*IDN?")
    assert len(spoilt) == len(whole)
    assert spoilt != whole


def test_readings_may_come_back_at_compliance(desk: Desk) -> None:
    inject(desk, FaultKind.COMPLIANCE, count=2)
    assert [desk.ask("TI 1")[0] for _ in range(3)] == ["C", "C", "N"]


def test_an_open_lid_brings_outputs_to_zero_and_refuses_the_message(desk: Desk) -> None:
    inject(desk, FaultKind.INTERLOCK)
    assert desk.refused("DV 1,0,2") == 202
    assert desk.instrument.outputs()[1].value == 0.0
    assert desk.instrument.status & 8


@pytest.mark.parametrize(("kind", "volts"), [(FaultKind.DROPPED_LINK, 2.0), (FaultKind.DROPPED_BEFORE, 1.0)])
def test_a_link_breaks_before_or_after_the_command(desk: Desk, kind: FaultKind, volts: float) -> None:
    inject(desk, kind)
    desk.send("DV 1,0,2")
    assert desk.engine.link_dropped
    assert desk.instrument.outputs()[1].value == volts


def test_errors_may_come_in_a_burst(desk: Desk) -> None:
    inject(desk, FaultKind.ERROR_BURST, count=3, code=305)
    desk.engine.feed(b"*OPC?\r\n")
    assert desk.errors() == [305] * 3


def test_somebodys_data_may_be_left_over(desk: Desk) -> None:
    inject(desk, FaultKind.LEFTOVER)
    assert desk.ask("TI 2").count("\r\n") == 1


def test_a_calibration_opens_all_outputs_unless_it_is_switched_off(desk: Desk) -> None:
    inject(desk, FaultKind.CALIBRATION)
    desk.engine.feed(b"TI 1\r\n")
    assert desk.errors() == [200]
    assert not desk.instrument.outputs()[1].closed
    desk.send("CN 1", "CM 0")
    inject(desk, FaultKind.CALIBRATION)
    assert desk.ask("TI 1").startswith("N")


def test_a_fault_waits_for_its_message(desk: Desk) -> None:
    inject(desk, FaultKind.TIME_OUT, after=1, header="TI", times=2)
    assert desk.ask("TI 1")
    assert desk.ask("*OPC?") == "1"
    assert [desk.ask("TI 1") == "" for _ in range(3)] == [True, True, False]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="times"):
        Fault(kind=FaultKind.LATE, times=0)
