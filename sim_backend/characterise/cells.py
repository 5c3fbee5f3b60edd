"""What the measurements share: their pulses, cells that work, and the fully RESET state.

Everything here and in the measurements goes through `Backend.apply`, `sweep` and `wait`, so that it asks of
a simulator nothing that a bench could not do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rmhil.backend import Backend, Cells, Floats, Operation, Pulses, Read
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError
from rmhil.units import Volts
from rmhil.write_verify.levels import SET_AMPLITUDE
from sim_backend.fit.pulsing import reset_until_low, transact

RESET_AMPLITUDE: Final[Volts] = 2.4
"""V of a RESET that is meant to go all the way: beyond the whole ramp of a gradual RESET (estimate, range 2 to 3)."""

_TRIAL_GATE: Final[Volts] = 2.5
"""V on the gate of the SET that shows whether a cell works: it leads to the middle of the window."""


def named_cells(crossbar: Crossbar) -> Cells:
    """All cells of a crossbar, in index order, by the line numbers of its backend."""
    array, bl, sl = np.meshgrid(crossbar.arrays, crossbar.bl, crossbar.sl, indexing="ij")
    return Cells.of(array, bl, sl)


def set_pulses(backend: Backend, count: int, gate_voltage: Volts | Floats) -> Pulses:
    """One SET for each of `count` cells, at a gate voltage (V) or one each."""
    limits = backend.spec.limits
    return Pulses.of(
        count, Operation.SET, SET_AMPLITUDE, backend.spec.pulse_width, gate_voltage, compliance=limits.current
    )


def reset_pulses(backend: Backend, count: int, amplitude: Volts = RESET_AMPLITUDE) -> Pulses:
    """One RESET of an amplitude (V) for each of `count` cells, the gate fully open."""
    limits = backend.spec.limits
    return Pulses.of(
        count,
        Operation.RESET,
        amplitude,
        backend.spec.pulse_width,
        limits.gate_voltage,
        compliance=limits.current,
    )


def reset_fully(backend: Backend, cells: Cells) -> Floats:
    """RESET cells until each reads well below the window, or does not answer: S, the last reading of each."""
    return reset_until_low(backend, cells, reset_pulses(backend, len(cells)))


def working_cells(crossbar: Crossbar, count: int) -> Cells:
    """The first `count` cells of a crossbar that form, RESET and SET; they are left fully RESET.

    Raises:
        ConfigError: there are not so many.
    """
    crossbar.form()
    backend, cells = crossbar.backend, named_cells(crossbar)
    read = Read.default(backend.spec)
    reset_fully(backend, cells)
    high = transact(backend, cells, set_pulses(backend, len(cells), _TRIAL_GATE), read).conductance
    low = reset_fully(backend, cells)
    works = np.flatnonzero((low < backend.spec.conductance_min) & (high > backend.spec.conductance_min))
    if len(works) < count:
        raise ConfigError(
            f"{count} working cells are needed, but of {len(cells)} cells of {crossbar} {len(works)} work"
        )
    return cells[works[:count]]
