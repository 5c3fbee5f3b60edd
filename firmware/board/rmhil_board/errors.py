"""What can go wrong on the board; each message says what to do."""

from __future__ import annotations


class BoardError(Exception):
    """Root of this program's errors."""


class ManifestError(BoardError):
    """The overlay's files do not belong together, or are for no board. Nothing was loaded."""


class OverlayError(BoardError):
    """The overlay could not be loaded."""


class IdentityError(BoardError):
    """What answers at the registers' address is not the overlay that was loaded. Its outputs are off."""


class DaemonError(BoardError):
    """The daemon could not be kept running. Outputs are off."""
