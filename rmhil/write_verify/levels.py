"""From the level that a policy chose to a pulse: a SET's gate voltage, or a RESET's amplitude. Checks of settings."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses
from rmhil.errors import OutOfRangeError
from rmhil.units import Volts

SET_AMPLITUDE: Volts = 2.0
"""V on the BL during a SET, of every policy and of the pilot unless told otherwise: enough for the slowest cell, so
that the gate alone sets the level (estimate, range 1.5 to 2.5)."""


def check_settings(policy: object, units: Mapping[str, str], zero: bool = False) -> None:
    """Refuse settings of a policy that are not finite and above 0.

    Args:
        policy: holds them.
        units: unit of each, by name.
        zero: whether 0 is allowed too.

    Raises:
        OutOfRangeError: one of them is not.
    """
    for name, unit in units.items():
        value = getattr(policy, name)
        if not 0.0 <= value < math.inf or (value == 0.0 and not zero):  # written this way, NaN fails too
            raise OutOfRangeError(name, value, 0.0, math.inf, unit, above=not zero)


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
