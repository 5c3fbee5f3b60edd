"""What goes wrong with a board, and that its outputs are off then."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable

import numpy as np
import pytest

from rmhil.bench.board import Board
from rmhil.bench.board_errors import (
    BoardNotArmedError,
    BoardOutputsUnknownError,
    BoardStoppedError,
    BoardTimedOutError,
    CommandRefusedError,
    ConverterSilentError,
    WatchdogTrippedError,
)
from rmhil.bench.board_map import Cause, Error, State
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
from rmhil.bench.messages import Reason
from rmhil.errors import BackendClosedError
from rmhil.wiring import Wiring
from tests.unit.bench.board_link import BoardLink, refusal, status_of


def fault(**fields: int) -> BoardFaultError:
    status = status_of(State.FAULT, **fields)
    return BoardFaultError("COMMANDS 7", Reason.BOARD_FAULT, refusal(status, 1, 0))


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
    board = Board("there", BOARDS["adc64"], Wiring())
    board.arm()
    del board
    gc.collect()
    assert (link.state, link.closed) == (State.DISARMED, True)
