"""Counter-based random numbers: a draw depends on its key alone, never on the order of the draws.

A draw is keyed by (seed, stream, array, bit line, source line, event), the event being a count of
what has happened to the cell (`sim_backend.cells`). So a cell behaves alike whether it is pulsed alone or
with all the others, on any device, in any order, and in a larger or smaller array.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014; the
constants are variant 13 of Stafford), in wrapping 64-bit integers.
"""

from __future__ import annotations

import math
from enum import IntEnum
from functools import lru_cache

import torch

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB

_LINE_BITS = 20
"""Bits of a line number inside a cell's key: arrays of up to a million lines."""


class Stream(IntEnum):
    """What a draw is for. Numbers are part of a seed's meaning: add at the end, never renumber."""

    GATE_THRESHOLD = 1
    COMPLIANCE_SLOPE = 2
    SET_VOLTAGE = 3
    RESET_VOLTAGE = 4
    RESET_SLOPE = 5
    CONDUCTANCE_MIN = 6
    FORM_VOLTAGE = 7
    VIRGIN = 8
    TELEGRAPH_PRESENT = 10
    TELEGRAPH_DEPTH = 11
    STUCK = 12
    STUCK_LEVEL = 13
    DRIFT = 14
    ENDURANCE = 15
    TELEGRAPH_DWELL = 16
    TELEGRAPH_PHASE = 17
    CYCLE_LEVEL = 20
    CYCLE_SET = 21
    CYCLE_RESET = 22
    CYCLE_FORM = 23
    RELAXATION = 24
    READ = 30
    TELEGRAPH_STATE = 31
    SMU = 32
    ROUNDING = 33
    BL_ROUTING = 40
    SL_ROUTING = 41
    TIA_OFFSET = 42
    BL_LEAKAGE = 43
    SL_LEAKAGE = 44
    MVM = 50


def _signed(value: int) -> int:
    """A 64-bit pattern as the int64 that torch understands."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix_int(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def _shift_right(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift: torch's own keeps the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: torch.Tensor) -> torch.Tensor:
    """The finaliser, in place: `value` must be nobody else's."""
    value ^= _shift_right(value, 30)
    value *= _signed(_MIX_1)
    value ^= _shift_right(value, 27)
    value *= _signed(_MIX_2)
    value ^= _shift_right(value, 31)
    return value


@lru_cache
def _salt(stream: Stream) -> int:
    """What tells the draws of one stream from those of the others."""
    return _mix_int(stream * _MIX_2)


def stream_seed(seed: int, stream: Stream) -> int:
    """64-bit seed of one stream, also good for a `torch.Generator` (which takes 63 bits of it)."""
    return _mix_int(_mix_int(seed + _GOLDEN) + stream * _GOLDEN)


def keys(seed: int, array: torch.Tensor, bl: torch.Tensor, sl: torch.Tensor) -> torch.Tensor:
    """One int64 key for each cell, the same in every geometry.

    Args:
        seed: of the whole backend.
        array: int64 numbers, as the other two of one shape.
        bl: int64 numbers of bit lines; 0 for what has none.
        sl: int64 numbers of source lines; 0 for what has none.
    """
    name = (((array << _LINE_BITS) | bl) << _LINE_BITS) | sl
    return _mix(name * _signed(_GOLDEN) + _signed(_mix_int(seed + _GOLDEN)))


def uniform(keys: torch.Tensor, stream: Stream, event: torch.Tensor | int = 0) -> torch.Tensor:
    """Draws from the open interval (0, 1), float64, of the shape of `keys`.

    Args:
        keys: int64, from the function of that name.
        stream: what the draw is for.
        event: int64, the number of the draw for that key in that stream.
    """
    single = isinstance(event, int) or event.numel() == 1
    if keys.numel() == 1 and single and keys.is_cpu:  # as instruments take cells: Python's whole numbers are quicker
        one = _mix_int(int(keys) + _salt(stream) + int(event) * _GOLDEN) >> 12
        return keys.new_full(keys.shape, (one + 0.5) * 2.0**-52, dtype=torch.float64)
    step = _signed(event * _GOLDEN) if isinstance(event, int) else event * _signed(_GOLDEN)
    bits = _shift_right(_mix(keys + _signed(_salt(stream)) + step), 12)
    # 52 bits and a half: neither 0 nor 1 can come out.
    return bits.to(torch.float64).add_(0.5).mul_(2.0**-52)


def normal(keys: torch.Tensor, stream: Stream, event: torch.Tensor | int = 0) -> torch.Tensor:
    """Standard normal draws, float64, of the shape of `keys`; arguments as `uniform`."""
    # The inverse of the normal law; torch's own function of that name takes twice as long.
    return uniform(keys, stream, event).mul_(2.0).sub_(1.0).erfinv_().mul_(math.sqrt(2.0))
