"""A bench that is opened piece by piece, so that each piece can be looked at."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from rmhil.bench.b1500a import B1500A
from rmhil.bench.backend import BenchBackend
from rmhil.bench.board import Board
from rmhil.bench.config import BenchConfig
from rmhil.bench.instruments import Instruments
from rmhil.bench.ownership import BenchLock
from rmhil.errors import RmhilError
from rmhil.program_report import Progress


class BenchUnderTest:
    """What the checks of a preflight have opened so far; a piece is there once its own check has passed.

    Args:
        path: of the configuration.
        progress: told how many lines are tested.

    Attributes:
        opened: closes what was opened, the last first.
        trouble: why an instrument did not open although its link stands; a later check tells it.
    """

    config: BenchConfig
    lock: BenchLock
    analyser: B1500A
    board: Board

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.path, self.progress = path, progress
        self.opened = ExitStack()
        self.trouble: dict[str, RmhilError] = {}
        self._backend: BenchBackend | None = None

    @property
    def backend(self) -> BenchBackend:
        """The whole bench, once all of its pieces are there."""
        if self._backend is None:
            self.opened.pop_all()  # from here on the instruments close themselves, in their order
            together = Instruments(self.config, self.lock, self.analyser, self.board)
            self.opened.callback(together.close)
            self._backend = BenchBackend(self.config, together)
        return self._backend

    def close(self) -> None:
        """Let go of everything."""
        self.opened.close()
