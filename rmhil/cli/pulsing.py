"""What surrounds the pulsing of cells in a command: the live map or a progress bar, and the ways to stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.live import Live

from rmhil.cli.console import error_console, progress_bar
from rmhil.cli.keys import abort_key
from rmhil.cli.live_map import LiveMap
from rmhil.cli.signals import step_by_step, stop_if_asked
from rmhil.program_report import Progress

if TYPE_CHECKING:
    from rmhil.backend import Floats
    from rmhil.crossbar import Crossbar
    from rmhil.units import Siemens
    from rmhil.write_verify.cell_run import CellRun, Watch

_REFRESH: Final = 5
"""Hz, how often the live map is drawn: calm for the eye, and cheap (ours)."""


@dataclass(frozen=True, slots=True)
class Display:
    """Whom to tell while cells are pulsed.

    Attributes:
        progress: told how many cells are done; ends the work at the end of a step if that was asked for.
        watch: shown the record of all cells.
        live: the map on the screen; None where there is a bar, or nothing.
    """

    progress: Progress
    watch: Watch
    live: LiveMap | None

    def aim(self, what: str, target: Floats | None, tolerance: Siemens) -> None:
        """Say what is done from now on; as `LiveMap.aim`."""
        if self.live is not None:
            self.live.aim(what, target, tolerance)


@contextmanager
def pulsing(crossbar: Crossbar, *, shown: bool, live: bool | None = None) -> Iterator[Display]:
    """Show what happens to cells that are pulsed inside, and let Ctrl-C and the abort key stop after a step.

    Args:
        crossbar: whose cells are pulsed.
        shown: False shows nothing; the ways to stop stay.
        live: whether to show the map instead of a bar; None: on terminals.
    """
    wanted = error_console().is_terminal if live is None else live
    with step_by_step(), abort_key(), ExitStack() as last_first:
        if shown and wanted:
            drawn = LiveMap(crossbar)
            last_first.enter_context(Live(drawn, console=error_console(), refresh_per_second=_REFRESH))
            yield Display(_end_of_step, drawn.watch, drawn)
        else:
            bar = last_first.enter_context(progress_bar(shown=shown))
            yield Display(bar, _not_watched, None)


@contextmanager
def pulsing_bar(title: str, *, shown: bool) -> Iterator[Progress]:
    """A progress bar for a measurement that pulses cells; it ends at the end of a step, as `pulsing`."""
    with step_by_step(), abort_key(), progress_bar(title, shown=shown) as progress:
        yield progress


def _end_of_step(done: int, total: int, text: str) -> None:
    stop_if_asked()


def _not_watched(run: CellRun) -> None:
    """A bar is told what it needs by `progress`."""
