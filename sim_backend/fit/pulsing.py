"""Pulses for any number of cells, and RESETs that go all the way, through the seam."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np

from rmhil.backend import Backend, Cells, Floats, Pulses, Read, Readings

_RESET_PULSES: Final = 4
"""RESET pulses after which a cell is taken for one that does not answer."""

_RESET_BELOW: Final = 0.8
"""1: share of the window's lower end below which a cell counts as fully RESET."""


def transact(backend: Backend, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
    """`Backend.apply` for any number of cells: in as many transactions as the backend needs."""
    size = backend.spec.cells_at_once or max(1, len(cells))
    parts = [slice(first, first + size) for first in range(0, len(cells), size)]
    done = [backend.apply(cells[part], None if pulses is None else pulses[part], read) for part in parts]
    if len(done) == 1:
        return done[0]
    return Readings(
        **{field.name: np.concatenate([getattr(one, field.name) for one in done]) for field in fields(Readings)}
    )


def reset_until_low(backend: Backend, cells: Cells, pulses: Pulses) -> Floats:
    """RESET cells, again where one pulse was not enough, until each reads well below the window.

    A conducting cell takes much of the first pulse's voltage away from itself: its transistor carries no more.

    Args:
        backend: an open backend.
        cells: formed cells.
        pulses: one RESET for each, strong enough to go all the way.

    Returns:
        S, the last reading of each; not below the window where a cell does not answer.
    """
    read, below = Read.default(backend.spec), _RESET_BELOW * backend.spec.conductance_min
    reached = transact(backend, cells, pulses, read).conductance
    for _ in range(1, _RESET_PULSES):
        high = np.flatnonzero(~(reached < below))
        if not len(high):
            break
        reached[high] = transact(backend, cells[high], pulses[high], read).conductance
    return reached
