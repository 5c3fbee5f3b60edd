from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from rmhil.backend import Operation
from rmhil.bench import board_session
from rmhil.bench.board import Board
from rmhil.bench.board_commands import command
from rmhil.bench.board_errors import (
    BoardMismatchError,
    BoardNotArmedError,
    BoardOutputsUnknownError,
    BoardRouteError,
    BoardStoppedError,
    BoardTimedOutError,
    CommandRefusedError,
    ConverterSilentError,
    WatchdogTrippedError,
)
from rmhil.bench.board_map import ARGUMENTS, Cause, Error, Opcode, Route, State
from rmhil.bench.board_products import PART
from rmhil.bench.boards import BOARDS
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardFaultError,
    BoardHeldError,
    BoardInterruptedError,
    BoardLinkClosedError,
    RequestTimedOutError,
)
from rmhil.bench.messages import Command, Reason, Refusal
from rmhil.errors import BackendClosedError, ConfigError, NotFiniteError, OutOfRangeError, ShapeError
from rmhil.wiring import Wiring
from tests.unit.bench.board_link import BoardLink, status_of

ADC64 = BOARDS["adc64"]
Open = Callable[..., Board]


@pytest.fixture
def link() -> BoardLink:
    return BoardLink()


@pytest.fixture
def links(link: BoardLink, monkeypatch: pytest.MonkeyPatch) -> list[BoardLink | Exception]:
    """What the next links are, or come to."""
    waiting: list[BoardLink | Exception] = [link]

    def opened(url: str, **settings: object) -> BoardLink:
        following = waiting.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    monkeypatch.setattr(board_session, "Link", opened)
    return waiting


@pytest.fixture
def board(links: list[BoardLink | Exception], link: BoardLink) -> Iterator[Board]:
    """An armed board; what was sent until then is forgotten."""
    board = Board("there", ADC64, Wiring())
    board.arm()
    link.sent.clear()
    yield board
    link.broken, link.stuck, link.closed = None, False, False
    board.close()


def arguments(sent: Command) -> dict[str, int]:
    """Arguments of a command that are not zero."""
    values = {}
    for name, field in ARGUMENTS.items():
        operation, argument = name.split(".")
        if operation == sent.opcode.name and field.word <= len(sent.arguments):
            values[argument] = sent.arguments[field.word - 1] >> field.low & (1 << field.bits) - 1
    return {name: value for name, value in values.items() if value}


def refusal(status: int = 0, index: int = 0, pulses: int = 0) -> Refusal:
    return Refusal(0x12, 0, index, status, pulses)


def fault(**fields: int) -> BoardFaultError:
    status = status_of(State.FAULT, **fields)
    return BoardFaultError("COMMANDS 7", Reason.BOARD_FAULT, refusal(status, 1, 0))


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


# Products


def test_passes_run_in_the_order_of_the_seam(board: Board, link: BoardLink) -> None:
    board.mvm(np.zeros((3, 128)))
    routes = [arguments(sent) for sent in link.sent if isinstance(sent, Command)]
    assert [(route.get("BL_BANK", 0), route.get("SL_BANK", 0)) for route in routes] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [sent for sent in link.sent if isinstance(sent, int)] == [3, 3, 3, 3]


def test_only_the_lines_that_are_named_are_joined(board: Board, link: BoardLink) -> None:
    result = board.mvm(np.zeros((1, 3)), bl=[0, 40, 63], sl=[66, 127])
    (route,) = (arguments(sent) for sent in link.sent if isinstance(sent, Command))
    masks = {"BL_MASK_LOW": 1, "BL_MASK_HIGH": 1 << 31 | 1 << 8, "SL_MASK_LOW": 1 << 2, "SL_MASK_HIGH": 1 << 31}
    assert route == {"SL_BANK": 1} | masks
    assert result.codes.shape == (1, 2)


def test_a_route_that_stands_is_not_changed(board: Board, link: BoardLink) -> None:
    for _ in range(3):
        board.mvm(np.zeros((1, 64)), bl=range(64), sl=range(64))
    assert sum(isinstance(sent, Command) for sent in link.sent) == 1
    board.disarm()
    board.arm()
    board.mvm(np.zeros((1, 64)), bl=range(64), sl=range(64))
    assert sum(isinstance(sent, Command) for sent in link.sent) == 2


def test_codes_of_the_passes_are_summed_and_become_amperes(board: Board) -> None:
    wiring = Wiring()
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (5, 128))
    result = board.mvm(volts)
    each = np.rint(volts / wiring.dac_lsb).astype(int)
    both = each[:, :64] + each[:, 64:]  # the link's board gives what is driven on the line of the same number
    np.testing.assert_array_equal(result.codes, np.hstack([both, both]))
    np.testing.assert_array_equal(result.currents, result.codes * wiring.adc_lsb)
    assert not result.over_range.any()


def test_a_large_batch_goes_in_parts_of_which_two_are_under_way(board: Board, link: BoardLink) -> None:
    volts = np.linspace(-0.2, 0.2, 64 * (2 * PART + 5)).reshape(-1, 64)
    result = board.mvm(volts, bl=range(64), sl=range(64))
    assert [sent for sent in link.sent if isinstance(sent, int)] == [PART, PART, 5]
    assert link.most_under_way == 2
    np.testing.assert_array_equal(result.codes, np.rint(volts / Wiring().dac_lsb))


@pytest.mark.parametrize(("batch", "lines"), [(0, 128), (3, 0)])
def test_nothing_to_drive_drives_nothing(board: Board, link: BoardLink, batch: int, lines: int) -> None:
    result = board.mvm(np.zeros((batch, lines)), bl=range(lines))
    assert result.currents.shape == (batch, 128)
    assert not result.currents.any()
    assert link.sent == []


@pytest.mark.parametrize(
    ("volts", "error", "message"),
    [
        (np.full((1, 128), 0.2001), OutOfRangeError, "bl_voltages = 0.2001 V"),
        (np.full((1, 128), -0.3), OutOfRangeError, "bl_voltages = -0.3 V"),
        (np.full((1, 128), np.nan), NotFiniteError, "128 value"),
        (np.zeros(128), ShapeError, r"\(batch, 128 driven BLs\)"),
        (np.zeros((1, 127)), ShapeError, r"\(batch, 128 driven BLs\)"),
        (np.zeros((1, 128), dtype=np.int64), ShapeError, "float64 or float32, not int64"),
    ],
)
def test_vectors_that_cannot_be_driven_are_refused_before_a_byte_is_sent(
    board: Board, link: BoardLink, volts: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        board.mvm(volts)
    assert link.sent == []


def test_lines_that_are_not_there_are_refused(board: Board, link: BoardLink) -> None:
    with pytest.raises(OutOfRangeError, match="sl line = 128"):
        board.mvm(np.zeros((1, 128)), sl=[128])
    with pytest.raises(OutOfRangeError, match="smallest step between sl lines"):
        board.mvm(np.zeros((1, 128)), sl=[3, 2])
    with pytest.raises(ConfigError, match="whole numbers"):
        board.mvm(np.zeros((1, 1)), bl=[0.5])  # type: ignore[list-item]
    assert link.sent == []


def test_a_cell_on_the_analyser_keeps_the_converters_away(board: Board, link: BoardLink) -> None:
    board.route_cell(5, 9)
    link.sent.clear()
    with pytest.raises(BoardRouteError, match=r"release\(\)"):
        board.mvm(np.zeros((1, 128)))
    assert link.sent == []
    board.release()
    board.mvm(np.zeros((1, 128)))
    assert link.route is Route.MVM


# What goes wrong


def test_a_refusal_of_the_board_names_its_reason_and_leaves_the_outputs_off(board: Board, link: BoardLink) -> None:
    link.failures = [None, fault(CAUSE=Cause.COMMAND, ERROR=Error.INPUT)]
    with pytest.raises(CommandRefusedError, match="INPUT") as caught:
        board.mvm(np.zeros((1, 128)))
    assert caught.value.status is not None
    assert caught.value.status.error is Error.INPUT
    assert caught.value.part == 1
    assert link.sent[-2:] == ["ABORT", "DISARM"]
    with pytest.raises(BoardNotArmedError):
        board.mvm(np.zeros((1, 128)))
    board.arm()
    board.mvm(np.zeros((1, 128)))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (fault(CAUSE=Cause.WATCHDOG), WatchdogTrippedError),
        (RequestTimedOutError("VECTORS", Reason.TIMED_OUT, refusal(status_of(State.BUSY))), BoardTimedOutError),
        (BoardInterruptedError("VECTORS"), BoardInterruptedError),
    ],
)
def test_each_end_of_a_request_is_an_error_of_its_own(
    board: Board, link: BoardLink, error: BoardFaultError, kind: type[Exception]
) -> None:
    link.failures = [None, error]
    with pytest.raises(kind):
        board.mvm(np.zeros((1, 128)))
    assert link.state is State.DISARMED


def test_an_adc_that_does_not_answer_is_an_error_that_names_its_lines(board: Board, link: BoardLink) -> None:
    link.silent = 1
    with pytest.raises(ConverterSilentError, match=r"source line\(s\) 70, 71: ") as caught:
        board.mvm(np.zeros((1, 128)), sl=[70, 71])
    assert caught.value.lines == (70, 71)
    assert link.state is State.DISARMED


def test_ctrl_c_in_a_batch_leaves_the_outputs_off(board: Board, link: BoardLink) -> None:
    def interrupted(stop: Callable[[], bool]) -> bool:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        return False

    link.waiting = interrupted
    with pytest.raises(KeyboardInterrupt):
        board.mvm(np.zeros((3 * PART, 128)))
    assert link.sent[-2:] == ["ABORT", "DISARM"]
    assert link.state is State.DISARMED


def test_a_signal_that_its_handler_puts_off_stops_nothing(board: Board, link: BoardLink) -> None:
    came: list[int] = []
    turns = iter([True, False, False, False, False])

    def signalled(stop: Callable[[], bool]) -> bool:
        if next(turns):
            signal.raise_signal(signal.SIGINT)
        return not stop()

    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        link.waiting = signalled
        board.mvm(np.zeros((1, 128)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]
    assert link.state is State.READY


def test_switching_off_over_a_broken_link_asks_over_a_new_one(
    board: Board, link: BoardLink, links: list[BoardLink | Exception]
) -> None:
    link.broken = BoardDroppedError("ABORT", "gone")
    other = BoardLink()
    links += [BoardHeldError("there", 1.0), other]
    board.safe()
    assert (link.closed, other.closed) == (True, True)
    with pytest.raises(BoardLinkClosedError, match="open the board again"):
        board.mvm(np.zeros((1, 128)))


@pytest.mark.parametrize("following", [BoardDroppedError("HELLO", "gone"), BoardLink(state=State.READY)])
def test_outputs_that_nobody_answers_for_are_an_error(
    board: Board, link: BoardLink, links: list[BoardLink | Exception], following: BoardLink | Exception
) -> None:
    link.broken = BoardDroppedError("ABORT", "gone")
    links.append(following)
    with pytest.raises(BoardOutputsUnknownError, match="OUTPUTS MAY STILL BE DRIVEN"):
        board.safe()


def test_a_board_that_does_not_stop_is_an_error(board: Board, link: BoardLink) -> None:
    link.stuck = True
    with pytest.raises(BoardOutputsUnknownError, match="still says READY"):
        board.safe()


def test_an_error_on_the_way_off_is_told_with_the_first_one(board: Board, link: BoardLink) -> None:
    link.failures, link.stuck = [None, fault(CAUSE=Cause.COMMAND)], True
    with pytest.raises(BoardStoppedError) as caught:
        board.mvm(np.zeros((1, 128)))
    assert "OUTPUTS MAY STILL BE DRIVEN" in caught.value.__notes__[0]


def test_a_daemon_that_lost_its_host_has_switched_the_outputs_off(board: Board, link: BoardLink) -> None:
    link.broken = BoardInterruptedError("TRANSACT")
    board.safe()


def test_a_closed_board_allows_only_to_be_closed(board: Board, link: BoardLink) -> None:
    with board:
        board.route_cell(5, 9, gate=True)
    assert (link.state, link.closed) == (State.DISARMED, True)
    board.close()
    board.safe()
    calls = (board.arm, board.status, board.disarm, board.abort, board.release, lambda: board.gate(True))
    for call in calls:
        with pytest.raises(BoardLinkClosedError) as caught:
            call()
        assert isinstance(caught.value, BackendClosedError)


def test_a_board_that_is_forgotten_is_closed(links: list[BoardLink | Exception], link: BoardLink) -> None:
    board = Board("there", ADC64, Wiring())
    board.arm()
    del board
    gc.collect()
    assert (link.state, link.closed) == (State.DISARMED, True)


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
