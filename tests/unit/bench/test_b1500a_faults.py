"""Answers that are flagged, missing or spoilt, and how the outputs are then."""

from __future__ import annotations

import pytest

from rmhil.bench import (
    AnalyserClosedError,
    ChannelError,
    ComplianceError,
    CurrentRange,
    DataError,
    Flag,
    FlaggedError,
    InterlockError,
    LinkDroppedError,
    OnFlag,
    OutputsUnknownError,
    ReportedError,
    SilenceError,
)
from tests.unit.bench.scripted import (
    BROKEN,
    CLEAN,
    FAULT,
    NO_ERRORS,
    OFF,
    ONE_UA,
    START,
    TIME,
    ScriptedWire,
    opened,
    over,
)

AT_COMPLIANCE = "CAI+001.0000E-03,"


def test_compliance_raises_with_the_value() -> None:
    analyser, _ = opened([("TTI 1,-16", TIME + AT_COMPLIANCE)], NO_ERRORS, OFF)
    with pytest.raises(ComplianceError) as caught:
        analyser.measure_current(1, CurrentRange.fixed(100e-6))
    assert caught.value.data is not None
    assert caught.value.data.value[1] == 1e-3
    analyser.close()


def test_compliance_is_carried_where_that_is_asked_for() -> None:
    analyser, _ = opened([("TTI 1,0", TIME + AT_COMPLIANCE)], NO_ERRORS, OFF)
    reading = analyser.measure_current(1, on_flag=OnFlag.CARRY)
    assert reading.flag == Flag.COMPLIANCE
    assert not reading.normal
    analyser.close()


def test_an_oscillation_is_no_compliance() -> None:
    analyser, _ = opened([("TTI 1,0", TIME + "XAI+001.0000E-06,")], NO_ERRORS, OFF)
    with pytest.raises(FlaggedError) as caught:
        analyser.measure_current(1)
    assert not isinstance(caught.value, ComplianceError)
    analyser.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ('+202,"Interlock circuit must be closed."', InterlockError),
        ('+200,"Channel output switch must be ON."', ChannelError),
        ('+305,"Excess current in HPSMU.; SLOT1"', ReportedError),
        ('+120,"Incorrect parameter value."', ReportedError),
    ],
)
def test_errors_of_the_instrument_are_named_and_switch_off(answer: str, kind: type[ReportedError]) -> None:
    analyser, wire = opened([("ERRX?", answer + "\r\n"), ("ERRX?", CLEAN + "\r\n")], FAULT, OFF)
    with pytest.raises(kind, match=r"0 V and opened") as caught:
        analyser.check_errors()
    assert type(caught.value) is kind
    analyser.close()
    assert not wire.steps


def test_silence_says_how_long_and_what_was_sent_and_switches_off() -> None:
    analyser, wire = opened([("TTI 1,0", "")], NO_ERRORS, FAULT, OFF)
    with pytest.raises(SilenceError, match=r"within .* s to 'TTI 1,0'.*0 V and opened"):
        analyser.measure_current(1)
    analyser.close()
    assert not wire.steps


def test_missing_data_are_explained_by_the_instruments_own_error() -> None:
    refused = [("ERRX?", '+200,"Channel output switch must be ON."\r\n'), *NO_ERRORS]
    analyser, _ = opened([("TTI 1,0", "")], refused, FAULT, OFF)
    with pytest.raises(ChannelError, match="200"):
        analyser.measure_current(1)
    analyser.close()


def test_data_that_come_late_are_not_taken_for_the_answer_to_the_question_for_errors() -> None:
    late = [("ERRX?", TIME + ONE_UA + CLEAN + "\r\n"), ("AB", ""), ("BC", ""), *NO_ERRORS]
    analyser, wire = opened([("TTI 1,0", "")], late, FAULT, OFF)
    with pytest.raises(SilenceError):
        analyser.measure_current(1)
    analyser.close()
    assert not wire.steps


def test_data_before_a_cut_are_in_the_error() -> None:
    analyser, _ = opened([("MM 1,1,2;RI 1,0;RI 2,0;XE", TIME + ONE_UA + "NBT+00")], NO_ERRORS, FAULT, OFF)
    with pytest.raises(SilenceError) as caught:
        analyser.measure_currents([1, 2])
    assert caught.value.data is not None
    assert caught.value.data.value.tolist() == [0.123, 1e-6]
    analyser.close()


def test_garbage_is_no_data() -> None:
    analyser, _ = opened([("TTI 1,0", "#" * 34)], NO_ERRORS, FAULT, OFF)
    with pytest.raises(DataError, match="####"):
        analyser.measure_current(1)
    analyser.close()


def test_data_of_another_channel_are_refused() -> None:
    analyser, _ = opened([("MM 1,2;RI 2,0;XE", TIME + ONE_UA)], NO_ERRORS, FAULT, OFF)
    with pytest.raises(DataError, match="channel 1"):
        analyser.measure_currents([2])
    analyser.close()


def test_a_call_that_was_interrupted_leaves_nothing_for_the_next_one() -> None:
    analyser, wire = opened([("TTI 1,0", TIME + ONE_UA)], [("AB", ""), ("BC", ""), ("TTI 1,0", TIME + ONE_UA)], OFF)
    wire.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        analyser.measure_current(1)
    assert analyser.measure_current(1).value == 1e-6
    analyser.close()
    assert not wire.steps


def test_a_broken_link_is_opened_anew_to_switch_off() -> None:
    first, second = ScriptedWire(START, [("TTI 1,0", BROKEN), ("AB", BROKEN)]), ScriptedWire(FAULT, OFF)
    wires = iter([first, second])
    analyser = over(lambda: next(wires))
    with pytest.raises(LinkDroppedError, match="0 V and opened"):
        analyser.measure_current(1)
    analyser.close()
    assert first.closed
    assert not second.steps


def test_a_link_that_stays_broken_says_loudly_that_outputs_may_be_driven() -> None:
    dead = [ScriptedWire([("AB", BROKEN)] * 2) for _ in range(2)]
    wires = iter([ScriptedWire(START, [("TTI 1,0", BROKEN), ("AB", BROKEN)]), *dead])
    analyser = over(lambda: next(wires))
    with pytest.raises(LinkDroppedError, match="MAY STILL BE DRIVEN"):
        analyser.measure_current(1)
    with pytest.raises(OutputsUnknownError, match="MAY STILL BE DRIVEN"):
        analyser.close()
    assert analyser.closed


def test_a_switch_that_stays_closed_is_no_success() -> None:
    stuck = [*OFF[:-1], ("*LRN? 0", "CN1\r\n")]
    wires = iter([ScriptedWire(START, stuck), ScriptedWire(stuck)])
    analyser = over(lambda: next(wires))
    with pytest.raises(OutputsUnknownError, match="CN1"):
        analyser.close()


def test_after_close_every_call_is_refused() -> None:
    analyser, _ = opened(OFF)
    analyser.close()
    analyser.close()
    with pytest.raises(AnalyserClosedError):
        analyser.measure_current(1)
    with pytest.raises(AnalyserClosedError):
        analyser.switch_on()
