"""One 1T1R cell of a simulated chip between three channels: the same cell, rate laws and noise as in `sim_backend`.

A bias across the cell is one transaction of the chip for as long as its polarity stays: a staircase up and back is
written once, as `SimBackend.sweep` does it, and a pulse is a pulse whether it is held by one wait or by several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from rmhil.backend import Cells
from rmhil.units import Amperes, Ohms, Seconds, Siemens, Volts
from sim_backend.b1500a.dut.load import Terminals, driven, floating
from sim_backend.b1500a.dut.loop import Drive, LoopPoint, solve_loop
from sim_backend.b1500a.network import Point, Source, Sources
from sim_backend.cells import STEPS_MAX
from sim_backend.chip import Chip
from sim_backend.config import SimConfig
from sim_backend.device import Bias, current, saturation_current
from sim_backend.disturb import largest_set
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY
from sim_backend.selection import Selection

if TYPE_CHECKING:
    from sim_backend.parameters import CellParameters

_MOVE_MIN: Final[Siemens] = 1e-12
"""S: a bias that can move no cell further while it is held is not followed: reads at 0.2 V of up to 20 ms."""

_REST: Final[Volts] = 1e-6
"""V: below this a cell is at rest, and a transaction ends."""

_SOURCE_NEVER: Final[Amperes] = 1e9
"""A: no limit of a source; the loop looks after those."""


class CellNetwork:
    """Channels joined to a cell of a chip.

    Args:
        chip: the array; its clock moves with `elapse`.
        terminals: channels of BL, SL and WL.
        cell: `(array, bl, sl)`; None joins the channels to none.
    """

    def __init__(self, chip: Chip, terminals: Terminals, cell: tuple[int, int, int] | None = (0, 0, 0)) -> None:
        self.chip = chip
        self._terminals = terminals
        self._cell = cell
        self._chosen: Selection | None = None
        self._sign = 0.0
        self._step = 0

    @classmethod
    def single(cls, terminals: Terminals, *, seed: int = 0, off: tuple[str, ...] = ()) -> CellNetwork:
        """A discrete cell on leads without resistance or leakage.

        Args:
            terminals: channels.
            seed: of the cell.
            off: non-idealities left out, as `SimConfig.off`.
        """
        config = SimConfig(n_bl=1, n_sl=1, seed=seed, off=("lines", "leakage", *off))
        return cls(Chip(config, Periphery(config, PERIPHERY)), terminals)

    def route(self, cell: tuple[int, int, int] | None) -> None:
        """Join the channels to another cell, `(array, bl, sl)`, or to none; what was under way has ended."""
        self.release()
        self._cell = cell

    def release(self) -> None:
        """End the transaction, so that others may use the chip."""
        if self._chosen is not None:
            self.chip.finish(self._chosen)
        self._chosen, self._sign, self._step = None, 0.0, 0

    def describe(self) -> str:
        """The cell, and the channels of its terminals."""
        lines = f"BL {self._terminals.bl}, SL {self._terminals.sl}, WL {self._terminals.wl}"
        return f"cell {self._cell} of {self.chip.config.provenance} at channels {lines}"

    def _selected(self) -> Selection:
        if self._chosen is None or self._step >= STEPS_MAX - 1:
            self.release()
            self._chosen = self.chip.select(Cells.of(*(self._cell or (0, 0, 0))))
        return self._chosen

    @property
    def _now(self) -> torch.Tensor:
        return torch.tensor([self.chip.clock], dtype=torch.float64)

    # Solving

    def solve(self, sources: Sources, integration: Seconds) -> dict[int, Point]:
        """Voltages and currents of all channels; the cell shows the noise of a reading."""
        points = floating(sources)
        if self._cell is None:
            return points
        averages = max(round(integration / PERIPHERY.read_time), 1)
        found = self._loop(sources, averages)
        for channel, point in zip(self._ends(sources), (found.high, found.low), strict=True):
            if channel is not None:
                points[channel] = point
        return points

    def _ends(self, sources: Sources) -> tuple[int | None, int | None]:
        return driven(self._terminals.bl, sources)[0], driven(self._terminals.sl, sources)[0]

    def _loop(self, sources: Sources, averages: int | None) -> LoopPoint:
        """The loop of BL, cell and SL; `averages` None leaves out the noise of a reading."""
        _, high = driven(self._terminals.bl, sources)
        _, low = driven(self._terminals.sl, sources)
        chosen = self._selected()
        conductance = self.chip.seen(chosen, self._now, averages, self._step)
        if averages is not None:
            self._step += 1
        element = _Cell(self.chip, chosen, conductance, self._gate(sources, high, low))
        return solve_loop(element, high, low)

    def _gate(self, sources: Sources, high: Source, low: Source) -> Volts:
        """V of the WL over the lower one of BL and SL, where the transistor's source is; an open WL is at 0 V."""
        channel, source = driven(self._terminals.wl, sources)
        gate = source.value if channel is not None and source.kind == "V" else 0.0
        levels = [end.value for end in (high, low) if end.kind == "V"]
        return gate - min(levels, default=0.0)

    # Time

    def elapse(self, sources: Sources, seconds: Seconds) -> None:
        """Hold the sources for a time (s)."""
        chip = self.chip
        if seconds <= 0.0:
            return
        if self._cell is not None and sources:
            _, high = driven(self._terminals.bl, sources)
            _, low = driven(self._terminals.sl, sources)
            gate = self._gate(sources, high, low)
            if self._at_rest(high, low):
                self._rest()
            elif self._moves(high, low, gate, seconds):
                self._hold(sources, high, low, gate, seconds)
        elif self._chosen is not None:
            self.release()
        chip.clock += seconds

    def _rest(self) -> None:
        """The sources leave the cell alone for a time."""
        self.release()

    def _at_rest(self, high: Source, low: Source) -> bool:
        if high.kind == "V" and low.kind == "V":
            return abs(high.value - low.value) < _REST
        return (high.kind == "I" and high.value == 0.0) or (low.kind == "I" and low.value == 0.0)

    def _moves(self, high: Source, low: Source, gate: Volts, seconds: Seconds) -> bool:
        """Whether the sources can move a cell by more than can be left out."""
        across = _largest(high) + _largest(low) if "I" in (high.kind, low.kind) else high.value - low.value
        if across <= 0.0:
            return True
        return gate > 0.0 and largest_set(self.chip.preset, across, gate, seconds) > _MOVE_MIN

    def _hold(self, sources: Sources, high: Source, low: Source, gate: Volts, seconds: Seconds) -> Drive:
        found = self._loop(sources, None)
        sign = 1.0 if found.drive.voltage > 0 else -1.0
        if self._sign not in (0.0, sign):
            self.release()
        chosen, self._sign = self._selected(), sign
        series = chosen.series + (high.series + low.series)
        bias = bias_of(found.drive.voltage, gate, found.drive.limit, seconds, series)
        self.chip.bias(chosen, bias, self._now)
        return found.drive


def _largest(source: Source) -> Volts:
    return source.limit if source.kind == "I" else abs(source.value)


def bias_of(voltage: Volts, gate: Volts, limit: Amperes, seconds: Seconds, series: torch.Tensor) -> Bias:
    """The same voltages (V), limit (A) and time (s) for every cell, behind resistances (ohm) of their own."""
    values = (torch.tensor([one], dtype=torch.float64) for one in (voltage, gate, limit, seconds))
    volts, gate_voltage, compliance, time = values
    return Bias(voltage=volts, gate_voltage=gate_voltage, compliance=compliance, time=time, series=series)


class _Cell:
    """The selected cell as an element of a loop, its state fixed.

    Args:
        chip: that it belongs to.
        chosen: the cell.
        conductance: S, shape (1,).
        gate: V over the lower terminal.
    """

    def __init__(self, chip: Chip, chosen: Selection, conductance: torch.Tensor, gate: Volts) -> None:
        self._chip = chip
        self._cell: CellParameters = chosen.cell
        self._conductance = conductance
        self._gate = gate
        self._series = chosen.series
        self._saturation = float(
            saturation_current(chip.preset, chosen.cell, torch.tensor([gate], dtype=torch.float64))
        )

    def current(self, drive: Volts, series: Ohms) -> Amperes:
        """A as `sim_backend.device` has it; the limits of the sources are the loop's."""
        bias = bias_of(drive, self._gate, _SOURCE_NEVER, 0.0, self._series + series)
        flowing, _ = current(self._chip.preset, self._cell, self._conductance, bias)
        if self._chip.curve is not None:
            flowing = self._chip.curve.reading(flowing, self._conductance, bias)
        return float(flowing)

    def voltage(self, current: Amperes) -> Volts:
        """V across cell and lines below saturation."""
        if current == 0.0:
            return 0.0
        return current * (1.0 / float(self._conductance) + float(self._series))
