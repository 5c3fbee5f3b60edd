"""Which line of the board a line of the chip is bonded to."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Ints
from rmhil.bench.board_map import VECTOR_LINES


def board_lines(lines: Ints, channels: int) -> Ints:
    """Lines of the board for lines of the chip.

    The board has banks of 64 lines. A chip that uses fewer channels of a bank is bonded to the first ones of each: its
    banks are the board's. With 64 channels every line has its own number.

    Args:
        lines: of the chip.
        channels: of a bank that the chip uses, `wiring.bl_channels` or `wiring.sl_channels`.
    """
    bank, place = np.divmod(lines, channels)
    return np.asarray(bank * VECTOR_LINES + place, dtype=np.int64)
