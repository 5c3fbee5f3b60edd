"""One cell, written to one level after another and only read from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np

from rmhil.backend import Cells, Floats, Read
from rmhil.crossbar import Crossbar
from rmhil.program_report import Progress
from rmhil.report.canvas import Picture, figure, png, row
from rmhil.units import MICRO, Seconds, Siemens
from sim_backend.characterise.raw_data import RawData

LEVELS: Final = 5
"""Levels, evenly over the window: 17 were shown in arXiv 2601.10037, on as many cells; one cell takes them in turn."""

TOLERANCE: Final[Siemens] = 1e-6
_FIRST: Final[Seconds] = 0.1
"""s after the write: the first reading."""
_POINTS_A_DECADE: Final = 4
_AVERAGES: Final = 8
"""Readings averaged at each point: noise of one is 0.3 % (the preset's estimate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRetention:
    """Readings of one cell at each level.

    Attributes:
        target: S, shape (levels,).
        time: s since the last pulse, by the analyser's clock, shape (levels, points).
        conductance: S, same shape.
    """

    target: Floats
    time: Floats
    conductance: Floats

    def summary(self) -> dict[str, Any]:
        """Largest change of a level from its first to its last reading."""
        change = self.conductance[:, -1] - self.conductance[:, 0]
        return {
            "levels": len(self.target),
            "last_reading_s": float(self.time[:, -1].min()),
            "largest_change_siemens": float(np.abs(change).max()),
            "smallest_step_between_levels_siemens": float(np.diff(self.conductance, axis=0).min()),
        }

    def tables(self) -> dict[str, RawData]:
        """One row a reading."""
        return {
            "cell-retention": RawData.of(
                target_siemens=self.target[:, None], time_since_write_s=self.time, conductance_siemens=self.conductance
            )
        }


def measure_cell_retention(
    crossbar: Crossbar, progress: Progress, duration: Seconds, levels: int = LEVELS
) -> CellRetention:
    """Write one cell to each level from its RESET state, and read it at times evenly in the logarithm.

    Args:
        crossbar: of one cell.
        progress: told how many readings are done.
        duration: s from the write to the last reading of each level.
        levels: how many.
    """
    backend, spec = crossbar.backend, crossbar.spec
    cell, read = Cells.of(0, 0, 0), Read.default(spec, averages=_AVERAGES)
    moments = np.geomspace(_FIRST, duration, max(2, round(_POINTS_A_DECADE * np.log10(duration / _FIRST)) + 1))
    backend.apply(cell, None, read)  # its programs are in the analyser before time counts
    target = np.linspace(spec.conductance_min, spec.conductance_max, levels)
    time, conductance = np.zeros((levels, len(moments))), np.zeros((levels, len(moments)))
    for level, wanted in enumerate(target):
        crossbar.program(np.full(crossbar.shape, wanted), TOLERANCE, rewrite=True)
        written = float(backend.apply(cell, None, Read.default(spec)).time[0])
        for point, moment in enumerate(moments):
            progress(level * len(moments) + point, time.size, f"{wanted / MICRO:.0f} uS")
            now = written if point == 0 else time[level, point - 1] + written
            backend.wait(max(0.0, moment - (now - written)))
            readings = backend.apply(cell, None, read)
            time[level, point], conductance[level, point] = readings.time[0] - written, readings.conductance[0]
    progress(time.size, time.size, "")
    return CellRetention(target=target, time=time, conductance=conductance)


def retention_picture(measured: CellRetention) -> Picture:
    """Conductance of each level against the logarithm of time, and its change."""
    made = figure(8.4, 3.1)
    lines, change = row(made, 2, width_ratios=(1.3, 1))
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.92, len(measured.target)))
    each = zip(measured.target, measured.time, measured.conductance, colours, strict=True)
    for wanted, time, conductance, colour in each:
        lines.axhline(wanted / MICRO, color=colour, linewidth=0.6, linestyle=":")
        lines.plot(time, conductance / MICRO, ".-", color=colour, linewidth=1.0, markersize=4)
        moved = (conductance - conductance[0]) / MICRO
        change.plot(time, moved, ".-", color=colour, linewidth=1.0, markersize=4, label=f"{wanted / MICRO:.0f} uS")
    for ax in (lines, change):
        ax.set(xscale="log", xlabel="time since the last write (s)")
        ax.grid(True, axis="y")
    lines.set(ylabel="conductance (uS)", title="One cell, level after level", ylim=(0, None))
    change.set(ylabel="change since the first reading (uS)", title="Drift")
    change.legend(fontsize=7, ncols=2)
    text = (
        f"One cell, written by write-verify ({TOLERANCE / MICRO:g} uS) to each level in turn and then only read, at "
        f"0.2 V, {_AVERAGES} readings averaged. Dotted: targets."
    )
    return Picture("cell-retention", text, png(made))
