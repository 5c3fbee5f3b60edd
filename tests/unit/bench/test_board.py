"""Which board it is, whether it is armed, and its cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rmhil.backend import Operation
from rmhil.bench.board import Board
from rmhil.bench.board_commands import command
from rmhil.bench.board_errors import (
    BoardMismatchError,
    BoardNotArmedError,
    BoardRouteError,
    BoardTimedOutError,
    WatchdogTrippedError,
)
from rmhil.bench.board_map import Cause, Opcode, Route, State
from rmhil.bench.boards import BOARDS
from rmhil.bench.link_errors import BoardFaultError
from rmhil.bench.messages import Command, Reason
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.wiring import Wiring
from tests.unit.bench.board_link import BoardLink, arguments, refusal, status_of

ADC64 = BOARDS["adc64"]


# Which board


def test_the_board_says_which_one_it_is(board: Board) -> None:
    assert board.provenance == "board adc64 (128 x 128 lines, 64 ADCs, build 00c0ffee)"
    assert board.clock() == pytest.approx((2**32 + 50) / 100e6)
    assert board.link_counters().requests == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hash": 0x1234}, "description hash 0x00001234, not 0xDE38D8EF"),
        ({"n_bl": 64}, "bit lines 64, not 128"),
        ({"adc_count": 8}, "ADCs 8, not 64"),
        ({"clock_hz": 99}, "clock in Hz 99, not 100000000"),
        ({"rest_code": 32768}, "resting code 32768, not 39322"),
        ({"limit_codes": 9000}, "largest code from rest 9000, not 5243"),
    ],
)
def test_another_board_is_refused_before_anything_is_driven(
    links: list[BoardLink], link: BoardLink, change: dict[str, int], message: str
) -> None:
    link.described = replace(ADC64, **change)
    with pytest.raises(BoardMismatchError, match=message):
        Board("there", ADC64, Wiring())
    assert "ARM" not in link.sent
    assert link.closed


def test_another_register_map_is_refused_without_a_look_at_the_registers(
    links: list[BoardLink], link: BoardLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    link.map_hash = 0xBAD
    monkeypatch.setattr(link, "read", lambda name: 0 if name == "STATUS" else pytest.fail(f"{name} was read"))
    with pytest.raises(BoardMismatchError, match="0x00000BAD there, 0x047C890E here"):
        Board("there", ADC64, Wiring())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bl_channels": 128}, "bl_channels = 128, not 64"),
        ({"adc_count": 8}, "adc_count = 8, not 64"),
        ({"dac_bits": 14}, "dac_bits = 14, not 16"),
        ({"adc_bits": 12}, "adc_bits = 12, not 14"),
        ({"virtual_ground": 1.25}, r"virtual_ground \(V\) = 1.25, not 1.5"),
        ({"dac_span": 5.0}, r"dac_span \(V\) = 5, not 2.5"),
    ],
)
def test_wiring_of_another_board_is_refused_before_the_link_is_opened(
    links: list[BoardLink], change: dict[str, float], message: str
) -> None:
    with pytest.raises(BoardMismatchError, match=message):
        Board("there", ADC64, Wiring(**change))
    assert len(links) == 1


def test_wiring_may_leave_channels_of_a_bank_unused() -> None:
    ADC64.check_wiring(Wiring(bl_channels=8, sl_channels=4, adc_count=4))


@pytest.mark.parametrize("watchdog", [0.0, 1.1, float("nan")])
def test_a_watchdog_that_the_register_does_not_hold_is_refused(links: list[BoardLink], watchdog: float) -> None:
    with pytest.raises(OutOfRangeError, match="watchdog"):
        Board("there", ADC64, Wiring(), watchdog=watchdog)
    assert len(links) == 1


# Armed or not


def test_nothing_is_sent_to_a_board_that_is_not_armed(links: list[BoardLink], link: BoardLink) -> None:
    board = Board("there", ADC64, Wiring())
    for call in (
        lambda: board.route_cell(0, 0),
        lambda: board.gate(True),
        lambda: board.pulse(1e-3),
        lambda: board.mvm(np.zeros((1, 128))),
    ):
        with pytest.raises(BoardNotArmedError):
            call()
    board.release()  # nothing is joined
    assert link.sent == []


def test_arming_an_armed_board_does_nothing(board: Board, link: BoardLink) -> None:
    board.arm()
    assert link.sent == []
    assert board.status().is_armed


def test_a_board_in_fault_is_disarmed_before_it_is_armed(board: Board, link: BoardLink) -> None:
    link.state = State.FAULT
    board.arm()
    assert link.sent == ["ABORT", "DISARM", "ARM"]


def test_a_board_that_does_not_get_ready_is_switched_off(links: list[BoardLink], link: BoardLink) -> None:
    board = Board("there", ADC64, Wiring())
    link.stuck = True
    with pytest.raises(BoardTimedOutError, match="DISARMED"):
        board.arm()
    assert link.sent == ["ARM", "ABORT", "DISARM"]


def test_disarming_twice_leaves_the_board_disarmed(board: Board, link: BoardLink) -> None:
    board.route_cell(1, 2, gate=True)
    board.disarm()
    board.disarm()
    assert (link.state, link.gate) == (State.DISARMED, 0)
    with pytest.raises(BoardNotArmedError):
        board.gate(True)


# Cells


@pytest.mark.parametrize(
    ("operation", "others"),
    [
        (None, {}),
        (Operation.FORM, {"BL_OTHERS": 1, "SL_OTHERS": 1}),
        (Operation.SET, {"BL_OTHERS": 1, "SL_OTHERS": 1}),
        (Operation.RESET, {"BL_OTHERS": 1}),
    ],
)
def test_other_lines_are_open_in_a_read_and_held_in_a_pulse(
    board: Board, link: BoardLink, operation: Operation | None, others: dict[str, int]
) -> None:
    board.route_cell(5, 127, operation)
    (sent,) = link.sent
    assert isinstance(sent, Command)
    assert arguments(sent) == {"BL": 5, "SL": 127} | others


def test_a_cell_and_its_gate_travel_together(board: Board, link: BoardLink) -> None:
    board.route_cell(5, 9, gate=True)
    assert [sent.opcode for sent in link.sent if isinstance(sent, Command)] == [Opcode.ROUTE_CELL, Opcode.GATE]
    assert (link.route, link.gate) == (Route.CELL, 1)


@pytest.mark.parametrize(("bl", "sl", "name"), [(128, 0, "bl = 128"), (0, 128, "sl = 128"), (-1, 0, "bl = -1")])
def test_a_cell_that_is_not_there_is_refused(board: Board, link: BoardLink, bl: int, sl: int, name: str) -> None:
    with pytest.raises(OutOfRangeError, match=name):
        board.route_cell(bl, sl)
    with pytest.raises(ConfigError, match="whole number"):
        board.route_cell(0.5, 0)  # type: ignore[arg-type]
    assert link.sent == []


def test_a_gate_pulse_is_an_exact_number_of_clocks(board: Board, link: BoardLink) -> None:
    board.route_cell(5, 9)
    assert board.pulse(1.000004e-3) == pytest.approx(1e-3, abs=1e-15)
    assert board.pulse(2.34e-6) == pytest.approx(2.34e-6, abs=1e-15)
    assert [arguments(sent) for sent in link.sent[1:] if isinstance(sent, Command)] == [
        {"CLOCKS": 100_000},
        {"CLOCKS": 234},
    ]


@pytest.mark.parametrize("width", [0.0, 0.7e-6, 1.1, float("nan"), -1e-3])
def test_a_gate_pulse_that_the_board_does_not_make_is_refused(board: Board, link: BoardLink, width: float) -> None:
    board.route_cell(5, 9)
    link.sent.clear()
    with pytest.raises(OutOfRangeError, match="width"):
        board.pulse(width)
    assert link.sent == []


def test_gate_and_pulse_need_a_cell_on_the_analyser(board: Board, link: BoardLink) -> None:
    for call in (lambda: board.gate(True), lambda: board.pulse(1e-3)):
        with pytest.raises(BoardRouteError, match="route_cell comes first"):
            call()
    board.route_cell(5, 9, gate=True)
    with pytest.raises(BoardRouteError, match="let through already"):
        board.pulse(1e-3)
    assert link.pulses == 1


def test_a_refused_pulse_says_how_often_the_gate_was_opened(board: Board, link: BoardLink) -> None:
    board.route_cell(5, 9)
    board.pulse(1e-3)
    stopped = BoardFaultError(
        "COMMANDS 7", Reason.BOARD_FAULT, refusal(status_of(State.FAULT, CAUSE=Cause.WATCHDOG), 0, 2)
    )
    link.failures = [stopped]
    with pytest.raises(WatchdogTrippedError, match=r"gate was opened 1 time\(s\)") as caught:
        board.pulse(1e-3)
    assert caught.value.pulses == 1
    assert caught.value.executed is None


def test_releasing_lines_that_are_open_sends_nothing(board: Board, link: BoardLink) -> None:
    board.release()
    assert link.sent == []
    board.route_cell(5, 9)
    assert board.has_cell
    board.release()
    assert not board.has_cell
    board.release()
    assert len(link.sent) == 2


def test_an_argument_that_does_not_fit_its_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ROUTE_CELL\.BL = 65536"):
        command(Opcode.ROUTE_CELL, BL=1 << 16)
