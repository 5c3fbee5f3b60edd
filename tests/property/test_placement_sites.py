"""Tiles lie on the arrays, whole and apart, whatever their sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rmhil.placement import Bin, Rectangle, Site, place


def overlap(one: Site, other: Site) -> bool:
    return (
        (one.crossbar, one.array) == (other.crossbar, other.array)
        and one.bl.start < other.bl.stop
        and other.bl.start < one.bl.stop
        and one.sl.start < other.sl.stop
        and other.sl.start < one.sl.stop
    )


@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=25),
    bank=st.sampled_from([16, 20, 40, 64]),
)
@settings(max_examples=60, deadline=None)
def test_sites_have_the_size_asked_for_stay_on_the_array_and_never_overlap(
    sizes: list[tuple[int, int]], bank: int
) -> None:
    lines = np.arange(40) // bank
    tiles = [Rectangle(*size) for size in sizes]
    sites = place(tiles, [Bin(0, array, lines, lines) for array in range(len(tiles))])
    for number, (tile, site) in enumerate(zip(tiles, sites, strict=True)):
        assert (len(site.bl_lines), len(site.sl_lines)) == (tile.n_bl, tile.n_sl)
        assert site.bl.start >= 0
        assert site.bl.stop <= 40
        assert site.sl.start >= 0
        assert site.sl.stop <= 40
        assert not any(overlap(site, other) for other in sites[:number])
