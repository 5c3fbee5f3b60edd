"""One weight matrix on arrays: its tiles, what drives them, and how their currents become outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from rmhil.backend import Floats, Ints
from rmhil.crossbar import Crossbar
from rmhil.errors import OutOfRangeError, ShapeError
from rmhil.mapping import Block, Mapping, Window
from rmhil.nn.correction import fit_gains
from rmhil.placement import Site
from rmhil.units import Siemens, Volts

MapSource: TypeAlias = Literal["verify reads", "columns"]
"""Where the measured matrix comes from: verify reads through the nominal model of the lines, or MVMs of one BL each."""

OFFSET_VECTORS: Final = 256
"""1: MVMs with all inputs at 0 V whose mean is the offset; 0.85 LSB of noise a conversion becomes 0.05 LSB."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a layer's weights, and where it lies.

    Attributes:
        group: which of the layer's matrices (the groups of a convolution; 0 for a linear layer).
        block: rows and columns of that matrix.
        site: the cells.
        weight_max: largest magnitude that the cells can stand for.
        scale: S for a weight of 1.
    """

    group: int
    block: Block
    site: Site
    weight_max: float
    scale: Siemens


class Drive(NamedTuple):
    """What an MVM of the whole matrix gave.

    Attributes:
        outputs: shape `(groups, batch, n_out)`.
        over_range: bool, same shape: a current in this sum reached the end of its range. None: no current did.
    """

    outputs: torch.Tensor
    over_range: torch.Tensor | None


class MatrixOnArrays:
    """The matrices of one layer on arrays; each group of a convolution is one matrix of the same size.

    A handle: copies of a layer share it, and a pickled layer loses it.

    Args:
        crossbars: what `Site.crossbar` counts.
        tiles: every weight exactly once.
        mapping: how weights became conductances.
        shape: `(groups, n_out, n_in)`.
    """

    def __init__(
        self, crossbars: Sequence[Crossbar], tiles: Sequence[Tile], mapping: Mapping, shape: tuple[int, ...]
    ) -> None:
        self.crossbars, self.mapping, self.shape = list(crossbars), mapping, shape
        self.tiles = list(tiles)
        self.generation = 0
        """Counts the times that the cells were written; a layer remembers the one that holds its weights."""
        self._strips: list[_Strip] = []

    def __deepcopy__(self, memo: dict[int, object]) -> MatrixOnArrays:
        return self

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return (_nowhere, ())

    @property
    def device(self) -> torch.device:
        """Of the data plane."""
        return self.crossbars[self.tiles[0].site.crossbar].backend.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the data plane."""
        return self.crossbars[self.tiles[0].site.crossbar].backend.dtype

    def rescale(self, weight: Floats) -> None:
        """Give room to tiles whose weights have grown; the others keep their scale, and so their cells in tolerance.

        Args:
            weight: shape `shape`.
        """
        for number, tile in enumerate(self.tiles):
            largest = _largest(weight[tile.group, tile.block.outputs, tile.block.inputs])
            if largest > tile.weight_max:
                scale = self.mapping.scale(largest, self._window(tile))
                self.tiles[number] = replace(tile, weight_max=largest, scale=scale)

    def scale_for(self, weight_max: Sequence[float], weight: Floats) -> None:
        """Give each tile the scale that it was programmed with.

        Args:
            weight_max: largest magnitude that each tile's cells can stand for.
            weight: what they do stand for, shape `shape`.

        Raises:
            ShapeError: not one number a tile; nothing was changed.
            OutOfRangeError: a number is not finite, or less than a weight of its tile; nothing was changed.
        """
        if len(weight_max) != len(self.tiles):
            raise ShapeError("weight_max", (len(weight_max),), f"({len(self.tiles)},), one number a tile")
        for tile, largest in zip(self.tiles, weight_max, strict=True):
            least = _largest(weight[tile.group, tile.block.outputs, tile.block.inputs])
            if not least <= largest < np.inf:  # written this way, NaN fails too
                raise OutOfRangeError("weight_max", largest, least, np.inf, "")
        for number, (tile, largest) in enumerate(zip(self.tiles, weight_max, strict=True)):
            scale = self.mapping.scale(largest, self._window(tile))
            self.tiles[number] = replace(tile, weight_max=largest, scale=scale)

    def write_target(self, weight: Floats, faulty: Sequence[Floats], targets: Sequence[Floats]) -> None:
        """Put the conductances that stand for the weights into one map a crossbar.

        Args:
            weight: shape `shape`.
            faulty: S held by cells that cannot be programmed, NaN for the others, each `(n_arrays, n_bl, n_sl)`.
            targets: S, shapes of `faulty`; changed in place.
        """
        for tile in self.tiles:
            part, window = weight[tile.group, tile.block.outputs, tile.block.inputs], self._window(tile)
            where = (tile.site.array, tile.site.bl, tile.site.sl)
            cells = self.mapping.conductance(part, tile.scale, window)
            held = faulty[tile.site.crossbar][where]
            targets[tile.site.crossbar][where] = self.mapping.compensate(cells, held, window)

    def calibrate(self, weight: Floats, source: MapSource, averages: int, correct_lines: bool) -> Floats:
        """Measure what the arrays multiply by and choose the digital factors around it.

        Args:
            weight: the wanted weights, shape `shape`.
            source: where the measured matrix comes from.
            averages: measurements of it, if it is read column by column; verify reads have their own.
            correct_lines: take back, by a factor for each input and a gain for each current, what lines cost.

        Returns:
            The weights that the layer really has, shape `shape`.
        """
        self._strips = [_Strip(self.crossbars[tiles[0].site.crossbar], tiles) for tiles in _together(self.tiles)]
        effective = np.zeros(self.shape)
        for strip in self._strips:
            wanted = [weight[tile.group, tile.block.outputs, tile.block.inputs] for tile in strip.tiles]
            measured = [strip.measured(tile, source, averages) for tile in strip.tiles]
            for tile, part in zip(
                strip.tiles, strip.calibrate(wanted, self.mapping, measured, correct_lines), strict=True
            ):
                effective[tile.group, tile.block.outputs, tile.block.inputs] = part
        return effective

    @property
    def is_as_calibrated(self) -> bool:
        """Whether no one has pulsed a cell of the sensed source lines since `calibrate`."""
        return all(strip.is_as_calibrated for strip in self._strips)

    def drive(self, levels: torch.Tensor) -> Drive:
        """Multiply.

        Args:
            levels: inputs as fractions of full scale, within +-1, shape `(groups, batch, n_in)`, on `device`, of
                `dtype`.

        Returns:
            Outputs for these levels as inputs, and which of them are not to be trusted.

        Raises: as `Backend.mvm`.
        """
        if len(self._strips) == 1 and self._strips[0].is_all_of(self.shape):
            outputs, flags = self._strips[0].drive(levels)
            return Drive(outputs, flags)
        total = levels.new_zeros(self.shape[0], levels.shape[1], self.shape[1])
        over = None
        for strip in self._strips:
            outputs, flags = strip.drive(levels)
            for tile, part in zip(strip.tiles, outputs, strict=True):
                total[tile.group, :, tile.block.outputs] += part.to(total)
            if flags is not None:
                over = torch.zeros_like(total, dtype=torch.bool) if over is None else over
                for tile, flag in zip(strip.tiles, flags, strict=True):
                    over[tile.group, :, tile.block.outputs] |= flag.to(over.device)
        return Drive(total, over)

    def _window(self, tile: Tile) -> Window:
        return self.mapping.window(self.crossbars[tile.site.crossbar].spec)


class _Strip:
    """Tiles on the same lines of different arrays of one crossbar: one MVM call drives them all."""

    def __init__(self, crossbar: Crossbar, tiles: Sequence[Tile]) -> None:
        self.crossbar, self.tiles = crossbar, sorted(tiles, key=lambda tile: tile.site.array)
        self._bl, self._sl = self.tiles[0].site.bl_lines, self.tiles[0].site.sl_lines
        self._arrays = np.array([tile.site.array for tile in self.tiles], dtype=np.int64)
        self._writes, self._line_writes = crossbar.writes, self._counted()
        self._volts = _full_scale(crossbar)
        self._factors = torch.empty(0)  # V per level, (arrays, 1, n_bl)
        self._gains = torch.empty(0)  # 1/A, (arrays, n_sl, n_out)
        self._zero = torch.empty(0)  # outputs without the offset's share, (arrays, 1, n_out)

    @property
    def is_as_calibrated(self) -> bool:
        """Whether no one has pulsed a cell of these source lines since this strip was made."""
        writes = self.crossbar.writes
        if writes != self._writes:  # someone wrote somewhere: look where, and only once
            if not np.array_equal(self._counted(), self._line_writes):
                return False
            self._writes = writes
        return True

    def _counted(self) -> Ints:
        return self.crossbar.line_writes(self._sl, self._arrays)

    def is_all_of(self, shape: tuple[int, ...]) -> bool:
        """Whether the one tile of this strip is the whole layer."""
        block = self.tiles[0].block
        return len(self.tiles) == 1 and shape == (1, block.outputs.stop, block.inputs.stop)

    def calibrate(
        self, wanted: Sequence[Floats], mapping: Mapping, measured: Sequence[Floats], correct_lines: bool
    ) -> list[Floats]:
        """Set factors, gains and offsets; return the effective weights of each tile."""
        factors, gains, effective = [], [], []
        for tile, weight, matrix in zip(self.tiles, wanted, measured, strict=True):
            readout = mapping.readout(len(weight)) / tile.scale
            r, gain = fit_gains(matrix, weight, readout) if correct_lines else (np.ones(len(matrix)), readout)
            factors.append(r * self._volts)
            gains.append(gain.T / self._volts)
            effective.append((gain @ matrix.T) * r)
        backend = self.crossbar.backend
        self._factors = torch.as_tensor(np.stack(factors)[:, None, :]).to(backend.device, backend.dtype)
        self._gains = torch.as_tensor(np.stack(gains)).to(backend.device, backend.dtype)
        self._zero = -torch.bmm(self._offset().double(), self._gains.double()).to(backend.device, backend.dtype)
        return effective

    def measured(self, tile: Tile, source: MapSource, averages: int) -> Floats:
        """What the cells of one tile multiply by, in S."""
        array = tile.site.array
        if source == "columns":
            reads = [self.crossbar.measure_columns(self._bl, self._sl, array) for _ in range(averages)]
            return np.asarray(np.mean(reads, axis=0))
        return self.crossbar.matrix(self._bl, self._sl, array)

    def drive(self, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Outputs of each tile, `(arrays, batch, n_out)`, and which of them hold a current over range."""
        if len(self.tiles) == 1:
            tile = self.tiles[0]
            parts = levels[tile.group : tile.group + 1, :, tile.block.inputs]
        else:
            parts = torch.stack([levels[tile.group, :, tile.block.inputs] for tile in self.tiles])
        volts = parts.to(self._factors) * self._factors
        result = self.crossbar.mvm(volts, self._bl, self._sl, self._arrays, on_over_range="carry")
        outputs = torch.baddbmm(self._zero, result.currents, self._gains)
        if not result.over_range.view(torch.uint8).max():  # `any` takes twenty times as long
            return outputs, None
        return outputs, torch.bmm(result.over_range.to(outputs.dtype), (self._gains != 0).to(outputs.dtype)) > 0

    def _offset(self) -> torch.Tensor:
        """A, shape `(arrays, 1, n_sl)`: mean currents with every input at 0 V."""
        backend = self.crossbar.backend
        shape = (len(self.tiles), OFFSET_VECTORS, len(self._bl))
        quiet = torch.zeros(shape, device=backend.device, dtype=backend.dtype)
        return self.crossbar.mvm(quiet, self._bl, self._sl, self._arrays).mean(dim=1, keepdim=True)


def _together(tiles: Iterable[Tile]) -> list[list[Tile]]:
    """Tiles that one call can drive: the same lines of different arrays of one crossbar."""
    strips: dict[tuple[int, int, int, int, int], list[Tile]] = {}
    for tile in tiles:
        site = tile.site
        strips.setdefault((site.crossbar, site.bl.start, site.bl.stop, site.sl.start, site.sl.stop), []).append(tile)
    return list(strips.values())


def _full_scale(crossbar: Crossbar) -> Volts:
    """V on a BL for the largest input: the read limit, a rounding of float32 below it."""
    return crossbar.spec.limits.read_voltage * (1.0 - float(np.finfo(np.float32).eps))


def _largest(weight: Floats) -> float:
    return float(np.abs(weight).max()) if weight.size else 0.0


def _nowhere() -> None:
    """What a pickled handle becomes: the arrays stay where they are."""
