"""Some cells in the middle of a transaction."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sim_backend.cells import Snapshot
from sim_backend.parameters import CellParameters, CycleDraws


@dataclass(slots=True, kw_only=True)
class Selection:
    """Some cells in the middle of a transaction, on the chip's device. Only `finish` changes the chip.

    Attributes:
        flat: int64 positions in the state.
        keys: int64, of their random numbers.
        cell: their parameters.
        series: ohm between the drivers and each of them.
        leaking: A that leaks into their BLs.
        before: their state at the beginning.
        cycle: what this transaction has of its own.
        state: S, as last written, at the reference temperature; float64, negative where virgin.
        written: s on the clock, when that was.
        rewritten: bool, whether this transaction has written them.
        unwritten: S, float64, how far biases have moved them since they were last written in this transaction.
        moved: S, float64, how far biases have moved them.
    """

    flat: torch.Tensor
    keys: torch.Tensor
    cell: CellParameters
    series: torch.Tensor
    leaking: torch.Tensor
    before: Snapshot
    cycle: CycleDraws
    state: torch.Tensor
    written: torch.Tensor
    rewritten: torch.Tensor
    unwritten: torch.Tensor
    moved: torch.Tensor

    @property
    def writes(self) -> torch.Tensor:
        """int64: how often each cell has been written, this transaction included."""
        return self.before.writes + self.rewritten
