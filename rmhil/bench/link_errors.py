"""What can go wrong between this machine and a board: one class for each thing a user would do about it.

Every message says what was sent and how long was waited. `BoardLinkError.executed` says what became of it.
"""

from __future__ import annotations

from rmhil.bench.messages import Reason, Refusal
from rmhil.errors import BackendClosedError, BackendUnavailableError, RmhilError
from rmhil.units import Seconds


class BoardLinkError(RmhilError):
    """A request to the board was not carried out as asked.

    Attributes:
        executed: False where the board did nothing of it, None where all or part of it may have happened.
    """

    executed: bool | None = None


class BoardNotFoundError(BoardLinkError, BackendUnavailableError):
    """Nothing answers at this address as a board's daemon does; nothing was driven."""

    executed = False

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: no board found ({reason})")


class BoardHeldError(BoardLinkError, BackendUnavailableError):
    """Another connection holds the board; nothing was driven."""

    executed = False

    def __init__(self, url: str, timeout: Seconds) -> None:
        super().__init__(
            f"{url}: the board is held by another connection. It is free again when that one closes, or after "
            f"{timeout:g} s of its silence"
        )


class BoardKeyError(BoardLinkError):
    """The shared key is missing, wrong, or not the daemon's; nothing was driven."""

    executed = False

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")


class BoardVersionError(BoardLinkError):
    """Host and daemon have no protocol version in common; nothing was driven."""

    executed = False

    def __init__(self, url: str, here: int, there: int) -> None:
        super().__init__(
            f"{url}: the daemon speaks protocol version {there}, this host version {here}; update the older"
        )


class BoardSilentError(BoardLinkError, BackendUnavailableError):
    """No answer, though the link stands and the request was repeated; it may have been executed, at most once."""

    def __init__(self, sent: str, waited: Seconds, attempts: int) -> None:
        super().__init__(
            f"no answer within {waited:.3g} s to {sent}, sent {attempts} times. It may have been executed, at most "
            "once; the daemon switches the outputs off when it hears nothing either"
        )
        self.sent, self.waited, self.attempts = sent, waited, attempts


class BoardDroppedError(BoardLinkError, BackendUnavailableError):
    """The link broke and could not be taken up again; what had been sent may have been executed, at most once."""

    def __init__(self, sent: str, reason: str) -> None:
        super().__init__(
            f"the link to the board broke at {sent}: {reason}; it may have been executed, at most once. "
            "The daemon switches the outputs off when a link breaks"
        )
        self.sent = sent


class BoardInterruptedError(BoardLinkError, BackendUnavailableError):
    """The daemon lost this host, switched the outputs off, and then refused the request; it was not executed."""

    executed = False

    def __init__(self, sent: str) -> None:
        super().__init__(f"{sent} was not executed: the link was lost and the outputs are off. Open the link again")
        self.sent = sent


class BoardLinkClosedError(BoardLinkError, BackendClosedError):
    """The link was closed, or failed before; nothing was sent."""

    executed = False


class RequestRefusedError(BoardLinkError, ValueError):
    """The daemon refused the request before it did anything of it.

    Attributes:
        reason, refusal: of the answer.
    """

    executed = False

    def __init__(self, sent: str, reason: Reason, refusal: Refusal) -> None:
        super().__init__(
            f"{sent} refused, nothing of it was executed: {reason.name} at part {refusal.index} (0x{refusal.value:X})"
        )
        self.sent, self.reason, self.refusal = sent, reason, refusal


class RequestStoppedError(BoardLinkError):
    """A request ended before its end.

    Attributes:
        reason, refusal: of the answer; `refusal.index` is the part at which it stopped, those before it were executed.
    """

    def __init__(self, sent: str, reason: Reason, refusal: Refusal) -> None:
        super().__init__(
            f"{sent} stopped at part {refusal.index}: {reason.name} (value 0x{refusal.value:08X}, 0x{refusal.more:X})"
        )
        self.sent, self.reason, self.refusal = sent, reason, refusal


class RequestTimedOutError(RequestStoppedError):
    """The board did not get there within the time that the request allowed."""


class RequestAbortedError(RequestStoppedError):
    """An abort, or a lost link, stopped the request while it ran."""


class BoardFaultError(RequestStoppedError):
    """The board went to its state FAULT; `refusal.value` is register STATUS, `refusal.more` PULSES_TOTAL."""


_STOPPED = {
    Reason.TIMED_OUT: RequestTimedOutError,
    Reason.ABORTED: RequestAbortedError,
    Reason.BOARD_FAULT: BoardFaultError,
}


def error_of(sent: str, reason: Reason, refusal: Refusal) -> BoardLinkError:
    """The error for a negative answer to a request that the daemon had taken."""
    if reason is Reason.INTERRUPTED:
        return BoardInterruptedError(sent)
    if reason is Reason.STALE:
        return BoardDroppedError(sent, "its answer is older than those that the daemon keeps")
    stopped = _STOPPED.get(reason)
    return stopped(sent, reason, refusal) if stopped else RequestRefusedError(sent, reason, refusal)
