"""The targets that must keep the contract: simulators always, the bench with `--bench CONFIG`.

A target is a small array of at least two passes in each direction. Where a test needs two chips that
are alike, `reopen` gives another one of the same seed; a bench has no such thing and leaves the test out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rmhil
from rmhil.backend import Backend, Floats
from sim_backend import open_backend as open_sim
from tests.arrays import fill

SIMULATED: dict[str, dict[str, Any]] = {
    "sim": {"n_arrays": 2, "n_bl": 12, "n_sl": 10, "seed": 7, "wiring": {"bl_channels": 8, "sl_channels": 4}},
    "twin": {"n_bl": 6, "n_sl": 5, "seed": 7, "wiring": {"bl_channels": 4, "sl_channels": 3}},
}
"""Options of the small array, by name of the backend. A twin goes from cell to cell, so its array is smaller."""


TIMELESS = ("retention", "telegraph")
"""What depends on the time at which a cell's turn comes, and so on the order of cells."""

ORDERLESS: dict[str, dict[str, Any]] = {
    "sim": {"off": TIMELESS},
    "twin": {"off": TIMELESS, "analyser_ideal": True},
}
"""Options without what depends on the order of cells: time, and noise that an instrument draws reading by reading."""


class Filled(NamedTuple):
    """A backend whose cells were formed and set to levels of their own.

    Attributes:
        conductance: S, an averaged map of them.
    """

    backend: Backend
    conductance: Floats


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
def filled(target: str, opener: Callable[..., Backend], filled_before: Callable[[str], tuple[Path, Floats]]) -> Filled:
    """The small array, filled: on a bench now; a simulated one was filled once, and is taken up where it was left."""
    if target == "bench":
        opened = opener()
        return Filled(opened, fill(opened))
    state, conductance = filled_before(target)
    return Filled(opener(state=state), conductance)


@pytest.fixture(scope="session")
def filled_before(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Floats]]:
    """Saved state of a target's array after it was filled, and its map."""

    @cache
    def made(target: str) -> tuple[Path, Floats]:
        path = tmp_path_factory.mktemp(target) / "filled.npz"
        with open_sim(**SIMULATED[target]) as chip:
            conductance = fill(chip)
            chip.save_state(path)
        return path, conductance

    return made


@pytest.fixture
def simulated(target: str) -> str:
    """Name of the target, in a test that a bench leaves out."""
    return target


@pytest.fixture
def reopen(simulated: str, opener: Callable[..., Backend]) -> Callable[..., Backend]:
    """Opens another chip with the seed of `backend`, or with other options."""
    return opener
