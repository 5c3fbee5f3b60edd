"""Pictures of accuracy: by group and stage for all methods, and by class and stage."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from rmhil.report.canvas import BLANK, COLOURS, GREY, INK, Picture, figure, grid, png, row
from rmhil.report.results import JobResults

_GROUPS: Final = (("kept", "kept classes"), ("forgotten", "class to forget"), ("new", "new class"))

_NAMED_BELOW: Final = 2.0
"""%: a bar lower than this is hardly seen, so its value is written."""


def groups_picture(results: JobResults) -> Picture:
    """One panel a stage: accuracy on kept, forgotten and new classes, one colour a method."""
    made = figure(3.1 * len(results.stages) + 0.6, 3.3)
    shown = {stage: _measured_groups(results, stage) for stage in results.stages}
    axes = row(made, len(results.stages), sharey=True, width_ratios=[max(len(groups), 1) for groups in shown.values()])
    chance = 100 / max(len(results.class_names), 1)
    width = 0.8 / len(results.methods)
    for ax, stage in zip(axes, results.stages, strict=True):
        for number, method in enumerate(results.methods):
            heights = [getattr(results.of(method, stage), key) for key in shown[stage]]
            x = np.arange(len(shown[stage])) + (number - (len(results.methods) - 1) / 2) * width
            values = [np.nan if height is None else 100 * height for height in heights]
            ax.bar(x, values, 0.9 * width, color=_colour(number), label=method)
            for at, value in zip(x, values, strict=True):
                if value < _NAMED_BELOW:
                    ax.text(at, value + 0.8, f"{value:.0f}", ha="center", fontsize=7, color=_colour(number))
        if results.class_names:
            ax.axhline(chance, color=GREY, linewidth=1, linestyle=":")
        ax.set_xticks(range(len(shown[stage])), [dict(_GROUPS)[key] for key in shown[stage]])
        ax.set_title(f"after {stage}")
        ax.set_ylim(0, 103)
        ax.grid(True, axis="y")
    axes[0].set_ylabel("accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    text = (
        "Accuracy on test samples after each stage. Dotted: chance. A class to forget is forgotten at or below chance."
    )
    return Picture("accuracy", text, png(made))


def _measured_groups(results: JobResults, stage: str) -> list[str]:
    return [key for key, _ in _GROUPS if any(getattr(results.of(m, stage), key) is not None for m in results.methods)]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def classes_picture(results: JobResults) -> Picture:
    """One table a method: classes down, stages across, accuracy in %."""
    names = results.class_names or sorted({name for m in results.methods for s in results.stages
                                           for name in results.of(m, s).per_class})  # fmt: skip
    made = figure(2.0 * len(results.methods) + 1.3, 0.34 * len(names) + 1.3)
    axes = grid(made, 1, len(results.methods), sharey=True)
    for ax, method in zip(axes, results.methods, strict=True):
        values = np.array(
            [[_percent(results.of(method, stage).per_class.get(name)) for stage in results.stages] for name in names]
        )
        _draw_table(ax, values, results.stages)
        ax.set_title(method, fontsize=9)
    axes[0].set_yticks(range(len(names)), names)
    text = "Accuracy in % by class (rows) after each stage (columns), one table a method; grey: not measured."
    return Picture("classes", text, png(made))


def _percent(share: float | None) -> float:
    return np.nan if share is None else 100 * share


def _draw_table(ax: Axes, values: np.ndarray, stages: list[str]) -> None:
    colours = mpl.colormaps["Blues"].with_extremes(bad=BLANK)
    ax.imshow(values, vmin=0, vmax=120, cmap=colours, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 75 else INK)
    ax.set_xticks(range(len(stages)), stages, fontsize=8)
    for line in range(1, values.shape[0]):
        ax.axhline(line - 0.5, color="white", linewidth=1.5)
    for line in range(1, values.shape[1]):
        ax.axvline(line - 0.5, color="white", linewidth=1.5)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
