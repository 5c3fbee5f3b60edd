"""Values of preset fields in words: with the prefix that an engineer would use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_VOLTS = "V"
_RELATIVE = ""

UNITS: Final = {
    "compliance_slope": "S/V",
    "gate_threshold": _VOLTS,
    "set_stop_voltage": _VOLTS,
    "set_voltage": _VOLTS,
    "set_voltage_scale": _VOLTS,
    "reset_voltage": _VOLTS,
    "reset_voltage_scale": _VOLTS,
    "reset_slope": "S/V",
    "reset_floor": "S",
    "form_voltage": _VOLTS,
    "form_voltage_scale": _VOLTS,
    "virgin_conductance": "S",
    "gate_threshold_spread": _VOLTS,
    "compliance_slope_spread": _RELATIVE,
    "set_voltage_spread": _VOLTS,
    "reset_voltage_spread": _VOLTS,
    "reset_slope_spread": _RELATIVE,
    "reset_floor_spread": _RELATIVE,
    "form_voltage_spread": _VOLTS,
    "virgin_spread": _RELATIVE,
    "cycle_level": "S",
    "cycle_set_voltage": _VOLTS,
    "cycle_reset_voltage": _VOLTS,
    "read_noise": _RELATIVE,
    "telegraph_share": _RELATIVE,
    "telegraph_depth": _RELATIVE,
    "relaxation": "S/decade",
    "drift": "1/decade",
    "drift_spread": "1/decade",
    "drift_time": "s",
    "stuck_share": _RELATIVE,
}
"""Field that a table can determine -> its unit; relative where empty."""

_PREFIXES: Final = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def amount(name: str, value: float) -> str:
    """A value with its unit, e.g. `30.4 uS/V` or `12.1 mV`; a relative one as it is."""
    (text,), unit = amounts(name, (value,))
    return f"{text} {unit}".strip()


def amounts(name: str, values: Sequence[float]) -> tuple[list[str], str]:
    """Values of one field, and the unit that they share: the one that suits the first of them."""
    unit = UNITS.get(name, "")
    if not unit or unit.startswith("1/"):
        return [f"{value:.3g}" for value in values], unit
    factor, prefix = _prefix(unit, abs(values[0]))
    digits = 4 if unit == "V" and not prefix else 3
    return [f"{value / factor:.{digits}g}" for value in values], f"{prefix}{unit}"


def _prefix(unit: str, size: float) -> tuple[float, str]:
    if unit == "V" and size >= 0.1:
        return 1.0, ""
    return next((pair for pair in _PREFIXES if size >= 0.9995 * pair[0]), _PREFIXES[-1])
