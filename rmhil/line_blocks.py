"""Blocks of cells with ports on their rims, merged in pairs until the whole array is one block.

A block is a rectangle of cells with the wires inside it. Each of its BLs and SLs crosses the rim at two
ports. At the ends nearer to the drivers and to the virtual grounds (`in` and `bottom`) a voltage is given
and the current into the block follows; at the far ends (`out` and `top`) the current out of the block is
given and the voltage follows. With these choices a block's matrix is symmetric, wires without resistance
and cells without conductance are ordinary values, and two blocks that share m lines are joined by one
regular m x m system: `I + Z Y`, with Z the impedance seen into the one and Y the admittance seen into the
other, both positive semidefinite.

Blocks of one size are the entries of one tensor, in an order that always puts the two to be merged next to each
other, so that a whole level is some ten calls on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from rmhil.line_plan import ORDER, Join, Port, Ports


@dataclass(frozen=True, slots=True)
class Leaves:
    """The smallest blocks, solved cell by cell; c = leaf_bl * leaf_sl cells each, N ports.

    The voltage across the cells of a leaf is `E x - R J`, with x what is given at its ports and J the
    currents of its cells; its outputs are `H0 x + E^T J`. With `J = G (E x - R J)` no resistance or
    conductance is ever divided by.

    Attributes:
        joint: ohm, R, (leaves, c, c): resistance that two cells share.
        incidence: E, (leaves, c, N).
        bare: H0, (leaves, N, N): the leaf without its cells.
        ports: their order.
    """

    joint: torch.Tensor
    incidence: torch.Tensor
    bare: torch.Tensor
    ports: Ports

    @classmethod
    def of(cls, along_bl: torch.Tensor, along_sl: torch.Tensor, order: tuple[Port, ...]) -> Leaves:
        """Leaves from the resistances of their wires.

        Args:
            along_bl: ohm from a leaf's `in` to each node, (leaves, leaf_bl, leaf_sl).
            along_sl: ohm from each node to the leaf's `bottom`, same shape.
            order: of the ports.
        """
        ports = Ports(order, along_bl.shape[1], along_bl.shape[2])
        return cls(
            _joint(along_bl, along_sl), _incidence(along_bl, along_sl, ports), _bare(along_bl, along_sl, ports), ports
        )

    def responses(self, cells: torch.Tensor) -> torch.Tensor:
        """S, (leaves, c, c): currents of the cells per volt that would be across them if none flowed.

        Args:
            cells: S, (leaves, leaf_bl, leaf_sl).
        """
        own = cells.flatten(1)
        system = own[..., None] * self.joint
        system.diagonal(dim1=1, dim2=2).add_(1.0)
        inverse: torch.Tensor = torch.linalg.inv_ex(system)[0]
        return inverse.mul_(own[:, None, :])

    def blocks(self, responses: torch.Tensor) -> torch.Tensor:
        """Matrices of the leaves with their cells, (leaves, N, N)."""
        return torch.baddbmm(self.bare, self.incidence.mT, torch.bmm(responses, self.incidence))


def _joint(along_bl: torch.Tensor, along_sl: torch.Tensor) -> torch.Tensor:
    leaves, bl, sl = along_bl.shape
    rows, columns = (torch.arange(lines, device=along_bl.device) for lines in (bl, sl))
    joint = along_bl.new_zeros(leaves, bl, sl, bl, sl)
    nearer = torch.minimum(columns[:, None], columns)
    lower = torch.maximum(rows[:, None], rows)
    joint.diagonal(dim1=1, dim2=3).add_(along_bl[:, :, nearer].permute(0, 2, 3, 1))
    joint.diagonal(dim1=2, dim2=4).add_(along_sl[:, lower])
    return joint.view(leaves, bl * sl, bl * sl)


def _incidence(along_bl: torch.Tensor, along_sl: torch.Tensor, ports: Ports) -> torch.Tensor:
    leaves, bl, sl = along_bl.shape
    at = ports.slices
    incidence = along_bl.new_zeros(leaves, bl, sl, ports.count)
    incidence[..., at["in"]].diagonal(dim1=1, dim2=3).fill_(1.0)
    incidence[..., at["out"]].diagonal(dim1=1, dim2=3).copy_(-along_bl.mT)
    incidence[..., at["bottom"]].diagonal(dim1=2, dim2=3).fill_(-1.0)
    incidence[..., at["top"]].diagonal(dim1=2, dim2=3).copy_(along_sl)
    return incidence.view(leaves, bl * sl, ports.count)


def _bare(along_bl: torch.Tensor, along_sl: torch.Tensor, ports: Ports) -> torch.Tensor:
    at = ports.slices
    bare = along_bl.new_zeros(along_bl.shape[0], ports.count, ports.count)
    ends: tuple[tuple[Port, Port], ...] = (("in", "out"), ("bottom", "top"))
    for near, far in ends:
        bare[:, at[near], at[far]].diagonal(dim1=1, dim2=2).fill_(1.0)
        bare[:, at[far], at[near]].diagonal(dim1=1, dim2=2).fill_(1.0)
    bare[:, at["out"], at["out"]].diagonal(dim1=1, dim2=2).copy_(-along_bl[:, :, -1])
    bare[:, at["top"], at["top"]].diagonal(dim1=1, dim2=2).copy_(-along_sl[:, 0])
    return bare


@dataclass(frozen=True, slots=True)
class Half:
    """One block of every pair, seen from its partner; m lines join them, r ports are left.

    Attributes:
        rest: (pairs, r, r), matrix of the ports that are left.
        link: (pairs, r, m), between those and the joined ones.
        own: (pairs, m, m), of the joined ports: minus an impedance in ohm, or an admittance in S.
        ports: those that are left.
        joined, left: where the joined ports and the others lie in the block's matrix.
    """

    rest: torch.Tensor
    link: torch.Tensor
    own: torch.Tensor
    ports: Ports
    joined: slice
    left: slice

    @classmethod
    def of(cls, block: torch.Tensor, ports: Ports, joined: Port, unused: tuple[Port, ...]) -> Half:
        """Cut blocks, (pairs, N, N), whose joined and unused ports come first or last."""
        start, stop = 0, ports.count
        for port in (joined, *unused):
            if port == ports.order[0]:
                start = ports.lines(port)
            elif port == ports.order[-1]:
                stop -= ports.lines(port)
        at, left = ports.slices[joined], slice(start, stop)
        rest, link, own = block[:, left, left], block[:, left, at], block[:, at, at]
        return cls(rest, link, own, ports.without(joined, *unused), at, left)


@dataclass(frozen=True, slots=True)
class Level:
    """Blocks of one size, to be joined in pairs.

    In every pair, the giver is the block that gives its partner a voltage: the left, or the lower one. The taker
    takes the current.

    Attributes:
        blocks: (2 * pairs, N, N), the two of a pair next to each other.
        ports: of one block.
        join: how the pairs lie.
        giver, taker: the halves of the pairs.
        inverse: (pairs, m, m), `(I + Z Y)^-1` of the lines that join them.
    """

    blocks: torch.Tensor
    ports: Ports
    join: Join
    giver: Half
    taker: Half
    inverse: torch.Tensor

    @classmethod
    def of(cls, blocks: torch.Tensor, ports: Ports, join: Join, unused: tuple[Port, ...]) -> Level:
        """Work out how the blocks of every pair load each other.

        Args:
            blocks: in their order.
            ports: of one block.
            join: how the pairs lie.
            unused: far ends that nothing will be joined to any more. Only takers still have them.
        """
        first, second = blocks.view(-1, 2, *blocks.shape[1:]).unbind(1)
        if join is Join.BL:
            giver, taker = Half.of(first, ports, "out", ()), Half.of(second, ports, "in", _only("out", unused))
        else:
            giver, taker = Half.of(second, ports, "top", ()), Half.of(first, ports, "bottom", _only("top", unused))
        unit = torch.eye(taker.own.shape[-1], dtype=blocks.dtype, device=blocks.device)
        system = torch.baddbmm(unit, giver.own, taker.own, alpha=-1)  # `own` of the giver is -Z
        return cls(blocks, ports, join, giver, taker, torch.linalg.inv_ex(system)[0])

    @property
    def side_by_side(self) -> bool:
        """Whether the giver is the first of every pair."""
        return self.join is Join.BL

    def merged_ports(self, after: Join | None) -> Ports:
        """Ports of the pairs as blocks of their own, in the order that the next join wants."""
        present = {*self.giver.ports.order, *self.taker.ports.order}
        order = tuple(port for port in ORDER[after or self.join] if port in present)
        twice_bl, twice_sl = (2, 1) if self.join is Join.SL else (1, 2)
        return Ports(order, twice_bl * self.ports.bl, twice_sl * self.ports.sl)

    def runs(self, whole: Ports) -> list[Run]:
        """Where the ports of the merged block come from: the ports left of the first of a pair, then of the second."""
        first, second = self.giver.ports, self.taker.ports
        if not self.side_by_side:
            first, second = second, first
        runs: list[Run] = []
        for port, place in whole.slices.items():
            starts = [first.slices[port].start] if port in first.order else []
            starts += [first.count + second.slices[port].start] if port in second.order else []
            before = runs[-1] if runs else None
            if len(starts) == 1 and before is not None and before.follows(starts[0], whole.lines(port)):
                runs[-1] = before._replace(step=starts[0] - before.start, pieces=2)
            else:
                runs.append(Run(place.start, starts[0], starts[-1] - starts[0], len(starts), self.ports.lines(port)))
        return runs

    def merged(self, after: Join | None) -> tuple[torch.Tensor, Ports]:
        """The pairs as blocks of their own.

        Args:
            after: the next join; None at the end.

        Returns:
            (pairs, N, N), and its ports.
        """
        giver, taker, inverse = self.giver, self.taker, self.inverse
        ports = self.merged_ports(after)
        back = torch.bmm(giver.link, torch.bmm(taker.own, inverse))
        forth = torch.bmm(taker.link, inverse)
        across = torch.bmm(forth, giver.link.mT)
        in_turn = inverse.new_empty(inverse.shape[0], ports.count, ports.count)
        g, t = giver.ports.count, taker.ports.count
        give, take = (slice(0, g), slice(g, g + t)) if self.side_by_side else (slice(t, t + g), slice(0, t))
        in_turn[:, give, give] = torch.baddbmm(giver.rest, back, giver.link.mT)
        in_turn[:, take, take] = torch.baddbmm(taker.rest, torch.bmm(forth, giver.own), taker.link.mT)
        in_turn[:, take, give] = across
        in_turn[:, give, take] = across.mT
        return _in_order(in_turn, self.runs(ports)), ports

    def transfer(self) -> torch.Tensor:
        """Currents out at `bottom` per volt at `in` of the pairs: what is wanted of an array that is open elsewhere.

        Returns:
            S, (pairs, lines of `in`, lines of `bottom`).
        """
        giver, taker = self.giver, self.taker
        # The port that only the giver has, and the one that both have.
        own: Port = "in" if self.join is Join.BL else "bottom"
        shared: Port = "bottom" if self.join is Join.BL else "in"
        at_giver, at_taker = giver.ports.slices, taker.ports.slices
        voltages = torch.bmm(self.inverse, giver.link[:, at_giver[own]].mT)
        beyond = torch.bmm(taker.link[:, at_taker[shared]], voltages)
        currents = torch.bmm(taker.own, voltages)
        rest = giver.rest[:, at_giver[shared], at_giver[own]]
        here = torch.baddbmm(rest, giver.link[:, at_giver[shared]], currents)
        if self.join is Join.BL:
            return -torch.cat([here, beyond], dim=1).mT
        return -torch.cat([beyond, here], dim=1)


class Run(NamedTuple):
    """Ports that follow each other in a merged block: pieces of one size, at a regular step where they come from.

    Attributes:
        place: of the first of them in the merged block.
        start: where the first piece comes from.
        step: from piece to piece.
        pieces: one or two.
        size: ports of a piece.
    """

    place: int
    start: int
    step: int
    pieces: int
    size: int

    def follows(self, start: int, size: int) -> bool:
        """Whether a single piece that begins at `start` can be taken in as the second one."""
        return self.pieces == 1 and self.size == size and start > self.start


def _only(port: Port, among: tuple[Port, ...]) -> tuple[Port, ...]:
    return (port,) if port in among else ()


def _in_order(in_turn: torch.Tensor, runs: list[Run]) -> torch.Tensor:
    """Bring the ports of merged blocks from the order of their halves into their own, on both axes.

    Copies of a few regular pieces: several times as quick as indexing.
    """
    pairs, count, _ = in_turn.shape
    whole = torch.empty_like(in_turn)
    for row in runs:
        for column in runs:
            size = (pairs, row.pieces, row.size, column.pieces, column.size)
            to, given = (count * row.size, count, column.size, 1), (count * row.step, count, column.step, 1)
            target = whole.as_strided(size, (count * count, *to), row.place * count + column.place)
            target.copy_(in_turn.as_strided(size, (count * count, *given), row.start * count + column.start))
    return whole
