"""What a bench as a whole can run into: a transaction that broke off, and outputs that cannot be made safe."""

from __future__ import annotations

from collections.abc import Sequence

from rmhil.errors import BackendUnavailableError


class StepFailedError(BackendUnavailableError):
    """A transaction with a cell broke off; the bench was made safe as far as its instruments answer.

    Attributes:
        cell: `(array, bl, sl)`.
        pulse_sent: False where no pulse can have been given; None where it may have been.
    """

    def __init__(self, cell: tuple[int, int, int], pulse: str, pulse_sent: bool | None, reason: BaseException) -> None:
        fate = "the pulse may have been given" if pulse_sent is None else "no pulse was sent"
        super().__init__(f"cell {cell}, {pulse}: {fate}; {reason}")
        self.cell, self.pulse_sent = cell, pulse_sent


class CellInDoubtError(BackendUnavailableError):
    """The analyser refused a command while it worked on a cell, and no answer showed it: the readings are in doubt.

    Attributes:
        cell: `(array, bl, sl)`.
    """

    def __init__(self, cell: tuple[int, int, int], reason: BaseException) -> None:
        super().__init__(f"cell {cell} is in doubt, verify it anew: {reason}")
        self.cell = cell


class RouteLostError(BackendUnavailableError):
    """The board has let go of the cell that the analyser was working on: what was read is not the cell's."""


class OutputsNotSafeError(BackendUnavailableError):
    """A part of the bench could not be made safe, or nobody answers that it is.

    Attributes:
        parts: what could not be done, one text each.
        pulse_sent: as `StepFailedError.pulse_sent`, of the transaction that it followed.
    """

    def __init__(self, parts: Sequence[str], cause: BaseException | None = None) -> None:
        told = "" if cause is None else f". It came to that by: {cause}"
        super().__init__(f"NOT SAFE, look at the bench before you touch the array: {'; '.join(parts)}{told}")
        self.parts = tuple(parts)
        self.pulse_sent: bool | None = getattr(cause, "pulse_sent", None)

    def after(self, cause: BaseException) -> OutputsNotSafeError:
        """The same, with what it followed."""
        return OutputsNotSafeError(self.parts, cause)
