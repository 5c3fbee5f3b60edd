"""The exact solution of the line network, for a batch of arrays on any torch device.

Kept apart from `rmhil.line_model`, which needs no torch until a matrix is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from rmhil.backend import Ints
from rmhil.line_model import LineResistances
from rmhil.units import Ohms

_ROWS_AT_ONCE = 8
"""BLs whose admittances are built in one go: few calls, and still within a processor's cache."""


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
    load = lines.sl_load + lines.sl_segment
    top = torch.zeros_like(load)
    if lines.sl_both_ends:
        top = torch.where(load > 0, 1.0 / load.clamp_min(torch.finfo(load.dtype).tiny), top)
    with one_thread():
        ladder = _Ladder.of(conductance, on, n_sl, lines)
        matrix = _sweep(ladder, lines.sl_segment, top, load)
        if lines.sl_both_ends:
            upwards = _sweep(ladder.flipped(), lines.sl_segment, top, load).flip(1)
            matrix += upwards * (load > 0)[:, None, :]
    return matrix


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Every BL with its cells, reduced to what its admittance seen from the SLs is made of.

    The currents out of BL i into its SLs are `S_i (V_i - s)`, with s the SLs' voltages there. The
    ladder of segments and cells is eliminated by impedances looking back to the driver and admittances
    looking away from it, so that zero resistances are ordinary values. All tensors are (arrays, n_bl, k).

    Attributes:
        cells: S.
        node: ohm from each node of the BL to ground.
        decay: 1, minus the logarithm of the voltage ratio from the first node to each.
        diagonal: S, diagonal of the admittance.
    """

    cells: torch.Tensor
    node: torch.Tensor
    decay: torch.Tensor
    diagonal: torch.Tensor

    @classmethod
    def of(cls, cells: torch.Tensor, on: Sequence[int], n_sl: int, lines: LineTensors) -> _Ladder:
        """Walk along all BLs at once, once in each direction."""
        k = cells.shape[-1]
        gaps = [(after - before) * lines.bl_segment for before, after in pairwise(on)]
        by_column = cells.unbind(-1)
        back = [lines.bl_source + (on[0] + 1) * lines.bl_segment]
        for c, gap in enumerate(gaps):
            back.append(gap + back[c] / (1.0 + back[c] * by_column[c]))
        away = [_far_driver(lines, n_sl - on[-1])]
        ratios = []
        for c in range(k - 2, -1, -1):
            beyond = by_column[c + 1] + away[-1]
            loss = gaps[c] * beyond
            away.append(beyond / (1.0 + loss))
            ratios.append(loss)
        behind, beyond = torch.stack(back, -1), torch.stack(away[::-1], -1)
        decay = torch.zeros_like(cells)
        if k > 1:
            decay[..., 1:] = torch.stack(ratios[::-1], -1).log1p().cumsum(-1)
        loaded = 1.0 + behind * (cells + beyond)
        return cls(cells, behind / loaded, decay, cells * (1.0 + behind * beyond) / loaded)

    def flipped(self) -> _Ladder:
        """The same BLs in the opposite order."""
        return _Ladder(self.cells.flip(1), self.node.flip(1), self.decay.flip(1), self.diagonal.flip(1))

    def admittances(self) -> Iterator[torch.Tensor]:
        """S, symmetric, (arrays, k, k) each: one BL after the other, seen from the SLs."""
        for first in range(0, self.cells.shape[1], _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            cells, decay = self.cells[:, rows], self.decay[:, rows]
            ratio = (decay[..., None, :] - decay[..., :, None]).clamp_max_(0.0).exp_()
            ratio *= (-cells * self.node[:, rows])[..., None, :]
            ratio *= cells[..., :, None]
            ratio.tril_(-1)
            full = ratio + ratio.mT
            full.diagonal(dim1=-2, dim2=-1).copy_(self.diagonal[:, rows])
            yield from full.unbind(1)


def _far_driver(lines: LineTensors, pitches: int) -> torch.Tensor:
    """S from the last node to a driver at the far end, if there is one; (arrays, n_bl)."""
    none = torch.zeros_like(lines.bl_source)
    if not lines.bl_both_ends:
        return none
    path = lines.bl_source + pitches * lines.bl_segment
    # Without any resistance the near driver holds the whole line already.
    return torch.where(path > 0, 1.0 / path.clamp_min(torch.finfo(path.dtype).tiny), none)


def _sweep(ladder: _Ladder, segment: Ohms, top: torch.Tensor, load: torch.Tensor) -> torch.Tensor:
    """Walk down the SLs row by row, folding all above into one admittance and its source currents.

    Looking up from a row, the network is an admittance Y and one source-current vector a driven BL.
    Through a wire segment r both become `(1 + r Y)^-1` times themselves, which is regular for every
    r >= 0; the next row then adds its own.

    Args:
        ladder: rows in the order of the walk.
        segment: ohm.
        top: S from the first row to ground, (arrays, k).
        load: ohm from the last row to the virtual grounds, (arrays, k).

    Returns:
        S, (arrays, n_bl, k), rows in the order of the walk.
    """
    arrays, n_bl, k = ladder.cells.shape
    unit = torch.eye(k, dtype=load.dtype, device=load.device)
    state = ladder.cells.new_zeros(arrays, k + n_bl, k)  # Y, then one source vector a row
    above = state[:, :k]
    above.copy_(torch.diag_embed(top))
    for row, own in enumerate(ladder.admittances()):
        if row and segment > 0:
            factor = torch.linalg.cholesky_ex(torch.add(unit, above, alpha=segment)).L
            known = state[:, : k + row]
            known.copy_(known @ torch.cholesky_inverse(factor))
        above += own
        torch.sum(own, dim=-1, out=state[:, k + row])
    closing = unit + above * load[:, None, :]
    currents: torch.Tensor = torch.linalg.solve(closing, state[:, k:].mT)
    return currents.mT
