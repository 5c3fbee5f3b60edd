"""The error tree: one root, and a class wherever a caller would act differently.

A message names the value, the limit and the unit. Errors that begin with "nothing was driven" in
their description are raised before any line is biased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


class RmhilError(Exception):
    """Root of every error that rmhil raises on purpose.

    Attributes:
        pulse_sent: False where it is certain that the pulse in question was not given; None where it is not known.
    """

    pulse_sent: bool | None = None


def nothing_was_driven(error: BaseException) -> bool:
    """Whether a request was refused before any line was biased, or is known not to have been carried out."""
    return isinstance(error, RmhilError) and (isinstance(error, ValueError) or error.pulse_sent is False)


class OutOfRangeError(RmhilError, ValueError):
    """A request broke a limit; nothing was driven.

    Args:
        name: of the value.
        value: that was asked for.
        low, high: limits, in the same unit.
        unit: of all of them.
        above, below: whether the low and the high limit are themselves refused.
    """

    def __init__(
        self, name: str, value: float, low: float, high: float, unit: str, *, above: bool = False, below: bool = False
    ) -> None:
        limits = allowed(low, high, unit, above=above, below=below)
        super().__init__(f"{name} = {value:.9g}{f' {unit}' if unit else ''}, allowed {limits}")
        self.name, self.value, self.low, self.high, self.unit = name, value, low, high, unit


def allowed(low: float, high: float, unit: str, *, above: bool = False, below: bool = False) -> str:
    """Limits in words; as `OutOfRangeError` takes them."""
    suffix = f" {unit}" if unit else ""
    least, most = f"{'above ' if above else ''}{low:.9g}", f"{'below ' if below else ''}{high:.9g}"
    if math.isinf(high):
        return f"{least}{suffix}" if above else f"{least}{suffix} or more"
    if math.isinf(low):
        return f"{most}{suffix}" if below else f"up to {most}{suffix}"
    return f"{least} to {most}{suffix}"


class ShapeError(RmhilError, ValueError):
    """An array has the wrong shape; nothing was driven."""

    def __init__(self, name: str, shape: Sequence[int], expected: str) -> None:
        super().__init__(f"{name} has shape {tuple(shape)}, expected {expected}")


class NotFiniteError(RmhilError, ValueError):
    """An array holds NaN or infinity where a number is needed; nothing was driven."""

    def __init__(self, name: str, count: int, total: int) -> None:
        super().__init__(f"{name} holds {count} value(s) that are NaN or infinite, of {total}")


class ConfigError(RmhilError, ValueError):
    """A setting is unknown or contradicts another one."""


class UnknownNameError(ConfigError):
    """A name is not among those that exist; the message lists them."""

    def __init__(self, kind: str, name: str, known: Sequence[str], hint: str = "") -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"unknown {kind} {name!r}; known: {listed}" + (f". {hint}" if hint else ""))


class BackendUnavailableError(RmhilError):
    """The hardware (or its stand-in) gave no answer; the lines may still be driven."""


class BackendClosedError(BackendUnavailableError):
    """The backend was closed; its outputs are at 0 V and disconnected."""


class OverRangeError(RmhilError):
    """A converter reached the end of its range; the values are not currents of the array."""

    def __init__(self, name: str, count: int, total: int, limit: float, unit: str) -> None:
        super().__init__(f"{count} of {total} {name} reached the end of the converter's range, +-{limit:g} {unit}")


class ConvergenceError(RmhilError):
    """An iteration has not settled; there is no result."""

    def __init__(self, name: str, change: float, tolerance: float, unit: str, iterations: int) -> None:
        super().__init__(
            f"{name} still change by {change:g} {unit} (allowed: {tolerance:g}) after {iterations} iterations"
        )


class PlacementError(RmhilError):
    """The matrices do not fit the arrays at hand; nothing was programmed."""


class PopulationError(RmhilError):
    """The pilot cells do not show what their kind of cell is like; they have been pulsed."""


class NotProgrammedError(RmhilError):
    """The digital weights are not the ones on the array."""


class MergeRefusedError(RmhilError):
    """An adapter cannot be merged: the backbone is a conductance map, and merging is reprogramming."""


class SramCapacityError(RmhilError):
    """An adapter does not fit the SRAM bank; nothing was written."""

    def __init__(self, bank: str, needed: int, free: int, capacity: int) -> None:
        super().__init__(f"{bank}: {needed} bytes asked for, {free} free of {capacity} bytes")


class AdapterFileError(RmhilError):
    """A saved adapter is damaged, or was made for other layers."""


class RunDirectoryError(RmhilError):
    """A run directory is missing, incomplete or damaged."""


class ResumeError(RmhilError):
    """A job cannot be taken up where it was left; nothing was driven."""


class WearError(RmhilError, ValueError):
    """Cells have had the SET/RESET cycles that they may have; nothing was driven."""

    def __init__(self, cell: Sequence[int], count: int, cycles: float, limit: int) -> None:
        more = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(
            f"wear of cell {tuple(cell)}{more} = {cycles:g} SET/RESET cycles, allowed {limit:,}: leave such cells out "
            "(NaN in the target), or raise the budget of the chip (rmhil wear --budget)"
        )
        self.cell, self.cycles, self.limit = tuple(cell), cycles, limit


class WearFileError(RmhilError):
    """The chip file that counts the wear is damaged, or cannot be used; nothing was driven."""


class InputFileError(RmhilError):
    """A file named by the user is missing, or does not hold what it should; nothing was driven."""


class DataMissingError(RmhilError):
    """A data set was not found; the message says where it was looked for."""


class DivergedError(RmhilError):
    """Training left its guard rails; the last good state was restored."""


class CheckpointError(RmhilError):
    """A checkpoint of a training is damaged, or belongs to another training; nothing was changed."""


class ToolMissingError(RmhilError):
    """Programs that are needed are not installed; nothing was started."""

    def __init__(self, purpose: str, packages: Sequence[str]) -> None:
        names = " ".join(packages)
        super().__init__(f"{purpose} needs {', '.join(packages)}: apt-get install {names}")
        self.packages = tuple(packages)
