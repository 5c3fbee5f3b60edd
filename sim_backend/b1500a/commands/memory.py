"""Program memory: VAR, SCR, LST?. ST and END are the engine's, DO and RU as well: they run other commands."""

from __future__ import annotations

from typing import Final

from rmhil.bench.flex.facts import PROGRAM_NUMBERS, VARIABLE_NUMBERS
from sim_backend.b1500a.commands.registry import Table
from sim_backend.b1500a.errors import PARAMETER_VALUE, STORE_EXECUTION, VARIABLE_USE, Refused
from sim_backend.b1500a.formats import in_digits
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_LISTED_MAX: Final = 3000
"""Commands listed at once (same, LST?)."""

NUMBER: Final = one_of(PROGRAM_NUMBERS[0], PROGRAM_NUMBERS[-1])
_MAYBE_NUMBER: Final = one_of(PROGRAM_NUMBERS[0], PROGRAM_NUMBERS[-1], optional=True)
_INTEGER, _REAL = 0, 1


@TABLE.add("VAR", takes=(one_of(0, 1), one_of(VARIABLE_NUMBERS[0], VARIABLE_NUMBERS[-1]), real()))
def set_variable(instrument: Instrument, kind: int, number: int, value: float) -> None:
    """Set a whole number (0) or a real one (1)."""
    if kind == _INTEGER and value != int(value):
        raise Refused(VARIABLE_USE)
    instrument.memory.variables["I" if kind == _INTEGER else "R", number] = value


@TABLE.add("VAR?", takes=(one_of(0, 1), one_of(VARIABLE_NUMBERS[0], VARIABLE_NUMBERS[-1])))
def query_variable(instrument: Instrument, kind: int, number: int) -> None:
    """Value of a variable; 0 until it is set."""
    value = instrument.memory.variables.get(("I" if kind == _INTEGER else "R", number), 0.0)
    instrument.buffers.answer(str(int(value)) if kind == _INTEGER else in_digits(value, abs(value)))


@TABLE.add("SCR", takes=(_MAYBE_NUMBER,), storable=False)
def scratch(instrument: Instrument, number: int | None) -> None:
    """Delete a program, or all of them."""
    if number is None:
        instrument.memory.programs.clear()
    elif instrument.memory.programs.pop(number, None) is None:
        raise Refused(STORE_EXECUTION)


@TABLE.add("LST?", takes=(
    _MAYBE_NUMBER, one_of(0, 1_000_000, optional=True), one_of(1, _LISTED_MAX, optional=True)
))  # fmt: skip
def listing(instrument: Instrument, number: int | None, index: int | None, size: int | None) -> None:
    """Numbers of all programs; commands of one, or with index 0 how many there are."""
    programs = instrument.memory.programs
    if number is None:
        instrument.buffers.answer(",".join(str(one) for one in [len(programs), *sorted(programs)]))
        return
    if number not in programs:
        raise Refused(PARAMETER_VALUE)
    lines = [f"ST{number}", *programs[number], "END"]
    if index == 0:
        instrument.buffers.answer(str(len(lines)))
        return
    first = (index or 1) - 1
    instrument.buffers.answer("\r\n".join(lines[first : first + (size or _LISTED_MAX)]))
