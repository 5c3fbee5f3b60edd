"""Neural networks on arrays: analogue layers, conversion of a model, low-rank adapters in SRAM."""

from __future__ import annotations

from rmhil.mapping import DifferentialPair, OffsetColumn
from rmhil.nn.convert import convert, reprogram
from rmhil.nn.layers import AnalogConv2d, AnalogLinear, analog_layers, off_the_arrays

__all__ = [
    "AnalogConv2d",
    "AnalogLinear",
    "DifferentialPair",
    "OffsetColumn",
    "analog_layers",
    "convert",
    "off_the_arrays",
    "reprogram",
]
