"""Pictures of what cells do: sweeps, endurance, retention, forming and yield. Drawn as papers draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints
from rmhil.measure.cell_yield import Yield
from rmhil.measure.endurance import Endurance
from rmhil.measure.labelled import KIND
from rmhil.measure.retention import Retention
from rmhil.measure.sweeps import Sweeps
from rmhil.program_report import CellState, Outcome
from rmhil.report.canvas import BLANK, COLOURS, GREY, Picture, figure, png, row, whole_ticks
from rmhil.units import MICRO
from rmhil.wear.counts import CYCLES

if TYPE_CHECKING:
    import xarray as xr

_SCALE: Final = "viridis"
"""Of everything that is ordered: sweeps in time, levels by conductance."""

_SMALLEST: Final = 5e-8
"""A: lower end of the logarithmic current axis, some times the noise of one reading."""

_LEAST: Final = 0.05
"""uS: lower end of the conductance axis of the endurance, if anything is so low."""

_NEAR: Final = 0.3
"""1: share of the published cycles from which their number is drawn."""

_SINGLE_TRACES: Final = 64
"""Cells that are drawn one by one where they were read as found."""

_STATE_COLOURS: Final = {
    CellState.LEFT_ALONE: BLANK,
    CellState.WORKING: "#b9dfd0",
    CellState.NOT_FORMED: COLOURS[6],
    CellState.STUCK_LOW: COLOURS[0],
    CellState.STUCK_HIGH: COLOURS[1],
    CellState.IMPRECISE: COLOURS[4],
    CellState.NO_READING: COLOURS[3],
    CellState.UNFINISHED: "#ffffff",
}
"""Working cells stay in the background: what fails is to be seen."""


def sweeps_picture(name: str, measured: Sweeps) -> Picture:
    """The traces over one another: log |I|, and I."""
    made = figure(8.4, 3.1)
    logarithmic, linear = row(made, 2)
    every = measured.traces()
    alpha = max(0.06, min(0.6, 12.0 / max(len(every), 1)))
    # Each polarity by itself: a line across zero would join the two resistance states.
    for side in (measured.voltage > 0, measured.voltage < 0):
        volts, traces = measured.voltage[side], every[:, side]
        for ax, values in ((logarithmic, np.abs(traces)), (linear, traces / MICRO)):
            ax.plot(volts, values.T, color=COLOURS[0], linewidth=0.5, alpha=alpha)
            ax.plot(volts, np.median(values, axis=0), color=COLOURS[1], linewidth=1.3)
    logarithmic.set(yscale="log", ylabel="|current| (A)", title="Logarithmic", ylim=(_SMALLEST, None))
    linear.set(ylabel="current (uA)", title="Linear")
    for ax in (logarithmic, linear):
        ax.set_xlabel("BL - SL (V)")
        ax.axvline(0.0, color=GREY, linewidth=0.6)
        ax.grid(True, axis="y")
    linear.axhline(0.0, color=GREY, linewidth=0.6)
    found = measured.summary()
    cells = f"{len(measured.cells):,} cells" if len(measured.cells) > 1 else "one cell"
    text = (
        f"{len(every)} quasi-static sweeps of {cells} laid over one another (blue) and their median "
        f"(orange). SET at {found['set_v_mean']:.2f} +- {found['set_v_std']:.2f} V, RESET from "
        f"{found['reset_v_mean']:.2f} +- {found['reset_v_std']:.2f} V; at 0.2 V the low-resistance state conducts "
        f"{found['lrs_siemens_mean'] / MICRO:.1f} +- {found['lrs_siemens_std'] / MICRO:.1f} uS, the high-resistance "
        f"state {found['hrs_siemens_mean'] / MICRO:.1f} +- {found['hrs_siemens_std'] / MICRO:.1f} uS."
    )
    return Picture(name, text, png(made))


def endurance_picture(name: str, measured: Endurance) -> Picture:
    """Both states against the number of cycles, and their ratio."""
    made = figure(8.4, 3.1)
    states, window = row(made, 2, width_ratios=(1.35, 1))
    for values, colour, state in (
        (measured.low, COLOURS[1], "LRS, after SET"),
        (measured.high, COLOURS[0], "HRS, after RESET"),
    ):
        _band(states, measured.cycle, values / MICRO, colour, state)
        for cell in values.T[:3]:
            states.plot(measured.cycle, cell / MICRO, ".", color=colour, markersize=2.5, alpha=0.45)
    states.set(xscale="log", yscale="log", xlabel="cycles", ylabel="conductance (uS)", title="Both states")
    states.minorticks_off()
    states.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    smallest = float(min(measured.low.min(), measured.high.min())) / MICRO
    states.set_ylim(min(2.0, 0.8 * max(smallest, _LEAST)), 100)
    states.legend(loc="center left", fontsize=8)
    _band(window, measured.cycle, measured.window(), COLOURS[2], "")
    window.set(xscale="log", xlabel="cycles", ylabel="LRS / HRS", title="Window")
    window.set_ylim(bottom=0.0)
    published = measured.cycle[-1] >= _NEAR * CYCLES
    for ax in (states, window):
        if published:
            ax.axvline(CYCLES, color=GREY, linewidth=0.9, linestyle="--")
        ax.grid(True, axis="y")
    dots = min(3, len(measured.cells))
    text = (
        f"{len(measured.cells)} cell(s), {measured.cycle[-1]:,} SET/RESET cycles. Lines: median; bands: 10 to 90 % of "
        f"the cells; dots: {dots} of the cells" + ("; dashed: the published number of cycles." if published else ".")
    )
    return Picture(name, text, png(made))


def _band(ax: Axes, x: Ints, values: Floats, colour: str, name: str) -> None:
    low, middle, high = np.percentile(values, (10, 50, 90), axis=1)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, linewidth=1.3, label=name)


def retention_picture(name: str, measured: Retention) -> Picture:
    """Every cell's conductance against the logarithm of time, and its change at the end."""
    made = figure(8.4, 3.1)
    lines, change = row(made, 2, width_ratios=(1.5, 1))
    draw = _draw_levels if len(measured.levels) else _draw_as_found
    text = draw(measured, lines, change)
    since = "last write" if len(measured.levels) else "first reading"
    lines.set(xscale="log", xlabel=f"time since the {since} (s)", ylabel="conductance (uS)")
    change.axhline(0.0, color=GREY, linewidth=0.8)
    title = f"Change after {measured.time[-1].min():.0e} s".replace("e+0", "e")
    change.set(ylabel="change of conductance (uS)", title=title)
    for ax in (lines, change):
        ax.grid(True, axis="y")
    return Picture(name, text, png(made))


def _draw_levels(measured: Retention, lines: Axes, change: Axes) -> str:
    colours = mpl.colormaps[_SCALE](np.linspace(0.0, 0.92, len(measured.levels)))
    for level, values, colour in zip(measured.levels, measured.parts(), colours, strict=True):
        time = np.median(measured.time[:, measured.target == level], axis=1)
        each = values / MICRO
        lines.fill_between(time, each.min(axis=1), each.max(axis=1), color=colour, alpha=0.3, linewidth=0)
        lines.plot(time, each.mean(axis=1), color=colour, linewidth=1.4)
        moved = each[-1] - each[0]
        change.errorbar(level / MICRO, moved.mean(), moved.std(), fmt="o", color=colour, markersize=4)
    lines.set_title(f"{len(measured.levels)} levels" if len(measured.levels) > 1 else "One level")
    change.set_xlabel("level (uS)")
    found = measured.summary()
    text = f"{found['cells']} cells written to {found['levels']} level(s) by write-verify and then only read. "
    if "smallest_gap_siemens" in found:
        text += (
            "The smallest distance ever seen between a cell of one level and a cell of the next is "
            f"{found['smallest_gap_siemens'] / MICRO:.1f} uS. "
        )
    return text + (
        "Left: mean of each level, and all its cells (band). Right: mean change and its spread over a level's cells."
    )


def _draw_as_found(measured: Retention, lines: Axes, change: Axes) -> str:
    values = measured.conductance / MICRO
    first = values[0]
    order = np.argsort(first)
    shown = order[np.linspace(0, len(order) - 1, min(len(order), _SINGLE_TRACES)).astype(int)]
    colours = mpl.colormaps[_SCALE](np.linspace(0.0, 0.92, len(shown)))
    for cell, colour in zip(shown, colours, strict=True):
        # The first reading of a cell whose write was not seen is at 0 s, where the logarithm has no place.
        after = measured.time[:, cell] > 0
        lines.plot(measured.time[after, cell], values[after, cell], color=colour, linewidth=0.9)
    change.plot(first, values[-1] - first, ".", color=COLOURS[0], markersize=3, alpha=0.7)
    lines.set_title(f"{len(values[0]):,} cells as they were found")
    change.set_xlabel("first reading (uS)")
    found = measured.summary()
    more = f", {len(shown)} of them drawn" if len(shown) < len(first) else ""
    return (
        f"{len(first):,} cells{more}, read as they were found and not pulsed: change "
        f"{found['drift_mean_siemens'] / MICRO:+.2f} +- {found['drift_std_siemens'] / MICRO:.2f} uS. "
        "Time counts from the first reading, or from the last write where it was seen."
    )


def form_picture(name: str, form_voltage: Floats, formed: Floats, provenance: str) -> Picture:
    """Where cells formed, and what they read then.

    Args:
        name: of the picture.
        form_voltage: V of the last FORM pulse of each cell that was formed.
        formed: S that each of them read afterwards.
        provenance: of the backend.
    """
    made = figure(8.4, 2.9)
    volts, state = row(made, 2)
    levels = np.unique(form_voltage.round(4))
    step = float(np.diff(levels).min()) if len(levels) > 1 else 0.1
    ends = np.arange(levels[0] - step / 2, levels[-1] + step, step) if len(levels) else np.array([0.0, 1.0])
    volts.hist(form_voltage, bins=ends.tolist(), color=COLOURS[0], rwidth=0.92)
    volts.set(xlabel="amplitude of the last FORM pulse (V)", ylabel="cells", title="Forming voltage")
    state.hist(formed / MICRO, bins=40, color=COLOURS[2])
    state.set(xlabel="conductance after forming (uS)", ylabel="cells", title="State after forming")
    for ax in (volts, state):
        ax.grid(True, axis="y")
        whole_ticks(ax.yaxis)
    text = f"{len(form_voltage):,} cells formed on {provenance}."
    if len(form_voltage):
        text += f" Forming voltage {form_voltage.mean():.2f} +- {form_voltage.std():.2f} V."
    return Picture(name, text, png(made))


def yield_picture(name: str, measured: Yield) -> Picture:
    """What each cell is, and failures on each line. Of several arrays, the first one is drawn."""
    state = measured.state if measured.state.ndim == 2 else measured.state[0]
    made = figure(8.4, 4.3)
    grid = made.add_gridspec(2, 2, width_ratios=(1.55, 1))
    cells = made.add_subplot(grid[:, 0])
    _draw_states(cells, measured, state)
    for place, line in enumerate(("bl", "sl")):
        ax = made.add_subplot(grid[place, 1])
        failed, _ = measured.line_failures(line)
        numbers = measured.bl if line == "bl" else measured.sl
        suspect = np.isin(numbers, measured.suspects(line))
        colours = np.where(suspect, COLOURS[1], COLOURS[6])
        ax.bar(numbers, failed, width=1.0, color=colours.tolist())
        long_name = "bit line" if line == "bl" else "source line"
        ax.set(xlabel=long_name, ylabel="cells that fail", title=f"Failures of each {long_name}")
        whole_ticks(ax.xaxis, ax.yaxis)
        ax.set_ylim(0, max(1.0, 1.1 * float(failed.max(initial=0))))
        ax.grid(True, axis="y")
    found = measured.summary()
    text = f"{measured.share():.2%} of {int(measured.judged.sum()):,} cells work, on {measured.provenance}. "
    suspects = ", ".join(
        f"{line.upper()} {number}" for line in ("bl", "sl") for number in found[f"suspect_{line}"].tolist()
    )
    text += f"Lines with more failures than chance explains (orange): {suspects or 'none'}."
    return Picture(name, text, png(made))


def _draw_states(ax: Axes, measured: Yield, state: NDArray[np.int8]) -> None:
    bl, sl = measured.bl, measured.sl
    extent = (sl[0] - 0.5, sl[-1] + 0.5, bl[-1] + 0.5, bl[0] - 0.5)
    codes = [int(one) for one in CellState]
    colours = ListedColormap([_STATE_COLOURS[one] for one in CellState])
    norm = BoundaryNorm([*(code - 0.5 for code in codes), codes[-1] + 0.5], len(codes))
    ax.imshow(state, cmap=colours, norm=norm, interpolation="nearest", extent=extent, aspect="auto")
    ax.set(xlabel="source line", ylabel="bit line", title=f"{measured.share():.1%} of the cells work")
    whole_ticks(ax.xaxis, ax.yaxis)
    handles = [
        Patch(facecolor=_STATE_COLOURS[one], edgecolor=GREY, label=f"{_words(one)} ({measured.count(one):,})")
        for one in CellState
        if measured.count(one)
    ]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=7.5)


def measurement_picture(name: str, labelled: xr.Dataset) -> Picture | None:
    """The picture of a measurement, or of a map that says more than conductances; None for any other."""
    if "state" in labelled:
        return yield_picture(name, Yield.of(labelled))
    if "form_voltage" in labelled:
        volts, formed = labelled["form_voltage"].values, labelled["outcome"].values == Outcome.CONVERGED
        now = formed & np.isfinite(volts)
        if not now.any():
            return None
        provenance = str(labelled.attrs["provenance"])
        return form_picture(name, volts[now], labelled["conductance"].values[now], provenance)
    kind = labelled.attrs.get(KIND)
    if kind == "sweeps":
        return sweeps_picture(name, Sweeps.of(labelled))
    if kind == "endurance":
        return endurance_picture(name, Endurance.of(labelled))
    return retention_picture(name, Retention.of(labelled)) if kind == "retention" else None


def _words(state: CellState) -> str:
    return state.name.lower().replace("_", " ")
