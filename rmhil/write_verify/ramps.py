"""Ramps that raise one voltage until a cell answers: forming, and erasing before a rewrite."""

from __future__ import annotations

from dataclasses import dataclass

from rmhil.backend import ArraySpec, Operation, Pulses
from rmhil.units import Siemens, Volts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Pulses of one kind whose amplitude rises by a fixed step, up to the limit of the spec.

    Attributes:
        operation: FORM, SET or RESET.
        start: V, amplitude of the first pulse.
        step: V, from one pulse to the next.
        gate_voltage: V on the WL; None takes the highest that the spec allows.
    """

    operation: Operation
    start: Volts
    step: Volts
    gate_voltage: Volts | None

    def pulses(self, spec: ArraySpec, n_cells: int, given: int) -> Pulses:
        """The next pulse of cells that have been given so many of this ramp."""
        limits = spec.limits
        highest = limits.gate_voltage
        return Pulses.of(
            n_cells,
            operation=self.operation,
            amplitude=min(self.start + self.step * given, limits.amplitude(self.operation)),
            width=spec.pulse_width,
            gate_voltage=highest if self.gate_voltage is None else min(self.gate_voltage, highest),
            compliance=limits.current,
        )


FORMING = Ramp(operation=Operation.FORM, start=2.2, step=0.1, gate_voltage=1.6)
"""V. Forming of 1T1R TaOx cells takes about 3 V (estimate, range 2.2 to 4.0); the low gate voltage keeps
the new filament thin (estimate, range 1.2 to 2.0)."""

ERASING = Ramp(operation=Operation.RESET, start=2.0, step=0.1, gate_voltage=None)
"""V. A RESET at 2 V or above leaves a TaOx cell in its high-resistance state (estimate, range 1.6 to 2.4)."""

FORMED_FRACTION = 0.05
"""1: a cell below this share of the window's lower end has no filament. A virgin cell reads a few nS, the
high-resistance state of a formed one some uS (estimate, range 0.01 to 0.2)."""


def formed_threshold(spec: ArraySpec) -> Siemens:
    """S: a cell that reads below this is virgin and must be formed before anything else."""
    return FORMED_FRACTION * spec.conductance_min
