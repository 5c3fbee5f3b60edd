"""The bars: what each cause adds to the error of the outputs, and what it takes from the accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from rmhil.report.canvas import COLOURS, GREY, INK, Picture, figure, grid, png, style
from sim_backend.sensitivity.study import Effect, Study, Summary
from sim_backend.sensitivity.text import PERCENT, PPM, headline, ppm

_CLEAR, _UNCLEAR, _WHAT_IF = COLOURS[0], "#b9c3ce", COLOURS[1]

_INCH: Final = 0.27
"""Of height, for each bar."""


def sensitivity_picture(study: Study) -> Picture:
    """Four panels with one bar a cause: error and accuracy, with the cause off and with nothing else on.

    What-ifs are below, on scales of their own.
    """
    effects = study.effects
    groups = [group for what_if in (False, True) if (group := [one for one in effects if one.what_if is what_if])]
    with style():
        made = figure(11.0, _INCH * len(effects) + 0.75 * len(groups) + 0.8)
        axes = grid(
            made, len(groups), 4, width_ratios=(3, 1.5, 3, 1.5), height_ratios=[len(group) + 0.4 for group in groups]
        )
        for number, group in enumerate(groups):
            _draw_group(axes[4 * number : 4 * number + 4], group)
        for ax, title in zip(axes, _TITLES, strict=False):
            ax.set_title(title, loc="left")
        _label_below(axes[-4:])
        made.suptitle(headline(study), fontsize=9, x=0.01, ha="left")
        content = png(made)
    return Picture("sensitivity", _caption(study), content)


_TITLES: Final = ("Switched off: error that goes", "accuracy won", "Alone on an ideal chip: error", "accuracy lost")


def _draw_group(axes: Sequence[Axes], effects: Sequence[Effect]) -> None:
    _draw_errors(axes[0], effects, [effect.gain for effect in effects])
    _draw(axes[1], effects, [effect.gain_accuracy for effect in effects], PERCENT)
    _draw_errors(axes[2], effects, [effect.cost for effect in effects])
    _draw(axes[3], effects, [effect.cost_accuracy for effect in effects], PERCENT)
    for number, ax in enumerate(axes):
        ax.set_yticks(range(len(effects)), [effect.name for effect in effects] if number == 0 else [])
        ax.set_ylim(len(effects) - 0.4, -0.6)


def _label_below(axes: Sequence[Axes]) -> None:
    for ax, text in zip(axes, ("error (ppm of the outputs' variance)", "points (%)") * 2, strict=True):
        ax.set_xlabel(text)


def _draw_errors(ax: Axes, effects: Sequence[Effect], values: Sequence[Summary]) -> None:
    _draw(ax, effects, values, PPM)
    reach = _reach(values, PPM)
    for number, (effect, one) in enumerate(zip(effects, values, strict=True)):
        text = "no effect" if effect.is_nothing else ppm(one.mean)
        sign = -1 if one.mean < 0 else 1
        at = PPM * (one.mean + sign * _bar(one)) + 0.02 * sign * reach
        ax.text(at, number, text, va="center", ha="right" if sign < 0 else "left", fontsize=7, color=INK)
    ends = [PPM * (one.mean + sign * _bar(one)) for one in values for sign in (-1, 1)]
    room = 0.3 * reach  # for the numbers
    ax.set_xlim(min(0.0, min(ends)) - (room if min(ends) < 0 else 0.0), max(0.0, max(ends)) + room)


def _draw(ax: Axes, effects: Sequence[Effect], values: Sequence[Summary], unit: float) -> None:
    colours = [
        _UNCLEAR if not one.is_clear else _WHAT_IF if effect.what_if else _CLEAR
        for effect, one in zip(effects, values, strict=True)
    ]
    ax.barh(
        range(len(values)), [unit * one.mean for one in values], 0.68, color=colours,
        xerr=[unit * _bar(one) for one in values], error_kw={"elinewidth": 0.9, "capsize": 2, "ecolor": "#444b57"},
    )  # fmt: skip
    reach = 1.15 * _reach(values, unit)
    ax.set_xlim(-reach, reach)
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")


def _reach(values: Sequence[Summary], unit: float) -> float:
    """How far the longest bar goes with its spread; 1 if there is none."""
    return max(unit * (abs(one.mean) + _bar(one)) for one in values) or 1.0


def _bar(value: Summary) -> float:
    return 0.0 if math.isnan(value.deviation) else value.deviation


def _caption(study: Study) -> str:
    spread = "thin lines: standard error over the chips" if len(study.seeds) > 1 else "one chip has no spread"
    return (
        "Left: the chip as it is, with one cause switched off, or changed as a what-if says (below). Right: an ideal "
        f"chip with nothing but that cause. Pale: within twice the standard error of zero; {spread}. Error: mean "
        "square of the outputs' deviation from the float network's. Causes act on each other: the bars do not add up."
    )
