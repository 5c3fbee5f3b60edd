"""Letters written into the array: CL and UL, continual learning and unlearning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError
from rmhil.program_report import Outcome, ProgramReport, Progress
from rmhil.units import Siemens
from sim_backend.characterise.raw_data import RawData

TOLERANCE: Final[Siemens] = 2e-6
"""S: of the patterns in arXiv 2601.10037, Fig. 2g."""

LETTER: Final[Siemens] = 70e-6
GROUND: Final[Siemens] = 20e-6
"""S of the letters and of what is around them (ours; the figure's levels are not given in its text)."""

_GLYPHS: Final = {
    "C": (".###.", "#...#", "#....", "#....", "#....", "#...#", ".###."),
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "U": ("#...#", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."),
}
_ROWS, _GAP = 7, 2
"""Dots of a letter from top to bottom, and from one letter to the next."""

PATTERNS: Final = ("CL", "UL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """What became of each pattern.

    Attributes:
        reports: pattern -> what programming it came to.
    """

    reports: dict[str, ProgramReport]

    def summary(self) -> dict[str, Any]:
        """Shares in tolerance, errors and pulses of each pattern."""
        return {name: _summary(report) for name, report in self.reports.items()}

    def tables(self) -> dict[str, RawData]:
        """One row a cell; lines count within the pattern."""
        parts = {}
        for name, report in self.reports.items():
            rows, columns = report.target.shape
            parts[f"pattern-{name.lower()}"] = RawData.of(
                bl=np.arange(rows)[:, None],
                sl=np.arange(columns)[None, :],
                target_siemens=report.target,
                achieved_siemens=report.achieved,
                set_pulses=report.pulses["set"],
                reset_pulses=report.pulses["reset"],
                outcome=np.array([outcome.name.lower() for outcome in Outcome])[report.outcome],
            )
        return parts


def _summary(report: ProgramReport) -> dict[str, Any]:
    error = report.error[report.outcome == Outcome.CONVERGED]
    return {
        "cells": report.target.size,
        "tolerance_siemens": report.tolerance,
        "converged_fraction": report.converged_fraction(),
        "working_converged_fraction": report.working_converged_fraction(),
        "error_std_siemens": float(error.std()),
        "pulses_per_cell": report.pulses_per_cell(),
        "policy": report.policy,
    }


def letters(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the letters are, as large as they fit a map and in its middle.

    Raises:
        ConfigError: they do not fit.
    """
    rows = [("." * _GAP).join(_GLYPHS[letter][row] for letter in text) for row in range(_ROWS)]
    dots = np.array([[dot == "#" for dot in row] for row in rows])
    scale = (shape[0] // (_ROWS + _GAP), shape[1] // (dots.shape[1] + _GAP))
    if not all(scale):
        least = f"{_ROWS + _GAP} x {dots.shape[1] + _GAP}"
        raise ConfigError(f"the letters {text} need at least {least} cells, the map has {shape[0]} x {shape[1]}")
    large = np.kron(dots, np.ones(scale, dtype=bool))
    drawn = np.zeros(shape, dtype=bool)
    top, left = ((whole - part) // 2 for whole, part in zip(shape, large.shape, strict=True))
    drawn[top : top + large.shape[0], left : left + large.shape[1]] = large
    return drawn


def measure_patterns(crossbar: Crossbar, progress: Progress, policy: str = "adaptive") -> Patterns:
    """Write both patterns, side by side, each into half of the source lines.

    Args:
        crossbar: of one array; at least 9 x 28 cells.
        progress: told how many cells are done.
        policy: its name.
    """
    reports = {}
    for text, sl in zip(PATTERNS, np.array_split(np.arange(crossbar.shape[1]), len(PATTERNS)), strict=True):
        half = crossbar.region(sl=sl)
        rows, columns = half.shape
        target = np.where(letters(text, (rows, columns)), LETTER, GROUND)
        reports[text] = half.program(target, TOLERANCE, policy, progress=progress)
    return Patterns(reports=reports)
