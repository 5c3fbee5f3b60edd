"""The simulated array's lines: the resistance of each of them, and the effective matrices of a state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rmhil.backend import Floats, Ints
from rmhil.line_model import LineResistances
from rmhil.line_solver import LineTensors, solve
from sim_backend.config import SimConfig
from sim_backend.presets import PeripheryPreset
from sim_backend.rng import Stream, keys, normal

_SPREAD_MAX = 4.0
"""1: a channel further from the mean than this many standard deviations would not pass the part's final test."""


def true_lines(config: SimConfig, periphery: PeripheryPreset, array: int) -> LineResistances:
    """The lines of one array as they are: nominal wires, each multiplexer channel with its own resistance."""
    lines = LineResistances.nominal(config.effective_wiring, config.n_bl, config.n_sl)
    if not (config.has("lines") and config.has("mux-spread")):
        return lines

    def factors(stream: Stream, count: int) -> Floats:
        number = torch.arange(count)
        key = keys(config.seed, torch.full_like(number, array), number, torch.zeros_like(number))
        drawn = normal(key, stream).clamp(-_SPREAD_MAX, _SPREAD_MAX)
        return np.asarray(1.0 + periphery.mux_spread * drawn.numpy())

    return LineResistances(
        bl_source=lines.bl_source * factors(Stream.BL_ROUTING, config.n_bl),
        sl_load=lines.sl_load * factors(Stream.SL_ROUTING, config.n_sl),
        bl_segment=lines.bl_segment,
        sl_segment=lines.sl_segment,
        bl_both_ends=lines.bl_both_ends,
        sl_both_ends=lines.sl_both_ends,
    )


def effective_matrices(conductance: torch.Tensor, lines: Sequence[LineResistances], sl: Ints) -> torch.Tensor:
    """What MVMs multiply by with the WLs of `sl` on and all others off.

    Args:
        conductance: S, (arrays, n_bl, n_sl), float64, on any device.
        lines: of each array.
        sl: numbers of the SLs, ascending.

    Returns:
        S, (arrays, n_bl, len(sl)), float64.
    """
    cells = conductance[..., torch.from_numpy(sl).to(conductance.device)]
    if _is_transparent(lines[0]):
        return cells
    return solve(cells, sl.tolist(), conductance.shape[-1], LineTensors.of(lines, sl, conductance.device))


def _is_transparent(lines: LineResistances) -> bool:
    """Whether no line has any resistance, so that the effective matrix is the conductance itself."""
    return not (lines.bl_source.any() or lines.sl_load.any() or lines.bl_segment or lines.sl_segment)
