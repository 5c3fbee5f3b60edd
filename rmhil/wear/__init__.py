"""The wear of a chip's cells, counted over all runs, with a budget that no pulse exceeds."""

from __future__ import annotations

from rmhil.wear.counts import WearBudget, WearCounts
from rmhil.wear.file import WearFile
from rmhil.wear.guard import WearGuard
from rmhil.wear.place import chip_file, chip_file_of

__all__ = ["WearBudget", "WearCounts", "WearFile", "WearGuard", "chip_file", "chip_file_of"]
