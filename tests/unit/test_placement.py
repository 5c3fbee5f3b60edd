"""Promises of `rmhil.placement`: tiles on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from rmhil.errors import PlacementError
from rmhil.placement import Bin, Rectangle, passes, place

FACE_LAYERS = [(20, 16), *[(32, 16), (16, 32), (32, 20), (20, 32)] * 2, (6, 20)]
"""Outputs and inputs of the matrices of the face network."""


def bins(count: int, side: int = 128, bank: int = 64) -> list[Bin]:
    lines = np.arange(side) // bank
    return [Bin(0, array, lines, lines) for array in range(count)]


def test_the_face_network_fits_one_array_as_pairs_without_straddling_a_bank() -> None:
    tiles = [Rectangle(n_in, 2 * n_out) for n_out, n_in in FACE_LAYERS]
    sites = place(tiles, bins(1))
    assert sum(tile.cells for tile in tiles) == 10_096
    assert passes(sites, bins(1)) == len(tiles)


def test_the_order_of_the_tiles_is_kept() -> None:
    tiles = [Rectangle(3, 5), Rectangle(60, 60), Rectangle(1, 2)]
    assert [(s.bl.stop - s.bl.start, s.sl.stop - s.sl.start) for s in place(tiles, bins(1))] == [
        (3, 5),
        (60, 60),
        (1, 2),
    ]


def test_earlier_arrays_are_filled_first() -> None:
    assert {site.array for site in place([Rectangle(30, 30)] * 4, bins(9))} == {0}


def test_a_tile_straddles_a_bank_only_where_nothing_else_fits() -> None:
    straddling = place([Rectangle(40, 40)] * 9, bins(1, side=120, bank=60))
    assert passes(straddling, bins(1, side=120, bank=60)) > 9
    spread = place([Rectangle(40, 40)] * 8, bins(2, side=120, bank=60))
    assert passes(spread, bins(2, side=120, bank=60)) == 8


def test_a_shortfall_is_named_in_cells_and_arrays_with_both_ways_out() -> None:
    with pytest.raises(PlacementError, match=r"16,384 cells, or at least 1 array") as raised:
        place([Rectangle(128, 128)] * 3, bins(2))
    assert "more arrays" in str(raised.value)
    assert "digital" in str(raised.value)


def test_rectangles_that_do_not_pack_are_told_apart_from_missing_cells() -> None:
    with pytest.raises(PlacementError, match="do not pack"):
        place([Rectangle(65, 128), Rectangle(128, 60)], bins(1))
