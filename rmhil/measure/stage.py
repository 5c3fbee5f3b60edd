"""Whom a measurement of several stages tells what it does."""

from __future__ import annotations

from typing import Protocol

from rmhil.backend import Floats
from rmhil.program_report import Progress
from rmhil.units import Siemens
from rmhil.write_verify.cell_run import Watch


class Stages(Protocol):
    """Told of each stage when it begins, and of its progress."""

    @property
    def progress(self) -> Progress:
        """Told how many cells of the stage are done."""

    @property
    def watch(self) -> Watch:
        """Shown the record of all cells of the stage."""

    def aim(self, what: str, target: Floats | None, tolerance: Siemens) -> None:
        """Say what is done from now on, in a few words.

        Args:
            what: the stage.
            target: S, of the crossbar's shape; None: cells are to conduct.
            tolerance: S.
        """
