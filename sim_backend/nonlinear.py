"""Cells that are not ohmic: a filament with a curved current, and the selector transistor in series with it.

A cell's conductance is stated at the read voltage, where write-verify sees it, so there both curves agree with Ohm's
law and the option changes what lies between zero and there. What an MVM computes then is found by chord
iterations on the factorisation of the linear network: the cells' excess over Ohm's law is injected as
currents, and the linear network says what voltages that leaves them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch

from rmhil.errors import ConvergenceError, OutOfRangeError
from rmhil.units import Volts
from sim_backend.device import Bias
from sim_backend.line_factors import LineFactors
from sim_backend.presets import DevicePreset

_TOLERANCE: Final = 1e-10
"""1: largest change of a cell's voltage in the last iteration, relative to the largest voltage at a driver."""

_ITERATIONS_MAX: Final = 60
"""Each leaves a few percent of the error at the presets' curves: 7 to 9 are usual."""

_NEWTON_STEPS: Final = 4
"""From the straight line, whose error is a few percent, to round-off: the error squares in each."""

_CHORD_STEPS: Final = 6
"""Of a single cell behind its lines: each leaves some 1e-3 of the error."""

_ROUND_OFF: Final = 1e-12
"""1: a current that is smaller than Ohm's law says by no more is not limited."""

_VALUES_AT_ONCE: Final = 1 << 20
"""Cells times vectors computed in one go: 8 MB a tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCurve:
    """Current of cells against the voltage across them, from BL to SL.

    The filament carries `g V0 sinh(v / V0)`, the transistor `beta (Vov u - u^2 / 2)`, the square law below
    saturation with its source at the SL; v and u add up to the cell's voltage.

    Attributes:
        reference: V, at which a cell of conductance G carries G times this.
        bend: V, `V0` of the filament; infinite if it is ohmic.
        gain: A/V^2, `beta` of the transistor; infinite if it has no resistance.
        overdrive: V, `Vov`, gate voltage over the threshold.
    """

    reference: Volts
    bend: Volts
    gain: float
    overdrive: Volts

    @classmethod
    def of(cls, preset: DevicePreset, read_voltage: Volts, gate_voltage: Volts) -> CellCurve:
        """The curve of a preset's cells as verify reads (V) and MVMs with that gate voltage (V) see them."""
        return cls(
            reference=read_voltage,
            bend=preset.filament_bend,
            gain=preset.selector_gain,
            overdrive=gate_voltage - preset.gate_threshold,
        )

    def __post_init__(self) -> None:
        if not self.overdrive > 0.0:
            raise OutOfRangeError(
                "overdrive of the selector transistor", self.overdrive, 0.0, math.inf, "V", above=True
            )

    @property
    def _saturation(self) -> float:
        """A at which the transistor saturates."""
        return 0.5 * self.gain * self.overdrive**2

    def filament(self, conductance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Filaments of cells of known conductance (S).

        Returns:
            S, `g` of each filament; 1, share of the reference voltage that the transistor takes.

        Raises:
            OutOfRangeError: a transistor cannot carry what its cell does at the reference voltage.
        """
        wanted = conductance * self.reference
        largest = float(wanted.max()) if wanted.numel() else 0.0
        if not largest < self._saturation:
            raise OutOfRangeError(
                "current of a cell at the read voltage", largest, 0.0, self._saturation, "A", below=True
            )
        dropped = self.overdrive * (1.0 - (1.0 - wanted / self._saturation).sqrt())
        return wanted / self._flow(self.reference - dropped), dropped / self.reference

    def _flow(self, volts: torch.Tensor) -> torch.Tensor:
        """V: current of a filament of 1 S."""
        return volts if math.isinf(self.bend) else (volts / self.bend).sinh_().mul_(self.bend)

    def currents(self, filament: torch.Tensor, share: torch.Tensor, volts: torch.Tensor) -> torch.Tensor:
        """Currents (A) at voltages (V) across cells.

        Args:
            filament: S, as `filament` gives it.
            share: 1, as `filament` gives it.
            volts: of any shape that the others broadcast with.
        """
        if math.isinf(self.gain):
            return filament * self._flow(volts)
        dropped = share * volts
        for _ in range(_NEWTON_STEPS):
            across = volts - dropped
            excess = filament * self._flow(across) - self.gain * dropped * (self.overdrive - 0.5 * dropped)
            slope = 1.0 if math.isinf(self.bend) else (across / self.bend).cosh_()
            dropped = dropped + excess / (filament * slope + self.gain * (self.overdrive - dropped))
        return self.gain * dropped * (self.overdrive - 0.5 * dropped)

    def reading(self, flowing: torch.Tensor, conductance: torch.Tensor, bias: Bias) -> torch.Tensor:
        """Currents (A) of single cells behind the resistance of their lines, from those that Ohm's law gives.

        Up to the reference voltage they follow the curve, unless transistor or source limit them; beyond it the rate
        laws of `sim_backend.device` hold, which are stated for ohmic cells.

        Args:
            flowing: A, by Ohm's law and the limits of transistor and source.
            conductance: S.
            bias: of each cell.
        """
        loaded = 1.0 + bias.series * conductance
        across = bias.voltage / loaded
        free = flowing.abs() >= (conductance * across).abs() * (1.0 - _ROUND_OFF)
        bent = free & (bias.voltage.abs() <= self.reference)
        filament, share = self.filament(torch.where(bent, conductance, 0.0))
        for _ in range(_CHORD_STEPS):
            current = self.currents(filament, share, across)
            across = across - (across + bias.series * current - bias.voltage) / loaded
        return torch.where(bent, self.currents(filament, share, across), flowing)


def nonlinear_currents(network: LineFactors, curve: CellCurve, drive: torch.Tensor) -> torch.Tensor:
    """Currents of arrays whose cells follow a curve.

    Args:
        network: the arrays, linear.
        curve: of all cells.
        drive: V at the drivers, (arrays, vectors, n_bl), float64.

    Returns:
        A into the virtual grounds, (arrays, vectors, k).

    Raises:
        ConvergenceError: the curve is too far from a straight line for these lines.
    """
    conductance = network.conductance[:, None]
    filament, share = curve.filament(conductance)
    step = max(1, _VALUES_AT_ONCE // conductance.numel())
    parts = [
        _iterate(network, curve, filament, share, drive[:, first : first + step])
        for first in range(0, drive.shape[1], step)
    ]
    return torch.cat(parts, dim=1)


def nonlinear_excess(network: LineFactors, curve: CellCurve, drive: torch.Tensor) -> torch.Tensor:
    """What `nonlinear_currents` gives beyond the currents of ohmic cells; arguments and result as there."""
    return nonlinear_currents(network, curve, drive) - torch.bmm(drive, network.effective)


def _iterate(
    network: LineFactors, curve: CellCurve, filament: torch.Tensor, share: torch.Tensor, drive: torch.Tensor
) -> torch.Tensor:
    conductance = network.conductance[:, None]
    largest = float(drive.abs().max())
    injected = torch.zeros(*drive.shape[:2], *conductance.shape[2:], dtype=drive.dtype, device=drive.device)
    currents, volts = network.respond(drive, injected)
    change = math.inf
    for _ in range(_ITERATIONS_MAX):
        before = volts
        currents, volts = network.respond(drive, curve.currents(filament, share, volts) - conductance * volts)
        change = float((volts - before).abs().max())
        if change <= _TOLERANCE * largest:
            return currents
    raise ConvergenceError("voltages across the cells", change, _TOLERANCE * largest, "V", _ITERATIONS_MAX)
