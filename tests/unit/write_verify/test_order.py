"""The order in which single cells are visited."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import Cells
from rmhil.write_verify.order import visiting_order


def moves(cells: Cells) -> int:
    """Lines that are switched on the way: a source line comes with its word line."""
    return int(np.sum(np.diff(cells.bl) != 0) + 2 * np.sum(np.diff(cells.sl) != 0))


def test_a_full_array_moves_one_line_at_a_time() -> None:
    cells = Cells.from_mask(np.ones((1, 5, 4), dtype=bool))
    visited = cells[visiting_order(cells)]
    steps = np.abs(np.diff(visited.bl)) + np.abs(np.diff(visited.sl))
    assert np.all(steps == 1)
    assert moves(visited) == 4 * 4 + 2 * 3


@given(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 5))))
def test_every_cell_is_visited_once_and_every_source_line_in_one_go(
    chosen: set[tuple[int, int, int]],
) -> None:
    cells = Cells.of(*(np.array(sorted(chosen), dtype=np.int64).reshape(-1, 3).T))
    order = visiting_order(cells)
    assert sorted(order) == list(range(len(cells)))
    visited = cells[order]
    lines = list(zip(visited.array.tolist(), visited.sl.tolist(), strict=True))
    assert len(list(groupby(lines))) == len(set(lines))
