"""Kinds of simulated cells on which write-verify is measured: the preset, and others that no policy was tuned on.

And which of their cells can hold a tolerance at all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rmhil.backend import Cells, Floats, Pulses, Read, Readings
from sim_backend import SimBackend
from sim_backend.parameters import cell_parameters
from sim_backend.presets import TAOX_180, DevicePreset
from sim_backend.rng import keys

SPREADS = (
    "gate_threshold_spread",
    "compliance_slope_spread",
    "set_voltage_spread",
    "reset_voltage_spread",
    "reset_slope_spread",
    "reset_floor_spread",
    "form_voltage_spread",
    "virgin_spread",
    "cycle_level",
    "cycle_level_share",
    "cycle_set_voltage",
    "cycle_reset_voltage",
    "relaxation",
    "drift_spread",
)
"""What differs from cell to cell, from pulse to pulse and from write to write."""


@dataclass(frozen=True, slots=True)
class Case:
    """Cells, and the tolerances (S) to which they are programmed."""

    cells: DevicePreset
    tolerances: tuple[float, ...]


def _like_taox(name: str, **changed: object) -> DevicePreset:
    return TAOX_180.model_copy(update={"name": name} | changed)


def _spread(factor: float, *names: str) -> dict[str, object]:
    return {name: factor * getattr(TAOX_180, name) for name in names}


def _shifted(gate: float, onset: float) -> dict[str, object]:
    """Thresholds of transistor and cell (V) that lie elsewhere."""
    return {
        "gate_threshold": TAOX_180.gate_threshold + gate,
        "set_voltage": TAOX_180.set_voltage + onset,
        "reset_voltage": TAOX_180.reset_voltage + onset,
    }


def _window(low: float, high: float) -> dict[str, object]:
    """A window (S) that is crossed by the same voltages."""
    scale = (high - low) / (TAOX_180.conductance_max - TAOX_180.conductance_min)
    slope = scale * TAOX_180.compliance_slope
    return {
        "conductance_min": low,
        "conductance_max": high,
        "compliance_slope": slope,
        "gate_threshold": 1.0 - low / slope,
        "reset_slope": scale * TAOX_180.reset_slope,
        "reset_floor": 0.4 * low,
        "stuck_conductance_max": 1.25 * high,
    }


_SLOW = {"set_voltage": 1.6, "reset_voltage": 1.2, "set_voltage_scale": 0.045, "reset_voltage_scale": 0.045}
"""V: an onset 0.5 V (SET) and 0.2 V (RESET) higher, and half as steep."""

CASES = (
    Case(TAOX_180, (1e-6, 2e-6)),
    Case(_like_taox("every spread doubled", **_spread(2.0, *SPREADS)), (1e-6, 2e-6)),
    Case(_like_taox("thresholds higher", **_shifted(0.3, 0.2)), (1e-6,)),
    Case(_like_taox("thresholds lower", **_shifted(-0.3, -0.2)), (1e-6,)),
    Case(_like_taox("slower cells", **_SLOW), (1e-6,)),
    Case(_like_taox("window 5 to 40 uS", **_window(5e-6, 40e-6)), (1e-6,)),
    Case(_like_taox("window 50 to 200 uS", **_window(50e-6, 200e-6)), (2e-6,)),
    Case(
        _like_taox("cycle spread doubled", **_spread(2.0, *(name for name in SPREADS if name.startswith("cycle")))),
        (1e-6, 2e-6),
    ),
    Case(_like_taox("all of it by half", **_shifted(0.2, 0.1), **_spread(1.5, *SPREADS)), (1e-6, 2e-6)),
)
"""The preset first. The window of 50 to 200 uS has a tolerance of its own: its read noise is 0.6 uS at the top."""


def fluctuating(backend: SimBackend, target: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Cells of a chip of one array whose random-telegraph step alone exceeds the tolerance (S) at their targets (S)."""
    config = backend.config
    bl, sl = torch.meshgrid(torch.arange(config.n_bl), torch.arange(config.n_sl), indexing="ij")
    drawn = cell_parameters(config.device_preset, config, keys(config.seed, torch.zeros_like(bl), bl, sl))
    return np.asarray(drawn.telegraph.numpy() * target > tolerance)


class Watched:
    """A simulator, and the true state of each cell right after the transaction that held its last reading.

    Attributes:
        seen: S, of the backend's shape; NaN before a cell's first reading.
        seconds: s spent in looking.
    """

    def __init__(self, backend: SimBackend) -> None:
        self._backend, self.seconds = backend, 0.0
        self.seen = np.full(backend.spec.shape, np.nan)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the simulator's attributes are of every type
        return getattr(self._backend, name)

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`."""
        readings = self._backend.apply(cells, pulses, read)
        started = time.perf_counter()
        self.seen[cells.index] = self._backend.true_conductance[cells.index]
        self.seconds += time.perf_counter() - started
        return readings
