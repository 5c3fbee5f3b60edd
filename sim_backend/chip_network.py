"""What the effective matrices of a chip are made of: its cells as they are by now, its lines, its amplifiers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import torch

from rmhil.backend import Ints
from rmhil.line_solver import LineTensors
from sim_backend.cell_noise import CellNoise, cell_noise
from sim_backend.line_factors import LineFactors
from sim_backend.matrices import Matrices
from sim_backend.network import effective_matrices, is_transparent
from sim_backend.periphery import Periphery

if TYPE_CHECKING:
    from sim_backend.chip import Chip


_CELLS_AT_ONCE: Final = 1 << 18
_CELLS_AT_ONCE_DEVICE: Final = 1 << 22
"""Cells whose matrices are made in one go, some 400 bytes each: 100 MB in a CPU's memory; elsewhere as many as
`rmhil.line_solver` takes."""


class ChipNetwork:
    """The `MatrixSource` of one chip."""

    def __init__(self, chip: Chip, periphery: Periphery) -> None:
        self._chip = chip
        self._periphery = periphery

    @cached_property
    def transparent(self) -> bool:
        """Whether no line has any resistance."""
        return is_transparent(self._chip.lines(0))

    @cached_property
    def cells_at_once(self) -> int:
        """Cells whose matrices are made in one go."""
        return _CELLS_AT_ONCE if self._chip.device.type == "cpu" else _CELLS_AT_ONCE_DEVICE

    def cells_on(self, arrays: Ints, sl: Ints) -> torch.Tensor:
        """S by now of the cells of some SLs, (arrays, n_bl, len(sl)), float64."""
        config, device = self._chip.config, self._chip.device
        bl_lines = torch.from_numpy(arrays).to(device)[:, None] * config.n_bl + torch.arange(config.n_bl, device=device)
        flat = bl_lines[..., None] * config.n_sl + torch.from_numpy(sl).to(device)
        return self._chip.conducting_at(flat.view(-1)).view(flat.shape)

    def conducting_at(self, flat: torch.Tensor) -> torch.Tensor:
        """S by now of the cells at some positions (int64), float64."""
        return self._chip.conducting_at(flat)

    def solve(self, cells: torch.Tensor, arrays: Ints, sl: Ints) -> torch.Tensor:
        """S: effective matrices of arrays with these cells on, (arrays, n_bl, len(sl))."""
        lines = [self._chip.lines(array) for array in arrays]
        return effective_matrices(cells, lines, sl, self._chip.config.n_sl)

    def factors(self, cells: torch.Tensor, array: int, sl: Ints) -> LineFactors:
        """The network of one array with these cells on, (1, n_bl, len(sl)), ready for changes."""
        return LineFactors(cells, [self._chip.lines(array)], sl, self._chip.config.n_sl)

    def complete(self, arrays: Ints, sl: Ints, cells: torch.Tensor, effective: torch.Tensor) -> Matrices:
        """What an MVM needs beside the effective matrices of these cells, both (arrays, n_bl, len(sl)), float64."""
        chip = self._chip
        noise = self._noise(arrays, sl, cells, effective)
        offset = self._periphery.offset_currents(arrays, sl, effective, chip.line_ends[0][arrays])
        return Matrices(
            arrays=arrays,
            effective=effective.to(chip.dtype),
            variance=noise.variance.to(chip.dtype),
            shielding=noise.shielding.to(chip.dtype),
            offset=offset.to(chip.dtype),
            held_until=chip.held_until(arrays),
        )

    def _noise(self, arrays: Ints, sl: Ints, cells: torch.Tensor, effective: torch.Tensor) -> CellNoise:
        chip = self._chip
        relative = chip.read_variance(arrays, sl)
        if self.transparent or not bool(relative.any()):
            return CellNoise(relative * effective.square(), torch.zeros_like(effective[:, 0]))
        lines = LineTensors.of([chip.lines(array) for array in arrays], sl, chip.device)
        return cell_noise(relative, cells, effective, lines, sl, chip.config.n_sl)
