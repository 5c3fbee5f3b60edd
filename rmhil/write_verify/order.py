"""In which order cells are visited one by one."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Cells, Ints


def visiting_order(cells: Cells) -> Ints:
    """Positions of cells in the order that switches the fewest lines.

    Source line by source line, since a word line moves with each of them; the bit lines of one upwards, those of the
    next downwards. In a full array each step moves one bit line, or one source line, and nothing else.
    """
    if not len(cells):
        return np.arange(0, dtype=np.int64)
    _, column = np.unique(np.stack([cells.array, cells.sl]), axis=1, return_inverse=True)
    column = column.reshape(-1)
    along = np.where(column % 2 == 0, cells.bl, -cells.bl)
    return np.lexsort((along, column)).astype(np.int64)
