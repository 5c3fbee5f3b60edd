"""The resident state of all cells: 12 bytes each, in memory or in mapped files.

- conductance, float32, S: as it was left by the last write; negative while the cell is virgin, zero while nobody
  has looked at it (what it is then comes back from the seed, so that opening a chip touches no cell).
- time of the last write, float32, s after the base of its array. The base is moved up when it falls
  behind, so that an age is right to 30 us or 2.4e-7 of itself, whatever the clock says. Times are rounded
  down: an age is never too small. The base moves by whole multiples of 512 s: a time already rounded to a
  power of two loses nothing by that but one bit whenever its distance doubles, so that moves do not add up.
- counts, int32: writes in 20 bits and, in the 11 bits below, transactions since the last write. Together with the
  epoch they number the draws of a cell. When a cell has seen 2,048 transactions without a write, its lower count
  begins anew and the epoch of the whole chip moves on. No draw returns before it has moved 32,768 times: after
  67 million readings of one cell, or of cells that are always read together; of cells that are read each by itself,
  after as many in all. A cell that has been written 1,048,575 times counts no further writes: it wears no
  more, and every write relaxes as the last one did.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from loguru import logger

from rmhil.errors import ConfigError
from rmhil.units import Seconds
from sim_backend.rng import Stream, uniform

BYTES_A_CELL: Final = 12
"""Of resident state."""

_QUIET_BITS: Final = 11
_WRITE_BITS: Final = 20
_STEP_BITS: Final = 17
_EPOCH_BITS: Final = 15
"""Of an event number: transactions since the last write, writes, steps within a transaction, epoch; 63 in all."""

_QUIET_MAX: Final = (1 << _QUIET_BITS) - 1
_WRITES_MAX: Final = (1 << _WRITE_BITS) - 1

STEPS_MAX: Final = 1 << _STEP_BITS
"""Steps of one transaction whose draws can be told apart."""

STEP_EVENT: Final = 1 << (_QUIET_BITS + _WRITE_BITS)
"""What one step within a transaction adds to its event number."""

_EPOCH_EVENT: Final = STEP_EVENT << _STEP_BITS

_BASE_STEP: Final[Seconds] = 512.0
"""s that the base of an array may fall behind, and by whole multiples of which it is moved: float32 resolves 30 us
there, a few percent of the shortest age at which a drift is looked at. Being a power of two, it is a multiple of what
float32 resolves of any age up to 270 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of some cells at the beginning of a transaction, tensors of one shape.

    Attributes:
        conductance: S, float64, as `CellStore` keeps it.
        written: s on the clock, float64.
        writes: int64.
        event: int64, number of this transaction for the cells' random draws.
    """

    conductance: torch.Tensor
    written: torch.Tensor
    writes: torch.Tensor
    event: torch.Tensor


class CellStore:
    """Conductance, time of the last write, and counts of every cell of a chip.

    Args:
        n_arrays: arrays.
        cells: of one array.
        device: where the state lies.
        folder: where to map it to files; None keeps it in memory. The files are scratch: they have no
            name, and are gone when the process ends, however it ends.

    Raises:
        ConfigError: the folder does not exist, or cannot hold so many cells.
    """

    def __init__(self, n_arrays: int, cells: int, device: torch.device, folder: Path | None = None) -> None:
        self._cells = cells
        if folder is not None:
            _check_folder(folder, n_arrays * cells)
        kinds = {"conductance": torch.float32, "written": torch.float32, "counts": torch.int32}
        self.conductance, self.written, self.counts = (
            _zeros(name, n_arrays * cells, kind, device, folder) for name, kind in kinds.items()
        )
        self.base = torch.zeros(n_arrays, dtype=torch.float64, device=device)
        """s on the clock, from which the times of each array are counted."""
        self.epoch = 0
        """1: how often a cell's lower count has begun anew."""
        self._warned = False

    def look(self, flat: torch.Tensor) -> Snapshot:
        """The state of the cells at these positions (int64)."""
        counts = self.counts.index_select(0, flat).to(torch.int64)
        return Snapshot(
            conductance=self.conductance.index_select(0, flat).to(torch.float64),
            written=self.written.index_select(0, flat).to(torch.float64).add_(self._bases(flat)),
            writes=counts >> _QUIET_BITS,
            event=counts + (self.epoch % (1 << _EPOCH_BITS)) * _EPOCH_EVENT,
        )

    def _bases(self, flat: torch.Tensor) -> torch.Tensor:
        """Bases of the arrays that cells belong to; of none but one where there is no other."""
        return self.base[flat // self._cells] if self.base.numel() > 1 else self.base[0]

    def put(
        self,
        flat: torch.Tensor,
        before: Snapshot,
        keys: torch.Tensor,
        conductance: torch.Tensor,
        rewritten: torch.Tensor,
        written: torch.Tensor,
    ) -> None:
        """End a transaction of some cells.

        Args:
            flat: their positions, int64.
            before: what `look` gave at its beginning.
            keys: of their random numbers.
            conductance: S, float64, as it is now.
            rewritten: bool, which of them the transaction has written.
            written: s on the clock, float64: when; of the others the time of their last write.
        """
        nearest = conductance.to(torch.float32)
        left = (conductance - nearest.to(torch.float64)).masked_fill_(rewritten, 0.0)
        if bool(left.any()):
            nearest = _dithered(nearest, left, keys, before.event)
        self.conductance.scatter_(0, flat, nearest)
        if bool(rewritten.any()):
            self._advance(flat, float(written.max()))
            since = written - self._bases(flat)
            kept = self.written.index_select(0, flat)
            self.written.scatter_(0, flat, torch.where(rewritten, _rounded_down(since), kept))
        self.counts.scatter_(0, flat, self._counted(before, rewritten).to(torch.int32))

    def _counted(self, before: Snapshot, rewritten: torch.Tensor) -> torch.Tensor:
        """Counts after a transaction; moves the epoch on where one begins anew."""
        counts = before.event & (STEP_EVENT - 1)
        quiet = (counts & _QUIET_MAX) + 1
        full = before.writes == _WRITES_MAX
        again = (quiet > _QUIET_MAX) & ~(rewritten & ~full)
        if bool(again.any()):
            self.epoch += 1
        if not self._warned and bool((full & rewritten).any()):
            self._warned = True
            logger.warning("a cell has been written {:,} times; its wear is counted no further", _WRITES_MAX)
        unwritten = (counts & ~_QUIET_MAX) | (quiet & _QUIET_MAX)
        return torch.where(rewritten & ~full, (before.writes + 1) << _QUIET_BITS, unwritten)

    def _advance(self, flat: torch.Tensor, clock: Seconds) -> None:
        """Move up the bases that have fallen behind, of the arrays that these cells belong to."""
        behind = clock - self.base > _BASE_STEP
        if not bool(behind.any()):
            return
        arrays: torch.Tensor = torch.unique(flat // self._cells)
        for array in arrays[behind[arrays]].tolist():
            of_array = slice(array * self._cells, (array + 1) * self._cells)
            step = _BASE_STEP * ((clock - self.base[array]) / _BASE_STEP).floor()
            self.written[of_array] = _rounded_down(self.written[of_array].to(torch.float64) - step)
            self.base[array] += step

    def youngest(self, arrays: torch.Tensor) -> Seconds:
        """When (s on the clock) a cell of these arrays (int64) was last written; minus infinity if none was."""
        shape = (self.base.numel(), self._cells)
        times = self.written.view(shape)[arrays].to(torch.float64) + self.base[arrays][:, None]
        formed = self.conductance.view(shape)[arrays] > 0
        return float(torch.where(formed, times, -torch.inf).max())

    def stretch_ages(self, clock: Seconds, factor: float) -> None:
        """Multiply every age by a factor, array by array: what cells have drifted at another temperature."""
        for array in range(self.base.numel()):
            of_array = slice(array * self._cells, (array + 1) * self._cells)
            since = self.written[of_array].to(torch.float64) + (self.base[array] - clock)
            self.written[of_array] = _rounded_down(since * factor)
            self.base[array] = clock


def _check_folder(folder: Path, count: int) -> None:
    if not folder.is_dir():
        raise ConfigError(f"storage: {folder} is not a folder")
    free, needed = shutil.disk_usage(folder).free, count * BYTES_A_CELL
    if needed > free:
        raise ConfigError(f"storage: {folder} has {free:,} bytes free, {count:,} cells need {needed:,}")


def _zeros(name: str, count: int, dtype: torch.dtype, device: torch.device, folder: Path | None) -> torch.Tensor:
    """A tensor of zeros; on the CPU its pages come into being when they are first written."""
    if folder is None and device.type != "cpu":
        return torch.zeros(count, dtype=dtype, device=device)
    kind = np.float32 if dtype == torch.float32 else np.int32
    if folder is None:
        return torch.from_numpy(np.zeros(count, dtype=kind))
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=name) as file:
            return torch.from_numpy(np.memmap(file, dtype=kind, mode="w+", shape=(count,)))
    except OSError as error:
        raise ConfigError(f"storage: cannot map a file in {folder}: {error.strerror}") from error


def _dithered(nearest: torch.Tensor, left: torch.Tensor, keys: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    """float32 values that some float64 ones were rounded to, moved on at random so that the mean is right.

    A read moves a cell by far less than float32 resolves. Rounded to the nearest value, a million of them would
    move it by nothing.

    Args:
        nearest: float32.
        left: float64, what each lacks to its exact value.
        keys: int64, of the cells' random numbers.
        event: int64, number of the draw.
    """
    other = torch.nextafter(nearest, torch.where(left > 0, torch.inf, -torch.inf).to(torch.float32))
    share = left / (other.to(torch.float64) - nearest.to(torch.float64))
    return torch.where(uniform(keys, Stream.ROUNDING, event) < share, other, nearest)


def _rounded_down(exact: torch.Tensor) -> torch.Tensor:
    """float64 values as float32, none of them larger."""
    nearest = exact.to(torch.float32)
    below = torch.nextafter(nearest, torch.full_like(nearest, -torch.inf))
    return torch.where(nearest.to(torch.float64) > exact, below, nearest)
