"""The published curves: for each its source, the cells it is measured on, the measurement and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from rmhil.crossbar import Crossbar
from rmhil.errors import UnknownNameError
from rmhil.measure import endurance, retention, sweeps
from rmhil.measure.endurance import Endurance
from rmhil.measure.pictures import endurance_picture, retention_picture, sweeps_picture
from rmhil.measure.retention import Retention
from rmhil.measure.sweeps import SweepPlan, Sweeps
from rmhil.program_report import Progress
from rmhil.report.canvas import Picture
from rmhil.wear.counts import CYCLES
from sim_backend.characterise import levels, pictures, program_pictures
from sim_backend.characterise import tolerance as against
from sim_backend.characterise.cells import working_cells
from sim_backend.characterise.levels import Levels
from sim_backend.characterise.pattern import Patterns, measure_patterns
from sim_backend.characterise.raw_data import Kept, Writable
from sim_backend.characterise.rooms import Room
from sim_backend.characterise.tolerance import PulseCounts
from sim_backend.characterise.trajectories import Trajectories, measure_trajectories
from sim_backend.fit.recorder import Recorder
from sim_backend.fit.tables import Table

PAPER: Final = "arXiv 2601.10037"

_QUICK_CYCLES: Final = 300
_QUICK_CELLS_A_LEVEL: Final = 4


class Measured(Protocol):
    """What every measurement returns: a frozen dataclass of arrays."""

    def summary(self) -> dict[str, Any]:
        """What it comes to, in plain numbers."""

    def tables(self) -> Mapping[str, Writable]:
        """Raw data by name of the file."""


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured.

    Attributes:
        seed: of random maps.
        quick: fewer cells and repeats: a look, not the published statements.
        cycles: of the endurance; None: as many as were published, or 300 if quick.
    """

    seed: int = 0
    quick: bool = False
    cycles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Generic[M]):
    """One published curve.

    Attributes:
        title: heading.
        published: what is published, in our words, with its source.
        room: the cells that it asks for.
        measure: takes those cells, how much is wanted, and who is told of progress.
        draw: makes the pictures, inside the report's style.
    """

    title: str
    published: str
    room: Room
    measure: Callable[[Crossbar, Extent, Progress], M]
    draw: Callable[[M], list[Picture]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCurves:
    """Levels of one cell with many repeats, and of several cells with few.

    Attributes:
        one, several: the measurements.
        pulses: all pulses of the several cells, as `rmhil fit` reads them.
    """

    one: Levels
    several: Levels
    pulses: Table

    def summary(self) -> dict[str, Any]:
        """Both summaries; of the several cells, what does not go with the number of repeats."""
        several = self.several.summary()
        chosen = ("cells", "levels", "repeats", "r_squared", "deviation_siemens", "deviation_of_cells_siemens")
        return {"one_cell": self.one.summary(), "several_cells": {name: several[name] for name in chosen}}

    def tables(self) -> Mapping[str, Writable]:
        """The SETs of the one cell, and the pulses of the several."""
        return {**self.one.tables(), "levels-pulses": self.pulses}


def _sweeps(part: Crossbar, extent: Extent, progress: Progress) -> Kept[Sweeps]:
    cell, whole = working_cells(part, 1), Crossbar(part.backend)
    count, plan = (10, SweepPlan(step=0.05)) if extent.quick else (sweeps.SWEEPS, SweepPlan())
    return Kept("sweeps", sweeps.measure_sweeps(whole, cell, progress, count, plan))


def _endurance(part: Crossbar, extent: Extent, progress: Progress) -> Kept[Endurance]:
    cells = working_cells(part, 64)
    cycles = extent.cycles or (_QUICK_CYCLES if extent.quick else CYCLES)
    return Kept("endurance", endurance.measure_endurance(Crossbar(part.backend), cells, progress, cycles))


def _levels(part: Crossbar, extent: Extent, progress: Progress) -> LevelCurves:
    cells = working_cells(part, 64)
    gates, repeats = (17, 10) if extent.quick else (levels.LEVELS, levels.REPEATS)
    one = levels.measure_levels(part.backend, cells[:1], progress, levels.gate_voltages(gates), repeats)
    recorder = Recorder(part.backend)
    coarse = levels.gate_voltages(17 if extent.quick else 33)
    several = levels.measure_levels(recorder, cells, progress, coarse, repeats=5)
    return LevelCurves(one=one, several=several, pulses=recorder.table())


def _retention(part: Crossbar, extent: Extent, progress: Progress) -> Kept[Retention]:
    cells_a_level = _QUICK_CELLS_A_LEVEL if extent.quick else retention.CELLS_A_LEVEL
    return Kept("retention", retention.measure_retention(part, progress, cells_a_level=cells_a_level))


def _trajectories(part: Crossbar, extent: Extent, progress: Progress) -> Trajectories:
    cells = working_cells(part, 6 if extent.quick else 9)
    return measure_trajectories(Crossbar(part.backend, arrays=part.arrays), cells, progress)


def _tolerance(part: Crossbar, extent: Extent, progress: Progress) -> PulseCounts:
    chosen, lines = ((1e-6, 2e-6, 5e-6), 1) if extent.quick else (against.TOLERANCES, len(part.bl))
    return against.measure_tolerance(part.region(slice(lines)), extent.seed, progress, tolerances=chosen)


def _pattern(part: Crossbar, _extent: Extent, progress: Progress) -> Patterns:
    return measure_patterns(part, progress)


def _levels_pictures(measured: LevelCurves) -> list[Picture]:
    return [
        pictures.levels_picture(measured.one),
        pictures.steps_picture(measured.one),
        pictures.cells_picture(measured.several),
    ]


CURVES: Final[Mapping[str, Curve[Any]]] = {
    "sweeps": Curve(
        title="Quasi-static sweeps",
        published=f"50 consecutive sweeps of one cell lie over one another ({PAPER}).",
        room=Room(cells=4),
        measure=_sweeps,
        draw=lambda measured: [sweeps_picture(measured.name, measured.own)],
    ),
    "endurance": Curve(
        title="Endurance",
        published=f"30,000 SET/RESET cycles with the window open ({PAPER}).",
        room=Room(cells=80),
        measure=_endurance,
        draw=lambda measured: [endurance_picture(measured.name, measured.own)],
    ),
    "levels": Curve(
        title="Levels by single-shot SET",
        published=f"More than 128 levels, nearly linear in the gate voltage, told apart by single-shot SET ({PAPER}).",
        room=Room(cells=80),
        measure=_levels,
        draw=_levels_pictures,
    ),
    "trajectories": Curve(
        title="Write-verify trajectories",
        published=f"Write-verify brings cells to their targets from below and from above ({PAPER}).",
        room=Room(cells=12),
        measure=_trajectories,
        draw=lambda measured: [program_pictures.trajectories_picture(measured)],
    ),
    "tolerance": Curve(
        title="Pulses against tolerance",
        published=f"Tens of pulses a cell for 2 uS and about 50 for 1 uS with incremental pulses ({PAPER}).",
        room=Room(cells=128, lines=4),
        measure=_tolerance,
        draw=lambda measured: [program_pictures.tolerance_picture(measured)],
    ),
    "pattern": Curve(
        title="Letters",
        published=f"The letters CL and UL, written to 2 uS ({PAPER}, Fig. 2g).",
        room=Room(lines=9, most_lines=32, width=28, most_width=64),
        measure=_pattern,
        draw=lambda measured: [program_pictures.patterns_picture(measured)],
    ),
    "retention": Curve(
        title="Retention",
        published=f"17 levels read over 1e6 s ({PAPER}).",
        room=Room(
            cells=retention.LEVELS * retention.CELLS_A_LEVEL, quick_cells=retention.LEVELS * _QUICK_CELLS_A_LEVEL
        ),
        measure=_retention,
        draw=lambda measured: [retention_picture(measured.name, measured.own)],
    ),
}
"""By name, in the order in which they are measured: retention last, since it lets time pass."""


def find_curves(names: list[str]) -> dict[str, Curve[Any]]:
    """Curves by name in the order of `CURVES`; all of them for an empty list.

    Raises:
        UnknownNameError: there is no such curve.
    """
    for name in names:
        if name not in CURVES:
            raise UnknownNameError("curve", name, list(CURVES))
    return {name: curve for name, curve in CURVES.items() if not names or name in names}
