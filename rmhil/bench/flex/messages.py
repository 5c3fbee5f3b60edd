"""Commands of the language as text: pure functions, one for each command that the driver sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from rmhil.bench.flex.facts import CURRENT_RANGE_CODES, MESSAGE_LENGTH_MAX, current_range
from rmhil.errors import OutOfRangeError
from rmhil.units import Amperes, Seconds, Volts

AUTO: Final = 0
"""Range code: the instrument chooses."""

SPOT, STAIRCASE, PULSED_SPOT, SAMPLING, PULSES_TOGETHER = 1, 2, 3, 10, 27
"""Modes of `MM`. Source: QCoDeS; verified."""

VOLTAGE_SOURCE: Final = 1
"""Mode of a pulse source of `MCPNX`."""

_LONGEST: Final = MESSAGE_LENGTH_MAX - 2
"""Characters of a message, without CR LF."""

Value = float | str
"""A number, or the name of a variable of the program memory (`%R1`)."""


@dataclass(frozen=True, slots=True)
class CurrentRange:
    """How a current is ranged.

    Attributes:
        code: of `RI`, `TI`: 0 automatic, positive not below this range, negative this range alone.
    """

    code: int = AUTO

    @property
    def full_scale(self) -> Amperes:
        """A: of the range that is named; 0 where none is."""
        return current_range(abs(self.code)) if self.code else 0.0

    @classmethod
    def at_least(cls, full_scale: Amperes) -> Self:
        """Automatic, but never below a full scale (A): quicker than all the way down."""
        return cls(_code(full_scale))

    @classmethod
    def fixed(cls, full_scale: Amperes) -> Self:
        """Always one full scale (A), a power of ten: the quickest, and its offset does not jump."""
        return cls(-_code(full_scale))


AUTO_RANGE: Final = CurrentRange()
"""All the way down to the range that fits."""


def _code(full_scale: Amperes) -> int:
    for code in CURRENT_RANGE_CODES:
        if abs(full_scale / current_range(code) - 1.0) < 1e-9:
            return code
    low, high = current_range(CURRENT_RANGE_CODES[0]), current_range(CURRENT_RANGE_CODES[-1])
    raise OutOfRangeError("full scale (a power of ten)", full_scale, low, high, "A")


def number(value: Value) -> str:
    """A number as the instrument reads it, to seven digits; the name of a variable stays as it is."""
    return value if isinstance(value, str) else f"{value + 0.0:.7G}"


def command(header: str, *parameters: Value) -> str:
    """A command with its parameters."""
    return f"{header} {','.join(number(one) for one in parameters)}" if parameters else header


def packed(commands: Sequence[str]) -> list[str]:
    """Commands in as few messages as they fit, in order."""
    found: list[str] = []
    for one in commands:
        if found and len(found[-1]) + 1 + len(one) <= _LONGEST:
            found[-1] = f"{found[-1]};{one}"
        else:
            found.append(one)
    return found


def force_voltage(channel: int, voltage: Value, compliance: Value) -> str:
    """`DV`: V on the smallest range that holds it, and the limit of its current (A)."""
    return command("DV", channel, AUTO, voltage, compliance)


def force_current(channel: int, current: Amperes, compliance: Volts) -> str:
    """`DI`: A on the smallest range that holds it, and the limit of its voltage (V)."""
    return command("DI", channel, AUTO, current, compliance)


def spot_current(channel: int, ranging: CurrentRange) -> str:
    """`TTI`: the time, and the current of one channel, at once."""
    return command("TTI", channel, ranging.code)


def spot_voltage(channel: int) -> str:
    """`TTV`: the time, and the voltage of one channel, at once."""
    return command("TTV", channel, AUTO)


def measure(mode: int, *channels: int) -> str:
    """`MM`: the measurement mode, and the channels that measure, in the order of their data."""
    return command("MM", mode, *channels)


def range_current(channel: int, ranging: CurrentRange) -> str:
    """`RI`."""
    return command("RI", channel, ranging.code)


def staircase(channel: int, mode: int, start: Volts, stop: Volts, steps: int, compliance: Amperes) -> str:
    """`WV`: mode 1 linear, 2 logarithmic, 3 and 4 the same there and back."""
    return command("WV", channel, mode, AUTO, start, stop, steps, compliance)


def sweep_times(hold: Seconds, delay: Seconds) -> str:
    """`WT`: before the first step, and in each step before its measurement."""
    return command("WT", hold, delay)


def pulse_times(hold: Seconds, width: Seconds, period: Seconds) -> str:
    """`PT`."""
    return command("PT", hold, width, period)


def pulsed_voltage(channel: int, base: Volts, peak: Volts, compliance: Amperes) -> str:
    """`PV`."""
    return command("PV", channel, AUTO, base, peak, compliance)


def pulses_times(hold: Seconds, period: Value) -> str:
    """`MCPT`, of pulses on several channels together."""
    return command("MCPT", hold, period)


def pulses_width(channel: int, delay: Seconds, width: Value) -> str:
    """`MCPNT`."""
    return command("MCPNT", channel, delay, width)


def pulses_source(place: int, channel: int, base: Volts, peak: Value, compliance: Value) -> str:
    """`MCPNX`: source number `place`, from 1 on."""
    return command("MCPNX", place, channel, VOLTAGE_SOURCE, AUTO, base, peak, compliance)


def sampling_times(hold: Seconds, interval: Seconds, points: int) -> str:
    """`MT`."""
    return command("MT", hold, interval, points)


def sampling_voltage(channel: int, base: Volts, bias: Volts, compliance: Amperes) -> str:
    """`MV`."""
    return command("MV", channel, AUTO, base, bias, compliance)


def real_variable(place: int, value: float) -> str:
    """`VAR`: a real variable, read in a program as `%R<place>`."""
    return command("VAR", 1, place, value)
