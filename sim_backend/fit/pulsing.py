"""Transactions of any number of cells, through the seam."""

from __future__ import annotations

from rmhil.backend import Backend, Cells, Pulses, Read, Readings


def transact(backend: Backend, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
    """`Backend.apply` for any number of cells: in as many transactions as the backend needs."""
    size = backend.spec.cells_at_once or max(1, len(cells))
    parts = [slice(first, first + size) for first in range(0, len(cells), size)]
    return Readings.joined(
        [backend.apply(cells[part], None if pulses is None else pulses[part], read) for part in parts]
    )
