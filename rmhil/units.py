"""Names for the physical quantities that annotations carry.

Every value is a plain float (or an array of them) in SI base units: no prefix, no unit object.
"""

from __future__ import annotations

from typing import TypeAlias

Volts: TypeAlias = float
Amperes: TypeAlias = float
Ohms: TypeAlias = float
Siemens: TypeAlias = float
Seconds: TypeAlias = float
Joules: TypeAlias = float
Watts: TypeAlias = float

MICRO = 1e-6
"""1: the SI prefix, for messages and plots that speak of microsiemens."""
