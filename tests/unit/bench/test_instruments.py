"""How a bench is left: what is done, in which order, and what is said where it cannot be done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from loguru import logger

from rmhil.bench.backend_errors import OutputsNotSafeError, StepFailedError
from rmhil.bench.board_errors import BoardOutputsUnknownError
from rmhil.bench.config import bench_config
from rmhil.bench.errors import OutputsUnknownError
from rmhil.bench.instruments import Instruments
from rmhil.bench.ownership import BenchLock
from rmhil.bench.step_signals import StepSignals
from rmhil.errors import RmhilError

CONFIG = bench_config(
    {"analyser": {"resource": "A"}, "board": {"url": "B"}, "array": {"chip": "c", "preset": "taox180"}}
)


class Recorded:
    """Stands for an instrument: writes down what it is asked for, and fails where it is told to."""

    on, closed, lost = True, False, False

    def __init__(self, name: str, done: list[str], failing: dict[str, RmhilError]) -> None:
        self._name, self._done, self._failing = name, done, failing

    def isolated_by(self, isolate: Callable[[], None]) -> None:
        self.isolate = isolate

    def __getattr__(self, asked: str) -> Callable[[], None]:
        def carry_out() -> None:
            self._done.append(f"{self._name} {asked}")
            if error := self._failing.get(f"{self._name} {asked}"):
                raise error

        return carry_out


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def failing() -> dict[str, RmhilError]:
    return {}


@pytest.fixture
def instruments(done: list[str], failing: dict[str, RmhilError], tmp_path: Path) -> Iterator[Instruments]:
    lock = BenchLock(tmp_path / "lock", "the bench")
    lock.take()
    parts = (cast("Any", Recorded(name, done, failing)) for name in ("analyser", "board"))
    opened = Instruments(CONFIG, lock, *parts)
    yield opened
    failing.clear()
    opened.close()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Levels of what is logged as loudly as can be."""
    levels: list[str] = []
    logger.enable("rmhil")
    sink = logger.add(lambda message: levels.append(message.record["level"].name), level="CRITICAL")
    yield levels
    logger.remove(sink)
    logger.disable("rmhil")


def test_safe_goes_to_0_v_then_opens_lines_then_switches(instruments: Instruments, done: list[str]) -> None:
    instruments.safe()
    assert done == ["analyser zero_verified", "board safe", "analyser switch_off"]


@pytest.mark.parametrize("broken", ["analyser zero_verified", "board safe", "analyser switch_off"])
def test_every_part_is_done_whatever_becomes_of_the_others(
    instruments: Instruments, done: list[str], failing: dict[str, RmhilError], broken: str
) -> None:
    failing[broken] = OutputsUnknownError("A", "no answer")
    if broken == "analyser zero_verified":
        instruments.safe()  # what follows has switched them off, and said so
    else:
        with pytest.raises(OutputsNotSafeError, match="NOT SAFE"):
            instruments.safe()
    assert done == ["analyser zero_verified", "board safe", "analyser switch_off"]


def test_what_could_not_be_made_safe_is_named_and_logged_loudly(
    instruments: Instruments, failing: dict[str, RmhilError], said: list[str]
) -> None:
    failing["board safe"] = BoardOutputsUnknownError("B", "the cable is out")
    failing["analyser switch_off"] = OutputsUnknownError("A", "no power")
    with pytest.raises(OutputsNotSafeError) as caught:
        instruments.safe()
    assert len(caught.value.parts) == 2
    assert "the cable is out" in str(caught.value)
    assert "no power" in str(caught.value)
    assert said == ["CRITICAL"]


def test_what_is_tried_again_in_vain_is_not_said_aloud_again(
    instruments: Instruments, failing: dict[str, RmhilError], said: list[str]
) -> None:
    failing["board safe"] = BoardOutputsUnknownError("B", "the cable is out")
    for _ in range(3):
        with pytest.raises(OutputsNotSafeError):
            instruments.safe()
    del failing["board safe"]
    instruments.safe()
    failing["board safe"] = BoardOutputsUnknownError("B", "the cable is out again")
    with pytest.raises(OutputsNotSafeError):
        instruments.safe()
    assert said == ["CRITICAL"] * 2


def test_an_analyser_that_does_not_answer_is_cut_off_from_the_array_before_it_is_asked_again(
    instruments: Instruments, done: list[str], failing: dict[str, RmhilError]
) -> None:
    analyser = cast("Any", instruments.analyser)
    analyser.isolate()
    assert done == ["board safe"]
    failing["board safe"] = BoardOutputsUnknownError("B", "the cable is out")
    analyser.isolate()  # `safe` follows, and raises
    del failing["board safe"]
    analyser.lost = True
    done.clear()
    instruments.safe()
    assert done == ["board safe", "analyser switch_off"], "it would not hear that it is to go to 0 V"


def test_a_bench_is_let_go_of_in_the_order_of_safe(instruments: Instruments, done: list[str]) -> None:
    instruments.close()
    assert done == ["analyser zero_verified", "board close", "analyser close"]


def test_a_bench_that_cannot_be_made_safe_is_let_go_of_all_the_same(
    instruments: Instruments, done: list[str], failing: dict[str, RmhilError]
) -> None:
    failing["board safe"] = failing["board close"] = BoardOutputsUnknownError("B", "the cable is out")
    with pytest.raises(OutputsNotSafeError):
        instruments.close()
    assert done[-2:] == ["board close", "analyser close"]
    assert instruments.closed
    BenchLock(instruments._lock.path, "the bench").take()
    instruments._lock.path.unlink()


def test_what_followed_a_broken_step_still_says_what_became_of_the_pulse() -> None:
    step = StepFailedError((0, 1, 2), "SET of 2 V", False, RuntimeError("no route"))
    unsafe = OutputsNotSafeError(["the board"]).after(step)
    assert unsafe.pulse_sent is False
    assert "no pulse was sent" in str(unsafe)


# Signals


def test_the_first_ctrl_c_waits_for_the_end_of_the_step_and_is_delivered_after_it() -> None:
    signals, finished = StepSignals(), False
    with signals.step():
        os.kill(os.getpid(), signal.SIGINT)
        finished = True
    assert finished
    with pytest.raises(KeyboardInterrupt):
        signals.deliver()
    signals.deliver()


def test_the_second_ctrl_c_does_not_wait() -> None:
    signals, finished = StepSignals(), list[bool]()
    with pytest.raises(KeyboardInterrupt):
        step_with_two_signals(signals, signal.SIGINT, finished)
    assert not finished
    signals.deliver()  # it was delivered


def step_with_two_signals(signals: StepSignals, number: int, finished: list[bool]) -> None:
    with signals.step():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        finished.append(True)


def test_a_second_signal_ends_the_step_even_if_its_handler_only_remembers_it() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            step_with_two_signals(StepSignals(), signal.SIGTERM, [])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM, signal.SIGTERM]


def test_the_handlers_are_as_before_after_a_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), StepSignals().step():
        raise RuntimeError("in the step")
    assert signal.getsignal(signal.SIGINT) is before
