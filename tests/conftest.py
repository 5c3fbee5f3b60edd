"""What all tests share: the bench option, deterministic property tests, one thread, small simulated chips."""

from __future__ import annotations

import os

# Before torch or numpy are imported: the arrays of the tests are too small for a second thread to pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from serial.urlhandler import protocol_socket

if TYPE_CHECKING:
    from sim_backend import SimBackend

settings.register_profile("rmhil", deadline=None, derandomize=True)
settings.load_profile("rmhil")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", metavar="CONFIG", help="bench configuration (TOML); runs the contract on it as well")


@pytest.fixture(scope="session", autouse=True)
def chips_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wear that tests cause is not counted among the user's chips."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RMHIL_CHIPS", str(tmp_path_factory.mktemp("chips")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_rest_after_closing() -> Iterator[None]:
    """pyserial sleeps 0.3 s after it closed a socket; hundreds of tests close the one of a board."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol_socket, "time", SimpleNamespace(sleep=lambda seconds: None))
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Also where the tests run in a shell's background, whose jobs are started without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A test that leaves an analyser open, which handles these signals, fails itself, and not one that comes later."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    if any(signal.getsignal(number) != handler for number, handler in before.items()):
        gc.collect()  # closes what only the traceback of an expected error holds
    assert {number: signal.signal(number, handler) for number, handler in before.items()} == before


@pytest.fixture
def open_sim() -> Iterator[Callable[..., SimBackend]]:
    """Opens simulated chips, 16 x 12 unless told otherwise, and closes them after the test."""
    from sim_backend import open_backend

    with ExitStack() as stack:

        def opener(**options: object) -> SimBackend:
            return stack.enter_context(open_backend(**({"n_bl": 16, "n_sl": 12, "seed": 7} | options)))

        yield opener
