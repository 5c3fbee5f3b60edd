"""What can go wrong between this machine and an analyser: one class for each thing a user would do about it.

Every message says what was asked, what came back, and whether the outputs are known to be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rmhil.errors import BackendClosedError, BackendUnavailableError, RmhilError
from rmhil.units import Seconds

if TYPE_CHECKING:
    from rmhil.bench.flex.data import Data
    from rmhil.bench.flex.reports import Report


class InstrumentError(RmhilError):
    """An instrument did not do what it was asked to.

    Attributes:
        data: what had been read when it happened; None where nothing had been.
        outputs: what is known of the outputs since; empty where they were not touched.
    """

    def __init__(self, message: str, data: Data | None = None) -> None:
        super().__init__(message)
        self.data = data
        self.outputs = ""

    def __str__(self) -> str:
        return f"{super().__str__()}{'. ' if self.outputs else ''}{self.outputs}"


class InstrumentNotFoundError(InstrumentError, BackendUnavailableError):
    """Nothing answers under this name; nothing was driven.

    Attributes:
        seen: names that VISA lists; none where it was not asked, as in the place of a link that broke.
    """

    def __init__(self, resource: str, reason: str, seen: Sequence[str] | None) -> None:
        listed = "" if seen is None else f". VISA sees: {', '.join(seen) or 'nothing'}"
        super().__init__(f"{resource}: not found ({reason}){listed}")
        self.seen = tuple(seen or ())


class BusHeldError(InstrumentError, BackendUnavailableError):
    """The instrument is there and says nothing, or serves somebody else; nothing was driven."""

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(
            f"{resource}: {reason}. Close EasyEXPERT on the analyser or leave it at its start screen, switch "
            "auto-discover and system controller off there, and end other programs that hold the instrument"
        )


class WrongInstrumentError(InstrumentError):
    """Another instrument answers; nothing was driven."""

    def __init__(self, resource: str, answer: str) -> None:
        super().__init__(f"{resource}: *IDN? answers {answer!r}, which is no B1500A")


class ModuleMissingError(InstrumentError):
    """The wiring names a channel that the mainframe does not have, or that is no SMU; nothing was driven."""

    def __init__(self, channel: int, modules: Sequence[str]) -> None:
        found = ", ".join(modules) or "none"
        super().__init__(f"channel {channel} of the wiring is no SMU of this mainframe; modules: {found}")
        self.channel = channel


class ReportedError(InstrumentError):
    """The instrument put errors into its queue.

    Attributes:
        reports: all of them, oldest first.
    """

    def __init__(self, sent: str, reports: Sequence[Report], data: Data | None = None) -> None:
        listed = "; ".join(str(report) for report in reports)
        super().__init__(f"the instrument reports {listed}, after {sent!r}", data)
        self.reports = tuple(reports)


class InterlockError(ReportedError):
    """The instrument asks for a closed interlock."""


class ChannelError(ReportedError):
    """The instrument says that a channel does not exist or is switched off."""


class SilenceError(InstrumentError, BackendUnavailableError):
    """No answer in time, though the link stands; says how long was waited and what had been sent."""

    def __init__(self, sent: str, waited: Seconds, got: bytes = b"", data: Data | None = None) -> None:
        partly = f" but {got[-60:]!r}" if got else ""
        super().__init__(f"no answer{partly} within {waited:.3g} s to {sent!r}", data)
        self.waited, self.sent = waited, sent


class LinkDroppedError(InstrumentError, BackendUnavailableError):
    """The link to the instrument is gone."""

    def __init__(self, sent: str, reason: str, data: Data | None = None) -> None:
        super().__init__(f"the link broke at {sent!r}: {reason.rstrip('.')}", data)


class DataError(InstrumentError):
    """What came back is not what was asked for: too short, or not data at all."""

    def __init__(self, reason: str, got: bytes, data: Data | None = None) -> None:
        super().__init__(f"{reason}: {got[:80]!r}{'...' if len(got) > 80 else ''}", data)


class FlaggedError(InstrumentError):
    """A datum carries a status other than normal: its value is not the cell's."""


class ComplianceError(FlaggedError):
    """A source reached its compliance."""


class OutputsUnknownError(InstrumentError, BackendUnavailableError):
    """The outputs could not be put to 0 V, or nobody answered that they are: they may still be driven."""

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(
            f"{resource}: OUTPUTS MAY STILL BE DRIVEN, they could not be switched off ({reason}). "
            "Switch them off at the instrument before you touch the device"
        )


class AnalyserClosedError(InstrumentError, BackendClosedError):
    """The analyser was closed; its outputs are at 0 V and its switches open."""
