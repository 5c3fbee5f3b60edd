"""Pictures of conductance maps: target, achieved, error; its histogram; pulses and tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from numpy.typing import NDArray

from rmhil.program_report import Outcome
from rmhil.report.canvas import BLANK, COLOURS, GREY, Picture, figure, grid, png, row, whole_ticks
from rmhil.units import MICRO

if TYPE_CHECKING:
    import xarray as xr

ARRAYS_SHOWN: Final = 4
"""Arrays drawn of a map; more would be stamps."""

_BINS: Final = 81
"""Edges of the bars over four tolerances, so that both ends of the tolerance are edges."""


KINDS: Final = ("target", "achieved", "error", "conductance")
"""Variables of a map that are drawn as maps."""


def drawn_of(labelled: xr.Dataset) -> list[str]:
    """Which of them a map has."""
    return [kind for kind in KINDS if kind in labelled]


def map_picture(name: str, labelled: xr.Dataset) -> Picture:
    """Target, achieved conductance and error of each array, in uS."""
    kinds = drawn_of(labelled)
    shown = min(labelled.sizes["array"], ARRAYS_SHOWN)
    made = figure(3.6 * len(kinds), 3.1 * shown)
    axes = grid(made, shown, len(kinds))
    norms = {kind: _norm(kind, labelled) for kind in kinds}
    for number in range(shown):
        for column, kind in enumerate(kinds):
            ax = axes[number * len(kinds) + column]
            _draw_map(ax, labelled[kind].isel(array=number), norms[kind], kind)
            array = f"array {int(labelled['array'][number])}: " if labelled.sizes["array"] > 1 else ""
            ax.set_title(f"{array}{kind}")
    left_out = labelled.sizes["array"] - shown
    text = f"Map {name!r} on {labelled.attrs.get('provenance', 'an unnamed target')}, in uS; grey: no value."
    if "tolerance" in labelled.attrs and "error" in kinds:
        text += " The colours of the error end at twice the tolerance; beyond it, cells keep the end's colour."
    if left_out:
        text += f" {left_out} more array(s) are in the file only."
    return Picture(f"map-{name}", text, png(made))


def _norm(kind: str, labelled: xr.Dataset) -> Normalize:
    values = labelled[kind].values / MICRO
    finite = values[np.isfinite(values)]
    if kind == "error":
        tolerance = float(labelled.attrs.get("tolerance", np.nan)) / MICRO
        largest = 2 * tolerance if np.isfinite(tolerance) else float(np.abs(finite).max(initial=0.0)) or 1.0
        return TwoSlopeNorm(0.0, -largest, largest)
    both = [labelled[name].values for name in ("target", "achieved") if name in labelled] or [labelled[kind].values]
    joined = np.concatenate([part[np.isfinite(part)] for part in both]) / MICRO
    if not joined.size:
        return Normalize(0.0, 1.0)
    return Normalize(min(0.0, float(joined.min())), float(joined.max()))


def _draw_map(ax: Axes, values: xr.DataArray, norm: Normalize, kind: str) -> None:
    colours = mpl.colormaps["RdBu_r" if kind == "error" else "viridis"].with_extremes(bad=BLANK)
    bl, sl = values["bl"].values, values["sl"].values
    extent = (sl[0] - 0.5, sl[-1] + 0.5, bl[-1] + 0.5, bl[0] - 0.5)
    image = ax.imshow(
        values.values / MICRO, norm=norm, cmap=colours, interpolation="nearest", extent=extent, aspect="auto"
    )
    ax.set(xlabel="source line", ylabel="bit line")
    whole_ticks(ax.xaxis, ax.yaxis)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, extend="both" if kind == "error" else "neither")
    bar.outline.set_visible(False)
    bar.set_label("achieved - target (uS)" if kind == "error" else "conductance (uS)")


def error_picture(name: str, labelled: xr.Dataset) -> Picture:
    """Histogram of the error beside its distribution over the conductance window."""
    error = labelled["error"].values / MICRO
    target = labelled["target"].values / MICRO
    valid = np.isfinite(error)
    error, target = error[valid], target[valid]
    tolerance = float(labelled.attrs.get("tolerance", np.nan)) / MICRO
    made = figure(8.4, 2.9)
    histogram, scatter = row(made, 2, width_ratios=(1.15, 1))
    limit = 2 * tolerance if np.isfinite(tolerance) else float(np.abs(error).max(initial=1e-3))
    beyond = int(np.count_nonzero(np.abs(error) > limit))
    histogram.hist(np.clip(error, -limit, limit), bins=np.linspace(-limit, limit, _BINS).tolist(), color=COLOURS[0])
    histogram.grid(True, axis="y")
    histogram.set(xlabel="achieved - target (uS)", ylabel="cells", title="Error of the verify read")
    whole_ticks(histogram.yaxis)
    scatter.plot(
        target, np.clip(error, -limit, limit), ".", markersize=1.6, alpha=0.35, color=COLOURS[0], rasterized=True
    )
    scatter.set(
        xlabel="target (uS)", ylabel="error (uS)", title="Error over the window", ylim=(-1.05 * limit, 1.05 * limit)
    )
    if np.isfinite(tolerance):
        for end in (-tolerance, tolerance):
            histogram.axvline(end, color=COLOURS[1], linewidth=1, linestyle="--")
            scatter.axhline(end, color=COLOURS[1], linewidth=1, linestyle="--")
    within = float(np.mean(np.abs(error) <= tolerance)) if error.size else float("nan")
    text = f"Map {name!r}: {error.size:,} cells"
    if np.isfinite(tolerance):
        text += f", {within:.2%} within the tolerance of {tolerance:g} uS (dashed)"
    if error.size:
        text += f"; mean {error.mean():+.3f} uS, standard deviation {error.std():.3f} uS"
    if beyond:
        text += f". {beyond:,} cell(s) lie beyond the axis and are drawn at its end"
    return Picture(f"error-{name}", text + ".", png(made))


@dataclass(frozen=True, slots=True, kw_only=True)
class PulsePoint:
    """Pulses that one programming took.

    Attributes:
        tolerance: uS.
        pulses_per_cell: SET and RESET pulses of a cell, mean.
        policy: name.
        converged_fraction: cells within tolerance among those asked for.
    """

    tolerance: float
    pulses_per_cell: float
    policy: str
    converged_fraction: float


def programmed_cells(labelled: xr.Dataset) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """SET and RESET pulses of each cell that was asked for, and which of these converged."""
    asked_for = labelled["outcome"].values != Outcome.LEFT_ALONE
    pulses = labelled["set_pulses"].values + labelled["reset_pulses"].values
    return pulses[asked_for], (labelled["outcome"].values == Outcome.CONVERGED)[asked_for]


def point_of(labelled: xr.Dataset) -> PulsePoint | None:
    """The point that a saved map of a programming gives; None for another kind of map."""
    tolerance = float(labelled.attrs.get("tolerance", np.nan))
    if "set_pulses" not in labelled or not np.isfinite(tolerance):
        return None
    pulses, converged = programmed_cells(labelled)
    if not pulses.size:
        return None
    return PulsePoint(
        tolerance=tolerance / MICRO,
        pulses_per_cell=float(pulses.mean()),
        policy=str(labelled.attrs.get("policy", "")),
        converged_fraction=float(converged.mean()),
    )


def pulses_picture(maps: Mapping[str, xr.Dataset], sweep: Sequence[PulsePoint]) -> Picture:
    """Cells done after n pulses, and pulses a cell against tolerance.

    Args:
        maps: name -> dataset of a programming.
        sweep: points of programmings whose maps were not kept.
    """
    made = figure(8.4, 3.0)
    done, against = row(made, 2)
    for number, (name, labelled) in enumerate(maps.items()):
        pulses, converged = programmed_cells(labelled)
        count = np.bincount(pulses[converged], minlength=1).cumsum() / max(pulses.size, 1)
        label = f"{name}: {float(labelled.attrs['tolerance']) / MICRO:g} uS, {labelled.attrs.get('policy', '')}"
        done.step(np.arange(count.size), 100 * count, where="post", color=COLOURS[number % 6], label=label)
    done.set(xlabel="SET and RESET pulses of a cell", ylabel="cells within tolerance (%)")
    done.set_title("Cells done after n pulses")
    done.set_ylim(0, 102)
    done.grid(True, axis="y")
    whole_ticks(done.xaxis)
    if maps:
        done.legend(loc="best", fontsize=8)
    own = [point for labelled in maps.values() if (point := point_of(labelled))]
    _draw_against_tolerance(against, own, sweep)
    text = "Left: share of the cells asked for that converged with at most n pulses (FORM pulses apart). "
    text += "Right: mean pulses of a cell against the tolerance asked for; at each point the share that converged. "
    text += "Diamonds: the maps of this run; dots: a sweep." if sweep else ""
    return Picture("pulses", text.strip(), png(made))


def _draw_against_tolerance(ax: Axes, maps: Sequence[PulsePoint], sweep: Sequence[PulsePoint]) -> None:
    policies = sorted({point.policy for point in (*maps, *sweep)})
    for colour, policy in zip(COLOURS, policies, strict=False):
        for points, marker in ((maps, "D"), (sweep, "o")):
            own = sorted((point for point in points if point.policy == policy), key=lambda point: point.tolerance)
            x, y = [point.tolerance for point in own], [point.pulses_per_cell for point in own]
            lines = "-" if marker == "o" else ""
            ax.plot(x, y, lines, marker=marker, color=colour, markersize=5, label=policy if own else None)
            for point in own:
                ax.annotate(
                    f"{point.converged_fraction:.1%}",
                    (point.tolerance, point.pulses_per_cell),
                    xytext=(5, 5),
                    textcoords="offset points",
                    fontsize=7,
                    color=GREY,
                )
    ax.set(xlabel="tolerance (uS)", ylabel="pulses a cell", title="Pulses against tolerance")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.15, y=0.2)
    ticks = sorted({point.tolerance for point in (*maps, *sweep)})
    if len(ticks) > 1:
        ax.set_xscale("log")
        ax.minorticks_off()
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.grid(True, axis="y")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(list(handles.values()), list(handles), loc="best", fontsize=8)
