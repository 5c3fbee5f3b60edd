"""What is known of a backend's cells, common to every crossbar that looks at them."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from rmhil.backend import Backend, Cells, Floats, Ints


class CellMemory:
    """Last readings and write counts of all cells of one backend.

    Attributes:
        conductance: S, shape `spec.shape`: the last reading of each cell; NaN where there is no valid one.
        line_writes: int64, shape `(n_arrays, n_sl)`: how many calls have pulsed cells of each source line. Every
            cell of a sensed SL has its share in the current, so that one count a line is enough.
        writes: how many calls have pulsed any cell; while it stands still, so do all line counts.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        n_arrays, _, n_sl = shape
        self.conductance: Floats = np.full(shape, np.nan)
        self.line_writes: Ints = np.zeros((n_arrays, n_sl), dtype=np.int64)
        self.writes = 0

    def count_writes(self, cells: Cells) -> None:
        """Take note that these cells were pulsed, or may have been."""
        if len(cells):
            array, _, sl = cells.index
            self.line_writes[array, sl] += 1  # once a line, however many of its cells are named
            self.writes += 1


_memories: WeakKeyDictionary[Backend, CellMemory] = WeakKeyDictionary()
"""One memory a backend for as long as the backend lives; a chip opened again starts with a new one."""


def memory_of(backend: Backend) -> CellMemory:
    """The memory that all crossbars of this backend object share."""
    if backend not in _memories:
        _memories[backend] = CellMemory(backend.spec.shape)
    return _memories[backend]
