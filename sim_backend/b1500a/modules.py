"""Mainframe, modules and their ranges.

What is known of modules and range codes is in `rmhil.bench.flex.facts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rmhil.bench.flex.facts import CURRENT_RANGE_CODES, MODULES, VOLTAGE_RANGES, ModuleRow, current_range
from rmhil.errors import ConfigError, UnknownNameError
from rmhil.units import Amperes, Ohms, Volts, Watts
from sim_backend.b1500a.errors import NO_MODULE, RANGE_VALUE, WRONG_CHANNEL, Refused

SLOTS: Final = 10
"""Of the mainframe."""

CURRENT_RANGES: Final[dict[int, Amperes]] = {code: current_range(code) for code in CURRENT_RANGE_CODES}
"""A of a range code: 8 is 1 pA, 20 is 1 A."""

VOLTAGE_CODES: Final = (5, 20, 50, 200, 400, 1000)
"""Those of answers, ascending."""

FORCE_RESISTANCE: Final[Ohms] = 0.3
"""ohm between an SMU and its terminal (B1500A User's Guide, Edition 13, page 4-19)."""

SERIES_RESISTANCE: Final[Ohms] = 1e6
"""ohm that `SSR` switches in (about 1 Mohm)."""

SPGU_RESISTANCE: Final[Ohms] = 50.0
"""ohm of the pulse generator's source (B1500A data sheet, page 19)."""

SPGU_VOLTAGE_MAX: Final[Volts] = 40.0
"""V, open circuit (same)."""


class Kind(Enum):
    """What a module is."""

    SMU = "SMU"
    SPGU = "SPGU"
    CMU = "CMU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One kind of module.

    Attributes:
        name: as `UNT?` gives it.
        kind: what it is.
        current_codes: ranges of current, ascending.
        reach: pairs of A and V: up to so much current, so much voltage; ascending in current.
        power_max: W, largest power compliance.
        channels: of the module.
    """

    name: str
    kind: Kind
    current_codes: tuple[int, ...] = ()
    reach: tuple[tuple[Amperes, Volts], ...] = ()
    power_max: Watts = 0.0
    channels: int = 1

    @property
    def voltage_max(self) -> Volts:
        """V at the smallest currents."""
        return self.reach[0][1]

    @property
    def current_max(self) -> Amperes:
        """A at the smallest voltages."""
        return self.reach[-1][0]

    def current_at(self, voltage: Volts) -> Amperes:
        """Largest current (A) at an output of so many V."""
        return max((amperes for amperes, volts in self.reach if abs(voltage) <= volts), default=0.0)

    def voltage_at(self, current: Amperes) -> Volts:
        """Largest voltage (V) at an output of so many A."""
        return max((volts for amperes, volts in self.reach if abs(current) <= amperes), default=0.0)


_POWER_MAX: Final[Watts] = 2.0
"""W, largest power compliance of the small SMUs (B1500A Programming Guide, page 4-157)."""


def _model(row: ModuleRow) -> Model:
    """A module as the facts describe it."""
    if not row.envelope:
        return Model(name=row.model, kind=Kind(row.kind), channels=row.channels)
    reach = tuple(sorted(row.envelope))
    lowest, highest = (
        round(math.log10(value)) + CURRENT_RANGE_CODES[-1] for value in (row.lowest_current_range, reach[-1][0])
    )
    return Model(
        name=row.model,
        kind=Kind(row.kind),
        current_codes=tuple(range(lowest, highest + 1)),
        reach=reach,
        power_max=_POWER_MAX,
    )


MODELS: Final = {name: _model(MODULES[name]) for name in ("B1517A", "B1511A", "B1511B", "B1525A", "B1520A")}
"""Modules that are emulated; the capacitance unit is listed and refuses every command."""

DEFAULT_SLOTS: Final = ("B1517A", "B1517A", "B1517A", "B1511B", "B1525A", "", "", "", "B1520A", "")
"""Three high-resolution units for the three lines of a cell, one spare, a pulse generator."""


@dataclass(frozen=True, slots=True)
class Mainframe:
    """The modules in their slots, 1 to 10; None is an empty slot."""

    slots: tuple[Model | None, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Mainframe:
        """Modules by name, from slot 1 on; an empty name leaves a slot empty.

        Raises:
            ConfigError: more modules than slots.
            UnknownNameError: no such module.
        """
        if len(names) > SLOTS:
            raise ConfigError(f"{len(names)} modules named, the mainframe has {SLOTS} slots")
        for name in names:
            if name and name not in MODELS:
                raise UnknownNameError("module", name, sorted(MODELS))
        models = [MODELS[name] if name else None for name in names]
        return cls(tuple(models + [None] * (SLOTS - len(models))))

    def model(self, slot: int) -> Model | None:
        """What is in a slot."""
        return self.slots[slot - 1]

    @property
    def smu_channels(self) -> list[int]:
        """Channel numbers of all SMUs."""
        return [slot for slot, model in enumerate(self.slots, 1) if model is not None and model.kind is Kind.SMU]

    @property
    def spgu_channels(self) -> list[int]:
        """Channel numbers of all pulse generators: slot, then 01 or 02."""
        generators = [slot for slot, model in enumerate(self.slots, 1) if model is not None and model.kind is Kind.SPGU]
        return [100 * slot + one for slot in generators for one in (1, 2)]

    def channel(self, number: int) -> int:
        """The channel's number in its usual form: slot n is `n`, also written `n01` where it has one channel.

        Raises:
            Refused: no such channel.
        """
        if number in self.smu_channels or number in self.spgu_channels:
            return number
        slot, one = divmod(number, 100)
        if one == 1 and slot in self.smu_channels:
            return slot
        if number in self.spgu_slots:
            return 100 * number + 1
        wrong = 1 <= number <= SLOTS and self.model(number) is not None
        raise Refused(WRONG_CHANNEL if wrong else NO_MODULE)

    @property
    def spgu_slots(self) -> list[int]:
        """Slots with a pulse generator."""
        return [number // 100 for number in self.spgu_channels if number % 100 == 1]

    @property
    def inventory(self) -> str:
        """Answer of `UNT?`."""
        return ";".join("0,0" if model is None else f"{model.name},0" for model in self.slots)


def voltage_code(code: int) -> int:
    """The code that answers give for a voltage range, whose sign says how it is used.

    Raises:
        Refused: no such range.
    """
    if code == 0:
        return 0
    if abs(code) not in VOLTAGE_RANGES:
        raise Refused(RANGE_VALUE)
    sign = 1 if code > 0 else -1
    return sign * next(one for one in VOLTAGE_CODES if VOLTAGE_RANGES[one] == VOLTAGE_RANGES[abs(code)])


def current_code(model: Model, code: int) -> int:
    """A current range's code, checked.

    Raises:
        Refused: the module has no such range.
    """
    if code != 0 and abs(code) not in model.current_codes:
        raise Refused(RANGE_VALUE)
    return code


def covering_voltage(value: Volts, least: int = 0) -> int:
    """Code of the smallest voltage range that holds a value, and is not below `least`."""
    codes = [code for code in VOLTAGE_CODES if VOLTAGE_RANGES[code] >= abs(value) and code >= least]
    return codes[0] if codes else VOLTAGE_CODES[-1]


def covering_current(model: Model, value: Amperes, least: int = 0) -> int:
    """Code of the smallest current range of a module that holds a value, and is not below `least`."""
    room = 1.0 + 1e-9  # 100 uA typed in and 10**-4 computed differ in the last bit
    codes = [code for code in model.current_codes if CURRENT_RANGES[code] * room >= abs(value) and code >= least]
    return codes[0] if codes else model.current_codes[-1]
