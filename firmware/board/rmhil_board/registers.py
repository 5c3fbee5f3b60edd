"""What this program asks of the board's registers: who it is, how fast its clock runs, outputs off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rmhil_board.board_map import CONTROL_KEY, FIELDS, MAGIC, REGISTERS, Cause, State
from rmhil_board.errors import IdentityError
from rmhil_board.manifest import Manifest

CLOCK_ERROR = 0.01
"""1: relative error of the measured clock that is refused. Pulses are as wrong as the clock; this finds a wrong divisor
and allows for the time that two reads take on a busy system (choice of this design)."""

CLOCK_SECONDS = 0.05
"""s: how long the clock is counted; the error of a read is some 10 us of it."""

STOP_SECONDS = 0.002
"""s: how long a stop may take: up to 0.3 ms while the DACs are being reset (firmware/regmap/README.md), with room."""


class Registers(Protocol):
    """32-bit registers by byte offset; pynq.MMIO is one."""

    def read(self, offset: int) -> int:
        """One register."""

    def write(self, offset: int, data: int) -> None:
        """One register."""


@dataclass(frozen=True)
class Time:
    """Where time comes from.

    Attributes:
        now: s, monotonic.
        sleep: for so many s.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def check_identity(registers: Registers, manifest: Manifest) -> None:
    """Compare the registers with the manifest.

    Raises:
        IdentityError: they differ; all differences are named.
    """
    expected = {
        "MAGIC": MAGIC,
        "MAP_HASH": manifest.map_hash,
        "BOARD_HASH": manifest.board_hash,
        "BUILD_ID": manifest.build_id,
        "CLOCK_HZ": manifest.clock_hz,
    }
    found = {name: registers.read(REGISTERS[name]) for name in expected}
    wrong = [f"{name} is {found[name]:#x}, not {value:#x}" for name, value in expected.items() if found[name] != value]
    if wrong:
        where = f"{manifest.base_address:#x}"
        raise IdentityError(
            f"at {where}: {'; '.join(wrong)}. {manifest.bitstream.name} and its .json are not of one build"
        )


def measure_clock(registers: Registers, clock: Time) -> float:
    """Hz: counts the board's clocks for some time of the system's."""
    first, start = registers.read(REGISTERS["CLOCKS_LOW"]), clock.now()
    clock.sleep(CLOCK_SECONDS)
    last, end = registers.read(REGISTERS["CLOCKS_LOW"]), clock.now()
    return ((last - first) % 2**32) / (end - start)


def check_clock(registers: Registers, manifest: Manifest, clock: Time) -> float:
    """Refuse a clock that is not what the logic was made for; the measured one, Hz.

    Raises:
        IdentityError: it is off by more than `CLOCK_ERROR`.
    """
    measured = measure_clock(registers, clock)
    if not abs(measured - manifest.clock_hz) <= CLOCK_ERROR * manifest.clock_hz:
        raise IdentityError(
            f"the board's clock runs at {measured / 1e6:.2f} MHz, made for {manifest.clock_hz / 1e6:g} MHz: "
            "pulses would be wrong by as much. Is FCLK_CLK0 set by something else than the overlay?"
        )
    return measured


def state_of(registers: Registers) -> State:
    """State of the board."""
    return State(FIELDS["STATUS.STATE"].of(registers.read(REGISTERS["STATUS"])))


def describe(registers: Registers) -> str:
    """The state for a log line, with the cause of a fault."""
    status = registers.read(REGISTERS["STATUS"])
    state = State(FIELDS["STATUS.STATE"].of(status))
    cause = f", {Cause(FIELDS['STATUS.CAUSE'].of(status)).name}" if state is State.FAULT else ""
    outputs = "on" if FIELDS["STATUS.OUTPUTS"].of(status) else "off"
    return f"{state.name}{cause}, outputs {outputs}"


def disarm(registers: Registers, clock: Time) -> None:
    """Switch the outputs off and discard what waits. Only while no daemon runs.

    Raises:
        IdentityError: the board did not stop; its outputs are off from the first write on if it is the board at all.
    """
    word = CONTROL_KEY << FIELDS["CONTROL.KEY"].low | 1 << FIELDS["CONTROL.DISARM"].low
    until = clock.now() + STOP_SECONDS
    registers.write(REGISTERS["CONTROL"], word)
    while state_of(registers) is State.STOPPING and clock.now() < until:
        clock.sleep(STOP_SECONDS / 20)
    if state_of(registers) is not State.DISARMED:
        registers.write(REGISTERS["CONTROL"], word)  # out of FAULT, which ABORT or a refused command stops in
    if state_of(registers) is not State.DISARMED:
        raise IdentityError(f"the board does not disarm: {describe(registers)}")
