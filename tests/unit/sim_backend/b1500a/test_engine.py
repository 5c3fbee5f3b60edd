"""The language: buffers, errors, status, programs, time."""

from __future__ import annotations

import pytest

from sim_backend.b1500a import Timing
from tests.unit.sim_backend.b1500a.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("command", ["*CLS", "*ESR?", "*ESE 1", "*WAI", "*TRG", "FOO 1", "SYST:ERR?"])
def test_what_the_instrument_lacks_is_refused_with_100(desk: Desk, command: str) -> None:
    assert desk.refused(command) == 100
    assert desk.read() == b""


def test_errors_are_told_in_their_order(desk: Desk) -> None:
    desk.engine.feed(b"FOO\r\nDV 1,0,1\r\nCN 1\r\nDV 1,0,1000\r\n")
    answers = []
    for _ in range(4):
        desk.engine.feed(b"ERRX?\r\n")
        answers.append(desk.read().decode().strip())
    assert answers[0] == '+100,"Undefined GPIB command."'
    assert [answer.partition(",")[0] for answer in answers] == ["+100", "+200", "+120", "+0"]
    assert answers[1].endswith('; SLOT1"')
    assert answers[3] == '+0,"No Error."'


def test_four_codes_at_once_empty_the_queue(desk: Desk) -> None:
    desk.engine.feed(b"FOO\r\nBAR\r\nERR?\r\n")
    assert desk.read() == b"100,100,0,0\r\n"
    assert desk.ask("ERRX? 1") == "+0"
    assert desk.ask("EMG? 153") == "No module for the specified channel."


def test_the_queue_of_errors_is_bounded(desk: Desk) -> None:
    for _ in range(200):
        desk.engine.feed(b"FOO\r\n")
    assert len(desk.errors()) == 30


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("CN 7", 153),
        ("CN 9", 151),
        ("DV 1,0", 103),
        ("DV 1,0,1,2,3,4,5", 103),
        ("DV 1,0,abc", 102),
        ("DV 1,0,50,0.001", 202),
        ("DV 1,0,1,0", 123),
        ("DV 1,0,90,0.05", 123),
        ("DV 1,7,1,0.01", 124),
        ("DI 1,0,0.2,1", 120),
        ("DI 1,0,1e-6", 201),
        ("MM 1,1,1", 122),
        ("MM 3,1,2", 122),
        ("MM 5,1", 120),
        ("FMT 6", 120),
        ("AIT 1,3,1", 120),
        ("AIT 0,0,5000", 120),
        ("RI 1,8", 124),
        ("PT 0,0.0001", 120),
        ("PT 0,0.004,0.005", 120),
        ("WV 1,2,0,-1,1,11", 130),
        ("RZ", 205),
        ("DO 5", 160),
        ("TI 1,%R3", 170),
    ],
)
def test_each_wrong_request_has_its_code(desk: Desk, message: str, code: int) -> None:
    desk.send("CN 1")
    assert desk.refused(message) == code
    assert desk.instrument.outputs()[1].value == 0.0


def test_a_trigger_without_a_mode_is_refused(desk: Desk) -> None:
    assert desk.refused("XE") == 214


def test_the_rest_of_a_message_goes_on_after_an_error(desk: Desk) -> None:
    desk.engine.feed(b"CN 1;FOO;*OPC?\r\n")
    assert desk.read() == b"1\r\n"
    assert desk.errors() == [100]


def test_switches_open_and_close_at_zero_volts(desk: Desk) -> None:
    assert desk.ask("*LRN? 0") == "CL"
    desk.send("CN 1,2")
    assert desk.ask("*LRN? 0") == "CN1,2"
    assert desk.ask("*LRN? 1") == "DV1,200,+00.0000E+00,+100.000E-06,0,16"
    desk.send("DV 1,0,1.5,1E-3")
    assert desk.ask("*LRN? 1") == "DV1,20,+1.50000E+00,+1.00000E-03,0,17"
    desk.send("CL 1")
    assert desk.ask("*LRN? 1") == "CL1"
    desk.send("CN 1")
    assert desk.instrument.outputs()[1].value == 0.0


def test_dz_remembers_and_rz_restores(desk: Desk) -> None:
    desk.send("CN 1,2", "DV 1,0,1.5,1E-3", "DZ")
    assert desk.instrument.outputs()[1].value == 0.0
    desk.send("RZ 1")
    assert desk.instrument.outputs()[1].value == 1.5


def test_a_new_query_overwrites_an_answer_and_spares_data(desk: Desk) -> None:
    desk.send("CN 1", "TI 1", "TV 1", "*IDN?", "NUB?")
    assert desk.read().startswith(b"2\r\nN")
    desk.send("TI 1", "BC", "*OPC?")
    assert desk.read() == b"1\r\n"


def test_the_data_buffer_may_be_read_first(desk: Desk) -> None:
    desk.instrument.buffers.data_first = True
    desk.send("CN 1", "TI 1", "*OPC?")
    assert desk.read().endswith(b"\r\n1\r\n")


def test_the_status_byte_tells_of_data_errors_and_interlock(desk: Desk) -> None:
    assert desk.instrument.status == 16
    desk.send("CN 1", "TI 1")
    assert desk.instrument.status & 1
    desk.read()
    desk.engine.feed(b"FOO\r\n")
    assert desk.instrument.status == 16 + 32
    desk.engine.feed(b"*SRE 32\r\n")
    assert desk.instrument.status == 16 + 32 + 64
    desk.errors()
    desk.engine.feed(b"DV 1,0,60,0.001\r\n")
    assert desk.instrument.polled() & 8
    desk.errors()
    assert desk.instrument.polled() == 16


def test_reset_keeps_programs_and_forgets_settings(desk: Desk) -> None:
    desk.send("ST 1;CN 1;END", "CN 1", "FMT 21,1", "MM 1,1", "CM 0", "*RST")
    assert desk.ask("*LRN? 31") == "TM1;AV1,0;CM1;FMT1,0"
    assert desk.ask("*LRN? 0") == "CL"
    assert desk.ask("LST? 1,0") == "3"


def test_the_format_empties_the_data_buffer(desk: Desk) -> None:
    desk.send("CN 1", "TI 1", "FMT 11", "TI 1")
    assert len(desk.read()) == 18


def test_read_backs_have_the_instruments_spelling(desk: Desk) -> None:
    desk.send("CN", "WT 0.1,0.2,0.3", "WV 1,1,0,0,1,11,0.01,0.5", "AV -5", "FL 1,2", "SSR 2,1", "AAD 3,1", "TSC 1")
    assert desk.ask("*LRN? 33") == "WM1,1;WT0.1000,0.2000,0.3000,0.0000,0.0000;WV1,1,0,0,1,11,0.01,0.5"
    assert desk.ask("*LRN? 31").startswith("TM1;AV-5,0;CM1;FMT1,0")
    assert desk.ask("*LRN? 30") == "FL0,1,3,4;FL1,2"
    assert desk.ask("*LRN? 53") == "SSR1,0;SSR2,1;SSR3,0;SSR4,0"
    assert desk.ask("*LRN? 55") == "AAD1,0;AAD1,2;;AAD2,0;AAD2,2;;AAD3,1;AAD3,2;;AAD4,0;AAD4,2"
    assert desk.ask("*LRN? 56") == "AIT0,2,5;AIT1,0,6;AIT2,3,2E-06;AZ0"
    assert desk.ask("*LRN? 57") == "WAT1,1.0,0.0000;WAT2,1.0,0.0000"
    assert desk.ask("*LRN? 60") == "TSC1"
    assert desk.ask("UNT?").count(";") == 9
    assert desk.ask("UNT? 1").endswith("B1500A,0")


# Programs


def test_a_program_measures_with_variables(desk: Desk) -> None:
    desk.send("CN 1,2", "ST 7", "DV 1,0,%R1,0.01", "TI 1", "END", "VAR 1,1,0.5", "DO 7", "VAR 1,1,1.0", "DO 7")
    currents = [float(line[3:]) for line in desk.read().decode().split()]
    assert currents == [pytest.approx(0.5 / 10e3, rel=1e-3), pytest.approx(1.0 / 10e3, rel=1e-3)]
    assert desk.ask("LST? 7") == "ST7\r\nDV 1,0,%R1,0.01\r\nTI 1\r\nEND"
    assert desk.ask("LST? 7,2,1") == "DV 1,0,%R1,0.01"
    assert desk.ask("VAR? 1,1") == "+1.00000E+00"


def test_nothing_happens_while_a_program_is_stored(desk: Desk) -> None:
    desk.send("ST 1;CN 1;DV 1,0,1,0.01;END")
    assert not desk.instrument.outputs()[1].closed


def test_queries_are_not_stored(desk: Desk) -> None:
    desk.send("ST 1")
    assert desk.refused("ERRX?") == 162
    assert desk.refused("FOO") == 100
    desk.send("END")
    assert desk.ask("LST? 1,0") == "2"


def test_programs_run_one_another_but_not_for_ever(desk: Desk) -> None:
    desk.send("CN 1", "ST 1;TI 1;END", "ST 2;DO 1;DO 1;END", "RU 1,2")
    assert len(desk.read().split()) == 3
    desk.send("ST 3;DO 3;END")
    assert desk.refused("DO 3") == 160


def test_an_error_ends_a_program(desk: Desk) -> None:
    desk.send("ST 1;DV 1,0,1,0.01;CN 2;END")
    assert desk.refused("DO 1") == 200
    assert not desk.instrument.outputs()[2].closed


def test_scratched_programs_are_gone(desk: Desk) -> None:
    desk.send("ST 1;CN;END", "ST 2;CL;END", "SCR 1")
    assert desk.ask("LST?") == "1,2"
    desk.send("SCR")
    assert desk.ask("LST?") == "0"


# Time


def test_time_is_that_of_messages_and_commands() -> None:
    timing = Timing(message=5e-3, command=2e-3, stored_command=0.5e-3)
    desk = Desk(timing=timing)
    desk.send("BC")
    assert desk.clock == pytest.approx(5e-3)
    desk.send("BC;BC;BC")
    assert desk.clock == pytest.approx(5e-3 + 9e-3)
    desk.send("ST 1;BC;BC;END")
    before = desk.clock
    desk.send("DO 1")
    assert desk.clock - before == pytest.approx(6e-3)
    desk.send("PA 12.5")
    assert desk.clock > 12.5


def test_time_stamps_count_from_the_reset_of_the_timer(desk: Desk) -> None:
    desk.send("CN 1", "PA 3", "TSR")
    (begun,) = desk.values("TSQ")
    assert begun == pytest.approx(3e-3, abs=1e-4)
    time, _ = desk.values("TTI 1")
    assert begun < time < 20e-3
    desk.send("TSC 1;MM 1,1,2;CN 2")
    assert [one[2] for one in desk.ask("XE").split(",")] == ["T", "I", "T", "I"]
    assert desk.refused("FMT 3;TTI 1") == 100


def test_a_wait_for_an_event_holds_everything_up(desk: Desk) -> None:
    desk.send("CN 1", "PA;TI 1", "TI 1")
    assert desk.instrument.status & 2
    assert desk.read() == b""
    desk.engine.trigger()
    assert len(desk.read().split()) == 2
    desk.send("PA", "TI 1", "AB")
    assert desk.read() == b""
    assert desk.ask("*OPC?") == "1"


def test_the_instrument_calibrates_itself_while_its_switches_are_open(desk: Desk) -> None:
    desk.send(*["PA 99"] * 20)
    assert desk.clock > 20 * 99 + 29.0
    quiet = Desk()
    quiet.send("CM 0", *["PA 99"] * 20)
    assert quiet.clock < 20 * 99 + 1.0


def test_nonsense_in_timing_is_refused() -> None:
    with pytest.raises(ValueError, match="message"):
        Timing(message=-1.0)
