"""Names for the physical quantities that annotations carry.

Every value is a plain float (or an array of them) in SI base units: no prefix, no unit object. Messages about a setting
find the unit in its annotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias


@dataclass(frozen=True, slots=True)
class Unit:
    """What an annotation says of its quantity."""

    symbol: str


Volts: TypeAlias = Annotated[float, Unit("V")]
Amperes: TypeAlias = Annotated[float, Unit("A")]
Ohms: TypeAlias = Annotated[float, Unit("ohm")]
Siemens: TypeAlias = Annotated[float, Unit("S")]
Seconds: TypeAlias = Annotated[float, Unit("s")]
Joules: TypeAlias = Annotated[float, Unit("J")]
Watts: TypeAlias = Annotated[float, Unit("W")]
Kelvins: TypeAlias = Annotated[float, Unit("K")]

MICRO = 1e-6
"""1: the SI prefix, for messages and plots that speak of microsiemens."""
