"""The simulated chip: the state of every cell, its lines, and what an MVM multiplies by.

Resident is the state of `sim_backend.cells`, 12 bytes a cell; parameters come back from the seed.

What the lines do to a pulse or a read: one WL is on, so a cell is reached through the routing and wire of
its own BL and SL. During a pulse the other BLs are held at the level of the SL's driver, during a read they are
disconnected. What half-selected cells divert from a pulse (it lowers the drop along the SL by some
10 mV) is left out; that they keep their states is bounded by `Chip.half_selected_drift` and refused where
it would not hold. The disturb of an MVM is left out as well: 20 us at 0.2 V move no cell by 1e-15 S.
In an MVM the traps of random-telegraph noise are taken as independent from vector to vector, with the variance that
they have over a long time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from rmhil.backend import Cells, Floats, Ints, Limits
from rmhil.line_model import LineResistances, series_between
from rmhil.units import Ohms, Seconds, Siemens
from sim_backend.cells import CellStore
from sim_backend.chip_network import ChipNetwork
from sim_backend.config import SimConfig
from sim_backend.device import Bias, after_bias, current, respond
from sim_backend.disturb import half_selected_drift, largest_set
from sim_backend.line_factors import LineFactors
from sim_backend.matrices import Matrices, MatrixCache
from sim_backend.network import line_ends
from sim_backend.nonlinear import CellCurve
from sim_backend.parameters import CellParameters, CycleDraws, cell_parameters
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY
from sim_backend.readings import ReadingNoise, step_event
from sim_backend.retention import Retention
from sim_backend.rng import Stream, keys
from sim_backend.selection import Selection
from sim_backend.state import SavedState
from sim_backend.thermal import acceleration, at_temperature, conductance_factor
from sim_backend.wear import Wear

_CELLS_KNOWN: Final = 1 << 17
"""Cells: a chip of no more keeps what it has drawn for them (113 bytes a cell, 15 MB at most)."""

_DISTURB_MIN: Final[Siemens] = 1e-13
"""S: a reading that can move no cell further is not followed. At 0.2 V and room temperature that is every reading
of up to two averages, where the weakest of 30,000 cells would move by 4e-14 S and most by less than 1e-17 S."""

CELLS_AT_ONCE: Final = 1 << 18
"""Cells that are computed in one go; more are cut up, so that what they need meanwhile stays near 100 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is kept of every cell of a small chip, as in `Selection`."""

    keys: torch.Tensor
    cell: CellParameters
    series: torch.Tensor


class Chip:
    """All arrays of one simulated backend.

    Attributes:
        clock: s on the virtual clock.
        preset: of the cells, at the chip's temperature.
        curve: of the cells below the read voltage; None where they are ohmic.
    """

    def __init__(self, config: SimConfig, periphery: Periphery) -> None:
        self.config = config
        self.preset = at_temperature(config.device_preset, config.temperature)
        self.device = torch.device(config.device)
        self.dtype = torch.float64 if config.dtype == "float64" else torch.float32
        self.clock: Seconds = 0.0
        self.curve: CellCurve | None = None
        self._shape = (config.n_arrays, config.n_bl, config.n_sl)
        self._cells = config.n_bl * config.n_sl
        self._factor = conductance_factor(self.preset, config.temperature)
        self._retention = Retention(self.preset, config.has("retention"))
        self._wear = Wear(self.preset, config.has("wear"))
        self._noise = ReadingNoise(self.preset, config, PERIPHERY.smu_noise, PERIPHERY.read_time)
        self._store = CellStore(config.n_arrays, self._cells, self.device, config.storage)
        self._periphery = periphery
        self._matrices = MatrixCache(ChipNetwork(self, periphery), config.n_arrays, config.n_sl, self._cells)

    # Looking cells up

    def _keys(self, flat: torch.Tensor) -> torch.Tensor:
        _, n_bl, n_sl = self._shape
        return keys(self.config.seed, flat // self._cells, flat // n_sl % n_bl, flat % n_sl)

    @cached_property
    def _known(self) -> _Known | None:
        """All cells, where the chip is small enough to keep what is known of them."""
        count = self._shape[0] * self._cells
        if count > _CELLS_KNOWN:
            return None
        flat = torch.arange(count, device=self.device)
        cell_keys = self._keys(flat)
        cells = Cells(*np.unravel_index(np.arange(count), self._shape))
        parameters = cell_parameters(self.preset, self.config, cell_keys)
        return _Known(keys=cell_keys, cell=parameters, series=self._series(cells))

    def _identified(self, flat: torch.Tensor) -> tuple[torch.Tensor, CellParameters]:
        """Keys and parameters of the cells at some positions."""
        if self._known is None:
            cell_keys = self._keys(flat)
            return cell_keys, cell_parameters(self.preset, self.config, cell_keys)
        return self._known.keys.index_select(0, flat), self._known.cell.at(flat)

    def _series(self, cells: Cells) -> torch.Tensor:
        """Resistance (ohm) between the drivers and each cell."""
        bl_ends, sl_ends = self.line_ends
        ends = bl_ends[cells.array, cells.bl], sl_ends[cells.array, cells.sl]
        return torch.from_numpy(series_between(*ends, cells.bl, cells.sl, self._nominal_lines)).to(self.device)

    def _first_seen(self, conductance: torch.Tensor, cell: CellParameters) -> torch.Tensor:
        """Conductances (S) of the store, those of cells that nobody has looked at yet as they come from the seed."""
        new = conductance == 0.0
        if not bool(new.any()):
            return conductance
        seeded = torch.where(cell.stuck, cell.stuck_level, -cell.virgin)
        return torch.where(new, seeded.to(torch.float32).to(torch.float64), conductance)

    @cached_property
    def line_ends(self) -> tuple[Floats, Floats]:
        """Routing resistance (ohm) of every BL (arrays, n_bl) and of every SL (arrays, n_sl)."""
        return line_ends(self.config, PERIPHERY, np.arange(self.config.n_arrays))

    @cached_property
    def bl_leakage(self) -> Floats:
        """Current (A) that the off channels of the multiplexers drive into each BL, (arrays, n_bl)."""
        array, line = torch.arange(self._shape[0])[:, None], torch.arange(self._shape[1])
        return np.asarray(self._periphery.leakage(Stream.BL_LEAKAGE, array, line).numpy())

    @cached_property
    def _nominal_lines(self) -> LineResistances:
        return LineResistances.nominal(self.config.effective_wiring, self.config.n_bl, self.config.n_sl)

    def lines(self, array: int) -> LineResistances:
        """The lines of one array as they are."""
        bl_ends, sl_ends = self.line_ends
        return replace(self._nominal_lines, bl_source=bl_ends[array], sl_load=sl_ends[array])

    # Transactions

    def select(self, cells: Cells) -> Selection:
        """Begin a transaction of cells that `check_cells` has let through."""
        flat = torch.from_numpy(np.ravel_multi_index(cells.index, self._shape)).to(self.device)
        cell_keys, cell = self._identified(flat)
        series = self._series(cells) if self._known is None else self._known.series.index_select(0, flat)
        before = self._store.look(flat)
        return Selection(
            flat=flat,
            keys=cell_keys,
            cell=cell,
            series=series,
            leaking=torch.from_numpy(self.bl_leakage[cells.array, cells.bl]).to(self.device),
            before=before,
            cycle=CycleDraws(self.preset, self.config, cell_keys, before.event),
            state=self._first_seen(before.conductance, cell),
            written=before.written,
            rewritten=torch.zeros_like(flat, dtype=torch.bool),
            unwritten=torch.zeros_like(series),
            moved=torch.zeros_like(series),
        )

    def _present(self, chosen: Selection, time: torch.Tensor) -> torch.Tensor:
        """States (S) of the chosen cells at a time (s on the clock), at the chip's temperature."""
        age = (time - chosen.written).clamp_min_(0.0)
        drifted = self._retention.at(chosen.cell, chosen.keys, chosen.state, chosen.writes, age)
        return drifted if self._factor == 1.0 else torch.where(drifted > 0, drifted * self._factor, drifted)

    def bias(self, chosen: Selection, bias: Bias, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hold the chosen cells at a bias.

        Args:
            chosen: the cells.
            bias: what is applied.
            start: s on the clock, when it begins for each of them.

        Returns:
            A at its end, positive from BL to SL; bool, true where the source is at its compliance.
        """
        state = self._present(chosen, start)
        cell = self._wear.worn(chosen.cell, chosen.before.writes)
        flowing, limited, after = respond(self.preset, cell, chosen.cycle, state, bias)
        self._move(chosen, state, after, start + bias.time)
        return flowing, limited

    def _move(self, chosen: Selection, state: torch.Tensor, after: torch.Tensor, end: torch.Tensor) -> None:
        """Take down what a bias that ended at a time (s) has made of states (S, at the chip's temperature).

        The biases of one transaction count together, or a fine sweep would move a cell all the way and write nothing.
        """
        move = (after.abs() - state.abs()).div_(self._factor)
        distance = move.abs()
        unwritten = chosen.unwritten + distance
        rewritten = (unwritten > self._retention.write_min) | ((state < 0) & (after > 0))
        chosen.unwritten = unwritten.masked_fill_(rewritten, 0.0)
        chosen.state = torch.where(rewritten, after / self._factor, move.add_(chosen.state))
        chosen.written = torch.where(rewritten, end, chosen.written)
        chosen.rewritten = chosen.rewritten | rewritten
        chosen.moved = chosen.moved + distance

    def measure(
        self, chosen: Selection, bias: Bias, time: torch.Tensor, averages: int = 1, step: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents of the chosen cells at a bias with the noise of a reading; the cells stay as they are.

        Args:
            chosen: the cells.
            bias: at which they are read; how long plays no part.
            time: s on the clock, when the reading of each of them ends.
            averages: readings averaged.
            step: number of this reading within the transaction.

        Returns:
            A; bool, true where the source is at its compliance.
        """
        return self._sense(chosen, bias, self._present(chosen, time), time, averages, step)

    def _sense(
        self, chosen: Selection, bias: Bias, state: torch.Tensor, time: torch.Tensor, averages: int, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        event = step_event(chosen.before.event, step)
        conductance = self._shown(chosen, state, time, averages, event)
        flowing, limited = current(self.preset, chosen.cell, conductance, bias)
        if self.curve is not None:
            flowing = self.curve.reading(flowing, conductance, bias)
        # What leaks into the BL does not come from the source.
        return flowing - chosen.leaking + self._noise.of_instrument(chosen.keys, event, averages), limited

    def _shown(
        self, chosen: Selection, state: torch.Tensor, time: torch.Tensor, averages: int, event: torch.Tensor
    ) -> torch.Tensor:
        """Conductances (S) that a reading sees of states (S)."""
        noise = self._noise.of_cells(chosen.cell, chosen.keys, event, time, averages)
        return noise.add_(1.0).mul_(state.abs())

    def seen(self, chosen: Selection, time: torch.Tensor, averages: int | None, step: int) -> torch.Tensor:
        """Conductances (S) of the chosen cells by a time (s), for an instrument with noise of its own.

        Args:
            chosen: the cells.
            time: s on the clock, of each of them.
            averages: readings averaged; None shows the cells as they are.
            step: number of this reading within the transaction.
        """
        state = self._present(chosen, time)
        if averages is None:
            return state.abs()
        return self._shown(chosen, state, time, averages, step_event(chosen.before.event, step))

    def read(
        self, chosen: Selection, bias: Bias, time: torch.Tensor, averages: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`measure`, and what the bias of the reading does to the cells meanwhile."""
        state = self._present(chosen, time)
        sensed = self._sense(chosen, bias, state, time, averages, 0)
        if self._disturbs(bias):
            cell = self._wear.worn(chosen.cell, chosen.before.writes)
            self._move(chosen, state, after_bias(self.preset, cell, chosen.cycle, state, bias), time)
        return sensed

    def _disturbs(self, bias: Bias) -> bool:
        """Whether one bias for all cells moves any of them by more than can be left out."""
        across, gate, seconds = float(bias.voltage), float(bias.gate_voltage), float(bias.time)
        return across < 0 or largest_set(self.preset, across, gate, seconds) > _DISTURB_MIN

    def finish(self, chosen: Selection) -> None:
        """End a transaction: the cells take over what has happened, and the next one draws anew."""
        before = chosen.before
        with self._matrices.moving(chosen.flat, chosen.moved):
            self._store.put(chosen.flat, before, chosen.keys, chosen.state, chosen.rewritten, chosen.written)

    def half_selected_drift(self, limits: Limits, seconds: Seconds) -> Siemens:
        """How far a pulse of that length can move a half-selected cell at the most (S)."""
        return half_selected_drift(self.preset, self._longest_way, limits, seconds)

    @cached_property
    def _longest_way(self) -> Ohms:
        """Between the driver of an SL and its furthest cell."""
        return float(self.line_ends[1].max()) + self._nominal_lines.sl_segment * self._shape[1]

    # Whole arrays

    def _blocks(self, arrays: Ints) -> Iterator[Ints]:
        """The arrays in groups that are computed in one go."""
        step = max(1, CELLS_AT_ONCE // self._cells)
        for first in range(0, arrays.size, step):
            yield arrays[first : first + step]

    def _positions(self, arrays: Ints) -> torch.Tensor:
        """Positions of all cells of some arrays, int64, (arrays, cells)."""
        first = torch.from_numpy(arrays).to(self.device)[:, None] * self._cells
        return first + torch.arange(self._cells, device=self.device)

    def _conducting(self, arrays: Ints) -> torch.Tensor:
        return self.conducting_at(self._positions(arrays).reshape(-1))

    def conducting_at(self, flat: torch.Tensor) -> torch.Tensor:
        """S by now of the cells at some positions (int64), float64: drifted, without read noise."""
        flat = flat.to(self.device)
        cell_keys, cell = self._identified(flat)
        found = self._store.look(flat)
        state, age = self._first_seen(found.conductance, cell), (self.clock - found.written).clamp_min_(0.0)
        drifted = self._retention.at(cell, cell_keys, state, found.writes, age)
        return torch.where(drifted > 0, drifted * self._factor, -drifted)

    @property
    def conductance(self) -> Floats:
        """S of every cell as it truly is by now, shape (n_arrays, n_bl, n_sl)."""
        whole = np.empty(self._shape)
        for block in self._blocks(np.arange(self._shape[0])):
            whole[block] = self._conducting(block).view(-1, *self._shape[1:]).cpu().numpy()
        return whole

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Which cells answer to no pulse, shape (n_arrays, n_bl, n_sl)."""
        whole = np.empty(self._shape, dtype=np.bool_)
        for block in self._blocks(np.arange(self._shape[0])):
            _, cell = self._identified(self._positions(block).reshape(-1))
            whole[block] = cell.stuck.view(-1, *self._shape[1:]).cpu().numpy()
        return whole

    # What an MVM multiplies by

    def matrices(self, arrays: Ints, sl: Ints) -> Matrices:
        """What an MVM of some arrays multiplies by while the WLs of `sl` are on; held until a cell moves or drifts."""
        return self._matrices.get(arrays, sl, self.clock)

    def held_until(self, arrays: Ints) -> Seconds:
        """Until when (s on the clock) matrices of some arrays that are solved now may be held, as to drift."""
        youngest = self._store.youngest(torch.from_numpy(arrays).to(self.device))
        return self._retention.held_until(youngest, self.clock)

    def read_variance(self, arrays: Ints, sl: Ints) -> torch.Tensor:
        """1: variance of one reading of each cell relative to its square, (arrays, n_bl, len(sl)), float64."""
        columns = torch.from_numpy(sl).to(self.device)
        flat = self._positions(arrays).view(-1, *self._shape[1:])[..., columns]
        _, cell = self._identified(flat.reshape(-1))
        return (0.5 * cell.telegraph).square_().add_(self._noise.variance).view(flat.shape)

    def networks(self, arrays: Ints, sl: Ints) -> Iterator[LineFactors]:
        """The networks of some arrays while the WLs of `sl` are on, one after the other."""
        return self._matrices.networks(arrays, sl, self.clock)

    # Saving

    def saved_state(self, generator: torch.Tensor) -> SavedState:
        """What a file must keep to go on from here; here as there, with matrices of the cells as they are by now."""
        self._matrices.forget()
        store = self._store
        return SavedState(
            settings=self.config.identity,
            conductance=store.conductance.cpu().numpy(),
            written=store.written.cpu().numpy(),
            counts=store.counts.cpu().numpy(),
            base=store.base.cpu().numpy(),
            epoch=store.epoch,
            clock=self.clock,
            temperature=self.config.temperature,
            generator=generator.cpu().numpy(),
            device=self.device.type,
        )

    def restore(self, saved: SavedState) -> None:
        """Take over the cells of a saved state."""
        self._matrices.forget()
        store = self._store
        for name in ("conductance", "written", "counts", "base"):
            getattr(store, name).copy_(torch.from_numpy(getattr(saved, name)))
        store.epoch, self.clock = saved.epoch, saved.clock
        if saved.temperature != self.config.temperature:
            energy = self.preset.drift_energy
            ratio = acceleration(energy, saved.temperature) / acceleration(energy, self.config.temperature)
            store.stretch_ages(self.clock, ratio)
