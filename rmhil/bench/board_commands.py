"""Commands for the board's ring, from lines and times."""

from __future__ import annotations

from typing import Final

import numpy as np

from rmhil.backend import Ints, Operation, Pass
from rmhil.bench.board_map import ARGUMENTS, VECTOR_LINES, Opcode
from rmhil.bench.messages import Command

_HALF: Final = 32
"""1: lines of a mask's word."""


def command(opcode: Opcode, **arguments: int) -> Command:
    """A command from named arguments of the register map; the others are zero.

    Raises:
        ValueError: a value does not fit its field.
    """
    words = [0] * max([ARGUMENTS[f"{opcode.name}.{name}"].word for name in arguments], default=0)
    for name, value in arguments.items():
        field = ARGUMENTS[f"{opcode.name}.{name}"]
        if not 0 <= value < 1 << field.bits:
            raise ValueError(f"{opcode.name}.{name} = {value} does not fit {field.bits} bits")
        words[field.word - 1] |= value << field.low
    return Command(opcode, tuple(words))


def route_mvm(one: Pass) -> Command:
    """Join the lines of a pass to the converters, with their word lines at the rail."""
    bl_low, bl_high = _mask(one.bl)
    sl_low, sl_high = _mask(one.sl)
    return command(
        Opcode.ROUTE_MVM,
        BL_BANK=int(one.bl[0]) // VECTOR_LINES,
        SL_BANK=int(one.sl[0]) // VECTOR_LINES,
        BL_MASK_LOW=bl_low,
        BL_MASK_HIGH=bl_high,
        SL_MASK_LOW=sl_low,
        SL_MASK_HIGH=sl_high,
    )


def _mask(lines: Ints) -> tuple[int, int]:
    """Bits of the lines within their bank, low word first."""
    mask = int(np.bitwise_or.reduce(np.left_shift(np.uint64(1), (lines % VECTOR_LINES).astype(np.uint64))))
    return mask & (1 << _HALF) - 1, mask >> _HALF


def route_cell(bl: int, sl: int, operation: Operation | None) -> Command:
    """Join one cell to the analyser, and other lines to its inhibit line where the operation asks for it.

    Other BLs are disconnected in a verify read (None), where they would shunt the SL. In a pulse they are held at the
    level that leaves no voltage across half-selected cells: with FORM and SET that of the SL, and so are other SLs;
    with RESET that of the pulse, and other SLs float with the BLs.
    """
    bl_others = operation is not None
    sl_others = operation in (Operation.FORM, Operation.SET)
    return command(Opcode.ROUTE_CELL, BL=bl, SL=sl, BL_OTHERS=int(bl_others), SL_OTHERS=int(sl_others))
