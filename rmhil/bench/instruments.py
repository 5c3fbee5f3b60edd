"""The instruments of a bench together: opened in order, owned by one process, and left safe whatever happens."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from loguru import logger

from rmhil.bench.b1500a import B1500A
from rmhil.bench.backend_errors import OutputsNotSafeError
from rmhil.bench.board import Board
from rmhil.bench.boards import BOARDS
from rmhil.bench.config import BenchConfig
from rmhil.bench.ownership import BenchLock
from rmhil.bench.safety import signals_held
from rmhil.errors import RmhilError


class Instruments:
    """An analyser and a board that belong together, and the right to use them.

    Attributes:
        config: of the bench.
        analyser, board: open.
        closed: whether they were let go of.
    """

    def __init__(self, config: BenchConfig, lock: BenchLock, analyser: B1500A, board: Board) -> None:
        self.config, self.analyser, self.board = config, analyser, board
        self._lock = lock
        self.closed = self._told = False
        analyser.isolated_by(self._open_lines)
        atexit.register(self.close)  # before the analyser's own end, which comes later for having been there first

    @classmethod
    def open(cls, config: BenchConfig) -> Self:
        """Take the bench, and open its instruments: first the analyser, whose start switches its outputs off.

        Raises:
            BenchHeldError: another process owns it.
            InstrumentError: as `B1500A.open`.
            BoardLinkError, BoardMismatchError: as `Board`. Nothing was driven in any of these cases.
        """
        with ExitStack() as undo:
            lock = BenchLock.of(config)
            lock.take()
            undo.callback(lock.release)
            analyser = undo.enter_context(open_analyser(config))
            board = undo.enter_context(open_board(config))
            undo.pop_all()
        return cls(config, lock, analyser, board)

    def safe(self) -> None:
        """All outputs at 0 V, word lines off, every line open, all switches open: in this order, each said to be so.

        Every part is done whatever becomes of the others. Idempotent.

        Raises:
            OutputsNotSafeError: a part could not be done, or nobody answers that it was.
        """
        if self.closed:
            return
        self._all_off(self.board.safe, self._switch_off)

    def _all_off(self, open_lines: Callable[[], None], switch_off: Callable[[], None]) -> None:
        with signals_held():
            if self.analyser.on and not self.analyser.lost:
                try:
                    self.analyser.zero_verified()
                except RmhilError as error:
                    logger.warning("the analyser could not be asked to go to 0 V before the lines open: {}", error)
            failed = _each(
                ("the board's lines are not known to be open", open_lines),
                ("the analyser's outputs are not known to be off", switch_off),
            )
        if failed:
            unsafe = OutputsNotSafeError(failed)
            logger.log("DEBUG" if self._told else "CRITICAL", "{}", unsafe)
            self._told = True
            raise unsafe
        self._told = False

    def _open_lines(self) -> None:
        """The analyser does not answer: what it may still drive reaches no cell. `safe` follows, and says the rest."""
        try:
            self.board.safe()
        except RmhilError as error:
            logger.warning("{}", error)

    def _switch_off(self) -> None:
        if not self.analyser.closed:
            self.analyser.switch_off()

    def close(self) -> None:
        """`safe`, then let go of instruments and bench. Idempotent.

        Raises:
            OutputsNotSafeError: a part could not be made safe; all is let go of the same.
        """
        if self.closed:
            return
        with signals_held(), ExitStack() as last_first:
            last_first.callback(atexit.unregister, self.close)
            last_first.callback(self._lock.release)
            self.closed = True
            self._all_off(self.board.close, self.analyser.close)


def open_analyser(config: BenchConfig) -> B1500A:
    """The analyser of a bench, locked for others where VISA can do that.

    Raises: as `B1500A.open`.
    """
    table = config.analyser
    return B1500A.open(
        table.resource, config.analyser_wiring, library=table.library, patience=table.patience_s, exclusive=True
    )


def open_board(config: BenchConfig) -> Board:
    """The board of a bench.

    Raises: as `Board`; ConfigError: the file with the key cannot be read.
    """
    table = config.board
    return Board(
        table.url, BOARDS[table.description], config.wiring,
        key=table.key(), baud=table.baud, link_timeout=table.link_timeout_s,
    )  # fmt: skip


def _each(*parts: tuple[str, Callable[[], None]]) -> list[str]:
    """Do all of them; what is to be said of those that failed."""
    failed = []
    for text, part in parts:
        try:
            part()
        except RmhilError as error:
            failed.append(f"{text} ({error})")
    return failed
