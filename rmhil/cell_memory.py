"""What is known of a backend's cells, common to every crossbar that looks at them."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from rmhil.backend import Backend, Cells, Floats, Ints
from rmhil.region import Region

_LINES_HELD = 256
"""Regions whose line conductances are held at once: 1 kB for each array of 128 BLs."""


class LastReadings:
    """A map that is NaN wherever nothing was noted; it takes memory only where something was.

    It is read and written by index, as a numpy array is. NaN may be written too.

    Args:
        shape: of the map.

    Attributes:
        notes: how often something was written.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._values: Floats = np.zeros(shape)  # zeros come into being when they are first written
        self._known = np.zeros(shape, dtype=np.bool_)
        self.notes = 0

    def __getitem__(self, index: tuple[Ints, ...]) -> Floats:
        return np.where(self._known[index], self._values[index], np.nan)

    def __setitem__(self, index: tuple[Ints, ...], values: ArrayLike) -> None:
        self._values[index] = values
        self._known[index] = ~np.isnan(values)
        self.notes += 1


class CellMemory:
    """Last readings and write counts of all cells of one backend.

    Attributes:
        conductance: S, shape `spec.shape`: the last reading of each cell; NaN where there is no valid one.
        written_at: s on the backend's clock, same shape: when each cell was last written; NaN where it was not.
        line_writes: int64, shape `(n_arrays, n_sl)`: how many calls have pulsed cells of each source line. Every
            cell of a sensed SL has its share in the current, so that one count a line is enough.
        writes: how many calls have pulsed any cell; while it stands still, so do all line counts.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        n_arrays, _, n_sl = shape
        self.conductance = LastReadings(shape)
        self.written_at = LastReadings(shape)
        self.line_writes: Ints = np.zeros((n_arrays, n_sl), dtype=np.int64)
        self.writes = 0
        self._lines: dict[tuple[bytes, ...], Floats] = {}
        self._lines_of = 0

    def line_conductance(self, part: Region) -> Floats:
        """S from each BL of a region to all its SLs together, (arrays, BLs); cells without a reading count as 0.

        It is held until something is noted, as MVMs ask for it every time.
        """
        if self._lines_of != self.conductance.notes or len(self._lines) == _LINES_HELD:
            self._lines.clear()
            self._lines_of = self.conductance.notes
        key = (part.arrays.tobytes(), part.bl.tobytes(), part.sl.tobytes())
        if key not in self._lines:
            self._lines[key] = np.nansum(self.conductance[part.grid], axis=2)
        return self._lines[key]

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
