"""Ramps that raise one voltage until a cell answers: forming, and erasing before a rewrite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses
from rmhil.units import Siemens, Volts
from rmhil.write_verify.policy import Mask, PerCell


@dataclass(frozen=True, slots=True)
class RampState(PerCell):
    """Where each cell is on its ramp: pulses given so far."""

    spec: ArraySpec
    given: Ints

    @property
    def stuck(self) -> Mask:
        """A ramp does not judge; it ends when its pulses are used up."""
        return np.zeros(len(self.given), dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Pulses of one kind whose amplitude rises by a fixed step, up to the limit of the spec.

    Attributes:
        name: of the ramp, in reports.
        operation: FORM, SET or RESET.
        start: V, amplitude of the first pulse.
        step: V, from one pulse to the next.
        gate_voltage: V on the WL; None takes the highest that the spec allows.
    """

    name: str
    operation: Operation
    start_amplitude: Volts
    step_amplitude: Volts
    gate_voltage: Volts | None

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, conductance: Floats) -> RampState:
        """As `Policy.start`; target and tolerance play no part."""
        return RampState(spec, np.zeros(len(conductance), dtype=np.int64))

    def step(self, state: RampState, conductance: Floats, status: Ints) -> tuple[RampState, Pulses]:
        """As `Policy.step`."""
        limits = state.spec.limits
        highest = limits.gate_voltage
        amplitude = self.start_amplitude + self.step_amplitude * state.given
        pulses = Pulses.of(
            len(conductance),
            operation=self.operation,
            amplitude=np.minimum(amplitude, limits.amplitude(self.operation)),
            width=state.spec.pulse_width,
            gate_voltage=highest if self.gate_voltage is None else min(self.gate_voltage, highest),
            compliance=limits.current,
        )
        return RampState(state.spec, state.given + 1), pulses


FORMING = Ramp(name="form", operation=Operation.FORM, start_amplitude=2.2, step_amplitude=0.1, gate_voltage=1.6)
"""V. Forming of 1T1R TaOx cells takes about 3 V (estimate, range 2.2 to 4.0); the low gate voltage keeps
the new filament thin (estimate, range 1.2 to 2.0)."""

ERASING = Ramp(name="erase", operation=Operation.RESET, start_amplitude=1.5, step_amplitude=0.1, gate_voltage=None)
"""V. A RESET at 1.5 V or above leaves a TaOx cell near its high-resistance state (estimate, range 1.2 to 2.0)."""

FORMED_FRACTION = 0.05
"""1: a cell below this share of the window's lower end has no filament. A virgin cell reads a few nS, the
high-resistance state of a formed one some uS (estimate, range 0.01 to 0.2)."""


def formed_threshold(spec: ArraySpec) -> Siemens:
    """S: a cell that reads below this is virgin and must be formed before anything else."""
    return FORMED_FRACTION * spec.conductance_min
