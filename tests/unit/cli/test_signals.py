"""Two steps of a request to stop."""

from __future__ import annotations

import signal

import pytest

from rmhil.cli import signals
from rmhil.cli.console import progress_bar
from rmhil.cli.signals import Terminated, ask_to_stop, step_by_step, stop_if_asked


@pytest.fixture(autouse=True)
def _nothing_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_asked", [])


def test_outside_of_steps_a_signal_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        signals._ask(signal.SIGINT, None)


def test_the_first_signal_waits_for_the_end_of_the_step() -> None:
    with step_by_step(), progress_bar(shown=False) as progress:
        progress(1, 9, "")
        signals._ask(signal.SIGINT, None)  # raises nothing: the step goes on
        with pytest.raises(KeyboardInterrupt):
            progress(2, 9, "")


def test_the_second_signal_ends_the_step_too() -> None:
    with step_by_step():
        signals._ask(signal.SIGTERM, None)
        with pytest.raises(KeyboardInterrupt):
            signals._ask(signal.SIGINT, None)


def test_a_signal_after_the_abort_key_ends_the_step() -> None:
    with step_by_step():
        ask_to_stop()
        with pytest.raises(KeyboardInterrupt):
            signals._ask(signal.SIGINT, None)


def test_what_was_asked_first_decides_how_the_work_ends() -> None:
    with step_by_step():
        signals._ask(signal.SIGTERM, None)
        with pytest.raises(Terminated):
            stop_if_asked()


def test_work_that_was_done_before_the_request_was_heard_is_whole() -> None:
    with step_by_step():
        signals._ask(signal.SIGINT, None)
