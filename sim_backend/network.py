"""The simulated array's lines: the resistance of each of them, and the effective matrices of a state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rmhil.backend import Floats, Ints
from rmhil.line_model import LineResistances
from rmhil.line_solver import LineTensors, solve
from rmhil.units import Ohms
from sim_backend.config import SimConfig
from sim_backend.presets import PeripheryPreset
from sim_backend.rng import Stream, keys, normal
from sim_backend.thermal import REFERENCE_TEMPERATURE

_SPREAD_MAX = 4.0
"""1: a channel further from the mean than this many standard deviations would not pass the part's final test."""


def line_ends(config: SimConfig, periphery: PeripheryPreset, arrays: Ints) -> tuple[Floats, Floats]:
    """Routing resistance of every line as it is, each multiplexer channel with its own, at the chip's temperature.

    Returns:
        ohm, of the BLs (arrays, n_bl) and of the SLs (arrays, n_sl).
    """
    wiring = config.effective_wiring
    warmth = 1.0 + periphery.mux_temperature * (config.temperature - REFERENCE_TEMPERATURE)
    spread = periphery.mux_spread if config.has("mux-spread") else 0.0
    numbers = torch.from_numpy(arrays)[:, None]

    def ends(stream: Stream, nominal: Ohms, count: int) -> Floats:
        line = torch.arange(count)[None, :]
        key = keys(config.seed, numbers, line, torch.zeros_like(line))
        drawn = normal(key, stream).clamp_(-_SPREAD_MAX, _SPREAD_MAX)
        return np.asarray(drawn.mul_(spread).add_(1.0).mul_(nominal * warmth).numpy())

    return (
        ends(Stream.BL_ROUTING, wiring.bl_routing_resistance, config.n_bl),
        ends(Stream.SL_ROUTING, wiring.sl_routing_resistance, config.n_sl),
    )


def effective_matrices(cells: torch.Tensor, lines: Sequence[LineResistances], sl: Ints, n_sl: int) -> torch.Tensor:
    """What MVMs multiply by with the WLs of `sl` on and all others off.

    Args:
        cells: S, (arrays, n_bl, len(sl)), float64, on any device: those of the SLs that are on.
        lines: of each array.
        sl: numbers of the SLs, ascending.
        n_sl: SLs in all.

    Returns:
        S, same shape.
    """
    if is_transparent(lines[0]):
        return cells
    return solve(cells, sl.tolist(), n_sl, LineTensors.of(lines, sl, cells.device))


def is_transparent(lines: LineResistances) -> bool:
    """Whether no line has any resistance, so that the effective matrix is the conductance itself."""
    return not (lines.bl_source.any() or lines.sl_load.any() or lines.bl_segment or lines.sl_segment)
