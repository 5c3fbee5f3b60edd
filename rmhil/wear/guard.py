"""Keeping an eye on the wear of a chip while its cells are pulsed."""

from __future__ import annotations

import numpy as np
from loguru import logger

from rmhil.backend import Cells, Operation, Pulses
from rmhil.errors import WearError
from rmhil.wear.counts import PULSES_A_CYCLE, WearBudget, WearCounts


class WearGuard:
    """Refuses pulses beyond the budget of a cell, and warns once when cells come near it.

    It starts from what the chip file holds; what it counts itself is in the journal, from where the chip file takes it.

    Args:
        shape: `(n_arrays, n_bl, n_sl)`.
        counts: what the cells have had so far.
        budget: what they may have.
    """

    def __init__(self, shape: tuple[int, int, int], counts: WearCounts, budget: WearBudget) -> None:
        self._pulses = np.zeros(shape, dtype=np.int32)  # takes memory only where something is written
        self._pulses[counts.cells.index] = counts.pulses
        self._budget = budget
        self._warned = False
        self._most = int(counts.pulses.max(initial=0))  # no cell has had more, so that most pulses need no look

    def refuse_worn(self, cells: Cells, pulses: Pulses) -> None:
        """Refuse SET and RESET pulses of cells that have had their budget; forming is not counted.

        Raises:
            WearError: nothing was driven.
        """
        if self._most < self._budget.pulses:
            return
        had = self._pulses[cells.index]
        spent = np.flatnonzero((had >= self._budget.pulses) & (pulses.operation != Operation.FORM))
        if spent.size:
            cycles = int(had[spent[0]]) / PULSES_A_CYCLE
            raise WearError(_place(cells, int(spent[0])), len(spent), cycles, self._budget.cycles)

    def count(self, cells: Cells, pulses: Pulses) -> None:
        """Take note that the cells were pulsed, or may have been."""
        self._pulses[cells.index] += pulses.operation != Operation.FORM
        self._most += 1
        near = self._budget.warn_share * self._budget.pulses
        if self._most >= near:
            self._most = int(self._pulses.max())
            if self._most >= near and not self._warned:
                self._warn(cells, near)

    def _warn(self, cells: Cells, near: float) -> None:
        worn = np.flatnonzero(self._pulses[cells.index] >= near)
        if worn.size:
            self._warned = True
            cell = _place(cells, int(worn[0]))
            logger.warning(
                "cell {} has had {:g} of its {:,} SET/RESET cycles, {:.0%} or more; beyond them, pulses are refused",
                cell,
                self._pulses[cell] / PULSES_A_CYCLE,
                self._budget.cycles,
                self._budget.warn_share,
            )


def _place(cells: Cells, number: int) -> tuple[int, ...]:
    return tuple(int(index[number]) for index in cells.index)
