"""What measurements share: their pulses, RESETs that go all the way, and the refusal of cells that are not formed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rmhil.backend import ArraySpec, Cells, Floats, Operation, Pulses
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.units import Volts
from rmhil.write_verify.levels import SET_AMPLITUDE
from rmhil.write_verify.ramps import formed_threshold

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar

RESET_AMPLITUDE: Final[Volts] = 2.4
"""V of a RESET that is meant to go all the way: beyond the whole ramp of a gradual RESET (estimate, range 2 to 3)."""

RESET_PULSES: Final = 4
"""RESET pulses after which a cell is taken for one that does not answer."""

_RESET_BELOW: Final = 0.8
"""1: share of the window's lower end below which a cell counts as fully RESET."""

_NAMED_MOST: Final = 4
"""Cells that a message names one by one."""


def set_pulses(spec: ArraySpec, count: int, gate_voltage: Volts | Floats) -> Pulses:
    """One SET for each of `count` cells, at a gate voltage (V) or one each."""
    return Pulses.of(
        count, Operation.SET, SET_AMPLITUDE, spec.pulse_width, gate_voltage, compliance=spec.limits.current
    )


def reset_pulses(spec: ArraySpec, count: int, amplitude: Volts = RESET_AMPLITUDE) -> Pulses:
    """One RESET of an amplitude (V) for each of `count` cells, the gate fully open."""
    limits = spec.limits
    return Pulses.of(
        count, Operation.RESET, amplitude, spec.pulse_width, limits.gate_voltage, compliance=limits.current
    )


def reset_fully(crossbar: Crossbar, cells: Cells) -> Floats:
    """RESET cells until each reads well below the window, or does not answer: S, the last reading of each."""
    return reset_until_low(crossbar, cells, reset_pulses(crossbar.spec, len(cells)))


def reset_until_low(crossbar: Crossbar, cells: Cells, pulses: Pulses) -> Floats:
    """RESET cells, again where one pulse was not enough, until each reads well below the window.

    A conducting cell takes much of the first pulse's voltage away from itself: its transistor carries no more.

    Args:
        crossbar: that holds the cells.
        cells: formed ones, by their numbers in the crossbar.
        pulses: one RESET for each, strong enough to go all the way.

    Returns:
        S, the last reading of each; not below the window where a cell does not answer.
    """
    below = _RESET_BELOW * crossbar.spec.conductance_min
    reached = crossbar.apply(cells, pulses).conductance
    for _ in range(1, RESET_PULSES):
        high = np.flatnonzero(~(reached < below))
        if not len(high):
            break
        reached[high] = crossbar.apply(cells[high], pulses[high]).conductance
    return reached


def in_the_backend(crossbar: Crossbar, cells: Cells) -> Cells:
    """Cells of a crossbar by their numbers in its backend."""
    array, bl, sl = cells.index
    return Cells(crossbar.arrays[array], crossbar.bl[bl], crossbar.sl[sl])


def refuse_virgin(crossbar: Crossbar, cells: Cells) -> Floats:
    """Read cells, and refuse to go on if one has not been formed: S, the reading of each. Nothing is pulsed.

    Raises:
        ConfigError: cells are virgin; the message names them, and what to do.
    """
    conductance = crossbar.apply(cells, None).conductance
    virgin = np.flatnonzero(conductance < formed_threshold(crossbar.spec))
    if virgin.size:
        names = ", ".join(in_the_backend(crossbar, cells[virgin[:_NAMED_MOST]]).names)
        more = f" and {virgin.size - _NAMED_MOST:,} more" if virgin.size > _NAMED_MOST else ""
        raise ConfigError(
            f"{virgin.size:,} of {len(cells):,} cells are virgin (array/BL/SL {names}{more}): form them first, or "
            "leave them out. Nothing was pulsed"
        )
    return conductance


def check_volts(name: str, value: Volts, high: Volts) -> None:
    """Refuse a voltage that is not above 0 and within its limit.

    Raises:
        OutOfRangeError: it is not; nothing was driven.
    """
    if not 0.0 < value <= high:  # written this way, NaN fails too
        raise OutOfRangeError(name, value, 0.0, high, "V", above=True)
