"""Cost bars: training, write and inference, adapters beside the array against the conventional way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rmhil.report.canvas import COLOURS, GREY, Picture, figure, png, row

if TYPE_CHECKING:
    from rmhil.cost import CostTable

_TITLES: Final = {
    "training": ("Training: parameters", "full training"),
    "write": ("Write energy", "full reprogramming"),
    "inference": ("Inference energy", "digital"),
}

_BARS: Final = 0.72
"""Share of the axis that the highest bar may fill, so that its number fits above it."""


def cost_picture(tables: Sequence[CostTable], workloads: Sequence[str]) -> Picture:
    """Relative cost of each stage, one colour a preset; 1 is the conventional way.

    Args:
        tables: one a preset.
        workloads: the workload of each table that is drawn.
    """
    made = figure(9.6, 3.5)
    axes = row(made, len(_TITLES))
    width = 0.8 / (len(tables) + 1)
    for ax, (quantity, (title, baseline)) in zip(axes, _TITLES.items(), strict=True):
        found = [_ratios(table, workload, quantity) for table, workload in zip(tables, workloads, strict=True)]
        stages = [stage for stage in ("learn", "unlearn", "continual") if any(stage in ratios for ratios in found)]
        x = np.arange(len(stages))
        ax.bar(x - len(tables) / 2 * width, np.ones(len(stages)), 0.9 * width, color="#c9ccd2", label=baseline)
        for number, (table, ratios) in enumerate(zip(tables, found, strict=True)):
            at = x + (number + 1 - len(tables) / 2) * width
            heights = np.array([1 / ratios[stage] if stage in ratios else np.nan for stage in stages])
            ax.bar(at, heights, 0.9 * width, color=COLOURS[number], label=f"{table.preset} ({workloads[number]})")
            for position, height, stage in zip(at, heights, stages, strict=True):
                if stage in ratios:
                    ax.annotate(
                        _times(ratios[stage]), (position, height), xytext=(0, 2), textcoords="offset points",
                        ha="center", va="bottom", fontsize=7, rotation=90 if len(tables) > 2 else 0,
                    )  # fmt: skip
        costs = [1.0, *(1 / ratio for ratios in found for ratio in ratios.values())]
        ax.set_yscale("log")
        low, high = min(min(costs), 0.5) / 2, max(costs)
        ax.set_ylim(low, low * (high / low) ** (1 / _BARS))
        ax.axhline(1, color=GREY, linewidth=0.8)
        ax.set_xticks(x, stages)
        ax.set_title(f"{title}\n(1 = {baseline})", fontsize=9)
        ax.grid(True, axis="y")
    axes[0].set_ylabel("relative cost")
    handles, labels = axes[0].get_legend_handles_labels()
    made.legend(handles[1:], labels[1:], loc="outside lower center", ncols=len(tables), fontsize=8)
    text = (
        "Cost of adapters in SRAM beside the array, relative to the conventional way (grey, 1), log scale; the number "
        "at a bar is how many times cheaper they are, unless it says more. Where each ratio comes from is in the table."
    )
    return Picture("cost", text, png(made))


def _ratios(table: CostTable, workload: str, quantity: str) -> dict[str, float]:
    return table.to_dict().get(workload, {}).get(quantity, {})


def _times(ratio: float) -> str:
    """A ratio of any size as it stands at a bar, e.g. `36.68x`; one below 1 says how many times more it is."""
    text = _digits(ratio if ratio >= 1 else 1 / ratio)
    return f"{text}x" if ratio >= 1 else f"{text}x more"


def _digits(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 1000 else f"{factor:.4g}"
