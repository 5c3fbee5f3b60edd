"""The published curves of a device, measured through the seam: on a simulated array, or on a bench.

`levels`, `trajectories`, `tolerance` and `pattern` are one measurement each; sweeps, endurance and retention are those
of `rmhil.measure`. `curves` says what each of them is compared with, `command` is `rmhil characterise`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_backend.characterise.curves import CURVES, Curve, Extent, find_curves
    from sim_backend.characterise.levels import Levels, measure_levels
    from sim_backend.characterise.pattern import Patterns, measure_patterns
    from sim_backend.characterise.tolerance import PulseCounts, measure_tolerance
    from sim_backend.characterise.trajectories import Trajectories, measure_trajectories

_HOMES = {
    "CURVES": "curves", "Curve": "curves", "Extent": "curves", "find_curves": "curves",
    "Levels": "levels", "measure_levels": "levels",
    "Patterns": "pattern", "measure_patterns": "pattern",
    "PulseCounts": "tolerance", "measure_tolerance": "tolerance",
    "Trajectories": "trajectories", "measure_trajectories": "trajectories",
}  # fmt: skip

__all__ = [
    "CURVES",
    "Curve",
    "Extent",
    "Levels",
    "Patterns",
    "PulseCounts",
    "Trajectories",
    "find_curves",
    "measure_levels",
    "measure_patterns",
    "measure_tolerance",
    "measure_trajectories",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what needs torch when it is first asked for: the list of commands must not wait for it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
