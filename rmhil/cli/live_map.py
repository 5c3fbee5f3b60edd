"""The array in the terminal while its cells are pulsed: how far each is from its target, and how many are done."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.style import Style
from rich.text import Text

from rmhil.backend import Floats, Ints
from rmhil.cli.console import STOPPING
from rmhil.cli.signals import stopping
from rmhil.program_report import Outcome
from rmhil.units import MICRO, Seconds, Siemens

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar
    from rmhil.write_verify.cell_run import CellRun

STEPS: Final = (1.0, 2.0, 4.0, 8.0)
"""1: distances from the target, in tolerances, where the colour changes."""

WITHIN, BEYOND, FAILED, WAITING, LEFT_ALONE = 0, len(STEPS), len(STEPS) + 1, len(STEPS) + 2, len(STEPS) + 3
"""What a cell can be; between the first two, one for each of `STEPS`."""

_COLOURS: Final = ("#fde725", "#5ec962", "#21918c", "#3b528b", "#440154", "#d55e00", "#62666e", "")
"""One for each of these: viridis, bright in tolerance and dark far from it, read by people of every colour vision."""

FAILURES: Final = (Outcome.STUCK, Outcome.OUT_OF_PULSES, Outcome.COMPLIANCE, Outcome.FORM_FAILED)
"""Of cells that did not get where they were to go."""

_CELLS_A_FAILURE: Final = 16
"""Cells of a block among which one failure makes the block look failed (ours)."""

_WIDEST: Final = 128
_TEXT_LINES: Final = 6
"""Columns of the map at most, and lines of the terminal that are left for text."""

_LARGEST: Final = 4
"""1: a cell is drawn no larger than so many columns."""

_ESTIMATE_AFTER: Final = 0.02
"""1: share of the cells that must be done before the rest of the time is estimated."""


class LiveMap:
    """What `rich.live.Live` draws; it looks at the record of the cells whenever it is drawn.

    Args:
        crossbar: whose cells are pulsed.
    """

    def __init__(self, crossbar: Crossbar) -> None:
        self._lines = (crossbar.arrays, crossbar.bl, crossbar.sl)
        self._run: CellRun | None = None
        self.aim("", None, np.nan)

    def aim(self, what: str, target: Floats | None, tolerance: Siemens) -> None:
        """Say what is being done from now on.

        Args:
            what: in a few words.
            target: S, of the crossbar's shape; None: cells are to conduct.
            tolerance: S.
        """
        shape = tuple(len(numbers) for numbers in self._lines)
        self._what, self._tolerance = what, tolerance
        self._target = None if target is None else np.asarray(target, dtype=np.float64).reshape(shape)
        self._started, self._run = monotonic(), None

    def watch(self, run: CellRun) -> None:
        """Look at this record from now on; as `Crossbar.program(watch=...)`."""
        self._run = run

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines: list[Text] = []
        run = self._run
        if run is not None:
            if console.color_system is not None and not options.ascii_only:
                lines += self._map(run, options.max_width, console.height)
            lines += [_counts(run, self._what), self._times(run)]
        hint = STOPPING if stopping() else "q or Ctrl-C: stop after this step"
        lines.append(Text(hint, style="bold red" if stopping() else "dim"))
        yield Group(*lines)

    def _map(self, run: CellRun, width: int, height: int) -> list[Text]:
        array, place = self._place(run)
        marks = np.full([len(numbers) for numbers in self._lines[1:]], LEFT_ALONE, dtype=np.int64)
        own = place[0] == array
        marks[place[1][own], place[2][own]] = self._marks(run, place)[own]
        blocks, size = in_blocks(marks, min(width, _WIDEST), 2 * max(4, height - _TEXT_LINES))
        head = f"array {self._lines[0][array]}: " if len(self._lines[0]) > 1 else ""
        _, bl, sl = self._lines
        text = f"{head}BL {bl[0]} to {bl[-1]} downwards, SL {sl[0]} to {sl[-1]} to the right"
        if size != (1, 1):
            text += f"; each block {size[0]} x {size[1]} cells"
        return [Text(text, style="dim"), *half_blocks(blocks, _zoom(blocks, width, height)), self._legend()]

    def _place(self, run: CellRun) -> tuple[int, tuple[Ints, Ints, Ints]]:
        """The array to show, where work goes on, and where in the map each cell of the record is."""
        index = tuple(np.searchsorted(own, named) for own, named in zip(self._lines, run.cells.index, strict=True))
        open_cells = np.flatnonzero((run.outcome == Outcome.UNFINISHED) & ~run.resting)
        shown = open_cells[0] if len(open_cells) else len(run.outcome) - 1
        return int(index[0][shown]) if len(run.outcome) else 0, (index[0], index[1], index[2])

    def _marks(self, run: CellRun, place: tuple[Ints, Ints, Ints]) -> Ints:
        """What each cell of the record is."""
        if self._target is None:
            marks = np.full(len(run.outcome), BEYOND, dtype=np.int64)
        else:
            distance = np.abs(run.conductance - self._target[place]) / self._tolerance
            marks = np.searchsorted(STEPS, distance, side="left")
        marks[np.isnan(run.conductance)] = WAITING
        marks[(run.outcome == Outcome.CONVERGED) | run.resting] = WITHIN
        marks[np.isin(run.outcome, FAILURES)] = FAILED
        return marks

    def _legend(self) -> Text:
        names = {FAILED: "failed", WAITING: "not read yet"}
        if self._target is None:
            names = {WITHIN: "formed", BEYOND: "not formed yet"} | names
        else:
            near = f"within {self._tolerance / MICRO:g} uS"
            steps = {number: f"{step:g}x" for number, step in enumerate(STEPS) if number}
            names = {WITHIN: near} | steps | {BEYOND: "beyond"} | names
        legend = Text(no_wrap=True, overflow="crop")
        for mark, name in names.items():
            legend.append("■ ", style=_COLOURS[mark]).append(f"{name}  ", style="dim")
        return legend

    def _times(self, run: CellRun) -> Text:
        """How long it took so far, and how much longer it takes at this rate."""
        passed, total = monotonic() - self._started, len(run.outcome)
        done = int(np.count_nonzero((run.outcome != Outcome.UNFINISHED) | run.resting)) / max(total, 1)
        text = f"time on the array {_clock(run.seconds)}, here {_clock(passed)}"
        if _ESTIMATE_AFTER <= done < 1.0:
            text += f", about {_clock(passed * (1.0 - done) / done)} to go"
        return Text(text)


def _counts(run: CellRun, what: str) -> Text:
    good = int(np.count_nonzero((run.outcome == Outcome.CONVERGED) | run.resting))
    failed = int(np.isin(run.outcome, FAILURES).sum())
    touched = int(np.count_nonzero(run.reads)) or 1
    pulses = run.pulses.sum(axis=1) / touched
    text = Text(f"{what}: " if what else "")
    text.append(f"{good:,} good", style="bold").append(f", {len(run.outcome) - good - failed:,} at work, ")
    text.append(f"{failed:,} failed", style="bold red" if failed else "")
    return text.append(f" of {len(run.outcome):,};  {pulses[1] + pulses[2]:.1f} pulses a cell, {pulses[0]:.1f} FORM")


def _clock(seconds: Seconds) -> str:
    return str(timedelta(seconds=round(seconds)))


def in_blocks(marks: Ints, columns: int, rows: int) -> tuple[Ints, tuple[int, int]]:
    """A map of marks small enough for the terminal, and how many cells (BLs, SLs) each of its blocks stands for.

    A block is in tolerance only if all of its cells are. It waits if at least half of them do, and has failed if at
    least a sixteenth of them have, so that a single failure is seen in blocks of up to 4 x 4 cells.

    Args:
        marks: what each cell is, shape (n_bl, n_sl).
        columns: SLs that fit.
        rows: BLs that fit.
    """
    size = (-(-marks.shape[0] // rows), -(-marks.shape[1] // columns))
    full = np.pad(
        marks, [(0, -length % one) for length, one in zip(marks.shape, size, strict=True)], constant_values=LEFT_ALONE
    )
    n_bl, n_sl = full.shape[0] // size[0], full.shape[1] // size[1]
    cells = full.reshape(n_bl, size[0], n_sl, size[1]).swapaxes(1, 2).reshape(n_bl, n_sl, -1)
    asked = (cells != LEFT_ALONE).sum(axis=2)
    judged = cells <= BEYOND
    mean = np.where(judged, cells, 0).sum(axis=2) / np.maximum(judged.sum(axis=2), 1)
    failed, waiting = (cells == FAILED).sum(axis=2), (cells == WAITING).sum(axis=2)
    blocks = np.select(
        [asked == 0, failed * _CELLS_A_FAILURE >= np.maximum(asked, 1), waiting * 2 >= asked],
        [LEFT_ALONE, FAILED, WAITING],
        default=np.ceil(mean).astype(np.int64),
    )
    return blocks, size


def _zoom(blocks: Ints, width: int, height: int) -> int:
    """How many columns wide, and half lines high, each block of a small map is drawn."""
    rows, columns = blocks.shape
    return max(1, min(_LARGEST, width // int(columns), 2 * max(4, height - _TEXT_LINES) // int(rows)))


def half_blocks(blocks: Ints, zoom: int) -> list[Text]:
    """Lines of the terminal, each of two rows of blocks: the upper half of a character is its foreground."""
    drawn = np.repeat(np.repeat(blocks, zoom, axis=0), zoom, axis=1)
    drawn = np.pad(drawn, [(0, len(drawn) % 2), (0, 0)], constant_values=LEFT_ALONE)
    return [_line(upper, lower) for upper, lower in zip(drawn[::2], drawn[1::2], strict=True)]


def _line(upper: Ints, lower: Ints) -> Text:
    """One line; neighbours that look alike are written at once."""
    pairs = np.stack([upper, lower], axis=1)
    starts = np.flatnonzero(np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)]))
    line = Text(no_wrap=True, overflow="crop")
    for first, last in zip(starts, [*starts[1:], len(pairs)], strict=True):
        line.append(*_character(int(upper[first]), int(lower[first]), int(last - first)))
    return line


def _character(upper: int, lower: int, count: int) -> tuple[str, Style]:
    top, bottom = _COLOURS[upper] or None, _COLOURS[lower] or None
    if top is None and bottom is None:
        return " " * count, Style()
    if top is None:
        return "▄" * count, Style(color=bottom)
    return "▀" * count, Style(color=top, bgcolor=bottom)
