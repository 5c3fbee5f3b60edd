"""A page of plots: data against model for every part of a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from rmhil.backend import Floats
from rmhil.errors import InputFileError
from rmhil.report.canvas import COLOURS, GREY, Picture, figure, png, row, style
from rmhil.report.page import Section, note, page, picture, table
from sim_backend.fit.report import FitReport, Residual
from sim_backend.fit.wording import amount

_BINS = 30
_SHOWN = 4000
"""1: points drawn of a part at most; the others are in the numbers."""

_PREFIX = {"S": (1e6, "uS"), "A": (1e6, "uA"), "V": (1.0, "V"), "": (1.0, "")}
_HINTS = {
    "SET": "; each pulse that stops half way shows its own onset, and the model knows that of its cell. Pulses that "
    "moved too little are bounds and not drawn, so at low voltages only cells that set early are seen",
    "sweep plateaus": "; one point for each SET sweep: the current at which its transistor holds it, against the "
    "conductance that it leaves, times the voltage at which a SET stops. That conductance scatters from SET to SET: a "
    "higher one moves a point to the right and down, so that few sweeps of similar levels show a falling trend",
    "FORM": "; one point for each amplitude and width, the cells that were left being harder to form than the others",
}
"""Part -> what to know of its picture."""

_AXES = {"repeated reads": "scatter of the readings", "FORM": "share formed", "SET": "onset of the pulse"}
"""Part -> what its measured values are, where that is no reading."""


def write_page(report: FitReport, path: str | Path) -> Path:
    """Write parameters, residuals and plots as one self-contained HTML page.

    Raises:
        InputFileError: the file cannot be written.
    """
    target = Path(path)
    sections = [Section("Parameters", _parameters(report))]
    sections += [Section(one.part, _part(one)) for one in report.residuals]
    sections.append(Section("Not determined", table(("parameter", "why"), report.undetermined.items())))
    cards = {f"{one.part}: residual over expected": f"{one.scaled_rms:.2f}" for one in report.residuals}
    text = page(f"Cell {report.preset.name}", "complete", _facts(report), cards, sections)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputFileError(f"{target} cannot be written: {error.strerror}") from error
    return target


def _facts(report: FitReport) -> list[str]:
    return [f"Fitted from measured tables, starting from {report.start}.", *report.notes]


def _parameters(report: FitReport) -> str:
    rows = [
        (one.name, amount(one.name, one.value), amount(one.name, one.low), amount(one.name, one.high),
         amount(one.name, one.kept), one.source)
        for one in report.estimates.values()
    ]  # fmt: skip
    return table(("parameter", "value", "95 % from", "to", "start", "determined by"), rows, numbers=(1, 2, 3, 4))


def _part(residual: Residual) -> str:
    worst = ", ".join(f"{name} ({size:.1f})" for name, size in residual.worst())
    return picture(draw(residual)) + note(
        f"{len(residual.measured)} values, rms {residual.rms:.3g} {residual.unit}; in expected standard deviations "
        f"{residual.scaled_rms:.2f}. Largest: {worst}."
    )


def draw(residual: Residual) -> Picture:
    """Data against model, residuals along what was varied, and their distribution."""
    scale, unit = _PREFIX[residual.unit]
    chosen = np.random.default_rng(0).permutation(len(residual.measured))[:_SHOWN]
    with style():
        made = figure(10.5, 3.3)
        left, middle, right = row(made, 3)
        name = _AXES.get(residual.part, "measured")
        _against(left, residual, chosen, scale, f"{name}{f' ({unit})' if unit else ''}", unit)
        _along(middle, residual, chosen)
        if len(residual.measured) >= _BINS and unit:
            _distribution(right, (residual.measured - residual.modelled) / residual.expected)
        else:
            right.set_axis_off()  # too few values, or shares: no distribution to speak of
        return Picture(
            residual.part.lower().replace(" ", "-"),
            f"{residual.part}: data and model{_HINTS.get(residual.part, '')}.",
            png(made),
        )


def _against(axes: Axes, residual: Residual, chosen: np.ndarray, scale: float, label: str, unit: str) -> None:
    measured, modelled = residual.measured[chosen] * scale, residual.modelled[chosen] * scale
    ends = [float(min(measured.min(), modelled.min())), float(max(measured.max(), modelled.max()))]
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    axes.plot(modelled, measured, ".", color=COLOURS[0], markersize=_size(chosen.size), alpha=_alpha(chosen.size))
    axes.set(xlabel=f"model{f' ({unit})' if unit else ''}", ylabel=label, title=residual.part)


def _along(axes: Axes, residual: Residual, chosen: np.ndarray) -> None:
    scaled = (residual.measured - residual.modelled)[chosen] / residual.expected[chosen]
    along = residual.along[chosen]
    scale, label = (1e6, residual.label.replace("(S)", "(uS)")) if "(S)" in residual.label else (1.0, residual.label)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot(
        along * scale, np.clip(scaled, -6, 6), ".", color=COLOURS[0], markersize=_size(chosen.size),
        alpha=_alpha(chosen.size),
    )  # fmt: skip
    if along.min() > 0 and along.max() > 100 * along.min():
        axes.set_xscale("log")
    axes.set(xlabel=label, ylabel="residual / expected", ylim=(-6.3, 6.3))


def _distribution(axes: Axes, scaled: Floats) -> None:
    edges = np.linspace(-5, 5, _BINS + 1)
    axes.hist(np.clip(scaled, -5, 5), bins=edges.tolist(), density=True, color=COLOURS[0], alpha=0.75, label="data")
    fine = np.linspace(-5, 5, 201)
    axes.plot(fine, np.exp(-0.5 * fine**2) / np.sqrt(2 * np.pi), color=COLOURS[1], linewidth=1.2, label="normal law")
    axes.set(xlabel="residual / expected", ylabel="density")
    axes.legend(loc="upper left", fontsize=7.5)


def _size(count: int) -> float:
    return 6.0 if count < 200 else 2.5


def _alpha(count: int) -> float:
    return 0.8 if count < 200 else 0.35
