"""The targets that must keep the contract: simulators always, the bench with `--bench CONFIG`.

A target is a small array of at least two passes in each direction. Where a test needs two chips that
are alike, `reopen` gives another one of the same seed; a bench has no such thing and leaves the test out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import rmhil
from rmhil.backend import Backend

SIMULATED: dict[str, dict[str, Any]] = {
    "sim": {"n_arrays": 2, "n_bl": 12, "n_sl": 10, "seed": 7, "wiring": {"bl_channels": 8, "sl_channels": 4}},
}
"""Options of the small array, by name of the backend."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        targets: list[Any] = list(SIMULATED)
        if "simulated" not in metafunc.fixturenames and metafunc.config.getoption("--bench"):
            targets.append(pytest.param("bench", marks=pytest.mark.hardware))
        metafunc.parametrize("target", targets)


@pytest.fixture
def opener(target: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Backend]]:
    with ExitStack() as stack:

        def open_target(**options: object) -> Backend:
            if target == "bench":
                opened = rmhil.open_backend("bench", request.config.getoption("--bench"), **options)
            else:
                opened = rmhil.open_backend(target, **(SIMULATED[target] | options))
            return stack.enter_context(opened)

        yield open_target


@pytest.fixture
def backend(opener: Callable[..., Backend]) -> Backend:
    return opener()


@pytest.fixture
def simulated(target: str) -> str:
    """Name of the target, in a test that a bench leaves out."""
    return target


@pytest.fixture
def reopen(simulated: str, opener: Callable[..., Backend]) -> Callable[..., Backend]:
    """Opens another chip with the seed of `backend`, or with other options."""
    return opener
