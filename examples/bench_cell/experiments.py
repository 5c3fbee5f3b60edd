"""What is measured of the cell, in order: each through the seam, so on an instrument as on the emulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rmhil.backend import Cells
from rmhil.crossbar import Crossbar
from rmhil.measure.endurance import measure_endurance
from rmhil.measure.pictures import endurance_picture, sweeps_picture
from rmhil.measure.sweeps import measure_sweeps
from rmhil.program_report import Progress
from rmhil.report.canvas import Picture
from rmhil.units import Seconds, Siemens
from sim_backend.characterise.curves import Measured
from sim_backend.characterise.levels import gate_voltages, measure_levels
from sim_backend.characterise.program_pictures import trajectories_picture
from sim_backend.characterise.raw_data import Kept
from sim_backend.characterise.trajectories import measure_trajectories

from .retention import measure_cell_retention, retention_picture
from .staircase import staircase_picture

CELL: Final = Cells.of(0, 0, 0)

LEGS: Final[tuple[tuple[Siemens, ...], ...]] = ((45e-6,), (70e-6,), (20e-6,))
"""S: targets of write-verify, one after the other: up, up and down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured.

    Attributes:
        sweeps: quasi-static sweeps.
        levels, repeats: gate voltages of the SET staircase, and SETs at each.
        cycles: SET/RESET cycles of the endurance.
        retention: s from the write to the last reading of each level.
    """

    sweeps: int = 50
    levels: int = 128
    repeats: int = 3
    cycles: int = 1000
    retention: Seconds = 1000.0

    @classmethod
    def quick(cls) -> Extent:
        """A look: some seconds on the emulator."""
        return cls(sweeps=3, levels=17, repeats=2, cycles=50, retention=100.0)


@dataclass(frozen=True, slots=True)
class Experiment:
    """One measurement and its picture."""

    measure: Callable[[Crossbar, Progress, Extent], Measured]
    draw: Callable[[Any], Picture]


EXPERIMENTS: Final = {
    "sweeps": Experiment(
        lambda x, p, e: Kept("sweeps", measure_sweeps(x, CELL, p, e.sweeps)),
        lambda kept: sweeps_picture(kept.name, kept.own),
    ),
    "levels": Experiment(
        lambda x, p, e: measure_levels(x.backend, CELL, p, gate_voltages(e.levels), e.repeats), staircase_picture
    ),
    "write-verify": Experiment(lambda x, p, e: measure_trajectories(x, CELL, p, legs=LEGS), trajectories_picture),
    "endurance": Experiment(
        lambda x, p, e: Kept("endurance", measure_endurance(x, CELL, p, e.cycles)),
        lambda kept: endurance_picture(kept.name, kept.own),
    ),
    "retention": Experiment(lambda x, p, e: measure_cell_retention(x, p, e.retention), retention_picture),
}
"""By name, in the order in which they wear the cell the least for those that follow."""
