"""Pictures of write-verify: trajectories, pulses against tolerance, and the letters."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.ticker import MaxNLocator

from rmhil.backend import Floats
from rmhil.report.canvas import BLANK, COLOURS, GREY, Picture, figure, grid, png, row
from rmhil.units import MICRO
from sim_backend.characterise.pattern import GROUND, LETTER, Patterns
from sim_backend.characterise.tolerance import PulseCounts
from sim_backend.characterise.trajectories import Trajectories

_PUBLISHED: Final = {1e-6: 50.0}
"""S -> pulses a cell of the plain incremental policy, arXiv 2601.10037 (for 2 uS it says: tens)."""

_PULSES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 400)
"""Ticks of the axis of pulses."""


def trajectories_picture(measured: Trajectories) -> Picture:
    """One panel a policy: conductance against pulse number, one colour a target."""
    made = figure(8.4, 3.1)
    axes = row(made, len(measured.paths), sharey=True)
    targets = np.unique(measured.target)
    for ax, (policy, paths) in zip(axes, measured.paths.items(), strict=True):
        for cell, path in enumerate(paths):
            colour = COLOURS[int(np.searchsorted(targets, measured.target[0, cell]))]
            ax.plot(path / MICRO, "-", color=colour, linewidth=0.8, alpha=0.75)
            for end in measured.ends[policy][:, cell]:
                ax.plot(end, path[end] / MICRO, "o", color=colour, markersize=3.5)
        for target in targets:
            low, high = (target - measured.tolerance) / MICRO, (target + measured.tolerance) / MICRO
            ax.axhspan(low, high, color=GREY, alpha=0.22, linewidth=0)
        ax.set(xlabel="pulse", title=policy, xlim=(0, None), ylim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("conductance (uS)")
    text = (
        f"Readings of {len(measured.cell)} cells after each pulse, from the fully RESET state to a first target and on "
        f"to a second one; all policies on the same cells. Dots: in tolerance ({measured.tolerance / MICRO:g} uS, "
        "shaded); colours: the first target. The pulse axes differ."
    )
    return Picture("trajectories", text, png(made))


def tolerance_picture(measured: PulseCounts) -> Picture:
    """Mean, spread and whole distribution of the pulses a cell takes."""
    made = figure(8.4, 3.1)
    against, done = row(made, 2)
    low, _, high = measured.percentiles()
    tolerance = measured.tolerance / MICRO
    for number, policy in enumerate(measured.policy):
        colour = COLOURS[number]
        against.fill_between(tolerance, low[number], high[number], color=colour, alpha=0.18, linewidth=0)
        against.plot(tolerance, measured.mean()[number], "o-", color=colour, markersize=4, label=policy)
        at = int(np.argmin(np.abs(measured.tolerance - 1e-6)))
        _draw_done(done, measured.pulses[number, at], measured.converged[number, at], colour, policy)
    for wanted, pulses in _PUBLISHED.items():
        against.plot(wanted / MICRO, pulses, "k*", markersize=9, label="published: about 50")
    against.set(xscale="log", yscale="log", xlabel="tolerance (uS)", ylabel="SET and RESET pulses a cell")
    against.set_title("Mean, and 10 to 90 % of the cells")
    against.minorticks_off()
    against.set_xticks(tolerance, [f"{one:g}" for one in tolerance])
    against.set_yticks(_PULSES, [str(pulses) for pulses in _PULSES])
    against.legend(loc="best", fontsize=8)
    done.set(xscale="log", xlabel="pulses", ylabel="cells in tolerance (%)", title="Cells done after n pulses, 1 uS")
    done.set_ylim(0, 102)
    done.legend(loc="lower right", fontsize=8)
    for ax in (against, done):
        ax.grid(True, axis="y")
    text = (
        f"{measured.pulses.shape[2]} cells, targets evenly over the window, every time from the fully RESET state. The "
        "number of the incremental policy goes with its step: it is quoted with it."
    )
    return Picture("tolerance", text, png(made))


def _draw_done(ax: Axes, pulses: Floats, converged: Floats, colour: str, policy: str) -> None:
    count = np.bincount(pulses[converged], minlength=2).cumsum() / len(pulses) * 100
    ax.step(np.arange(1, len(count)), count[1:], where="post", color=colour, label=policy)


def patterns_picture(measured: Patterns) -> Picture:
    """Target, achieved conductance and error of each pattern."""
    made = figure(8.4, 2.6 * len(measured.reports))
    axes = grid(made, len(measured.reports), 3)
    scale = Normalize(0.0, (LETTER + GROUND) / MICRO)
    for line, (name, report) in enumerate(measured.reports.items()):
        tolerance = report.tolerance / MICRO
        errors = TwoSlopeNorm(0.0, -1.5 * tolerance, 1.5 * tolerance)
        panels = (
            (report.target, f"{name}: target", scale, "viridis"),
            (report.achieved, f"{name}: achieved", scale, "viridis"),
            (report.error, f"{name}: error", errors, "RdBu_r"),
        )
        for ax, (values, title, norm, colours) in zip(axes[3 * line : 3 * line + 3], panels, strict=True):
            image = ax.imshow(
                values / MICRO, norm=norm, cmap=mpl.colormaps[colours].with_extremes(bad=BLANK), interpolation="nearest"
            )
            ax.set(title=title, xticks=[], yticks=[])
            bar = made.colorbar(image, ax=ax, shrink=0.85, extend="both" if norm is errors else "neither")
            bar.set_label("uS", color=GREY)
    rows, columns = next(iter(measured.reports.values())).target.shape
    shares = ", ".join(f"{name} {_percent(report.converged_fraction())}" for name, report in measured.reports.items())
    text = (
        f"Letters of {rows} x {columns} cells, {LETTER / MICRO:g} uS on {GROUND / MICRO:g} uS, written to "
        f"{tolerance:g} uS. In tolerance: {shares} of all cells; the others are stuck. The colours of the error end at "
        "one and a half tolerances."
    )
    return Picture("pattern", text, png(made))


def _percent(fraction: float) -> str:
    """One decimal, rounded down: 100.0 % is said only of all."""
    return f"{int(fraction * 1000) / 10:.1f} %"
