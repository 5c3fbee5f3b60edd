"""What is known of the B1500A's FLEX language, as data: status, errors, formats, ranges and limits.

Every row names its source by a key of `SOURCES` and says whether it is verified: read in the manual of this
instrument, or reported of a real one. A row that is not verified was inferred, or read of a sister
instrument; the bench corrects it here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from rmhil.units import Amperes, Seconds, Volts

SOURCES: Final = {
    "PG": "Agilent B1500A/B1505A Programming Guide, Edition 11, B1500-90010; by printed page",
    "PG15": "index of the same guide, Edition 15; page pointers, not the pages",
    "E52": "Keysight E5260/E5270 Programming Guide, Edition 4; sister instrument, same language",
    "UG": "Agilent B1500A User's Guide, editions 7, 10, 13 and 14, by edition and printed page",
    "D4155": "4155C/4156C VXIplug&play Driver User's Guide, page 2-9; SMUs of the same class",
    "DS": "Keysight B1500A data sheet, page 19",
    "EE": "EasyEXPERT User's Guide, Vol. 1, page 4-64",
    "QCODES": "QCoDeS 0.58, driver of the B1500",
    "PYMEASURE": "PyMeasure 0.16, drivers of the B1500 and of the E5270B with tests against an instrument",
    "PYHEGEL": "pyHegel, driver of the E5270B and B1500A, with answers of real instruments",
    "LAB": "notes of laboratories that published what their B1500A answered",
    "FAMILY": "remembered of the instrument family; not read",
}


class Flag(IntFlag):
    """What the instrument says of one datum; the values below 256 are those of formats 13, 14 and 21 to 25."""

    NONE = 0
    OVER_RANGE = 1
    """The converter's range was left, or the point comes after an abort."""
    UNSETTLED = 2
    """A channel oscillates, or the source had not settled."""
    OTHER_COMPLIANCE = 4
    """Another channel is at its compliance."""
    COMPLIANCE = 8
    """This channel is at its compliance."""
    NOT_FOUND = 16
    """A search or a quasi-pulse did not find its target."""
    STOPPED = 32
    """A search or a quasi-pulse was stopped."""
    INVALID = 64
    """The value means nothing."""
    END_OF_DATA = 128
    """The last datum of a measurement; no fault."""
    SATURATED = 256
    """The SMU's force is saturated; of the letter formats only."""
    UNKNOWN = 512
    """A status that this table does not know; no value with it is trusted."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One status of a measured datum.

    Attributes:
        letter: of formats 1, 5, 11 and 15.
        code: of the 4-byte format; None where it has none.
        flag: what it means.
    """

    letter: str
    code: int | None
    flag: Flag
    source: str
    verified: bool


STATUS: Final = (
    StatusRow("N", 0, Flag.NONE, "PG 1-45, E52 1-26", True),
    StatusRow("G", 6, Flag.NOT_FOUND, "PG 1-45, E52 1-26", True),
    StatusRow("S", 7, Flag.STOPPED, "PG 1-45, E52 1-26", True),
    StatusRow("T", 1, Flag.OTHER_COMPLIANCE, "PG 1-45, E52 1-26", True),
    StatusRow("C", 2, Flag.COMPLIANCE, "PG 1-45, E52 1-26", True),
    StatusRow("V", 3, Flag.OVER_RANGE, "PG 1-45, E52 1-26", True),
    StatusRow("X", 4, Flag.UNSETTLED, "PG 1-45, E52 1-26", True),
    StatusRow("F", None, Flag.SATURATED, "PYMEASURE, E52 1-27", False),
)
"""Status of measured data, the milder one first: where several apply and only one can be shown, it is the last. For a
quasi-pulsed spot, the only mode that is not used here, G and S rank highest."""

SOURCE_LETTERS: Final = {"W": False, "E": True}
"""Status letter of a source datum, and whether it is the last step. Source: PG 1-39, E52 1-26; verified."""

SOURCE_CODES: Final = {1: False, 2: True}
"""The same in the 4-byte format. Source: PG 1-45; verified."""

DUMMY_VALUE: Final = 199.999e99
"""A or V: stands in the place of a value over range or after an abort. Source: QCODES, PG 1-39; verified."""


class Cause(IntEnum):
    """What a caller can do about an error of the instrument."""

    MESSAGE = 0
    """A command was refused: this driver or its caller is wrong."""
    CHANNEL = 1
    """The channel does not exist, or is switched off."""
    INTERLOCK = 2
    """The interlock is open."""
    HARDWARE = 3
    """The instrument protects itself, or is broken."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One error of the instrument's queue; the wording is the instrument's."""

    code: int
    text: str
    cause: Cause
    source: str
    verified: bool


ERRORS: Final = (
    ErrorRow(0, "No Error.", Cause.MESSAGE, "PG 4-101, QCODES", True),
    ErrorRow(100, "Undefined GPIB command.", Cause.MESSAGE, "PYMEASURE, LAB", True),
    ErrorRow(102, "Incorrect numeric data syntax.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(103, "Incorrect terminator position.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(120, "Incorrect parameter value.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(121, "Channel number must be corrected.", Cause.CHANNEL, "PYMEASURE (E5270B)", False),
    ErrorRow(122, "Number of channels must be corrected.", Cause.CHANNEL, "LAB", True),
    ErrorRow(123, "Compliance must be set correctly.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(124, "Incorrect range value for this channel.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(130, "Start and stop must be same polarity.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(150, "Command input buffer is full.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(151, "This command is not allowed to this channel.", Cause.CHANNEL, "FAMILY", False),
    ErrorRow(152, "Cannot use failed module for this command.", Cause.HARDWARE, "FAMILY", False),
    ErrorRow(153, "No module for the specified channel.", Cause.CHANNEL, "LAB", True),
    ErrorRow(160, "Incorrect ST execution.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(161, "Incorrect END position.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(162, "Incorrect command for program memory.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(170, "Incorrect usage of internal variable.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(200, "Channel output switch must be ON.", Cause.CHANNEL, "PYMEASURE (E5270B)", False),
    ErrorRow(201, "Compliance must be set.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(202, "Interlock circuit must be closed.", Cause.INTERLOCK, "FAMILY", False),
    ErrorRow(203, "Cannot enable channel.", Cause.HARDWARE, "FAMILY", False),
    ErrorRow(205, "DZ must be sent before RZ.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(212, "Compliance must be set correctly.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(214, "Send MM before measurement trigger.", Cause.MESSAGE, "FAMILY", False),
    ErrorRow(305, "Excess current in HPSMU.", Cause.HARDWARE, "PG 4-101", True),
)
"""Codes that a driver meets. The text after a semicolon is added by the instrument (`; SLOT1`)."""

ERROR_QUEUE_LENGTH: Final = 30
"""Codes that the queue holds. Source: PG 4-101; verified."""


@dataclass(frozen=True, slots=True)
class FormatRow:
    """One data format of `FMT`.

    Attributes:
        number: of the format.
        item: characters or bytes of one datum, without separator.
        header: characters before the digits; 0 where there are none.
        separator: after each datum but the last of a message.
        end: after the last datum of a message.
        binary: whether a datum is bytes, not digits.
        ends_message: whether EOI comes with the end of a message.
    """

    number: int
    item: int
    header: int
    separator: bytes
    end: bytes
    binary: bool
    ends_message: bool
    source: str
    verified: bool


_ASCII = "E52 4-60, QCODES"
_BINARY = "PG 1-36, E52 4-60"

FORMATS: Final = {
    row.number: row
    for row in (
        FormatRow(1, 15, 3, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(2, 12, 0, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(3, 4, 0, b"", b"\r\n", True, True, _BINARY, True),
        FormatRow(4, 4, 0, b"", b"", True, True, _BINARY, True),
        FormatRow(5, 15, 3, b",", b",", False, False, _ASCII, False),
        FormatRow(11, 16, 3, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(12, 13, 0, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(13, 8, 0, b"", b"\r\n", True, True, _BINARY, True),
        FormatRow(14, 8, 0, b"", b"", True, True, _BINARY, True),
        FormatRow(15, 16, 3, b",", b",", False, False, _ASCII, False),
        FormatRow(21, 18, 5, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(22, 13, 0, b",", b"\r\n", False, True, _ASCII, True),
        FormatRow(25, 18, 5, b",", b",", False, False, _ASCII, False),
    )
}
"""Whether EOI comes with the comma that ends formats 5, 15 and 25 is not known: the driver does not depend on it."""

CHANNEL_LETTERS: Final = {chr(ord("A") + slot - 1): slot for slot in range(1, 11)} | {
    chr(ord("a") + slot - 1): 100 * slot + 2 for slot in range(1, 11)
}
"""Letter of a datum, and the channel it stands for: slots 1 to 10, and their second channels. Source: PYMEASURE,
E52 1-27; verified. V is the ground unit and Z none of them: both are channel 0."""

COUNT_MEASURED_4: Final = 50_000
"""Counts of a range of a measured 4-byte datum. Source: PG 1-42, E52 1-36; verified (the guide's own example)."""
COUNT_SOURCE_4: Final = 20_000
"""Counts of a range of a source datum. Source: PG 1-42; verified."""
OVER_RANGE_COUNT_4: Final = 65_535
"""Count that stands in the place of a 4-byte value over range. Source: PG 1-45; verified."""
COUNT_8: Final = 1_000_000
"""Counts of a range of an 8-byte datum. Source: PG 1-48; verified."""

OVER_RANGE_COUNT_8: Final = 2**31 - 1
"""The same of 8 bytes. Source: inferred; not verified."""

PARAMETERS_8: Final = {0: "V", 1: "I", 3: "T"}
"""Parameter code of an 8-byte datum. Source: inferred from the 4-byte format; not verified."""

VOLTAGE_RANGES: Final[dict[int, Volts]] = {
    5: 0.5, 20: 2.0, 11: 2.0, 50: 5.0, 200: 20.0, 12: 20.0, 400: 40.0, 13: 40.0, 1000: 100.0, 14: 100.0,
}  # fmt: skip
"""V: full scale of each range code. Source: QCODES, PYMEASURE, PYHEGEL; verified."""

BINARY_VOLTAGE_RANGES: Final[dict[int, Volts]] = {8: 0.5, 9: 5.0, 11: 2.0, 12: 20.0, 13: 40.0, 14: 100.0}
"""V: full scale of the range codes in binary data: the short codes of the table above, and FAMILY; not verified."""

TIME_COUNTS_8: Final = 1_000_000
"""Counts of a second in the 6-byte time of an 8-byte datum. Source: inferred from `COUNT_8`; not verified."""

CURRENT_RANGE_CODES: Final = range(8, 21)
"""Code c is full scale 10^(c - 20) A, from 1 pA to 1 A. Source: QCODES, PG 1-43; verified."""


def current_range(code: int) -> Amperes:
    """A: full scale of a current range code."""
    return float(10.0 ** (code - 20))


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module of the mainframe.

    Attributes:
        model: as `UNT?` gives it.
        kind: SMU, CMU, SPGU or WGFMU.
        channels: of the module.
        slots: that it takes; the last one gives the channel its number.
        envelope: of an SMU: pairs (largest A, up to this V), from the smallest voltage on.
        lowest_current_range: A; 0 where it has none.
    """

    model: str
    kind: str
    channels: int
    slots: int
    envelope: tuple[tuple[Amperes, Volts], ...]
    lowest_current_range: Amperes
    source: str
    verified: bool


_LARGE = ((1.0, 20.0), (0.5, 40.0), (0.125, 100.0), (0.05, 200.0))
_SMALL = ((0.1, 20.0), (0.05, 40.0), (0.02, 100.0))

MODULES: Final = {
    row.model: row
    for row in (
        ModuleRow("B1517A", "SMU", 1, 1, _SMALL, 10e-12, "D4155, UG13 4-19", True),
        ModuleRow("B1511A", "SMU", 1, 1, _SMALL, 1e-9, "D4155, UG13 4-19", True),
        ModuleRow("B1511B", "SMU", 1, 1, _SMALL, 1e-9, "D4155, UG13 4-19", True),
        ModuleRow("B1510A", "SMU", 1, 2, _LARGE, 1e-9, "FAMILY", False),
        ModuleRow("B1514A", "SMU", 1, 1, ((0.1, 30.0),), 1e-6, "FAMILY", False),
        ModuleRow("B1520A", "CMU", 1, 1, (), 0.0, "QCODES", True),
        ModuleRow("B1525A", "SPGU", 2, 1, (), 0.0, "DS", True),
        ModuleRow("B1530A", "WGFMU", 2, 1, (), 0.0, "UG13 4-37", True),
    )
}  # fmt: skip
"""A model may carry a suffix after a slash (`B1520A/N1301A`)."""

INTERLOCK_VOLTAGE: Final[Volts] = 42.0
"""V: outputs and compliances above need a closed interlock, and this driver refuses them. Source: QCODES; verified."""

INTERLOCK_OPEN: Final = 8
"""Bit of `*STB?`: interlock open, and an output or compliance above that voltage. Source: PG 1-56; verified."""

PULSE_WIDTH: Final[tuple[Seconds, Seconds]] = (0.5e-3, 2.0)
"""s: shortest and longest SMU pulse. Source: E52 4-90, EE; not verified for `PT` of this instrument."""
PULSE_PERIOD: Final[tuple[Seconds, Seconds]] = (5e-3, 5.0)
"""s: shortest and longest period. Source: E52 4-90, EE; not verified; and the width with `rmhil.smu_rest`."""

SWEEP_STEPS_MAX: Final = 10_001
"""Source: QCODES, PG 4-157; verified."""
HOLD_TIME_MAX: Final[Seconds] = 655.35
"""s, in steps of 10 ms. Source: QCODES, PG 4-223; verified."""
DELAY_TIME_MAX: Final[Seconds] = 65.535
"""s, in steps of 0.1 ms. Source: QCODES, PG 4-223; verified."""
PAUSE_MAX: Final[Seconds] = 99.9999
"""s: longest `PA`. Source: PG 4-147; verified."""

SAMPLING_INTERVAL: Final[tuple[Seconds, Seconds]] = (0.1e-3, 65.535)
"""s. Source: QCODES; verified."""
SAMPLING_INTERVAL_SLOW: Final[Seconds] = 2e-3
"""s: a shorter interval adds `SAMPLING_STEP_PER_CHANNEL` for each channel but the first. Source: QCODES; verified."""
SAMPLING_STEP_PER_CHANNEL: Final[Seconds] = 20e-6
"""s. Source: QCODES; verified."""
SAMPLING_POINTS_MAX: Final = 100_001
"""Points of all channels together. Source: QCODES; verified."""

CHANNELS_AT_ONCE: Final = 10
"""Channels of one measurement. Source: QCODES; verified."""
DATA_BUFFER: Final = 34_034
"""Data that the instrument holds until they are read. Source: E52 1-22, at least so many; not verified here."""
PROGRAM_NUMBERS: Final = range(1, 2001)
"""Program memories. Source: PG 4-124; verified."""
VARIABLE_NUMBERS: Final = range(0, 100)
"""Variables of one type. Source: FAMILY; not verified."""
MESSAGE_LENGTH_MAX: Final = 256
"""Characters of one message with its terminator. Source: FAMILY; not verified. No message of this driver is longer."""
