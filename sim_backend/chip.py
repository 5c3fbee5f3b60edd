"""The simulated chip: the state of every cell, its lines, and what an MVM multiplies by.

Resident are 12 bytes a cell (state and transaction count); parameters come back from the seed.

What the lines do to a pulse or a read: one WL is on, so a cell is reached through the routing and wire of
its own BL and SL. During a pulse the other BLs are held at the level of the SL's driver, during a read they are
disconnected. What half-selected cells divert from a pulse (it lowers the drop along the SL by some
10 mV) is left out; that they keep their states is bounded by `Chip.half_selected_drift` and refused where
it would not hold. The disturb of an MVM is left out as well: 20 us at 0.2 V move no cell by 1e-15 S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rmhil.backend import Cells, Floats, Ints, Limits
from rmhil.line_model import series_between
from rmhil.units import Seconds, Siemens
from sim_backend.config import SimConfig
from sim_backend.device import Bias, CellParameters, CycleDraws, cell_parameters, current, cycle_draws, respond
from sim_backend.network import effective_matrices, true_lines
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY
from sim_backend.rng import Stream, keys, normal, uniform
from sim_backend.state import IDENTITY, SavedState

_MATRIX_TOLERANCE: Siemens = 1e-12
"""S: an effective matrix is solved anew once a cell of its array may have moved further than this.
A verify read at 0.2 V moves a cell by some 1e-17 S, so reading leaves the matrices in place."""

_MATRICES_HELD = 256
"""Sets of arrays and SLs whose matrices are held at once; the oldest gives way."""

_PARAMETERS_KEPT = 1 << 17
"""Cells: a chip of no more keeps the parameters it has drawn (89 bytes a cell, 12 MB at most)."""

_EXTREME = 4.0
"""1: standard deviations within which every cell of a bound is taken to lie."""

_SUB_EVENT = 1 << 32
"""Events are below 2^31, so multiples of this tell apart the draws within one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some cells with all that is known of them, on the chip's device.

    Attributes:
        flat: int64 positions in the state.
        keys: int64, of their random numbers.
        event: int64, transactions they have seen.
        cell: their parameters.
        series: ohm between the drivers and each of them.
    """

    flat: torch.Tensor
    keys: torch.Tensor
    event: torch.Tensor
    cell: CellParameters
    series: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """What an MVM needs of some arrays with some SLs on; the first axis counts the arrays.

    Attributes:
        arrays: their numbers.
        effective: S, (arrays, n_bl, k): current into each SL per volt on each BL.
        variance: S^2, same shape: variance of one reading of it.
        offset: A, (arrays, k): what the TIAs' input offsets add to one conversion.
    """

    arrays: Ints
    effective: torch.Tensor
    variance: torch.Tensor
    offset: torch.Tensor


class Chip:
    """All arrays of one simulated backend."""

    def __init__(self, config: SimConfig, periphery: Periphery) -> None:
        self.config = config
        self._periphery = periphery
        self.preset = config.device_preset
        self.device = torch.device(config.device)
        self.dtype = torch.float64 if config.dtype == "float64" else torch.float32
        self._shape = (config.n_arrays, config.n_bl, config.n_sl)
        self._lines = [true_lines(config, PERIPHERY, array) for array in range(config.n_arrays)]
        self._bl_ends = np.stack([lines.bl_source for lines in self._lines])
        self._sl_ends = np.stack([lines.sl_load for lines in self._lines])
        self._state_size = count = int(np.prod(self._shape))
        self._kept: CellParameters | None = None
        self._events = torch.zeros(count, dtype=torch.int32, device=self.device)
        self._state = self._virgin_state(count)
        self._moved = np.zeros(config.n_arrays)
        self._held: dict[tuple[bytes, bytes], Matrices] = {}

    def _virgin_state(self, count: int) -> torch.Tensor:
        cell = self._parameters(torch.arange(count, device=self.device))
        return torch.where(cell.stuck, cell.stuck_level, -cell.virgin)

    def _keys(self, flat: torch.Tensor) -> torch.Tensor:
        _, n_bl, n_sl = self._shape
        return keys(self.config.seed, flat // (n_bl * n_sl), flat // n_sl % n_bl, flat % n_sl)

    def _parameters(self, flat: torch.Tensor) -> CellParameters:
        """Parameters of some cells: from the cache of a chip that fits it, or drawn anew."""
        if self._state_size > _PARAMETERS_KEPT:
            return cell_parameters(self.preset, self.config, self._keys(flat))
        if self._kept is None:
            every = torch.arange(self._state_size, device=self.device)
            self._kept = cell_parameters(self.preset, self.config, self._keys(every))
        return self._kept[flat]

    @property
    def conductance(self) -> Floats:
        """S of every cell as it truly is, shape (n_arrays, n_bl, n_sl)."""
        return np.asarray(self._state.abs().cpu().numpy().reshape(self._shape))

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Which cells answer to no pulse, shape (n_arrays, n_bl, n_sl)."""
        cell = self._parameters(torch.arange(self._state_size, device=self.device))
        return np.asarray(cell.stuck.cpu().numpy().reshape(self._shape))

    def select(self, cells: Cells) -> Selection:
        """Look up cells that `check_cells` has let through."""
        flat = torch.from_numpy(np.ravel_multi_index(cells.index, self._shape)).to(self.device)
        bl_ends, sl_ends = self._bl_ends[cells.array, cells.bl], self._sl_ends[cells.array, cells.sl]
        series = series_between(bl_ends, sl_ends, cells.bl, cells.sl, self._lines[0])
        return Selection(
            flat=flat,
            keys=self._keys(flat),
            event=self._events[flat].to(torch.int64),
            cell=self._parameters(flat),
            series=torch.from_numpy(series).to(self.device),
        )

    def cycle(self, chosen: Selection) -> CycleDraws:
        """What the present transaction of each chosen cell has of its own."""
        return cycle_draws(self.preset, self.config, chosen.keys, chosen.event)

    def bias(self, chosen: Selection, cycle: CycleDraws, bias: Bias) -> tuple[torch.Tensor, torch.Tensor]:
        """Hold the chosen cells at a bias.

        Returns:
            A at its end, positive from BL to SL; bool, true where the source is at its compliance.
        """
        before = self._state[chosen.flat]
        flowing, limited, after = respond(self.preset, chosen.cell, cycle, before, bias)
        self._state[chosen.flat] = after
        self._note_moves(chosen.flat, (after.abs() - before.abs()).abs())
        return flowing, limited

    def measure(
        self, chosen: Selection, bias: Bias, averages: int = 1, step: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents of the chosen cells at a bias with the noise of a reading; the cells stay as they are.

        Args:
            chosen: the cells.
            bias: at which they are read; its time plays no part.
            averages: readings averaged.
            step: number of this reading within the transaction.

        Returns:
            A; bool, true where the source is at its compliance.
        """
        state = self._state[chosen.flat].abs() * (1.0 + self._reading_noise(chosen, averages, step))
        flowing, limited = current(self.preset, chosen.cell, state, bias)
        if self.config.has("read-noise"):
            drawn = normal(chosen.keys, Stream.SMU, chosen.event + step * _SUB_EVENT)
            flowing = flowing + drawn * (PERIPHERY.smu_noise / averages**0.5)
        return flowing, limited

    def _reading_noise(self, chosen: Selection, averages: int, step: int) -> torch.Tensor:
        """1: relative deviation of the conductance in one (averaged) reading."""
        event = chosen.event + step * _SUB_EVENT
        noise = torch.zeros_like(chosen.series)
        if self.config.has("read-noise"):
            drawn = normal(chosen.keys, Stream.READ, event)
            noise = noise + chosen.cell.read_noise * drawn / averages**0.5
        if self.config.has("telegraph"):
            traps = chosen.cell.telegraph > 0
            up = self._telegraph_up(chosen.keys[traps], event[traps], averages)
            noise[traps] += chosen.cell.telegraph[traps] * (up - 0.5)
        return noise

    def _telegraph_up(self, cells: torch.Tensor, event: torch.Tensor, averages: int) -> torch.Tensor:
        """Share of the averaged readings that find each trap in its upper level."""
        number = torch.arange(averages, device=self.device) * (_SUB_EVENT << 16)
        drawn = uniform(cells[:, None], Stream.TELEGRAPH_STATE, event[:, None] + number)
        return (drawn < 0.5).to(torch.float64).mean(dim=1)

    def finish(self, chosen: Selection) -> None:
        """End a transaction: the next one of these cells draws anew."""
        self._events[chosen.flat] += 1

    def _note_moves(self, flat: torch.Tensor, moves: torch.Tensor) -> None:
        """Forget the matrices of arrays whose cells have moved."""
        _, n_bl, n_sl = self._shape
        largest = torch.zeros(self._shape[0], dtype=torch.float64, device=self.device)
        largest.scatter_reduce_(0, flat // (n_bl * n_sl), moves, reduce="amax")
        self._moved += largest.cpu().numpy()
        stale = np.flatnonzero(self._moved > _MATRIX_TOLERANCE)
        if stale.size:
            self._moved[stale] = 0.0
            self._held = {key: held for key, held in self._held.items() if not np.isin(held.arrays, stale).any()}

    def matrices(self, arrays: Ints, sl: Ints) -> Matrices:
        """What an MVM of some arrays multiplies by while the WLs of `sl` are on; held until a cell moves."""
        key = (arrays.tobytes(), sl.tobytes())
        if key not in self._held:
            if len(self._held) == _MATRICES_HELD:
                del self._held[next(iter(self._held))]
            self._held[key] = self._solve(arrays, sl)
        return self._held[key]

    def _solve(self, arrays: Ints, sl: Ints) -> Matrices:
        _, n_bl, n_sl = self._shape
        chosen = torch.from_numpy(arrays).to(self.device)
        states = self._state.view(self._shape)[chosen].abs()
        effective = effective_matrices(states, [self._lines[array] for array in arrays], sl)
        columns = torch.from_numpy(sl).to(self.device)
        first = chosen[:, None, None] * (n_bl * n_sl)
        cell = self._parameters(first + torch.arange(n_bl, device=self.device)[:, None] * n_sl + columns)
        # A cell's noise current is driven by the voltage that the lines leave it, V M / G, so its
        # relative noise is that of its element of M (first order in the drop along the lines).
        variance = (cell.read_noise.square() + (0.5 * cell.telegraph).square()) * effective.square()
        return Matrices(
            arrays=arrays,
            effective=effective.to(self.dtype),
            variance=variance.to(self.dtype),
            offset=self._periphery.offset_currents(arrays, sl, effective.sum(dim=1)).to(self.dtype),
        )

    def half_selected_drift(self, limits: Limits, seconds: Seconds) -> Siemens:
        """How far a pulse of that length can move a half-selected cell at the most (S).

        While a cell is pulsed, its SL's word line is on, so the other cells of that SL conduct as well.
        Their BLs are held at the SL's own level, and the voltage across them is what the pulse's
        current drops between there and the driver: at the most that of the strongest transistor at the
        highest gate voltage, through the longest way. They follow the rate law at that voltage, of either
        sign; the bound takes the cell that moves most easily.
        """
        preset, lines = self.preset, self._lines[0]
        strongest = preset.compliance_slope * (1.0 + _EXTREME * preset.compliance_slope_spread)
        level = strongest * (limits.gate_voltage - preset.gate_threshold + _EXTREME * preset.gate_threshold_spread)
        path = float(self._sl_ends.max()) + lines.sl_segment * self._shape[1]
        across = min(level * preset.set_stop_voltage, limits.current) * path
        margins = (
            (preset.set_voltage, preset.set_voltage_spread, preset.cycle_set_voltage, preset.set_voltage_scale),
            (preset.reset_voltage, preset.reset_voltage_spread, preset.cycle_reset_voltage, preset.reset_voltage_scale),
        )
        exponents = [
            (across - onset + _EXTREME * math.hypot(spread, cycle)) / scale for onset, spread, cycle, scale in margins
        ]
        return level * -math.expm1(-seconds / preset.reference_time * math.exp(min(max(exponents), 0.0)))

    def saved_state(self, clock: float, generator: torch.Tensor) -> SavedState:
        """What a file must keep to go on from here."""
        return SavedState(
            settings={name: getattr(self.config, name) for name in IDENTITY},
            conductance=self._state.cpu().numpy(),
            events=self._events.cpu().numpy(),
            clock=clock,
            generator=generator.cpu().numpy(),
            device=self.device.type,
        )

    def restore(self, saved: SavedState) -> None:
        """Take over the cells of a saved state."""
        self._state = torch.from_numpy(saved.conductance).to(self.device)
        self._events = torch.from_numpy(saved.events).to(self.device)
