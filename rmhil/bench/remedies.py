"""What to do about a red light: one sentence for each kind of error."""

from __future__ import annotations

from typing import Final

from rmhil.bench.backend_errors import OutputsNotSafeError, StepFailedError
from rmhil.bench.board_errors import BoardMismatchError, BoardOutputsUnknownError, BoardStoppedError
from rmhil.bench.errors import (
    BusHeldError,
    InstrumentNotFoundError,
    InterlockError,
    LinkDroppedError,
    ModuleMissingError,
    OutputsUnknownError,
    ReportedError,
    SilenceError,
    WrongInstrumentError,
)
from rmhil.bench.link_errors import (
    BoardDroppedError,
    BoardHeldError,
    BoardKeyError,
    BoardNotFoundError,
    BoardSilentError,
    BoardVersionError,
)
from rmhil.bench.ownership import BenchHeldError
from rmhil.errors import ConfigError, OutOfRangeError, RmhilError

_REMEDIES: Final[tuple[tuple[type[RmhilError], str], ...]] = (
    (BenchHeldError, "wait for the owner, or end it; a lock that is left over is named above"),
    (
        InstrumentNotFoundError,
        "is the analyser on, and analyser.resource its name? VISA lists no sockets and gateways. "
        "Over HiSLIP, an instrument that another program holds looks the same",
    ),
    (BusHeldError, "close EasyEXPERT on the analyser and other programs that use it"),
    (WrongInstrumentError, "analyser.resource is the address of another instrument"),
    (ModuleMissingError, "set analyser.channels to slots with SMUs, see the modules above"),
    (OutputsUnknownError, "switch the outputs off at the analyser, then look why it does not answer"),
    (InterlockError, "close the interlock; no limit of this bench should need it: see [limits]"),
    (ReportedError, "look the error up in the analyser's guide; power it down and up if it stays"),
    (SilenceError, "the analyser does not answer: is it busy, or in its own measurement? Raise analyser.patience_s"),
    (LinkDroppedError, "the link breaks: look at cable, gateway and network"),
    (BoardNotFoundError, "is the board on and its daemon running? docs/how-to/install-the-daemon.md; check board.url"),
    (BoardHeldError, "end the other connection, or wait until its link timeout"),
    (BoardKeyError, "board.key_file must hold the key that the daemon was started with"),
    (BoardVersionError, "install the daemon of this version: docs/how-to/install-the-daemon.md"),
    (BoardMismatchError, "the overlay on the board, board.description and [wiring] must be of one another"),
    (BoardOutputsUnknownError, "switch the board off, then look at its link"),
    (BoardStoppedError, "the board stops by itself: power it down and up, and load its overlay anew"),
    (BoardDroppedError, "the link breaks: look at cable and network"),
    (BoardSilentError, "the daemon does not answer: restart it"),
    (OutputsNotSafeError, "make the bench safe by hand before anything else"),
    (StepFailedError, "see the reason above; nothing was pulsed"),
    (OutOfRangeError, "lower the limit in [limits], or use a channel that can do it"),
    (ConfigError, "correct the file: docs/reference/bench-configuration.md; `rmhil bench init` writes a new one"),
)
"""The first that fits."""


def remedy(error: RmhilError) -> str:
    """What to do about an error."""
    return next((text for kind, text in _REMEDIES if isinstance(error, kind)), "see the message")
