"""A board behind a link of a few lines of Python."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rmhil.bench import board_session
from rmhil.bench.board import Board
from rmhil.bench.boards import BOARDS
from rmhil.wiring import Wiring
from tests.unit.bench.board_link import BoardLink


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
    board = Board("there", BOARDS["adc64"], Wiring())
    board.arm()
    link.sent.clear()
    yield board
    link.broken, link.stuck, link.closed = None, False, False
    board.close()
