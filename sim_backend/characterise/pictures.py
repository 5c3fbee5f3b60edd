"""Pictures of levels: on one cell with many repeats, and on several cells. Drawn as papers draw them."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from rmhil.report.canvas import COLOURS, GREY, Picture, figure, png, row
from rmhil.units import MICRO
from sim_backend.characterise.levels import SIGNIFICANCE, Levels

_SCALE: Final = "viridis"
"""Of everything that is ordered: sweeps in time, levels by conductance."""

_SHOWN_LEVELS, _SHOWN_CURVES = 9, 33
"""Levels whose histograms and cumulative distributions are drawn; all of them would hide one another."""

_MAGNIFIED: Final = 4
"""Levels on either side of the middle one that are shown magnified."""


def _say(ax: Axes, place: tuple[float, float], text: str) -> None:
    ax.text(*place, text, transform=ax.transAxes, fontsize=7.5, color="#555b66", va="top")


def levels_picture(measured: Levels) -> Picture:
    """Mean and spread of each level against gate voltage, and histograms of some of them."""
    made = figure(8.4, 3.1)
    line, histogram = row(made, 2)
    mean, deviation = measured.mean[0] / MICRO, measured.deviation[0] / MICRO
    line.fill_between(measured.gate, mean - deviation, mean + deviation, color=COLOURS[0], alpha=0.3, linewidth=0)
    line.plot(measured.gate, mean, ".", color=COLOURS[0], markersize=2.5)
    slope, origin = np.polyfit(measured.gate, mean, 1)
    line.plot(measured.gate, origin + slope * measured.gate, color=COLOURS[1], linewidth=0.9)
    _magnified(line, measured)
    line.set(xlabel="gate voltage of the SET (V)", ylabel="conductance (uS)", title=f"{len(mean)} levels")
    _say(line, (0.05, 0.95), f"{slope:.1f} uS/V, R2 = {measured.r_squared()[0]:.5f}")
    shown = np.linspace(0, len(mean) - 1, _SHOWN_LEVELS).round().astype(int)
    bins = np.arange(mean.min() - 3.0, mean.max() + 3.0, 0.25)
    for number, colour in zip(shown, mpl.colormaps[_SCALE](np.linspace(0.0, 0.9, len(shown))), strict=True):
        histogram.hist(measured.conductance[0, number] / MICRO, bins=bins.tolist(), color=colour)
    title = f"Single SETs of {len(shown)} of the levels"
    histogram.set(xlabel="conductance (uS)", ylabel="SETs in 0.25 uS", title=title)
    for ax in (line, histogram):
        ax.grid(True, axis="y")
    found = measured.summary()
    text = (
        f"Left: mean and standard deviation of {found['repeats']} single SETs at each gate voltage, every one from the "
        "fully RESET state, on one cell; in the corner, thick bars: error of the mean. "
        f"{found['distinguishable_levels']} levels are told apart by Welch's test at {SIGNIFICANCE:.0%}; one SET alone "
        f"tells {found['single_shot_levels']} apart (three standard deviations). Right: histograms of some levels."
    )
    return Picture("levels", text, png(made))


def _magnified(ax: Axes, measured: Levels) -> None:
    """Some neighbouring levels in the corner of the axes: standard deviation (thin) and error of the mean (thick)."""
    middle = len(measured.gate) // 2
    shown = slice(max(0, middle - _MAGNIFIED), middle + _MAGNIFIED + 1)
    gate, mean, deviation = measured.gate[shown], measured.mean[0, shown], measured.deviation[0, shown]
    inset = ax.inset_axes((0.60, 0.10, 0.38, 0.36))
    repeats = measured.conductance.shape[2]
    for bars, width in ((deviation, 0.8), (deviation / repeats**0.5, 2.4)):
        inset.errorbar(gate, mean / MICRO, bars / MICRO, fmt="none", ecolor=COLOURS[0], elinewidth=width)
    inset.tick_params(labelsize=6.5)
    inset.grid(True, axis="y")


def steps_picture(measured: Levels) -> Picture:
    """Steps between neighbouring levels, their p-values, and all levels as cumulative distributions."""
    made = figure(8.4, 3.1)
    cumulative, test = row(made, 2)
    shown = np.unique(np.linspace(0, len(measured.gate) - 1, _SHOWN_CURVES).round().astype(int))
    share = (np.arange(measured.conductance.shape[2]) + 0.5) / measured.conductance.shape[2] * 100
    for number, colour in zip(shown, mpl.colormaps[_SCALE](np.linspace(0.0, 0.9, len(shown))), strict=True):
        cumulative.plot(np.sort(measured.conductance[0, number]) / MICRO, share, color=colour, linewidth=0.8)
    title = "All levels" if len(shown) == len(measured.gate) else f"{len(shown)} of the levels"
    cumulative.set(xlabel="conductance (uS)", ylabel="SETs below (%)", title=title)
    p_values = np.maximum(measured.p_values()[0], 1e-30)
    test.semilogy(measured.gate[1:], p_values, ".", color=COLOURS[0], markersize=3.5)
    test.axhline(SIGNIFICANCE, color=COLOURS[1], linewidth=1, linestyle="--")
    test.set(xlabel="gate voltage of the SET (V)", ylabel="p", title="Welch's test of neighbouring levels")
    for ax in (cumulative, test):
        ax.grid(True, axis="y")
    text = (
        "Left: cumulative distributions of single SETs. Right: how likely the measured difference of two neighbouring "
        f"levels would be if they had one mean; dashed: {SIGNIFICANCE:.0%}."
    )
    return Picture("levels-steps", text, png(made))


def cells_picture(measured: Levels) -> Picture:
    """The levels of several cells over one another, and how far they lie apart."""
    made = figure(8.4, 3.1)
    lines, spread = row(made, 2)
    mean = measured.mean / MICRO
    for cell in mean:
        lines.plot(measured.gate, cell, color=GREY, linewidth=0.5, alpha=0.6)
    lines.plot(measured.gate, mean.mean(axis=0), color=COLOURS[0], linewidth=1.6)
    lines.set(xlabel="gate voltage of the SET (V)", ylabel="conductance (uS)", title=f"{len(mean)} cells")
    spread.plot(measured.gate, mean.std(axis=0), color=COLOURS[0], label="from cell to cell")
    from_shot = np.median(measured.deviation, axis=0) / MICRO
    spread.plot(measured.gate, from_shot, color=COLOURS[1], label="from SET to SET, one cell")
    spread.set(xlabel="gate voltage of the SET (V)", ylabel="standard deviation (uS)", title="Spread")
    spread.set_ylim(bottom=0.0)
    spread.legend(loc="best", fontsize=8)
    for ax in (lines, spread):
        ax.grid(True, axis="y")
    text = (
        f"The same on {len(mean)} cells. Left: the mean level of each (grey) and of all (blue). Right: cells differ by "
        "more than the SETs of one cell do, which is why an array needs write-verify."
    )
    return Picture("levels-cells", text, png(made))
