"""Where tiles lie: rectangles of cells packed on the arrays at hand.

A tile is a rectangle of BLs and SLs in one array. Lines are wired in banks, and a tile that straddles a
bank takes more analogue passes than it must; a packing without straddling is tried first.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

import numpy as np

from rmhil.backend import Ints
from rmhil.errors import PlacementError


@dataclass(frozen=True, slots=True)
class Bin:
    """One array that tiles can lie on.

    Attributes:
        crossbar: position in the list of crossbars.
        array: array of that crossbar.
        bl_bank, sl_bank: bank of each line, ascending int64; lines of one bank share a pass.
    """

    crossbar: int
    array: int
    bl_bank: Ints
    sl_bank: Ints

    @property
    def shape(self) -> tuple[int, int]:
        """`(n_bl, n_sl)`."""
        return (len(self.bl_bank), len(self.sl_bank))

    @property
    def banks(self) -> tuple[bytes, bytes]:
        """The same for arrays that are wired alike."""
        return (self.bl_bank.tobytes(), self.sl_bank.tobytes())


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A tile that wants a place: BLs and SLs it needs."""

    n_bl: int
    n_sl: int

    @property
    def cells(self) -> int:
        """Cells inside."""
        return self.n_bl * self.n_sl


@dataclass(frozen=True, slots=True)
class Site:
    """The place of one tile.

    Attributes:
        crossbar, array: which array.
        bl, sl: first line of each kind, and one past the last.
    """

    crossbar: int
    array: int
    bl: slice
    sl: slice

    @property
    def bl_lines(self) -> Ints:
        """BL numbers."""
        return np.arange(self.bl.start, self.bl.stop, dtype=np.int64)

    @property
    def sl_lines(self) -> Ints:
        """SL numbers."""
        return np.arange(self.sl.start, self.sl.stop, dtype=np.int64)


class _Straddling(Enum):
    """What a packing may do to banks."""

    NEVER = 0
    SELDOM = 1
    IGNORED = 2


_Hole = tuple[int, int, int, int]
"""A free rectangle: first BL, first SL, one past the last BL, one past the last SL."""


@dataclass(slots=True)
class _Packing:
    """Free rectangles of one array, all maximal (they may overlap)."""

    bin: Bin
    holes: list[_Hole] = field(default_factory=list)
    fresh: bool = True

    def __post_init__(self) -> None:
        self.holes = [(0, 0, *self.bin.shape)]

    def find(self, need: Rectangle, straddling: _Straddling) -> tuple[int, int] | None:
        """The best free corner for a tile, or None: fewest passes (if banks matter), then the tightest fit."""
        best: tuple[tuple[int, int, int, int, int], tuple[int, int]] | None = None
        bl_banks, sl_banks = self.bin.banks
        fewest = _least(bl_banks, need.n_bl) * _least(sl_banks, need.n_sl)
        for hole in self.holes:
            for bl, sl in self._corners(hole, need, straddling):
                passes = 0 if straddling is _Straddling.IGNORED else self._passes(bl, sl, need)
                if passes > fewest and straddling is _Straddling.NEVER:
                    continue
                spare = sorted((hole[2] - bl - need.n_bl, hole[3] - sl - need.n_sl))
                score = (passes, spare[0], spare[1], bl, sl)
                if best is None or score < best[0]:
                    best = (score, (bl, sl))
        return best[1] if best else None

    def take(self, bl: int, sl: int, need: Rectangle) -> Site:
        """Put a tile at a corner that `find` gave."""
        taken = (bl, sl, bl + need.n_bl, sl + need.n_sl)
        cut = [part for hole in self.holes for part in _without(hole, taken)]
        self.holes = _maximal(cut)
        self.fresh = False
        return Site(self.bin.crossbar, self.bin.array, slice(bl, taken[2]), slice(sl, taken[3]))

    def _corners(self, hole: _Hole, need: Rectangle, straddling: _Straddling) -> Iterable[tuple[int, int]]:
        if straddling is _Straddling.IGNORED:
            return [hole[:2]] if hole[2] - hole[0] >= need.n_bl and hole[3] - hole[1] >= need.n_sl else []
        bl_banks, sl_banks = self.bin.banks
        rows = _starts(bl_banks, hole[0], hole[2] - need.n_bl)
        columns = _starts(sl_banks, hole[1], hole[3] - need.n_sl)
        return ((bl, sl) for bl in rows for sl in columns)

    def _passes(self, bl: int, sl: int, need: Rectangle) -> int:
        rows = self.bin.bl_bank[bl + need.n_bl - 1] - self.bin.bl_bank[bl] + 1
        columns = self.bin.sl_bank[sl + need.n_sl - 1] - self.bin.sl_bank[sl] + 1
        return int(rows * columns)


def _starts(bank: bytes, first: int, last: int) -> list[int]:
    """The first line of a gap, and the first line of each bank that begins inside it."""
    if last < first:
        return []
    begins = _begins(bank)
    return [first, *begins[bisect_right(begins, first) : bisect_right(begins, last)]]


@lru_cache
def _begins(bank: bytes) -> list[int]:
    """First line of every bank but the first."""
    lines: Ints = np.frombuffer(bank, dtype=np.int64)
    return [int(line) for line in np.flatnonzero(np.diff(lines)) + 1]


@lru_cache
def _least(bank: bytes, lines: int) -> int:
    """Fewest banks that this many neighbouring lines can lie in; one more than there are, where they do not fit."""
    banks: Ints = np.frombuffer(bank, dtype=np.int64)
    if lines > len(banks):
        return len(banks) + 1
    return int((banks[lines - 1 :] - banks[: len(banks) - lines + 1]).min()) + 1


def _without(hole: _Hole, taken: _Hole) -> list[_Hole]:
    """What is left of a hole: at most four rectangles, as large as they can be."""
    if taken[0] >= hole[2] or taken[2] <= hole[0] or taken[1] >= hole[3] or taken[3] <= hole[1]:
        return [hole]
    parts = [
        (hole[0], hole[1], taken[0], hole[3]),
        (taken[2], hole[1], hole[2], hole[3]),
        (hole[0], hole[1], hole[2], taken[1]),
        (hole[0], taken[3], hole[2], hole[3]),
    ]
    return [part for part in parts if part[0] < part[2] and part[1] < part[3]]


def _maximal(holes: list[_Hole]) -> list[_Hole]:
    """Without those that lie inside another one."""
    kept: list[_Hole] = []
    for hole in sorted(set(holes), key=lambda h: -(h[2] - h[0]) * (h[3] - h[1])):
        if not any(k[0] <= hole[0] and k[1] <= hole[1] and k[2] >= hole[2] and k[3] >= hole[3] for k in kept):
            kept.append(hole)
    return kept


_ORDERS: tuple[Callable[[Rectangle], tuple[int, int]], ...] = (
    lambda r: (-r.cells, -r.n_bl),
    lambda r: (-r.n_sl, -r.n_bl),
    lambda r: (-r.n_bl, -r.n_sl),
    lambda r: (-max(r.n_bl, r.n_sl), -r.cells),
)
"""Orders in which tiles are placed; each is tried, as none is best for all."""


def place(tiles: Sequence[Rectangle], bins: Sequence[Bin]) -> list[Site]:
    """Pack tiles on arrays without overlap.

    A packing in which no tile takes more passes than it must is preferred; else the one with fewest passes.

    Args:
        tiles: what needs a place.
        bins: the arrays; earlier ones are filled first.

    Returns:
        One site a tile, in the order of `tiles`.

    Raises:
        PlacementError: they do not fit; the message says what is missing.
    """
    for straddling in _Straddling:
        found = [sites for order in _ORDERS if (sites := _pack(tiles, bins, order, straddling)) is not None]
        if found:
            return min(found, key=lambda sites: passes(sites, bins))
    raise PlacementError(_shortfall(tiles, bins))


def passes(sites: Iterable[Site], bins: Sequence[Bin]) -> int:
    """Analogue passes that one vector through every tile takes."""
    by_array = {(b.crossbar, b.array): b for b in bins}
    total = 0
    for site in sites:
        home = by_array[site.crossbar, site.array]
        total += len(np.unique(home.bl_bank[site.bl])) * len(np.unique(home.sl_bank[site.sl]))
    return total


class _Shelf:
    """Arrays with room, in their order.

    Of those that are wired alike and that nothing lies on, the first stands for all. An array that has refused a tile
    will refuse every other one of that size, as its room only shrinks.
    """

    def __init__(self, bins: Sequence[Bin], straddling: _Straddling) -> None:
        self._bins, self._straddling = bins, straddling
        self._unused: dict[tuple[bytes, bytes], deque[int]] = {}
        for number, each in enumerate(bins):
            self._unused.setdefault(each.banks, deque()).append(number)
        self._open: dict[int, _Packing] = {}
        self._order: list[int] = []
        self._refused: dict[Rectangle, set[int]] = {}
        for banks in self._unused:
            self._unpack(banks)

    def put(self, need: Rectangle) -> Site | None:
        """Put a tile on the first array that has room for it; None if none has."""
        refused = self._refused.setdefault(need, set())
        for number in self._order:
            if number in refused:
                continue
            corner = self._open[number].find(need, self._straddling)
            if corner is not None:
                return self._take(number, corner, need)
            refused.add(number)
        return None

    def _take(self, number: int, corner: tuple[int, int], need: Rectangle) -> Site:
        packing = self._open[number]
        fresh, site = packing.fresh, packing.take(*corner, need)
        if not packing.holes:
            self._order.remove(number)
        if fresh:
            self._unpack(packing.bin.banks)
        return site

    def _unpack(self, banks: tuple[bytes, bytes]) -> None:
        """Open the next unused array of a kind, if there is one."""
        if self._unused[banks]:
            number = self._unused[banks].popleft()
            self._open[number] = _Packing(self._bins[number])
            insort(self._order, number)


def _pack(
    tiles: Sequence[Rectangle],
    bins: Sequence[Bin],
    order: Callable[[Rectangle], tuple[int, int]],
    straddling: _Straddling,
) -> list[Site] | None:
    shelf = _Shelf(bins, straddling)
    sites: dict[int, Site] = {}
    for number in sorted(range(len(tiles)), key=lambda n: (order(tiles[n]), n)):
        site = shelf.put(tiles[number])
        if site is None:
            return None
        sites[number] = site
    return [sites[number] for number in range(len(tiles))]


def _shortfall(tiles: Sequence[Rectangle], bins: Sequence[Bin]) -> str:
    need = sum(tile.cells for tile in tiles)
    have = sum(each.shape[0] * each.shape[1] for each in bins)
    text = f"{len(tiles)} tiles need {need:,} cells; {len(bins)} array(s) hold {have:,}"
    if need > have:
        typical = have / len(bins) if bins else 1
        text += f": {need - have:,} cells, or at least {int(np.ceil((need - have) / typical))} array(s), are missing"
    else:
        text += ": enough cells, but the rectangles do not pack; at least 1 array is missing"
    return text + ". Give more arrays, or leave some layers digital by name (convert(..., digital=[...]))"
