"""The array as the analyser sees it: whichever cell the board's routing joins to it.

A pulse and the verify reading after it are one transaction of the chip, as in `SimBackend.apply`: so the same pulses
in the same order draw the same numbers there and here. Rest after a reading, a second pulse or another route ends it.

The analyser's units reach the board with sense lines of their own (Kelvin), so that their leads have no resistance.
Cells that share the selected word line see what the board joins their bit lines to: nothing, or the inhibit line.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import RLock
from typing import Final

import numpy as np
import torch

from rmhil.backend import Cells, Floats, Limits
from rmhil.units import Seconds, Siemens, Volts
from sim_backend.b1500a.dut.cell import CellNetwork, bias_of
from sim_backend.b1500a.dut.load import Terminals, driven
from sim_backend.b1500a.dut.loop import Drive
from sim_backend.b1500a.modules import FORCE_RESISTANCE
from sim_backend.b1500a.network import Point, Source, Sources
from sim_backend.cells import STEPS_MAX
from sim_backend.chip import Chip
from sim_backend.disturb import largest_reset, largest_set
from sim_backend.twin.lines import Selected
from sim_backend.twin.products import ArrayProducts
from sim_backend.twin.records import PulseRecord

_DISTURB_MIN: Final[Siemens] = 1e-12
"""S: half-selected cells that a voltage can move no further while it is held are left alone, as reads are."""

_READING_MAX: Final[Volts] = 1.1 * Limits().read_voltage
"""V across a cell, positive: above it is a pulse, whether it can move the cell or not. A tenth is for sources that are
off their value."""

_SMUS: Final = 100
"""Channels below are SMUs; pulse generators have longer numbers."""

_PULSES_KEPT: Final = 1_000_000
"""Records of pulses; older ones are forgotten."""

_STRESS_STEPS: Final = STEPS_MAX // 2
"""Number of the first reading under bias in a transaction; verify readings are numbered from 0, as in `SimBackend`."""


class RoutedCells(CellNetwork):
    """The network of an analyser behind a board. Its methods are called on the analyser's thread.

    Args:
        chip: the array.
        terminals: channels of the board's BL, SL and WL lines.
        inhibit: channel of its inhibit line.
        lock: of the chip.
        products: what the board sees of the same array.
    """

    def __init__(self, chip: Chip, terminals: Terminals, inhibit: int, lock: RLock, products: ArrayProducts) -> None:
        super().__init__(chip, terminals, None)
        self._inhibit = inhibit
        self._lock, self._products = lock, products
        self._selection: Selected | None = None
        self._rested = self._read = self._stressed = self._pulsed = False
        self._stress_step = _STRESS_STEPS
        self._sensed: tuple[Sources, Sources] = ({}, {})
        self._pulses: deque[PulseRecord] = deque(maxlen=_PULSES_KEPT)
        self._given = 0
        self._counts = np.zeros((chip.config.n_bl, chip.config.n_sl), dtype=np.int64)

    def join(self, selected: Selected | None) -> None:
        """The board has joined another cell, or none; what was under way has ended."""
        with self._lock:
            self._selection = selected
            self.route(None if selected is None else (0, selected.bl, selected.sl))

    def release(self) -> None:
        """As the base class."""
        with self._lock:
            super().release()
            self._rested = self._read = self._pulsed = False
            self._stress_step = _STRESS_STEPS

    def describe(self) -> str:
        """The cell, or that there is none."""
        return super().describe() if self._selection is not None else "a board that selects no cell"

    def solve(self, sources: Sources, integration: Seconds) -> dict[int, Point]:
        """As the base class; a verify reading belongs to the pulse before it."""
        with self._lock:
            self._products.catch_up()
            if not self._stressed:
                points = super().solve(self._kelvin(sources), integration)
                self._read = self._selection is not None  # afterwards: a transaction that begins here forgets it
                return self._without_leakage(points, sources)
            verify_step, self._step = self._step, self._stress_step
            points = super().solve(self._kelvin(sources), integration)
            self._stress_step, self._step = self._step, verify_step
            return points

    def _kelvin(self, sources: Sources) -> Sources:
        """The sources without the resistance of the SMUs' leads; those that have not changed are not made anew."""
        given, made = self._sensed
        if sources is not given:
            made = {
                channel: replace(source, series=source.series - FORCE_RESISTANCE) if channel < _SMUS else source
                for channel, source in sources.items()
            }
            self._sensed = sources, made
        return made

    def _without_leakage(self, points: dict[int, Point], sources: Sources) -> dict[int, Point]:
        """What leaks into the BL does not come from its source."""
        channel, source = driven(self._terminals.bl, sources)
        if channel is None or self._selection is None or source.kind == "I" or points[channel].limited:
            return points
        leaking = float(self.chip.bl_leakage[0, self._selection.bl])
        return points | {channel: replace(points[channel], current=points[channel].current - leaking)}

    def elapse(self, sources: Sources, seconds: Seconds) -> None:
        """As the base class."""
        with self._lock:
            self._products.catch_up()
            self._stressed = False
            super().elapse(self._kelvin(sources), seconds)
            self._products.age()

    def is_biased(self, sources: Sources) -> bool:
        """Whether the selected cell is not at rest."""
        _, high = driven(self._terminals.bl, sources)
        _, low = driven(self._terminals.sl, sources)
        return self._selection is not None and not self._at_rest(high, low)

    def _moves(self, high: Source, low: Source, gate: Volts, seconds: Seconds) -> bool:
        """Also a pulse that moves nothing is one, and its cell draws anew after it."""
        driven_by_voltage = (high.kind, low.kind) == ("V", "V")
        pulse = driven_by_voltage and high.value - low.value > _READING_MAX
        return pulse or super()._moves(high, low, gate, seconds)

    def _rest(self) -> None:
        if self._read:
            self.release()
        self._rested = self._chosen is not None

    def _hold(self, sources: Sources, high: Source, low: Source, gate: Volts, seconds: Seconds) -> Drive:
        if self._rested:
            self.release()
        drive = super()._hold(sources, high, low, gate, seconds)
        self._stressed = True
        self._note(drive, gate, seconds)
        self._disturb(sources, low, gate, seconds)
        return drive

    def _note(self, drive: Drive, gate: Volts, seconds: Seconds) -> None:
        """Take a pulse down; one that goes on at the same level is made longer."""
        assert self._selection is not None, "what is not selected is not held"
        bl, sl = self._selection.bl, self._selection.sl
        if self._pulsed and (self._pulses[-1].voltage, self._pulses[-1].gate_voltage) == (drive.voltage, gate):
            self._pulses[-1] = replace(self._pulses[-1], seconds=self._pulses[-1].seconds + seconds)
            return
        self._counts[bl, sl] += not self._pulsed
        self._pulsed = True
        self._pulses.append(
            PulseRecord(
                number=self._given, bl=bl, sl=sl, start=self.chip.clock, voltage=drive.voltage, gate_voltage=gate,
                compliance=drive.limit, seconds=seconds,
            )
        )  # fmt: skip
        self._given += 1

    def _disturb(self, sources: Sources, low: Source, gate: Volts, seconds: Seconds) -> None:
        """What happens to cells of the selected word line whose BLs are on the inhibit line."""
        inhibit = sources.get(self._inhibit)
        selected = self._selection
        if inhibit is None or selected is None or not selected.inhibited or "I" in (inhibit.kind, low.kind):
            return
        across = inhibit.value - low.value
        largest = largest_set if across > 0 else largest_reset
        if across == 0.0 or largest(self.chip.preset, abs(across), gate, seconds) < _DISTURB_MIN:
            return
        others = self.chip.select(Cells.of(0, selected.inhibited, selected.sl))
        now = torch.full((len(selected.inhibited),), self.chip.clock, dtype=torch.float64)
        self.chip.bias(others, bias_of(across, gate, inhibit.limit, seconds, others.series), now)
        self.chip.finish(others)

    # What no bench can know

    @property
    def conductance(self) -> Floats:
        """S of every cell as it is, (n_bl, n_sl)."""
        with self._lock:
            self._products.catch_up()
            whole: Floats = self.chip.conductance[0]
            if self._chosen is not None and self._selection is not None:
                present = self.chip.seen(self._chosen, self._now, None, 0)
                whole[self._selection.bl, self._selection.sl] = float(present)
            return whole

    def pulses(self, since: int) -> list[PulseRecord]:
        """Records from a number on; they may be of several levels within one pulse."""
        with self._lock:
            return [one for one in self._pulses if one.number >= since]

    @property
    def pulse_counts(self) -> np.ndarray:
        """int64, (n_bl, n_sl): pulses and sweeps that have begun at each cell."""
        with self._lock:
            return self._counts.copy()
