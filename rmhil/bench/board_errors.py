"""What a board can refuse or run into: one class for each thing a user would do about it.

The errors of the link itself, in `rmhil.bench.link_errors`, pass through a `Board` as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from rmhil.bench.board_map import Cause
from rmhil.bench.board_status import BoardStatus
from rmhil.bench.link_errors import BoardLinkError, RequestAbortedError, RequestRefusedError, RequestStoppedError
from rmhil.bench.messages import Reason
from rmhil.errors import BackendUnavailableError, ConfigError, RmhilError


class BoardMismatchError(ConfigError):
    """Board, description, wiring and register map are not of one another; nothing was driven."""

    def __init__(self, what: str, differences: Sequence[str]) -> None:
        super().__init__(f"{what}: {'; '.join(differences)}")
        self.differences = tuple(differences)


class BoardNotArmedError(RmhilError):
    """The board has its outputs off until `Board.arm`; nothing was sent."""

    def __init__(self, action: str) -> None:
        super().__init__(f"{action}: the board is not armed; call arm() first. After an error it is disarmed")


class BoardRouteError(RmhilError):
    """The lines are joined to something else; nothing was sent."""


class BoardStoppedError(BoardLinkError, BackendUnavailableError):
    """The board stopped and its outputs are off; `Board.arm` makes it ready again.

    Attributes:
        status: of the board when it had stopped; None where it was not told.
        part: command or vector at which it stopped.
        pulses: times that the gate was opened on a cell since the last request that was carried out; None where the
            board does not say.
    """

    reason = "stopped"

    def __init__(self, sent: str, status: BoardStatus | None, part: int, pulses: int | None) -> None:
        told = f"; {status}" if status else ""
        opened = f". The gate was opened {pulses} time(s)" if pulses else ""
        super().__init__(f"{sent}: {self.reason} at part {part}{told}. Its outputs are off{opened}")
        self.status, self.part, self.pulses = status, part, pulses


class WatchdogTrippedError(BoardStoppedError):
    """The board's watchdog heard nothing from its daemon in time."""

    reason = "the board's watchdog tripped"


class BoardAbortedError(BoardStoppedError):
    """Somebody stopped the board: `Board.abort`, a signal, or a lost link."""

    reason = "stopped by an abort"


class CommandRefusedError(BoardStoppedError):
    """The board refused a command; `status.error` says why."""

    reason = "the board refused it"


class BoardTimedOutError(BoardStoppedError):
    """The board did not get there within the time that the daemon allows."""

    reason = "the board did not finish in time"


class ConverterSilentError(RmhilError):
    """An ADC did not answer; the results are worth nothing. The outputs are off."""

    def __init__(self, lines: Sequence[int]) -> None:
        listed = ", ".join(str(line) for line in lines[:8]) + (", .." if len(lines) > 8 else "")
        super().__init__(f"no answer from the ADC of source line(s) {listed}: check its cable, clock and supply")
        self.lines = tuple(lines)


class BoardOutputsUnknownError(BackendUnavailableError):
    """Nobody answered that the outputs are off: they may still be driven."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url}: OUTPUTS MAY STILL BE DRIVEN, nobody answers that they are off ({reason}). The daemon switches "
            "them off when it hears no host, and the board when it hears no daemon; see that it is so before you touch "
            "the array"
        )


_STOPPED: dict[Cause, type[BoardStoppedError]] = {
    Cause.ABORT: BoardAbortedError,
    Cause.WATCHDOG: WatchdogTrippedError,
    Cause.COMMAND: CommandRefusedError,
}


def board_error(error: BoardLinkError, pulses_before: int | None) -> BoardLinkError:
    """The error of the board behind a negative answer to commands or vectors; others stay what they are.

    Args:
        error: of the link.
        pulses_before: PULSES_TOTAL after the last request that was carried out.
    """
    if isinstance(error, RequestRefusedError) and error.reason is not Reason.NOT_READY:
        return error
    if not isinstance(error, RequestRefusedError | RequestStoppedError):
        return error
    refusal = error.refusal
    pulses = None if pulses_before is None else (refusal.more - pulses_before) % 2**32
    if isinstance(error, RequestAbortedError):
        return BoardAbortedError(error.sent, None, refusal.index, pulses)
    status = BoardStatus.of(refusal.value) if error.reason is not Reason.TIMED_OUT else None
    kind = BoardTimedOutError if status is None else _STOPPED.get(status.cause, BoardStoppedError)
    found = kind(error.sent, status, refusal.index, pulses)
    found.executed = error.executed
    return found
