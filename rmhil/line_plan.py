"""How an array is cut into blocks, and which of their ports are left when they are joined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

import torch

Port = Literal["in", "out", "top", "bottom"]
"""Rim of a block: `in` and `out` are the ends of its BLs, `top` and `bottom` those of its SLs."""

_LEAF_SIDE: Final = 4
"""Lines a side of the smallest blocks, which are solved cell by cell: quickest among 2, 4 and 8 at n = 64 to 256."""


class Join(Enum):
    """How the blocks of a pair lie: side by side along their BLs, or one above the other along their SLs."""

    BL = "bl"
    SL = "sl"


ORDER: Final[dict[Join, tuple[Port, ...]]] = {
    Join.BL: ("in", "top", "bottom", "out"),
    Join.SL: ("top", "in", "out", "bottom"),
}
"""Ports in the order of a block's matrix: those that the next join connects come first and last."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of blocks of one size, in the order of their matrices.

    Attributes:
        order: their kinds.
        bl, sl: lines of one block.
    """

    order: tuple[Port, ...]
    bl: int
    sl: int

    def lines(self, port: Port) -> int:
        """Ports of one kind."""
        return self.bl if port in ("in", "out") else self.sl

    @property
    def slices(self) -> dict[Port, slice]:
        """Where each kind lies."""
        places: dict[Port, slice] = {}
        start = 0
        for port in self.order:
            places[port] = slice(start, start + self.lines(port))
            start += self.lines(port)
        return places

    @property
    def count(self) -> int:
        """Ports in all."""
        return sum(self.lines(port) for port in self.order)

    def without(self, *ports: Port) -> Ports:
        """The same without some kinds."""
        return Ports(tuple(port for port in self.order if port not in ports), self.bl, self.sl)


@dataclass(frozen=True, slots=True)
class Plan:
    """How an array is cut into leaves and in what order they are joined.

    Attributes:
        bl, sl: lines of the array.
        leaf_bl, leaf_sl: lines of one leaf; the array is filled up with cells and wires that do nothing.
        joins: from the leaves to the whole.
    """

    bl: int
    sl: int
    leaf_bl: int
    leaf_sl: int
    joins: tuple[Join, ...]

    @classmethod
    def of(cls, bl: int, sl: int) -> Plan:
        """Halve both directions in turn, the shorter one as long as it lasts."""
        by_bl, by_sl = _halvings(bl), _halvings(sl)
        both = min(by_bl, by_sl)
        rest = (Join.SL,) * (by_bl - both) + (Join.BL,) * (by_sl - both)
        joins = (Join.BL, Join.SL) * both + rest
        return cls(bl, sl, math.ceil(bl / 2**by_bl), math.ceil(sl / 2**by_sl), joins)

    @property
    def rows(self) -> int:
        """BLs with those that fill up."""
        return self.leaf_bl << self.joins.count(Join.SL)

    @property
    def columns(self) -> int:
        """SLs with those that fill up."""
        return self.leaf_sl << self.joins.count(Join.BL)

    def fold(self, cells: torch.Tensor) -> torch.Tensor:
        """Values of cells, (arrays, rows, columns), leaf by leaf: (arrays * leaves, leaf_bl, leaf_sl)."""
        by_row, by_column = self.joins.count(Join.SL), self.joins.count(Join.BL)
        halves = cells.view(-1, *(2,) * by_row, self.leaf_bl, *(2,) * by_column, self.leaf_sl)
        row_bits, column_bits = list(range(1, 1 + by_row)), list(range(by_row + 2, by_row + 2 + by_column))
        bits = [(column_bits if join is Join.BL else row_bits).pop() for join in self.joins]
        order = (0, *reversed(bits), by_row + 1, halves.dim() - 1)
        return halves.permute(order).reshape(-1, self.leaf_bl, self.leaf_sl)

    def unfold(self, leaves: torch.Tensor) -> torch.Tensor:
        """The reverse of `fold`, without the lines that fill up: (arrays, bl, sl)."""
        by_row, by_column = self.joins.count(Join.SL), self.joins.count(Join.BL)
        bits = len(self.joins)
        halves = leaves.view(-1, *(2,) * bits, self.leaf_bl, self.leaf_sl)
        # The first join is the last bit; among the joins of one direction the first has the lowest value.
        row_bits = [bits - step for step, join in enumerate(self.joins) if join is Join.SL]
        column_bits = [bits - step for step, join in enumerate(self.joins) if join is Join.BL]
        order = (0, *reversed(row_bits), bits + 1, *reversed(column_bits), bits + 2)
        whole = halves.permute(order).reshape(-1, self.leaf_bl << by_row, self.leaf_sl << by_column)
        return whole[:, : self.bl, : self.sl]

    def leaf_of(self, row: int, column: int) -> int:
        """Number of the leaf that a cell lies in, within its array."""
        place = {Join.BL: column // self.leaf_sl, Join.SL: row // self.leaf_bl}
        number = 0
        for step, join in enumerate(self.joins):
            number |= (place[join] & 1) << step
            place[join] >>= 1
        return number

    def unused(self, step: int, bl_both_ends: bool, sl_both_ends: bool) -> tuple[Port, ...]:
        """Far ends that nothing is joined to any more after a step."""
        later = self.joins[step + 1 :]
        gone: list[Port] = []
        if Join.BL not in later and not bl_both_ends:
            gone.append("out")
        if Join.SL not in later and not sl_both_ends:
            gone.append("top")
        return tuple(gone)


def _halvings(lines: int) -> int:
    count = 0
    while lines > _LEAF_SIDE << count:
        count += 1
    return count
