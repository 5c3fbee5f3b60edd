"""How the passes of an MVM are worked through together, and the buffers for it.

The passes of an MVM fall into groups: BL banks of equal size, next to one another, with one bank of SLs. A group
is one batched product, since the passes of it differ in their BLs alone; each pass is converted by itself all
the same. A plan is made once for given lines and arrays; what it needs for so many vectors are views of buffers
that all plans share, so that a call allocates nothing but its result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final
from weakref import ReferenceType, ref

import numpy as np
import torch

from rmhil.backend import ArraySpec, Ints, Pass
from rmhil.units import Seconds
from sim_backend.matrices import Matrices
from sim_backend.noise import Noise
from sim_backend.periphery import Periphery

_VALUES_AT_ONCE: Final = 1 << 20
"""Elements of one buffer that a call may fill, 4 MB in float32: more vectors are worked through in parts, which
bounds the memory and keeps it within a processor's cache."""

_FEW_CURRENTS: Final = 1 << 13
"""Currents of a single pass that are quicker compared with the range's ends than looked through for the extremes."""

_STEPS_KEPT: Final = 64
"""Plans and numbers of vectors whose steps are kept; the oldest give way."""


@dataclass(frozen=True, slots=True)
class Rows:
    """BL banks of equal size.

    Attributes:
        where: among the driven BLs.
        lines: their numbers.
        banks: how many.
    """

    where: slice
    lines: Ints
    banks: int

    @property
    def each(self) -> int:
        """BLs of one bank."""
        return self.lines.size // self.banks


@dataclass(frozen=True, slots=True)
class Columns:
    """One bank of SLs: where among the sensed ones, and their numbers."""

    where: slice
    lines: Ints


class Group:
    """The passes of some rows with one bank of SLs, and what they multiply by.

    Attributes:
        rows, columns: their lines.
        arrays: how many.
        is_first: whether no other BLs come before.
        is_whole: whether it is the only pass of its plan.
    """

    def __init__(self, rows: Rows, columns: Columns, arrays: int, is_whole: bool) -> None:
        self.rows = rows
        self.columns = columns
        self.arrays = arrays
        self.is_first = rows.where.start == 0
        self.is_whole = is_whole
        self._nothing = torch.empty(0)
        self.effective = self.variance = self.shielding = self.unshielded = self.offset = self._nothing
        self.is_shielded = False
        self._held: ReferenceType[Matrices] | None = None

    def use(self, held: Matrices, periphery: Periphery) -> None:
        """Take the rows' part of matrices of this bank of SLs: views, unless the lines are not in one piece.

        Afterwards `effective` and `variance` are (passes, BLs, SLs) in S and S^2; `offset`, in codes of the ADC,
        `shielding` and `unshielded` are (passes, 1, SLs). The first axis counts the arrays, and within each its banks.
        `shielding * current + unshielded`, times the current, leaves the offset in the current unshielded, but
        for its own square. All of them are let go with the matrices.
        """
        if self._held is not None and self._held() is held:
            return
        self.effective, self.variance = self._part(held.effective), self._part(held.variance)
        self.offset = self._of_passes(held.offset / periphery.adc_lsb)
        self.shielding = self._of_passes(held.shielding)
        self.unshielded = -2.0 * self.shielding * self.offset
        self.is_shielded = bool(self.shielding.any())
        self._held = ref(held, partial(_let_go, ref(self)))

    def let_go(self, gone: ReferenceType[Matrices]) -> None:
        """Free the memory of matrices that nobody holds any more."""
        if gone is self._held:
            self.effective = self.variance = self.shielding = self.unshielded = self.offset = self._nothing
            self._held = None

    def _of_passes(self, of_sl: torch.Tensor) -> torch.Tensor:
        return of_sl[:, None, :].repeat_interleave(self.rows.banks, dim=0)

    def _part(self, matrix: torch.Tensor) -> torch.Tensor:
        lines = self.rows.lines
        first, last = int(lines[0]), int(lines[-1])
        if last - first == lines.size - 1:
            chosen = matrix[:, first : last + 1]
        else:
            chosen = matrix.index_select(1, torch.from_numpy(lines).to(matrix.device))
        return chosen.reshape(-1, self.rows.each, matrix.shape[-1])


def _let_go(group: ReferenceType[Group], gone: ReferenceType[Matrices]) -> None:
    """`Group.let_go`, unless the group is gone as well. A group must not keep itself alive by what it waits for."""
    kept = group()
    if kept is not None:
        kept.let_go(gone)


class Plan:
    """The passes of MVMs of given lines and arrays.

    Attributes:
        arrays: their numbers.
        rows, columns: the driven BLs and the sensed SLs.
        groups: one for each of `rows` and, within it, each of `columns`.
        one_pass: whether there is but one pass.
        products: multiplications for one vector.
        seconds: s that the board takes for one vector.
        widest: elements of the largest buffer for one vector.
        at_once: vectors that are worked through together.
    """

    def __init__(self, spec: ArraySpec, periphery: Periphery, bl: Ints, sl: Ints, arrays: Ints) -> None:
        passes = spec.passes(bl, sl)
        self.arrays = arrays
        self.rows = _equal_banks([one.bl for one in spec.passes(bl, sl[:1])])
        self.columns = _banks([one.sl for one in spec.passes(bl[:1], sl)])
        self.one_pass = len(passes) == 1
        self.groups = [
            [Group(rows, columns, arrays.size, self.one_pass) for columns in self.columns] for rows in self.rows
        ]
        self.products = arrays.size * bl.size * sl.size
        self.seconds: Seconds = _duration(passes, periphery)
        lines = [rows.banks * max(rows.each, columns.lines.size) for rows in self.rows for columns in self.columns]
        self.widest = arrays.size * max(lines, default=0)
        self.at_once = max(1, _VALUES_AT_ONCE // max(1, self.widest))


def _duration(passes: list[Pass], periphery: Periphery) -> Seconds:
    return sum(periphery.pass_time(one.bl.size, one.sl.size) for one in passes)


def _banks(banks: list[Ints]) -> list[Columns]:
    ends = np.cumsum([0] + [lines.size for lines in banks]).tolist()
    return [Columns(slice(start, stop), lines) for start, stop, lines in zip(ends, ends[1:], banks, strict=False)]


def _equal_banks(banks: list[Ints]) -> list[Rows]:
    rows, start = [], 0
    for size, alike in groupby(banks, key=len):
        lines = list(alike)
        rows.append(Rows(slice(start, start + size * len(lines)), np.concatenate(lines), len(lines)))
        start += size * len(lines)
    return rows


class Step:
    """One group for some vectors, with the buffers for it.

    Where a first axis counts passes, it is the banks of BLs within the arrays.

    Attributes:
        group: the passes.
        drives: whether its BLs are converted here; the other banks of SLs use the same codes.
        codes: of the DAC, (passes, vectors, BLs).
        driven: the same, the banks as an axis of its own where there are several.
        squares: of the codes.
        currents: in codes of the ADC, (passes, vectors, SLs).
        deviations: of their noise, same shape.
        normals: standard normal numbers, same shape.
        draws: the parts of `normals` that each generator draws.
        looks: whether to look for currents over range before all are compared with its ends.
    """

    def __init__(self, group: Group, drives: bool, buffers: list[torch.Tensor], vectors: int, noise: Noise) -> None:
        rows, arrays = group.rows, group.arrays
        driven = (arrays * rows.banks, vectors, rows.each)
        sensed = (arrays * rows.banks, vectors, group.columns.lines.size)
        self.group = group
        self.drives = drives
        self.codes, self.squares, self.currents, self.deviations, self.normals = (
            flat[: math.prod(shape)].view(shape)
            for flat, shape in zip(buffers, (driven, driven, sensed, sensed, sensed), strict=True)
        )
        self.driven = self.codes if rows.banks == 1 else self.by_bank(self.codes)
        self.draws = noise.blocks(self.normals)
        # Elsewhere than on a CPU, looking would wait for all that is under way.
        worth = self.currents.numel() > _FEW_CURRENTS or not group.is_whole
        self.looks = worth and self.currents.device.type == "cpu"

    def by_bank(self, passes: torch.Tensor) -> torch.Tensor:
        """(arrays, banks, vectors, ..)."""
        return passes.view(self.group.arrays, self.group.rows.banks, *passes.shape[1:])

    def add_to(self, total: torch.Tensor, passes: torch.Tensor) -> None:
        """Add the codes of all passes to `total`, (arrays, vectors, SLs); the first BLs overwrite it."""
        first = self.group.is_first
        banks = self.by_bank(passes).unbind(1)
        if first:
            total.copy_(banks[0])
        for bank in banks[first:]:
            total.add_(bank)


class Buffers:
    """Memory that calls use again and again, and the steps of plans for numbers of vectors, which are views of it."""

    def __init__(self, noise: Noise, dtype: torch.dtype, device: torch.device) -> None:
        self._noise = noise
        self._flat = [torch.empty(0, dtype=dtype, device=device) for _ in range(5)]
        self._steps: dict[tuple[Plan, int], list[Step]] = {}

    def steps(self, plan: Plan, vectors: int) -> list[Step]:
        """Those of a plan, in order."""
        held = self._steps.get((plan, vectors))
        if held is not None:
            return held
        self._make_room(plan.widest * vectors)
        made = [
            Step(group, number == 0, self._flat, vectors, self._noise)
            for row in plan.groups
            for number, group in enumerate(row)
        ]
        self._steps[plan, vectors] = made
        return made

    def _make_room(self, size: int) -> None:
        """Steps with buffers that were too small are forgotten with them."""
        if self._flat[0].numel() < size:
            self._steps.clear()
            self._flat = [flat.new_empty(size) for flat in self._flat]
        while len(self._steps) >= _STEPS_KEPT:
            del self._steps[next(iter(self._steps))]
