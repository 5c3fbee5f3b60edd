"""Choosing a preset by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rmhil.cost import exact, measured, paper_fit
from rmhil.cost.table import CostTable
from rmhil.errors import ConfigError, UnknownNameError

PRESETS: Final[Mapping[str, str]] = {
    "paper-fit": "the published ratios, from constants fitted to them",
    "exact": "counts that follow from the layer tables of the published networks",
    "measured": "what a run counted, with data-sheet energies; needs a run",
}
"""What each preset is."""


def cost_table(preset: str, results: Mapping[str, Any] | None = None) -> CostTable:
    """The cost table of a preset.

    Args:
        preset: `paper-fit`, `exact` or `measured`.
        results: results of a run, for `measured` and for nothing else; see `rmhil.cost.measured`.

    Raises:
        UnknownNameError: no such preset.
        ConfigError: `measured` without a run, or another preset with one.
        RunDirectoryError: the run's results hold no counts to compare, or damaged ones.
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, list(PRESETS))
    if preset == "measured":
        if results is None:
            raise ConfigError("preset 'measured' needs the counts of a run: name one with --run (e.g. --run latest)")
        return measured.table(results)
    if results is not None:
        raise ConfigError(
            f"preset {preset!r} follows from the published networks alone and takes no run; use 'measured'"
        )
    return paper_fit.table() if preset == "paper-fit" else exact.table()
