"""From the level that a policy chose to a pulse: a SET's gate voltage, or a RESET's amplitude."""

from __future__ import annotations

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses
from rmhil.units import Volts


def highest_level(spec: ArraySpec, operation: Ints, gate_stop: Volts) -> Floats:
    """V: where each cell's level ends, within the limits of the spec.

    Args:
        spec: of the backend.
        operation: SET or RESET, one a cell.
        gate_stop: V, highest gate voltage of a SET.
    """
    return np.where(operation == Operation.SET, min(gate_stop, spec.limits.gate_voltage), spec.limits.reset_voltage)


def pulses_at(spec: ArraySpec, operation: Ints, level: Floats, set_amplitude: Volts) -> Pulses:
    """One pulse a cell: a SET with `level` (V) on the gate, or a RESET of that amplitude with the gate fully on.

    Args:
        spec: of the backend.
        operation: SET or RESET, one a cell.
        level: V, one a cell.
        set_amplitude: V on the BL during a SET.
    """
    is_set = operation == Operation.SET
    return Pulses.of(
        len(operation),
        operation=operation,
        amplitude=np.where(is_set, min(set_amplitude, spec.limits.set_voltage), level),
        width=spec.pulse_width,
        gate_voltage=np.where(is_set, level, spec.limits.gate_voltage),
        compliance=spec.limits.current,
    )
