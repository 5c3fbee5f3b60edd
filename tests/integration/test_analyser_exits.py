"""However a program ends that drives the analyser, outputs are at 0 V and switches open."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from rmhil.bench import B1500A, OutputsUnknownError
from rmhil.bench.safety import signals_held
from sim_backend.b1500a import Emulator, Fault, FaultKind, emulate
from tests.integration.analyser_worker import DRIVING, STARTED, WIRING

RESISTOR = "10e3"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LONGEST_DELAY = 0.5
"""s after the start of the program: two thirds of the signals come while it is driving, the others while it starts."""
POINTS, POINTS_LONG = 6, 200


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulate(RESISTOR) as opened:
        yield opened


def driven(emulator: Emulator) -> list[int]:
    """Channels that the emulator's own record says are on, or not at 0 V."""
    return [channel for channel, one in emulator.outputs().items() if one.closed or one.value]


def program(emulator: Emulator, transport: str = "SOCKET") -> subprocess.Popen[str]:
    """The worker in a process of its own, from its first line on."""
    command = [sys.executable, "-m", "tests.integration.analyser_worker", emulator.resources[transport]]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    while (found := process.stdout.readline()) != f"{line}\n":
        assert found, process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """What a program wrote to stderr until it ended; one that does not end by itself is killed."""
    try:
        return process.communicate(timeout=30.0)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def check_signal(emulator: Emulator, number: signal.Signals, delay: float, transport: str) -> None:
    process = program(emulator, transport)
    wait_for(process, STARTED)
    time.sleep(delay)
    process.send_signal(number)
    errors = ended(process)
    assert process.returncode != 0
    assert driven(emulator) == [], f"{number.name} after {delay:.3f} s: {errors}"
    assert "MAY STILL BE DRIVEN" not in errors


@pytest.mark.parametrize("point", range(POINTS))
def test_a_signal_at_any_moment_leaves_0_volts(emulator: Emulator, point: int) -> None:
    delay = np.random.default_rng(point).uniform(0.0, LONGEST_DELAY)
    check_signal(emulator, SIGNALS[point % 2], delay, ("SOCKET", "HiSLIP")[point // 2 % 2])


@pytest.mark.long
@pytest.mark.parametrize("point", range(POINTS, POINTS_LONG))
def test_a_signal_at_two_hundred_moments_leaves_0_volts(emulator: Emulator, point: int) -> None:
    test_a_signal_at_any_moment_leaves_0_volts(emulator, point)


def test_a_second_ctrl_c_does_not_stop_the_switching_off(emulator: Emulator) -> None:
    process = program(emulator)
    wait_for(process, DRIVING)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    ended(process)
    assert driven(emulator) == []


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_process_that_was_killed_is_cleaned_up_after_by_the_next_start(emulator: Emulator) -> None:
    process = program(emulator)
    wait_for(process, DRIVING)
    while not driven(emulator):
        time.sleep(0.01)
    process.kill()
    ended(process)
    with B1500A.open(emulator.resources["SOCKET"], WIRING):
        assert driven(emulator) == []


def test_an_exception_leaves_0_volts(emulator: Emulator) -> None:
    def fail() -> None:
        with B1500A.open(emulator.resources["SOCKET"], WIRING) as analyser:
            analyser.switch_on()
            analyser.force_voltage(1, 1.0, 1e-3)
            assert driven(emulator) == [1, 2, 3]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert driven(emulator) == []


def test_an_analyser_that_is_forgotten_leaves_0_volts(emulator: Emulator) -> None:
    analyser = B1500A.open(emulator.resources["SOCKET"], WIRING)
    analyser.switch_on()
    assert driven(emulator) == [1, 2, 3]
    del analyser
    gc.collect()
    assert driven(emulator) == []


def test_an_analyser_that_is_still_open_at_the_end_of_the_process_leaves_0_volts(emulator: Emulator) -> None:
    script = (
        "from rmhil.bench import *; from tests.integration.analyser_worker import WIRING\n"
        f"analyser = B1500A.open({emulator.resources['SOCKET']!r}, WIRING); analyser.switch_on(1)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert driven(emulator) == []


def test_a_link_that_cannot_be_opened_again_says_that_outputs_may_be_driven() -> None:
    with emulate(RESISTOR) as emulator:
        analyser = B1500A.open(emulator.resources["SOCKET"], WIRING, patience=0.3)
        analyser.switch_on()
    with pytest.raises(OutputsUnknownError, match="MAY STILL BE DRIVEN"):
        analyser.close()


def test_sigterm_is_the_programs_own_again_once_the_last_analyser_is_closed(emulator: Emulator) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with emulate() as other, B1500A.open(other.resources["SOCKET"], WIRING):
        with B1500A.open(emulator.resources["SOCKET"], WIRING):
            guarded = signal.getsignal(signal.SIGTERM)
            assert guarded != before
        assert signal.getsignal(signal.SIGTERM) == guarded, "the other analyser is open"
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_is_the_programs_own_again_after_a_close_that_held_it_back(emulator: Emulator) -> None:
    """As the close of a bench does, of whose analyser it is a part."""
    before = signal.getsignal(signal.SIGTERM)
    analyser = B1500A.open(emulator.resources["SOCKET"], WIRING)
    with signals_held():
        analyser.close()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_fault_while_switching_off_is_overcome_over_a_new_link(emulator: Emulator) -> None:
    analyser = B1500A.open(emulator.resources["SOCKET"], WIRING, patience=0.3)
    analyser.switch_on()
    emulator.inject(Fault(kind=FaultKind.DROPPED_LINK, header="DZ"))
    analyser.close()
    assert driven(emulator) == []
