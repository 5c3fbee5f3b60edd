"""The exact solution of the line network, for a batch of arrays on any torch device.

Kept apart from `rmhil.line_model`, which needs no torch until a matrix is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import pad

from rmhil.backend import Ints
from rmhil.line_blocks import Leaves, Level
from rmhil.line_model import LineResistances
from rmhil.line_plan import ORDER, Join, Plan, Port, Ports
from rmhil.units import Ohms

_CELLS_AT_ONCE = 1 << 14
_CELLS_AT_ONCE_DEVICE = 1 << 22
"""Cells of all arrays solved in one go, some 1 kB each: on a CPU what its caches can follow, elsewhere 4 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTensors:
    """Resistances of the lines of some arrays, float64 tensors; as `rmhil.line_model.LineResistances`.

    Attributes:
        bl_source: ohm, (arrays, n_bl).
        sl_load: ohm, (arrays, k), of the SLs that are on.
        bl_segment, sl_segment: ohm per cell pitch.
        bl_both_ends, sl_both_ends: whether the lines are driven or sensed at both ends.
    """

    bl_source: torch.Tensor
    sl_load: torch.Tensor
    bl_segment: Ohms
    sl_segment: Ohms
    bl_both_ends: bool
    sl_both_ends: bool

    @classmethod
    def of(cls, lines: Sequence[LineResistances], on: Ints, device: torch.device) -> LineTensors:
        """The lines of some arrays of one wiring, with the SLs `on`."""
        sources = torch.from_numpy(np.stack([one.bl_source for one in lines]))
        loads = torch.from_numpy(np.stack([one.sl_load[on] for one in lines]))
        return cls(
            bl_source=sources.to(device),
            sl_load=loads.to(device),
            bl_segment=lines[0].bl_segment,
            sl_segment=lines[0].sl_segment,
            bl_both_ends=lines[0].bl_both_ends,
            sl_both_ends=lines[0].sl_both_ends,
        )

    def some(self, arrays: slice) -> LineTensors:
        """The lines of some of the arrays."""
        return replace(self, bl_source=self.bl_source[arrays], sl_load=self.sl_load[arrays])


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Keep torch to one thread, if asked to: in many small steps a second thread costs more than it does."""
    before = torch.get_num_threads()
    if not when or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def solve(conductance: torch.Tensor, on: Sequence[int], n_sl: int, lines: LineTensors) -> torch.Tensor:
    """Currents into the virtual grounds per volt at the drivers.

    Args:
        conductance: S, (arrays, n_bl, k), float64: the cells of the SLs that are on.
        on: their numbers, k of them, ascending.
        n_sl: SLs in all.
        lines: resistances.

    Returns:
        S, (arrays, n_bl, k), float64.
    """
    arrays, n_bl, k = conductance.shape
    limit = _CELLS_AT_ONCE if conductance.device.type == "cpu" else _CELLS_AT_ONCE_DEVICE
    step = max(1, limit // (n_bl * k))
    matrix = torch.empty_like(conductance)
    with one_thread():
        for first in range(0, arrays, step):
            some = slice(first, first + step)
            matrix[some] = _solve(conductance[some], Geometry.of(on, n_sl, lines.some(some)))
    return matrix


def _solve(cells: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    leaves = geometry.leaves()
    blocks, ports = leaves.blocks(leaves.responses(geometry.fold(cells))), leaves.ports
    last = deque(geometry.levels(blocks, ports), maxlen=1)
    return geometry.close(last.pop() if last else None, blocks, ports).currents


@dataclass(frozen=True, slots=True)
class Geometry:
    """The wires of some arrays, cut into blocks.

    Attributes:
        plan: the blocks.
        positions: wire segments from the drivers to each SL that is on, ascending.
        beyond: wire segments from the last of them to the far end of the BLs.
        lines: resistances.
    """

    plan: Plan
    positions: tuple[int, ...]
    beyond: int
    lines: LineTensors

    @classmethod
    def of(cls, on: Sequence[int], n_sl: int, lines: LineTensors) -> Geometry:
        """The geometry with some SLs on, of `n_sl` in all."""
        plan = Plan.of(lines.bl_source.shape[1], len(on))
        return cls(plan, tuple(number + 1 for number in on), n_sl - on[-1], lines)

    def fold(self, cells: torch.Tensor) -> torch.Tensor:
        """Cells, (arrays, n_bl, k), leaf by leaf; those that fill up conduct nothing."""
        plan = self.plan
        return plan.fold(pad(cells, (0, plan.columns - plan.sl, 0, plan.rows - plan.bl)))

    def leaves(self) -> Leaves:
        """The smallest blocks, with the routing inside those at the rim of the array."""
        plan, lines = self.plan, self.lines
        order = ORDER[plan.joins[0] if plan.joins else Join.BL]
        return Leaves.of(plan.fold(self._along_bl(lines)), plan.fold(self._along_sl(lines)), order)

    def _along_bl(self, lines: LineTensors) -> torch.Tensor:
        """Ohm from the near end of its leaf to every cell's node on its BL, (arrays, rows, columns)."""
        plan = self.plan
        segments = torch.tensor(self.positions + self.positions[-1:] * (plan.columns - plan.sl)).view(-1, plan.leaf_sl)
        segments[1:] -= segments[:-1, -1:].clone()
        along = segments.flatten().to(lines.bl_source) * lines.bl_segment
        ohms = along.repeat(lines.bl_source.shape[0], plan.rows, 1)
        ohms[:, : plan.bl, : plan.leaf_sl] += lines.bl_source[:, :, None]
        return ohms

    def _along_sl(self, lines: LineTensors) -> torch.Tensor:
        """Ohm from every cell's node on its SL to the lower end of its leaf, (arrays, rows, columns)."""
        plan = self.plan
        segments = torch.arange(plan.bl, plan.bl - plan.rows, -1).clamp_min(0).view(-1, plan.leaf_bl)
        segments[:-1] -= segments[1:, :1].clone()
        along = segments.flatten().to(lines.sl_load) * lines.sl_segment
        ohms = along[:, None].repeat(lines.sl_load.shape[0], 1, plan.columns)
        last = (plan.bl - 1) // plan.leaf_bl * plan.leaf_bl
        ohms[:, last : plan.bl, : plan.sl] += lines.sl_load[:, None]
        return ohms

    def levels(self, blocks: torch.Tensor, ports: Ports) -> Iterator[Level]:
        """Join the leaves, pair by pair, and yield every level; what is held of them is the caller's affair."""
        plan, lines = self.plan, self.lines
        for step, join in enumerate(plan.joins):
            level = Level.of(blocks, ports, join, plan.unused(step, lines.bl_both_ends, lines.sl_both_ends))
            yield level
            if step + 1 < len(plan.joins):
                blocks, ports = level.merged(plan.joins[step + 1])

    def close(self, level: Level | None, blocks: torch.Tensor, ports: Ports) -> Closed:
        """The whole array between its drivers and virtual grounds.

        Args:
            level: the last one; None where one leaf holds the whole array.
            blocks: the leaves.
            ports: of the leaves.
        """
        lines, plan = self.lines, self.plan
        if level is not None and not (lines.bl_both_ends or lines.sl_both_ends):
            return Closed(level.transfer()[:, : plan.bl, : plan.sl], None)
        if level is not None:
            blocks, ports = level.merged(None)
        at = ports.slices
        currents = -blocks[:, at["in"], at["bottom"]]
        if not (lines.bl_both_ends or lines.sl_both_ends):
            return Closed(currents[:, : plan.bl, : plan.sl], None)
        return self._close_far_ends(blocks, ports, currents)

    def _close_far_ends(self, blocks: torch.Tensor, ports: Ports, currents: torch.Tensor) -> Closed:
        far = self._far_paths()
        chosen = [torch.arange(blocks.shape[-1], device=blocks.device)[ports.slices[port]] for port in far]
        index, ohms = torch.cat(chosen), torch.cat(list(far.values()), dim=1)
        system = -blocks[:, index[:, None], index]
        # A path without resistance ends where the near end holds the whole line already.
        system.diagonal(dim1=1, dim2=2).add_(torch.where(ohms > 0, ohms, 1.0))
        loaded = torch.linalg.inv_ex(system)[0]
        given = blocks[:, index, ports.slices["in"]]
        if "out" in far:
            given[:, : self.plan.rows].diagonal(dim1=1, dim2=2).sub_(1.0)
        drawn = torch.bmm(loaded, given)
        outlets = blocks[:, index, ports.slices["bottom"]]
        currents = torch.baddbmm(currents, drawn.mT, outlets, alpha=-1)
        if "top" in far:
            currents += drawn[:, -self.plan.columns :].mT
        far_ends = FarEnds(index, loaded, drawn, outlets)
        return Closed(currents[:, : self.plan.bl, : self.plan.sl], far_ends)

    def _far_paths(self) -> dict[Port, torch.Tensor]:
        """Ohm from each far end in use to its driver or virtual ground, (arrays, lines); 0 for lines that fill up."""
        plan, lines = self.plan, self.lines
        paths: dict[Port, torch.Tensor] = {}
        if lines.bl_both_ends:
            paths["out"] = pad(lines.bl_source + self.beyond * lines.bl_segment, (0, plan.rows - plan.bl))
        if lines.sl_both_ends:
            paths["top"] = pad(lines.sl_load + lines.sl_segment, (0, plan.columns - plan.sl))
        return paths


@dataclass(frozen=True, slots=True)
class FarEnds:
    """Far ends that are driven or sensed as well, f of them.

    Attributes:
        index: their places among the ports of the whole array.
        loaded: S, (arrays, f, f): currents out of them per volt that they would have if none flowed.
        drawn: S, (arrays, f, rows): currents out of them per volt at the drivers.
        outlets: (arrays, f, columns): currents at the near ends of the SLs per current out of them.
    """

    index: torch.Tensor
    loaded: torch.Tensor
    drawn: torch.Tensor
    outlets: torch.Tensor


@dataclass(frozen=True, slots=True)
class Closed:
    """Whole arrays between their drivers and virtual grounds.

    Attributes:
        currents: S, (arrays, n_bl, k), into the virtual grounds per volt at the drivers.
        far_ends: None where only the near ends are used.
    """

    currents: torch.Tensor
    far_ends: FarEnds | None
