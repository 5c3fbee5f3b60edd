"""Cells that the curves are measured on: all of a crossbar, or those that work.

Everything here and in the measurements goes through `Backend.apply`, `sweep` and `wait`, so that it asks of
a simulator nothing that a bench could not do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rmhil.backend import Cells
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError
from rmhil.measure.pulsing import reset_fully, set_pulses
from rmhil.units import Volts

_TRIAL_GATE: Final[Volts] = 2.5
"""V on the gate of the SET that shows whether a cell works: it leads to the middle of the window."""


def named_cells(crossbar: Crossbar) -> Cells:
    """All cells of a crossbar, in index order, by the line numbers of its backend."""
    array, bl, sl = np.meshgrid(crossbar.arrays, crossbar.bl, crossbar.sl, indexing="ij")
    return Cells.of(array, bl, sl)


def working_cells(crossbar: Crossbar, count: int) -> Cells:
    """The first `count` cells of a crossbar that form, RESET and SET; they are left fully RESET.

    Raises:
        ConfigError: there are not so many.
    """
    crossbar.form()
    spec, cells = crossbar.spec, named_cells(crossbar)
    whole = Crossbar(crossbar.backend)
    reset_fully(whole, cells)
    high = whole.apply(cells, set_pulses(spec, len(cells), _TRIAL_GATE)).conductance
    low = reset_fully(whole, cells)
    works = np.flatnonzero((low < spec.conductance_min) & (high > spec.conductance_min))
    if len(works) < count:
        raise ConfigError(
            f"{count} working cells are needed, but of {len(cells)} cells of {crossbar} {len(works)} work"
        )
    return cells[works[:count]]
