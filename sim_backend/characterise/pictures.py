"""Pictures of what the cells do: sweeps, endurance, levels, retention. Drawn as papers draw them."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from rmhil.backend import Floats, Ints
from rmhil.report.canvas import COLOURS, GREY, Picture, figure, png, row
from rmhil.units import MICRO
from sim_backend.characterise.endurance import CYCLES, Endurance
from sim_backend.characterise.levels import SIGNIFICANCE, Levels
from sim_backend.characterise.retention import Retention
from sim_backend.characterise.sweeps import Sweeps

_SCALE: Final = "viridis"
"""Of everything that is ordered: sweeps in time, levels by conductance."""

_SMALLEST: Final = 5e-8
"""A: lower end of the logarithmic current axis, some times the noise of one reading."""

_SHOWN_LEVELS, _SHOWN_CURVES = 9, 33
"""Levels whose histograms and cumulative distributions are drawn; all of them would hide one another."""

_MAGNIFIED: Final = 4
"""Levels on either side of the middle one that are shown magnified."""


def sweeps_picture(measured: Sweeps) -> Picture:
    """The traces over one another: log |I|, and I."""
    made = figure(8.4, 3.1)
    logarithmic, linear = row(made, 2)
    # Each polarity by itself: a line across zero would join the two resistance states.
    for side in (measured.voltage > 0, measured.voltage < 0):
        volts, traces = measured.voltage[side], measured.current[:, side]
        for ax, values in ((logarithmic, np.abs(traces)), (linear, traces / MICRO)):
            ax.plot(volts, values.T, color=COLOURS[0], linewidth=0.5, alpha=0.25)
            ax.plot(volts, np.median(values, axis=0), color=COLOURS[1], linewidth=1.3)
    logarithmic.set(yscale="log", ylabel="|current| (A)", title="Logarithmic", ylim=(_SMALLEST, None))
    linear.set(ylabel="current (uA)", title="Linear")
    for ax in (logarithmic, linear):
        ax.set_xlabel("BL - SL (V)")
        ax.axvline(0.0, color=GREY, linewidth=0.6)
        ax.grid(True, axis="y")
    linear.axhline(0.0, color=GREY, linewidth=0.6)
    _say(linear, (0.04, 0.95), "SET: abrupt, then limited\nby the transistor")
    _say(linear, (0.60, 0.22), "RESET: gradual")
    found = measured.summary()
    text = (
        f"{len(measured.current)} quasi-static sweeps of one cell laid over one another (blue) and their median "
        f"(orange). SET at {found['set_v_mean']:.2f} +- {found['set_v_std']:.2f} V, RESET from "
        f"{found['reset_v_mean']:.2f} +- {found['reset_v_std']:.2f} V; at 0.2 V the low-resistance state conducts "
        f"{found['lrs_siemens_mean'] / MICRO:.1f} +- {found['lrs_siemens_std'] / MICRO:.1f} uS, the high-resistance "
        f"state {found['hrs_siemens_mean'] / MICRO:.1f} +- {found['hrs_siemens_std'] / MICRO:.1f} uS."
    )
    return Picture("sweeps", text, png(made))


def _say(ax: Axes, place: tuple[float, float], text: str) -> None:
    ax.text(*place, text, transform=ax.transAxes, fontsize=7.5, color="#555b66", va="top")


def endurance_picture(measured: Endurance) -> Picture:
    """Both states against the number of cycles, and their ratio."""
    made = figure(8.4, 3.1)
    states, window = row(made, 2, width_ratios=(1.35, 1))
    for values, colour, name in (
        (measured.low, COLOURS[1], "LRS, after SET"),
        (measured.high, COLOURS[0], "HRS, after RESET"),
    ):
        _band(states, measured.cycle, values / MICRO, colour, name)
        for cell in values.T[:3]:
            states.plot(measured.cycle, cell / MICRO, ".", color=colour, markersize=2.5, alpha=0.45)
    states.set(xscale="log", yscale="log", xlabel="cycles", ylabel="conductance (uS)", title="Both states")
    states.minorticks_off()
    states.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    states.set_ylim(2, 100)
    states.legend(loc="center left", fontsize=8)
    _band(window, measured.cycle, measured.window(), COLOURS[2], "")
    window.set(xscale="log", xlabel="cycles", ylabel="LRS / HRS", title="Window")
    window.set_ylim(bottom=0.0)
    for ax in (states, window):
        ax.axvline(CYCLES, color=GREY, linewidth=0.9, linestyle="--")
        ax.grid(True, axis="y")
    text = (
        f"{len(measured.cell)} cells, {measured.cycle[-1]:,} SET/RESET cycles. Lines: median; bands: 10 to 90 % of the "
        "cells; dots: three of the cells; dashed: the published number of cycles."
    )
    return Picture("endurance", text, png(made))


def _band(ax: Axes, x: Ints, values: Floats, colour: str, name: str) -> None:
    low, middle, high = np.percentile(values, (10, 50, 90), axis=1)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, linewidth=1.3, label=name)


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


def retention_picture(measured: Retention) -> Picture:
    """Every cell's conductance against the logarithm of time, and the errors at the end."""
    made = figure(8.4, 3.1)
    lines, change = row(made, 2, width_ratios=(1.5, 1))
    colours = mpl.colormaps[_SCALE](np.linspace(0.0, 0.92, len(measured.target)))
    for number, colour in enumerate(colours):
        own = measured.level == number
        time, values = np.median(measured.time[:, own], axis=1), measured.conductance[:, own] / MICRO
        lines.fill_between(time, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.3, linewidth=0)
        lines.plot(time, values.mean(axis=1), color=colour, linewidth=1.4)
        moved = values - values[0]
        change.errorbar(
            measured.target[number] / MICRO, moved[-1].mean(), moved[-1].std(), fmt="o", color=colour, markersize=4
        )
    lines.set(xscale="log", xlabel="time since the last write (s)", ylabel="conductance (uS)")
    lines.set_title(f"{len(measured.target)} levels")
    change.axhline(0.0, color=GREY, linewidth=0.8)
    title = f"Change after {measured.time[-1].min():.0e} s".replace("e+0", "e")
    change.set(xlabel="level (uS)", ylabel="change of conductance (uS)", title=title)
    for ax in (lines, change):
        ax.grid(True, axis="y")
    found = measured.summary()
    text = (
        f"{found['cells']} cells written to {found['levels']} levels by write-verify (0.5 uS) and then only read. The "
        "smallest distance ever seen between a cell of one level and a cell of the next is "
        f"{found['smallest_gap_siemens'] / MICRO:.1f} uS. Left: mean of each level, and all "
        "its cells (band). Right: mean change and its spread over the cells of a level."
    )
    return Picture("retention", text, png(made))
