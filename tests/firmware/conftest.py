"""Boards for the tests of the firmware."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.firmware.board import Board, build, opened


@pytest.fixture(params=["adc64", "adc8"])
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    """A board out of reset, of each topology; whatever a test did, nothing may have been violated."""
    with opened(build(request.param)) as board:
        yield board
        assert board.violations() == []


@pytest.fixture
def board_64() -> Iterator[Board]:
    """The same for tests that do not depend on the topology."""
    with opened(build("adc64")) as board:
        yield board
        assert board.violations() == []
