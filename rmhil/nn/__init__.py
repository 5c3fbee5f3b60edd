"""Neural networks on arrays: analogue layers, conversion of a model, low-rank adapters in SRAM."""

from __future__ import annotations

from rmhil.mapping import DifferentialPair, OffsetColumn
from rmhil.nn.adapters import (
    Adapter,
    adapter_names,
    adapter_parameters,
    adapters_off,
    add_adapter,
    disable_adapter,
    enable_adapter,
    freeze_adapter,
    get_adapter,
    merge,
    remove_adapter,
    unfreeze_adapter,
)
from rmhil.nn.convert import convert, reprogram
from rmhil.nn.layers import AnalogConv2d, AnalogLinear, analog_layers, off_the_arrays
from rmhil.nn.peft_format import load_adapter, prepare_peft, save_adapter
from rmhil.nn.sram import SramBank

__all__ = [
    "Adapter",
    "AnalogConv2d",
    "AnalogLinear",
    "DifferentialPair",
    "OffsetColumn",
    "SramBank",
    "adapter_names",
    "adapter_parameters",
    "adapters_off",
    "add_adapter",
    "analog_layers",
    "convert",
    "disable_adapter",
    "enable_adapter",
    "freeze_adapter",
    "get_adapter",
    "load_adapter",
    "merge",
    "off_the_arrays",
    "prepare_peft",
    "remove_adapter",
    "reprogram",
    "save_adapter",
    "unfreeze_adapter",
]
