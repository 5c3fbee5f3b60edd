from __future__ import annotations

from dataclasses import replace

import pytest

from rmhil.bench import messages
from rmhil.bench.frames import Frame
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardFaultError,
    BoardInterruptedError,
    BoardSilentError,
    RequestAbortedError,
    RequestRefusedError,
    RequestTimedOutError,
)
from rmhil.bench.link_window import Request, Window
from rmhil.bench.messages import REPLY, Kind, Read, Reason

SESSION = 0xABCD
PATIENCE, ATTEMPTS = 1.0, 3


def window() -> Window:
    return Window(SESSION, lambda under_way: PATIENCE, ATTEMPTS)


def sent(window: Window, now: float) -> list[int]:
    return [frame.sequence for frame in window.frames_to_send(now)]


def answer(sequence: int, kind: int = Kind.TRANSACT | REPLY, payload: bytes = b"", credits: int = 4) -> Frame:
    return Frame(kind, SESSION, sequence, payload, 0, credits)


def refusal(reason: int, sequence: int, kind: int = Kind.TRANSACT, expected: int = 0, value: int = 0) -> Frame:
    payload = messages._REFUSAL.pack(kind, expected, 2, value, 9)
    return Frame(Kind.NAK, SESSION, sequence, payload, reason, 4)


def submit(window: Window, count: int) -> list[Request]:
    requests = [Request(Kind.TRANSACT, b"x") for _ in range(count)]
    for request in requests:
        window.submit(request)
    return requests


def test_no_more_requests_are_under_way_than_credits() -> None:
    under = window()
    requests = submit(under, 7)
    assert sent(under, 0.0) == [0]  # the daemon has not said yet how many it takes
    under.take(answer(0), 0.1)
    assert requests[0].done
    assert sent(under, 0.1) == [1, 2, 3, 4]
    under.take(answer(2), 0.2)
    assert sent(under, 0.2) == []  # its answers are kept for four from the oldest open one on
    under.take(answer(1), 0.3)
    assert sent(under, 0.3) == [5, 6]


def test_an_overdue_answer_sends_everything_unanswered_again_in_order() -> None:
    under = window()
    submit(under, 3)
    under.take(answer(99), 0.0)
    assert sent(under, 0.0) == [0, 1, 2]
    assert sent(under, 0.9) == []
    assert sent(under, 1.1) == [0, 1, 2]
    assert sent(under, 1.2) == []


def test_silence_ends_with_an_error_that_names_request_time_and_attempts() -> None:
    under = window()
    request = Request(Kind.TRANSACT, b"x", [Read(0x44)])
    under.submit(request)
    for now in (0.0, 1.1, 2.2, 3.3):
        sent(under, now)
    assert isinstance(request.error, BoardSilentError)
    assert request.error.executed is None
    for part in ("within 3.3 s", "TRANSACT 0 (read 0x0044)", "3 times"):
        assert part in str(request.error)
    assert under.failure is request.error


def test_a_sign_that_the_board_is_at_work_is_waited_for_without_end() -> None:
    under = window()
    submit(under, 1)
    sent(under, 0.0)
    for turn in range(1, 20):
        assert sent(under, 1.1 * turn) == [0]
        under.take(answer(0, Kind.PENDING), 1.1 * turn)
    assert under.failure is None


@pytest.mark.parametrize("reason", [Reason.GAP, Reason.BAD_FRAME])
def test_what_the_daemon_misses_is_sent_again_at_once_from_there_on(reason: Reason) -> None:
    under = window()
    submit(under, 4)
    under.take(answer(99), 0.0)
    sent(under, 0.0)
    under.take(refusal(reason, 3, expected=1), 0.1)
    assert sent(under, 0.1) == [1, 2, 3]


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    under = window()
    first, second = submit(under, 2)
    sent(under, 0.0)
    under.take(answer(0, payload=b"1"), 0.1)
    sent(under, 0.1)
    under.take(answer(0, payload=b"2"), 0.2)
    assert first.answer == b"1"
    assert not second.done


def test_answers_of_other_sessions_are_ignored() -> None:
    under = window()
    (request,) = submit(under, 1)
    sent(under, 0.0)
    under.take(replace(answer(0), session=SESSION + 1), 0.1)
    assert not request.done


@pytest.mark.parametrize(
    ("reason", "kind", "executed"),
    [
        (Reason.BAD_ADDRESS, RequestRefusedError, False),
        (Reason.NOT_READY, RequestRefusedError, False),
        (Reason.TIMED_OUT, RequestTimedOutError, None),
        (Reason.ABORTED, RequestAbortedError, None),
        (Reason.BOARD_FAULT, BoardFaultError, None),
        (Reason.INTERRUPTED, BoardInterruptedError, False),
        (Reason.STALE, BoardDroppedError, None),
    ],
)
def test_a_refusal_is_an_error_of_its_own_that_says_what_was_done(
    reason: Reason, kind: type[Exception], executed: bool | None
) -> None:
    under = window()
    (request,) = submit(under, 1)
    sent(under, 0.0)
    under.take(refusal(reason, 0), 0.1)
    assert type(request.error) is kind
    assert request.error is not None
    assert request.error.executed is executed
    assert "TRANSACT 0" in str(request.error)


def test_a_daemon_that_lost_the_session_leaves_every_request_unsure() -> None:
    under = window()
    requests = submit(under, 3)
    sent(under, 0.0)
    under.take(refusal(Reason.NO_SESSION, 0), 0.1)
    assert all(isinstance(request.error, BoardDroppedError) for request in requests)
    assert all(request.error is not None and request.error.executed is None for request in requests)


def test_after_an_interruption_nothing_new_is_sent() -> None:
    under = window()
    (request,) = submit(under, 1)
    under.interrupted = True
    assert sent(under, 0.0) == []
    assert isinstance(request.error, BoardInterruptedError)
