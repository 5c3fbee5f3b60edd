"""How every picture looks: sizes, colours, and the way to a PNG, without pyplot's global state."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Told apart by people of every colour vision (Okabe and Ito, 2008), but for the last: grey."""

GREY: Final = "#8a8f98"
INK: Final = "#22262e"
BLANK: Final = "#e4e6ea"
"""Cells without a value."""

_DPI: Final = 150
_STYLE: Final[dict[str, Any]] = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#b8bcc4",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e4e6ea",
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": "#555b66",
    "ytick.color": "#555b66",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture.

    Attributes:
        name: of its file, without suffix.
        caption: what it shows and how to read it.
        png: its content.
        wide: shown over the whole width of the page.
    """

    name: str
    caption: str
    png: bytes
    wide: bool = True


@contextmanager
def style() -> Iterator[None]:
    """The look of all pictures; figures are made and rendered inside."""
    with mpl.rc_context(cast("Any", _STYLE)):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, laid out by itself."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def png(drawn: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def row(made: Figure, count: int, **settings: Any) -> list[Axes]:  # noqa: ANN401 - matplotlib's keywords
    """Axes side by side."""
    axes: list[Axes] = list(made.subplots(1, count, squeeze=False, **settings)[0])
    return axes


def grid(made: Figure, rows: int, columns: int, **settings: Any) -> list[Axes]:  # noqa: ANN401
    """Axes in rows and columns, flattened row by row."""
    axes: list[Axes] = list(made.subplots(rows, columns, squeeze=False, **settings).flat)
    return axes


def whole_ticks(*axes: Axis) -> None:
    """Ticks at whole numbers: of lines, pulses and cells there are no halves."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", integer=True))
