"""Effective matrices, held and brought up to date when cells move or have drifted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from typing import Protocol

import numpy as np
import torch

from rmhil.backend import Ints
from rmhil.units import Seconds, Siemens
from sim_backend.line_factors import LineFactors

_MATRIX_TOLERANCE: Siemens = 1e-12
"""S: an effective matrix is solved anew once a cell of its array may have moved further than this.
A verify read at 0.2 V moves a cell by some 1e-17 S, so reading leaves the matrices in place."""

_FEW_CHANGES = 8
"""Cells of one array from which on it is solved anew. An update takes some 1/20 of that at 128 x 64."""

_FACTOR_BYTES = 1 << 28
"""Bytes of networks held at once: 16 banks of 128 x 64 cells. Chips of many arrays do without: they are
rewritten as a whole."""

_FACTOR_BYTES_A_CELL = 2000
"""Bytes of a network per cell, at least (measured at 40 x 9 to 256 x 256: 1,700 to 2,200)."""

_FACTOR_ERROR = 1e-11
"""1: bound of an updated matrix's relative error from which on it is solved anew."""

_MATRICES_HELD = 256
"""Sets of arrays and SLs whose matrices are held at once; the oldest gives way."""

_CELLS_HELD = 1 << 25
"""Cells whose matrices are held at once, in all sets together: 268 MB in float32. Of a larger chip every cell may be
held once, or an MVM of all its arrays would solve them anew every time."""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Matrices:
    """What an MVM needs of some arrays with some SLs on; the first axis counts the arrays.

    Whoever keeps them from one MVM to the next does so by a weak reference, so that giving them up frees their memory.

    Attributes:
        arrays: their numbers.
        effective: S, (arrays, n_bl, k): current into each SL per volt on each BL.
        variance: S^2, same shape, and
        shielding: 1, (arrays, k): of the noise of the cells, see `sim_backend.cell_noise`.
        offset: A, (arrays, k): what the TIAs' input offsets add to one conversion.
        held_until: s on the clock: later, cells may have drifted too far.
    """

    arrays: Ints
    effective: torch.Tensor
    variance: torch.Tensor
    shielding: torch.Tensor
    offset: torch.Tensor
    held_until: Seconds


_TENSORS = ("effective", "variance", "shielding", "offset")
"""Those of `Matrices`."""


class MatrixSource(Protocol):
    """What the matrices are made of; the first axis of every tensor counts the arrays."""

    @property
    def transparent(self) -> bool:
        """Whether no line has any resistance, so that there is no network to hold."""

    @property
    def cells_at_once(self) -> int:
        """Cells that are solved and completed in one go, so that what they need meanwhile stays small."""

    def cells_on(self, arrays: Ints, sl: Ints) -> torch.Tensor:
        """S by now of the cells of some SLs, (arrays, n_bl, k), float64."""

    def conducting_at(self, flat: torch.Tensor) -> torch.Tensor:
        """S by now of the cells at some positions (int64), float64."""

    def solve(self, cells: torch.Tensor, arrays: Ints, sl: Ints) -> torch.Tensor:
        """S: effective matrices of these cells, same shape."""

    def factors(self, cells: torch.Tensor, array: int, sl: Ints) -> LineFactors:
        """The network of one array with these cells, (1, n_bl, k), ready for changes."""

    def complete(self, arrays: Ints, sl: Ints, cells: torch.Tensor, effective: torch.Tensor) -> Matrices:
        """All that an MVM needs beside the effective matrices of these cells; of the type that it is held in."""


@dataclass(slots=True)
class _Held:
    """Matrices with what is known of their state.

    Attributes:
        matrices: as last brought up to date.
        factors: the networks of its arrays; None where too much memory would be needed.
        changed: cells that have changed since, by the place of their array among `matrices.arrays`; None where
            there are too many to tell apart.
    """

    matrices: Matrices
    factors: list[LineFactors] | None
    changed: dict[int, set[int] | None]

    @property
    def bytes_of_factors(self) -> int:
        """Bytes that the networks take."""
        return sum(one.bytes_held for one in self.factors or [])


class MatrixCache:
    """Matrices by arrays and SLs: solved when asked for, brought up to date when cells move or drift.

    Where few cells of an array have changed, its matrix is updated; where many have, that array alone is solved
    anew. Several threads may use one cache.

    Args:
        source: of the cells and their lines.
        n_arrays: arrays in all.
        n_sl: SLs of one array.
        cells: of one array.
    """

    def __init__(self, source: MatrixSource, n_arrays: int, n_sl: int, cells: int) -> None:
        self._source = source
        self._n_sl = n_sl
        self._cells = cells
        self._cells_held = max(_CELLS_HELD, n_arrays * cells)
        self._moved = np.zeros(n_arrays)
        self._held: dict[tuple[bytes, bytes], _Held] = {}
        self._lock = RLock()

    def get(self, arrays: Ints, sl: Ints, clock: Seconds) -> Matrices:
        """The matrices of some arrays while the WLs of `sl` are on, by now (s on the clock)."""
        key = (arrays.tobytes(), sl.tobytes())
        with self._lock:
            held = self._held.get(key)
            if held is None or clock > held.matrices.held_until:
                held = None  # or the old ones would take memory while the new ones are made
                self._held.pop(key, None)
                self._make_room_for_cells(arrays.size * sl.size * self._n_bl)
                held = self._held[key] = self._solve(arrays, sl)
            elif held.changed:
                self._refresh(held, sl)
            return held.matrices

    def networks(self, arrays: Ints, sl: Ints, clock: Seconds) -> Iterator[LineFactors]:
        """The networks behind the matrices of some arrays, one after the other; made anew where they are not held."""
        with self._lock:
            self.get(arrays, sl, clock)
            factors = self._held[arrays.tobytes(), sl.tobytes()].factors
        if factors is not None:
            yield from factors
            return
        for array in arrays.tolist():
            with self._lock:
                network = self._new_factors(array, sl)
            yield network

    def forget(self) -> None:
        """Give up all that is held: matrices asked for from now on are those of the cells by then."""
        with self._lock:
            self._held.clear()
            self._moved[:] = 0.0

    @property
    def _n_bl(self) -> int:
        return self._cells // self._n_sl

    def _make_room_for_cells(self, wanted: int) -> None:
        """Give up the oldest matrices until those of so many cells more may be held."""
        held = sum(one.matrices.effective.numel() for one in self._held.values())
        while self._held and (len(self._held) >= _MATRICES_HELD or held + wanted > self._cells_held):
            held -= self._held.pop(next(iter(self._held))).matrices.effective.numel()

    def _solve(self, arrays: Ints, sl: Ints) -> _Held:
        cells = arrays.size * self._n_bl * sl.size
        if self._source.transparent or cells * _FACTOR_BYTES_A_CELL > _FACTOR_BYTES:
            return _Held(self._solve_all(arrays, sl), None, {})
        factors = [self._new_factors(array, sl) for array in arrays.tolist()]
        held = _Held(self._complete(arrays, sl, factors), factors, {})
        self._make_room(held.bytes_of_factors)
        return held

    def _solve_all(self, arrays: Ints, sl: Ints) -> Matrices:
        """Matrices of some arrays without any networks."""
        whole: Matrices | None = None
        for places in self._blocks(np.arange(arrays.size), sl):
            part = self._solve_at_once(arrays[places], sl)
            whole = _with_part(whole or _room_for(arrays, part), places, part)
        assert whole is not None, "an MVM has at least one array"
        return whole

    def _blocks(self, places: Ints, sl: Ints) -> list[Ints]:
        """Places of arrays in groups that are solved in one go."""
        step = max(1, self._source.cells_at_once // (self._n_bl * sl.size))
        return [places[first : first + step] for first in range(0, places.size, step)]

    def _solve_at_once(self, arrays: Ints, sl: Ints) -> Matrices:
        cells = self._source.cells_on(arrays, sl)
        return self._source.complete(arrays, sl, cells, self._source.solve(cells, arrays, sl))

    def _new_factors(self, array: int, sl: Ints) -> LineFactors:
        return self._source.factors(self._source.cells_on(np.array([array]), sl), array, sl)

    def _complete(self, arrays: Ints, sl: Ints, factors: list[LineFactors]) -> Matrices:
        cells = torch.cat([one.conductance for one in factors])
        return self._source.complete(arrays, sl, cells, torch.cat([one.effective for one in factors]))

    def _make_room(self, wanted: int) -> None:
        """Give up the networks of the oldest matrices until so many bytes more may be held."""
        for held in self._held.values():
            if wanted + sum(one.bytes_of_factors for one in self._held.values()) <= _FACTOR_BYTES:
                return
            held.factors = None

    def _refresh(self, held: _Held, sl: Ints) -> None:
        """Bring the arrays whose cells have changed up to date.

        They count as changed until that is done, so an update that is interrupted is done again.
        """
        places = np.array(sorted(held.changed))
        if held.factors is None:
            for some in self._blocks(places, sl):
                part = self._solve_at_once(held.matrices.arrays[some], sl)
                held.matrices = _with_part(held.matrices, some, part)
        else:
            arrays = held.matrices.arrays[places]
            for place, array in zip(places.tolist(), arrays.tolist(), strict=True):
                changed, held.changed[place] = held.changed[place], None  # a half-changed network is never used again
                held.factors[place] = self._up_to_date(held.factors[place], changed, array, sl)
            part = self._complete(arrays, sl, [held.factors[place] for place in places])
            held.matrices = _with_part(held.matrices, places, part)
        held.changed.clear()

    def _up_to_date(self, network: LineFactors, changed: set[int] | None, array: int, sl: Ints) -> LineFactors:
        """A network with its cells as they are by now: updated cell by cell, or made anew."""
        if changed is None or network.error > _FACTOR_ERROR:
            return self._new_factors(array, sl)
        flat = torch.tensor(sorted(changed))
        present = self._source.conducting_at(flat + array * self._cells).tolist()
        for cell, conductance in zip(flat.tolist(), present, strict=True):
            row, line = divmod(cell, self._n_sl)
            column = int(np.searchsorted(sl, line))
            if column < sl.size and sl[column] == line:
                network.change(0, row, column, conductance)
        return network

    @contextmanager
    def moving(self, flat: torch.Tensor, moves: torch.Tensor) -> Iterator[None]:
        """`note_moves`, and keep all matrices as they are until the cells have been stored.

        Noted first, an interrupted transaction costs an update at most. No other thread can make that update, from
        the cells as they were, before they are stored.
        """
        with self._lock:
            self.note_moves(flat, moves)
            yield

    def note_moves(self, flat: torch.Tensor, moves: torch.Tensor) -> None:
        """Take down which cells have moved, for the matrices that hold them.

        Args:
            flat: int64 positions of cells among all cells.
            moves: S, how far each has moved.
        """
        with self._lock:
            if self._held:
                self._note_moves(flat, moves)

    def _note_moves(self, flat: torch.Tensor, moves: torch.Tensor) -> None:
        flat, moves = flat.cpu(), moves.cpu()
        far = moves > _MATRIX_TOLERANCE
        self._note_changes(flat[far].numpy())
        if bool(far.all()):
            return
        largest = torch.zeros(self._moved.size, dtype=torch.float64)
        largest.scatter_reduce_(0, flat[~far] // self._cells, moves[~far], reduce="amax")
        self._moved += largest.numpy()
        stale = np.flatnonzero(self._moved > _MATRIX_TOLERANCE)
        self._moved[stale] = 0.0
        self._mark(dict.fromkeys(stale.tolist()))

    def _note_changes(self, flat: Ints) -> None:
        flat = np.sort(flat)
        arrays, first = np.unique(flat // self._cells, return_index=True)
        of_arrays = np.split(flat % self._cells, first[1:])
        changes = zip(arrays.tolist(), of_arrays, strict=False)  # without any cell there is still one empty piece
        self._mark({array: set(own.tolist()) if own.size <= _FEW_CHANGES else None for array, own in changes})

    def _mark(self, changes: dict[int, set[int] | None]) -> None:
        """Note changed cells by array, None for any of them, wherever the arrays are held."""
        for held in self._held.values():
            for place in np.flatnonzero(np.isin(held.matrices.arrays, list(changes))).tolist():
                new, known = changes[int(held.matrices.arrays[place])], held.changed.get(place, set())
                together = None if new is None or known is None else known | new
                too_many = together is None or len(together) > _FEW_CHANGES
                held.changed[place] = None if too_many else together


def _room_for(arrays: Ints, part: Matrices) -> Matrices:
    """Matrices of some arrays that are still to be filled in, of the type of some part of them."""
    shapes = {name: (arrays.size, *getattr(part, name).shape[1:]) for name in _TENSORS}
    tensors = {name: getattr(part, name).new_empty(shape) for name, shape in shapes.items()}
    return Matrices(arrays=arrays, held_until=math.inf, **tensors)


def _with_part(whole: Matrices, places: Ints, part: Matrices) -> Matrices:
    """Matrices with those of some arrays replaced; what was handed out before is written over."""
    index = torch.from_numpy(places).to(whole.effective.device)
    for name in _TENSORS:
        getattr(whole, name).index_copy_(0, index, getattr(part, name))
    return replace(whole, held_until=min(whole.held_until, part.held_until))
