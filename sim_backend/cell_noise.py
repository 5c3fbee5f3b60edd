"""How the noise of single cells comes through the lines to the currents of an MVM.

Let the cells of SL j change by relative amounts e_i of variance r_i. To first order the current of SL j changes by

    sum_i e_i w_i G_i v_i

with v_i the voltage across cell i, and w_i what reaches the virtual ground of a current driven through the cell. Both
follow from the array as it is: a BL with its cells is a ladder of resistors, and so is an SL. Driven alone, BL i gives
its cell v_i = a_i x_i, so that inputs that are independent of one another make a noise of variance
sum_i r_i (w_i G_i a_i)^2 x_i^2, a product with the squares of the inputs.

Inputs that are mostly of one sign raise the SL: its current I through the line's resistance R takes R I from the
voltage of every cell, less what the BLs rise with it. That adds a multiple of I^2 to the variance, mostly a negative
one: the shielding. Without line resistance there is none, and the variance is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rmhil.backend import Ints
from rmhil.line_solver import LineTensors
from rmhil.units import Ohms

_SHIELDED_MOST = 0.9
"""1: share of the variance that shielding may take, whatever the inputs are; it rarely takes half of it."""


@dataclass(frozen=True, slots=True)
class CellNoise:
    """Noise that cells add to the currents of some arrays: of variance `squares @ variance + shielding * current**2`.

    Attributes:
        variance: S^2, (arrays, n_bl, k), of the squares of the BLs' voltages.
        shielding: 1, (arrays, k), of the square of each SL's current.
    """

    variance: torch.Tensor
    shielding: torch.Tensor


def cell_noise(
    relative: torch.Tensor, cells: torch.Tensor, effective: torch.Tensor, lines: LineTensors, sl: Ints, n_sl: int
) -> CellNoise:
    """The noise of cells that fluctuate independently of one another.

    Args:
        relative: 1, (arrays, n_bl, k), variance of each cell relative to its square, float64.
        cells: S, same shape: those of the SLs that are on.
        effective: S, same shape: what an MVM multiplies by.
        lines: of the arrays.
        sl: numbers of the SLs that are on, k of them.
        n_sl: SLs in all.
    """
    n_bl = cells.shape[1]
    along_bl = [int(step) * lines.bl_segment for step in [sl[0] + 1, *(sl[1:] - sl[:-1]), n_sl - sl[-1]]]
    along_sl = [lines.sl_segment] * (n_bl + 1)
    driven, bl_impedance = _ladders(cells, lines.bl_source, along_bl, lines.bl_both_ends)
    from_sense = cells.mT.flip(-1)  # an SL is sensed after its last BL
    reaching, sl_impedance = (
        part.flip(-1).mT for part in _ladders(from_sense, lines.sl_load, along_sl, lines.sl_both_ends)
    )
    injected = cells * reaching * (1.0 - cells * bl_impedance)
    variance = relative * (injected * driven * (1.0 - cells * sl_impedance)).square()
    rise = lines.sl_load + lines.sl_segment * (n_bl + 1) * (2 * n_bl + 1) / (6 * n_bl)
    if lines.sl_both_ends:
        rise = lines.sl_load / 2 + lines.sl_segment * (n_bl + 1) / 12
    return CellNoise(variance, _shielding(relative, variance, injected * driven, effective, rise))


def _shielding(
    relative: torch.Tensor, variance: torch.Tensor, injected: torch.Tensor, effective: torch.Tensor, rise: torch.Tensor
) -> torch.Tensor:
    """Multiple of the squared current that its SL's rise (ohm, on average over pairs of cells) adds to the variance."""
    lost = (variance * relative).sqrt() * injected
    mean = lost.sum(dim=1) / effective.sum(dim=1).clamp_min(torch.finfo(effective.dtype).tiny)
    shielding = rise * (rise * (relative * injected.square()).sum(dim=1) - 2.0 * mean)
    # By Cauchy and Schwarz the variance stays positive for any inputs above this.
    tiny = torch.finfo(variance.dtype).tiny
    least = (effective.square() / variance.clamp_min(tiny)).sum(dim=1).clamp_min(tiny).reciprocal()
    return torch.maximum(shielding, -_SHIELDED_MOST * least)


def _ladders(
    cells: torch.Tensor, end: torch.Tensor, gaps: list[Ohms], both_ends: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lines with grounded cells, walked along all at once.

    Args:
        cells: S, (arrays, lines, nodes).
        end: ohm between a line's driver and its wire, (arrays, lines).
        gaps: ohm of wire before the first node, between the nodes, and after the last.
        both_ends: whether there is a driver at the other end as well.

    Returns:
        Voltage of each node per volt at the drivers; ohm from each node to ground, both of the shape of `cells`.
    """
    voltage, impedance = _driven_ladders(cells, end, gaps, both_ends)
    if both_ends:
        other = _driven_ladders(cells.flip(-1), end, gaps[::-1], both_ends)[0].flip(-1)
        voltage = (voltage + other).clamp_max_(1.0)  # without any resistance each driver holds the whole line
    return voltage, impedance


def _driven_ladders(
    cells: torch.Tensor, end: torch.Tensor, gaps: list[Ohms], grounded: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_ladders`, driven before the first node; the other end is open, or grounded through its driver."""
    nodes = cells.unbind(-1)
    beyond = torch.zeros_like(end)
    if grounded:
        beyond = (end + gaps[-1]).clamp_min(torch.finfo(end.dtype).tiny).reciprocal()
    loads = []  # S from each node to ground, the cell and all beyond
    for cell, gap in zip(reversed(nodes), reversed(gaps[:-1]), strict=True):
        loads.append(cell + beyond)
        beyond = loads[-1] / (1.0 + gap * loads[-1])
    back = end + gaps[0]
    behind = [back]  # ohm from each node back to the driver
    for cell, gap in zip(nodes[:-1], gaps[1:-1], strict=True):
        back = back / (1.0 + back * cell) + gap
        behind.append(back)
    load, resistance = torch.stack(loads[::-1], -1), torch.stack(behind, -1)
    series = cells.new_tensor(gaps[:-1]).expand_as(cells).clone()
    series[..., 0] += end
    voltage = (1.0 + series * load).reciprocal_().cumprod(-1)
    return voltage, resistance / (1.0 + resistance * load)
