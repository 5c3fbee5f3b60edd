"""Where on an array each curve is measured: bit lines of its own, as many as its cells need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError

_WIDEST: Final = 128
"""Source lines that a curve takes at most: those of the published array (arXiv 2601.10037)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a curve asks of an array.

    Attributes:
        cells: at least, those that do not work included.
        quick_cells: of a quick measurement; None: as many.
        lines: bit lines at least.
        most_lines: bit lines at most, if the array has some to spare; None: no more than are needed.
        width: source lines at least.
        most_width: source lines at most.
    """

    cells: int = 1
    quick_cells: int | None = None
    lines: int = 1
    most_lines: int | None = None
    width: int = 1
    most_width: int = _WIDEST

    def needs(self, n_sl: int, quick: bool) -> int:
        """Bit lines at least, on an array with so many source lines."""
        cells = self.quick_cells if quick and self.quick_cells is not None else self.cells
        return max(self.lines, -(-cells // min(n_sl, self.most_width)))


def find_rooms(array: Crossbar, rooms: Mapping[str, Room], wanted: list[str], *, quick: bool) -> dict[str, Crossbar]:
    """Parts of one array for the wanted curves, one below the other.

    No two share a cell, so that no curve writes or wears the cells of another. On an array that has room for all
    curves, each has the same cells whichever are wanted; on a smaller one, the wanted ones share what there is. What
    curves share in any case is the clock: they are measured one after the other, and traps and noise go on meanwhile,
    so that a curve alone reads the same cells at other moments.

    Args:
        array: one array, or lines of it.
        rooms: what every curve asks for, in the order of the measurements.
        wanted: names of those that are to be measured.
        quick: whether less is measured.

    Raises:
        ConfigError: the array is too small for the wanted ones; nothing was driven.
    """
    n_bl, n_sl = array.shape
    for name in wanted:
        if rooms[name].width > n_sl:
            raise ConfigError(f"the curve {name!r} needs {rooms[name].width} source lines; the array has {n_sl}")
    needs = {name: room.needs(n_sl, quick) for name, room in rooms.items()}
    if sum(needs.values()) > n_bl:
        needs = {name: needs[name] for name in wanted}
    if (total := sum(needs.values())) > n_bl:
        each = ", ".join(f"{name} {lines}" for name, lines in needs.items())
        raise ConfigError(
            f"the array has {n_bl} bit lines of {n_sl} cells; {total} are needed ({each}). "
            "Ask for fewer curves at a time, or for --quick ones"
        )
    return _stacked(array, rooms, needs, wanted)


def _stacked(
    array: Crossbar, rooms: Mapping[str, Room], needs: Mapping[str, int], wanted: list[str]
) -> dict[str, Crossbar]:
    """Those of the wanted curves among all that have a place; whoever can use spare lines gets them."""
    first, spare, found = 0, array.shape[0] - sum(needs.values()), {}
    for name, lines in needs.items():
        room = rooms[name]
        more = 0 if room.most_lines is None else min(spare, max(0, room.most_lines - lines))
        found[name] = array.region(slice(first, first + lines + more), slice(room.most_width))
        first, spare = first + lines + more, spare - more
    return {name: found[name] for name in wanted}
