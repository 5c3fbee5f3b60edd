"""The simulated array's lines: the resistance of each of them, and the effective matrix of a state."""

from __future__ import annotations

import numpy as np
import torch

from rmhil.backend import Floats, Ints
from rmhil.line_model import LineResistances, effective_matrix
from sim_backend.config import SimConfig
from sim_backend.presets import PeripheryPreset
from sim_backend.rng import Stream, keys, normal


def true_lines(config: SimConfig, periphery: PeripheryPreset, array: int) -> LineResistances:
    """The lines of one array as they are: nominal wires, each multiplexer channel with its own resistance."""
    lines = LineResistances.nominal(config.effective_wiring, config.n_bl, config.n_sl)
    if not (config.has("lines") and config.has("mux-spread")):
        return lines

    def factors(stream: Stream, count: int) -> Floats:
        number = torch.arange(count)
        drawn = normal(keys(config.seed, torch.full_like(number, array), number, torch.zeros_like(number)), stream)
        return np.asarray(1.0 + periphery.mux_spread * drawn.clamp(-4.0, 4.0).numpy())

    return LineResistances(
        bl_source=lines.bl_source * factors(Stream.BL_ROUTING, config.n_bl),
        sl_load=lines.sl_load * factors(Stream.SL_ROUTING, config.n_sl),
        bl_segment=lines.bl_segment,
        sl_segment=lines.sl_segment,
        bl_both_ends=lines.bl_both_ends,
        sl_both_ends=lines.sl_both_ends,
    )


def is_transparent(lines: LineResistances) -> bool:
    """Whether no line has any resistance, so that the effective matrix is the conductance itself."""
    return not (lines.bl_source.any() or lines.sl_load.any() or lines.bl_segment or lines.sl_segment)


def solve(conductance: Floats, lines: LineResistances, sl: Ints) -> Floats:
    """Effective matrix in S, shape (n_bl, len(sl)), with the WLs of `sl` on and all others off."""
    if is_transparent(lines):
        return np.ascontiguousarray(conductance[:, sl])
    return effective_matrix(conductance, lines, sl)
