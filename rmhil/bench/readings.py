"""What a measurement found: values with their status, as numbers or as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rmhil.bench.errors import ComplianceError, DataError, FlaggedError
from rmhil.bench.flex.data import HARMLESS, LIMITED, Data
from rmhil.bench.flex.datum import Datum
from rmhil.bench.flex.facts import Flag
from rmhil.units import Amperes, Seconds, Volts


class OnFlag(Enum):
    """What becomes of a value with a status other than normal."""

    RAISE = "raise"
    """`ComplianceError`, or `FlaggedError` for any other status; the values are in the error."""
    CARRY = "carry"
    """It is handed over with its status, which the caller looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value.

    Attributes:
        value: A or V; NaN where the instrument says that it means nothing.
        flag: its status; `Flag.NONE` is normal.
        channel: that measured.
        time: s on the analyser's clock at the start of the measurement.
    """

    value: Amperes | Volts
    flag: Flag
    channel: int
    time: Seconds

    @classmethod
    def of(cls, moment: Datum, value: Datum) -> Self:
        """From a time and the datum that it belongs to."""
        return cls(value=value.value, flag=value.flag, channel=value.channel, time=moment.value)

    @property
    def normal(self) -> bool:
        """Whether nothing speaks against the value."""
        return not self.flag & ~HARMLESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Currents of several channels, at several points.

    Attributes:
        channels: that measured, one a row.
        current: A, shape `(channels, points)`; NaN where the instrument says that it means nothing.
        flag: `Flag` bits, int64, same shape; 0 is normal.
        time: s on the analyser's clock at the start of each measurement, same shape.
        voltage: V of the staircase or the pulse at each point, shape `(points,)`.
    """

    channels: tuple[int, ...]
    current: NDArray[np.float64]
    flag: NDArray[np.int64]
    time: NDArray[np.float64]
    voltage: NDArray[np.float64]

    @property
    def normal(self) -> NDArray[np.bool_]:
        """Where nothing speaks against a value."""
        return np.asarray((self.flag & ~int(HARMLESS)) == 0)

    def of(self, channel: int) -> NDArray[np.float64]:
        """Currents (A) of one channel.

        Raises:
            ValueError: it did not measure.
        """
        return np.asarray(self.current[self.channels.index(channel)])


def check_owners(items: Sequence[Datum], owners: Sequence[int], kind: str) -> None:
    """Refuse data that are not a time and a value of each channel in turn.

    Args:
        items: as they came.
        owners: channel of each value.
        kind: of each value: `I` or `V`.

    Raises:
        DataError: a datum is of another channel or type than its place says.
    """
    for place, (moment, value, owner) in enumerate(zip(items[0::2], items[1::2], owners, strict=True)):
        if (moment.kind, value.kind, value.channel) != ("T", kind, owner):
            found = f"{moment.kind or '?'} and {value.kind or '?'} of channel {value.channel}"
            text = f"reading {place} is {found}, not T and {kind} of channel {owner}"
            raise DataError(text, b"", Data.of(list(items)))


def arranged(items: Sequence[Datum], channels: Sequence[int], voltage: NDArray[np.float64]) -> Readings:
    """Data in the order in which they come - point by point, channel by channel, time first - as arrays."""
    shape = (len(voltage), len(channels), 2)
    data = Data.of(list(items))
    value = data.value.reshape(shape)
    return Readings(
        channels=tuple(channels),
        current=value[:, :, 1].T.copy(),
        flag=data.flag.reshape(shape)[:, :, 1].T.copy(),
        time=value[:, :, 0].T.copy(),
        voltage=voltage,
    )


def flag_error(items: Sequence[Datum]) -> FlaggedError | None:
    """The error that flagged data ask for; None where all are normal."""
    flagged = [(place, item) for place, item in enumerate(items) if item.flag & ~HARMLESS]
    if not flagged:
        return None
    place, first = flagged[0]
    kind = ComplianceError if all(item.flag & LIMITED for _, item in flagged) else FlaggedError
    name = (first.flag & ~HARMLESS).name
    return kind(
        f"{len(flagged)} of {len(items)} data carry a status; the first is datum {place}, channel {first.channel}: "
        f"{name}, {first.value:g} {'A' if first.kind == 'I' else 'V'}",
        Data.of(list(items)),
    )
