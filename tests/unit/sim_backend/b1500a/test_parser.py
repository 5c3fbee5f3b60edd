from __future__ import annotations

import pytest

from sim_backend.b1500a.errors import INPUT_FULL, NUMERIC_SYNTAX, PARAMETER_VALUE, TERMINATOR_POSITION, Refused
from sim_backend.b1500a.parser import MessageReader, bind, commands_of, one_of, parse, real


def no_variables(kind: str, number: int) -> float:
    raise AssertionError


def code_of(arguments: tuple[str, ...], *parameters: object) -> int:
    with pytest.raises(Refused) as caught:
        bind(arguments, parameters, None, no_variables)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize("text", ["DV 1,0,1.5", "dv1, 0 ,1.5", "  DV1,0,1.5 "])
def test_blanks_and_case_play_no_part(text: str) -> None:
    call = parse(text)
    assert (call.header, call.arguments) == ("DV", ("1", "0", "1.5"))


def test_a_line_holds_several_commands() -> None:
    assert commands_of("DV 1,0,1; TI 1;;") == ("DV 1,0,1", "TI 1")


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_messages_end_with_line_feeds_however_the_bytes_arrive(end: bytes) -> None:
    reader, found = MessageReader(), []
    for byte in b"*IDN?" + end + b"TI 1" + end + b"TV":
        found += reader.feed(bytes([byte]))
    assert found == ["*IDN?", "TI 1"]
    assert reader.feed(b" 1", end=True) == ("TV 1",)


def test_a_message_that_never_ends_is_refused_and_forgotten() -> None:
    reader = MessageReader()
    with pytest.raises(Refused) as caught:
        reader.feed(b"x" * 257)
    assert caught.value.code == INPUT_FULL
    assert reader.feed(b"*OPC?\n") == ("*OPC?",)


def test_values_outside_their_range_are_refused() -> None:
    assert code_of(("2",), one_of(0, 1)) == PARAMETER_VALUE
    assert code_of(("0.5",), one_of(0, 1)) == PARAMETER_VALUE
    assert code_of(("1e400",), real()) == PARAMETER_VALUE


def test_what_is_no_number_is_refused() -> None:
    assert code_of(("abc",), real()) == NUMERIC_SYNTAX
    assert code_of(("nan",), real()) == NUMERIC_SYNTAX
    assert code_of(("1 2",), real()) == NUMERIC_SYNTAX


def test_too_few_and_too_many_parameters_are_refused() -> None:
    assert code_of((), real()) == TERMINATOR_POSITION
    assert code_of(("1", "2"), real()) == TERMINATOR_POSITION


def test_what_may_be_left_out_is_none() -> None:
    assert bind(("1",), (real(), real(optional=True)), None, no_variables) == [1.0, None]
    assert bind(("1", "", "3"), (real(), real(optional=True), real()), None, no_variables) == [1.0, None, 3.0]


def test_variables_stand_for_their_values() -> None:
    assert bind(("%R2", "%I1"), (real(), one_of(0, 9)), None, lambda kind, number: {"R": 0.5, "I": 7}[kind]) == [0.5, 7]
