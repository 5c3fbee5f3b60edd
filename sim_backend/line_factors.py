"""A factorisation of the line network that is kept: for cells that change, and for currents injected at cells.

It holds the blocks of every level of `rmhil.line_blocks`, some 150 numbers a cell at 128 x 128.

A changed cell changes every block that contains it by a matrix of rank one, `s e e^T`, with e the voltage
across the cell per unit given at the block's ports and `s = d / (1 + d z)` from the change d of its conductance and
the impedance z that the block shows it. Both follow from level to level with products of one matrix and
one vector, so an update costs some n^2 operations where a solution costs n^3, and leaves a factorisation
that can be updated again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from rmhil.backend import Ints
from rmhil.line_blocks import Half, Leaves, Level
from rmhil.line_model import LineResistances
from rmhil.line_plan import Join, Ports
from rmhil.line_solver import Closed, Geometry, LineTensors, one_thread
from rmhil.units import Ohms, Siemens

_ERROR_OF_SOLVING: Final = 1e-13
_ERROR_OF_CHANGE: Final = 1e-15
"""1, of the effective matrix relative to its largest element: beyond what was seen at up to 256 x 256, 10 ohm a segment
and 1,000 changes."""


@dataclass(slots=True)
class _Probe:
    """A cell seen from the ports of one block that contains it.

    Attributes:
        across: volts across the cell per unit given at each port, (N,).
        impedance: ohm that the block shows the cell.
    """

    across: torch.Tensor
    impedance: Ohms

    def strength(self, step: Siemens) -> Siemens:
        """S: current that a change of the cell's conductance by `step` draws per volt across the unchanged cell."""
        return step / (1.0 + step * self.impedance)


class LineFactors:
    """Arrays with some SLs on, solved, and ready for changes.

    Attributes:
        conductance: S, (arrays, n_bl, k), with all changes; to be changed by `change` alone.

    Args:
        conductance: S, (arrays, n_bl, k), float64: the cells of the SLs that are on.
        lines: of each array.
        sl: numbers of the SLs that are on, ascending.
        n_sl: SLs in all.
    """

    def __init__(self, conductance: torch.Tensor, lines: Sequence[LineResistances], sl: Ints, n_sl: int) -> None:
        tensors = LineTensors.of(lines, sl, conductance.device)
        self._geometry = Geometry.of(sl.tolist(), n_sl, tensors)
        self.conductance = conductance.clone()
        with one_thread(), torch.no_grad():
            self._leaves: Leaves = self._geometry.leaves()
            self._responses = self._leaves.responses(self._geometry.fold(conductance))
            blocks = self._leaves.blocks(self._responses)
            self._levels: list[Level] = list(self._geometry.levels(blocks, self._leaves.ports))
            last = self._levels[-1] if self._levels else None
            self._closed: Closed = self._geometry.close(last, blocks, self._leaves.ports)
        afters = (*self._geometry.plan.joins[1:], None)
        self._steps = [_Step.of(level, after) for level, after in zip(self._levels, afters, strict=False)]
        self._lost = _ERROR_OF_SOLVING * self._largest(slice(None))
        self._ports: Ports = last.merged_ports(None) if last is not None else self._leaves.ports

    @property
    def bytes_held(self) -> int:
        """Bytes of all that is held."""
        leaves = self._leaves
        held = [self.conductance, self._responses, leaves.joint, leaves.incidence, leaves.bare, self.effective]
        held += [part for level in self._levels for part in (level.blocks, level.inverse)]
        return sum(part.numel() * part.element_size() for part in held)

    @property
    def error(self) -> float:
        """1, bound of the error of `effective` relative to its largest element; grows with every change."""
        largest = self._largest(slice(None))
        return self._lost / largest if largest > 0.0 else math.inf

    def _largest(self, arrays: int | slice) -> Siemens:
        return float(self.effective[arrays].amax())

    @property
    def effective(self) -> torch.Tensor:
        """S, (arrays, n_bl, k): current into each virtual ground per volt at each driver, with all changes."""
        return self._closed.currents

    @torch.no_grad()
    def change(self, array: int, row: int, column: int, conductance: Siemens) -> None:
        """Give one cell another conductance.

        Args:
            array: position among the arrays held.
            row: of the cell.
            column: of the cell, counted among the SLs that are on.
            conductance: S, from now on.
        """
        step = conductance - float(self.conductance[array, row, column])
        if step == 0.0:
            return
        self.conductance[array, row, column] = conductance
        largest = self._largest(array)
        with one_thread():
            probe, number = self._change_leaf(array, row, column, step)
            for one in self._steps:
                probe = one.change(number, probe, step)
                number >>= 1
            left = self._change_whole(array, probe, step)
        self._lost += _ERROR_OF_CHANGE * largest / min(1.0, left * left)

    @torch.no_grad()
    def respond(self, drive: torch.Tensor, injected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What driver voltages and currents injected at the cells do together.

        Args:
            drive: V at the drivers, (arrays, vectors, n_bl), float64.
            injected: A taken from its BL and given to its SL at every cell, beside the cell's own current,
                (arrays, vectors, n_bl, k), float64.

        Returns:
            A into the virtual grounds, (arrays, vectors, k), and V across the cells, shape of `injected`.
        """
        with one_thread():
            flows = self._by_leaf(injected)
            open_volts = torch.bmm(self._leaves.joint, flows)  # minus
            flows = flows - torch.bmm(self._responses, open_volts)
            raised = torch.bmm(self._leaves.joint, flows)  # minus
            outputs = torch.bmm(self._leaves.incidence.mT, flows)
            meetings = []
            for step in self._steps:
                outputs, meeting = step.gather(outputs)
                meetings.append(meeting)
            currents, given = self._between_ends(drive.mT, outputs)
            for step, meeting in zip(reversed(self._steps), reversed(meetings), strict=True):
                given = step.scatter(given, meeting)
            across = torch.bmm(self._leaves.incidence, given)
            across -= torch.bmm(self._leaves.joint, torch.bmm(self._responses, across))
            return currents.mT, self._by_cell(across - raised, injected.shape)

    def _by_leaf(self, cells: torch.Tensor) -> torch.Tensor:
        """(arrays, vectors, n_bl, k) to (leaves, cells of a leaf, vectors)."""
        arrays, vectors = cells.shape[:2]
        folded = self._geometry.fold(cells.flatten(0, 1))
        by_leaf = folded.view(arrays, vectors, -1, folded[0].numel())
        return by_leaf.permute(0, 2, 3, 1).reshape(-1, folded[0].numel(), vectors)

    def _by_cell(self, leaves: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The reverse of `_by_leaf`."""
        plan = self._geometry.plan
        by_vector = leaves.view(shape[0], -1, *leaves.shape[1:]).permute(0, 3, 1, 2)
        return plan.unfold(by_vector.reshape(-1, plan.leaf_bl, plan.leaf_sl)).reshape(shape)

    def _between_ends(self, drive: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Close the whole array.

        Args:
            drive: V, (arrays, n_bl, vectors).
            outputs: of the array's ports if nothing is given there, (arrays, N, vectors).

        Returns:
            A into the virtual grounds, (arrays, k, vectors), and what is given at the ports, shape of `outputs`.
        """
        at, far, plan = self._ports.slices, self._closed.far_ends, self._geometry.plan
        given = torch.zeros_like(outputs)
        given[:, at["in"]][:, : plan.bl] = drive
        currents = torch.bmm(self.effective.mT, drive) - outputs[:, at["bottom"]][:, : plan.sl]
        if far is not None:
            raised = torch.bmm(far.loaded, outputs[:, far.index])
            given[:, far.index] = raised + torch.bmm(far.drawn, given[:, at["in"]])
            currents -= torch.bmm(far.outlets.mT, raised)[:, : plan.sl]
            if self._geometry.lines.sl_both_ends:
                currents += raised[:, -plan.columns :][:, : plan.sl]
        return currents, given

    def _change_leaf(self, array: int, row: int, column: int, step: Siemens) -> tuple[_Probe, int]:
        """Change the leaf of the cell; the cell as the leaf shows it, and the leaf's number."""
        plan, leaves = self._geometry.plan, self._leaves
        number = (array << len(plan.joins)) + plan.leaf_of(row, column)
        cell = row % plan.leaf_bl * plan.leaf_sl + column % plan.leaf_sl
        joint, response = leaves.joint[number], self._responses[number]
        left = torch.mv(response, joint[cell]).neg_()
        left[cell] += 1.0
        probe = _Probe(torch.mv(leaves.incidence[number].mT, left), float(torch.dot(left, joint[cell])))
        response.addr_(left, left, alpha=probe.strength(step))
        return probe, number

    def _change_whole(self, array: int, probe: _Probe, step: Siemens) -> float:
        """Change the matrix between drivers and virtual grounds, and what the far ends make of it.

        Returns:
            1, `1 + d z`: where it is small, the change undoes most of what the cell did, and digits are lost.
        """
        at, far = self._ports.slices, self._closed.far_ends
        entering, leaving = probe.across[at["in"]], -probe.across[at["bottom"]]
        if far is not None:
            open_strength, ends = probe.strength(step), probe.across[far.index]
            drawn = torch.mv(far.loaded[array], ends)
            entering = entering + torch.mv(far.drawn[array].mT, ends)
            leaving = leaving - torch.mv(far.outlets[array].mT, drawn)
            if self._geometry.lines.sl_both_ends:
                leaving = leaving + drawn[-leaving.numel() :]
            far.outlets[array].addr_(ends, probe.across[at["bottom"]], alpha=open_strength)
            probe.impedance -= float(torch.dot(ends, drawn))
            far.loaded[array].addr_(drawn, drawn, alpha=probe.strength(step))
            far.drawn[array].addr_(drawn, entering, alpha=probe.strength(step))
        matrix = self._closed.currents[array]
        n_bl, k = matrix.shape
        matrix.addr_(entering[:n_bl], leaving[:k], alpha=probe.strength(step))
        return 1.0 + step * probe.impedance


@dataclass(frozen=True, slots=True)
class _Step:
    """A level with its halves at hand.

    Attributes:
        blocks, inverse: as those of `Level`.
        giver, taker: the halves of the pairs.
        side_by_side: whether the giver comes first in a pair.
        order: where each port of the merged block lies among those left of the first of a pair, then of the second.
    """

    blocks: torch.Tensor
    inverse: torch.Tensor
    giver: Half
    taker: Half
    side_by_side: bool
    order: torch.Tensor

    @classmethod
    def of(cls, level: Level, after: Join | None) -> _Step:
        order: list[int] = []
        for run in level.runs(level.merged_ports(after)):
            for piece in range(run.pieces):
                order += range(run.start + piece * run.step, run.start + piece * run.step + run.size)
        index = torch.tensor(order, device=level.blocks.device)
        return cls(level.blocks, level.inverse, level.giver, level.taker, level.side_by_side, index)

    def change(self, number: int, probe: _Probe, step: Siemens) -> _Probe:
        """Change one block and what joins it to its partner.

        Args:
            number: of the block.
            probe: the cell, seen from the block.
            step: S, change of the cell's conductance.

        Returns:
            The cell, seen from the merged block.
        """
        pair = number >> 1
        giver, taker, inverse = self.giver, self.taker, self.inverse[pair]
        gives = (number & 1 == 0) == self.side_by_side
        mine = giver if gives else taker
        inner, outer = probe.across[mine.joined], probe.across[mine.left]
        if gives:
            voltages = torch.mv(inverse, inner)
            currents = torch.mv(taker.own[pair], voltages)
            seen = torch.addmv(outer, giver.link[pair], currents), torch.mv(taker.link[pair], voltages)
            less = float(torch.dot(inner, currents))
        else:
            currents = torch.mv(inverse.mT, inner)
            voltages = torch.mv(giver.own[pair], currents)  # negative: `own` of a giver is minus its impedance
            seen = torch.mv(giver.link[pair], currents), torch.addmv(outer, taker.link[pair], voltages)
            less = float(torch.dot(inner, voltages))
        after = _Probe(self._merged(*seen), probe.impedance - less)
        inverse.addr_(voltages, currents, alpha=after.strength(step))
        self.blocks[number].addr_(probe.across, probe.across, alpha=probe.strength(step))
        return after

    def gather(self, outputs: torch.Tensor) -> tuple[torch.Tensor, _Meeting]:
        """Outputs of the merged blocks, and the lines between their halves, if nothing is given at their ports.

        Args:
            outputs: of the blocks if nothing is given there, (2 * pairs, N, vectors).
        """
        giver, taker = self._halves(outputs)
        entering = taker[:, self.taker.joined]
        volts = torch.bmm(self.inverse, torch.baddbmm(giver[:, self.giver.joined], self.giver.own, entering))
        amperes = torch.baddbmm(entering, self.taker.own, volts)
        left = torch.baddbmm(giver[:, self.giver.left], self.giver.link, amperes)
        right = torch.baddbmm(taker[:, self.taker.left], self.taker.link, volts)
        return self._merged(left, right, axis=1), _Meeting(volts, amperes)

    def scatter(self, given: torch.Tensor, meeting: _Meeting) -> torch.Tensor:
        """What is given at the ports of the blocks, from what is at those of the merged ones.

        Args:
            given: (pairs, N, vectors).
            meeting: the lines between the halves if nothing were given.
        """
        apart = torch.empty_like(given)
        apart[:, self.order] = given
        g, t = self.giver.ports.count, self.taker.ports.count
        to_giver, to_taker = (apart[:, :g], apart[:, g:]) if self.side_by_side else (apart[:, t:], apart[:, :t])
        entering = torch.bmm(self.taker.link.mT, to_taker)
        raised = torch.bmm(self.giver.link.mT, to_giver)
        more = torch.bmm(self.inverse, torch.baddbmm(raised, self.giver.own, entering))
        amperes = torch.baddbmm(meeting.amperes + entering, self.taker.own, more)
        blocks = given.new_zeros(self.blocks.shape[0], self.blocks.shape[1], given.shape[-1])
        giver, taker = self._halves(blocks)
        giver[:, self.giver.left], giver[:, self.giver.joined] = to_giver, amperes
        taker[:, self.taker.left], taker[:, self.taker.joined] = to_taker, meeting.volts + more
        return blocks

    def _merged(self, of_giver: torch.Tensor, of_taker: torch.Tensor, axis: int = 0) -> torch.Tensor:
        """Values at the ports of the merged block, from those at the ports left of its halves."""
        pieces = (of_giver, of_taker) if self.side_by_side else (of_taker, of_giver)
        return torch.cat(pieces, dim=axis).index_select(axis, self.order)

    def _halves(self, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Givers and takers among what belongs to the blocks."""
        first, second = blocks.view(-1, 2, *blocks.shape[1:]).unbind(1)
        return (first, second) if self.side_by_side else (second, first)


@dataclass(frozen=True, slots=True)
class _Meeting:
    """The lines that join the halves of pairs, (pairs, m, vectors): their volts, and the amperes along them."""

    volts: torch.Tensor
    amperes: torch.Tensor
