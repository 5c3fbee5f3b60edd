"""`rmhil retention`: cells written, or taken as they are, and read for a long time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, cells_in, load_target
from rmhil.cli.console import error_console, progress_bar
from rmhil.cli.measuring import kept, show
from rmhil.cli.pulsing import pulsing
from rmhil.cli.session import Place, Session, session
from rmhil.errors import ConfigError
from rmhil.measure.retention import FIRST, TOLERANCE, RetentionTest, spread_levels

if TYPE_CHECKING:
    from rmhil.backend import Cells, Floats
    from rmhil.crossbar import Crossbar


def retention(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            show_default=False,
            help="Write the cells to this first: conductances in S, a .npy file or one number; NaN leaves a cell out.",
        ),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option("--levels", min=2, help="Write the cells to so many levels first, evenly over the window."),
    ] = None,
    duration: Annotated[
        float, typer.Option("--duration", metavar="S", min=FIRST, help="From the first to the last reading, in s.")
    ] = 1000.0,
    tolerance: Annotated[float, typer.Option("--tolerance", metavar="SIEMENS", help="Of the write, in S.")] = TOLERANCE,
    averages: options.Averages = 1,
    region: options.Region = None,
    cell: options.CellNames = None,
    mask: options.MaskFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    live: options.Live = None,
    as_json: options.AsJson = False,
) -> None:
    """Read cells at times evenly in the logarithm, and say how they drift.

    Without TARGET and --levels the cells are read as they are and nothing is pulsed. With them they are written afresh
    by write-verify, and those that it gives up are left out. On a bench the time really passes. Ctrl-C keeps the
    readings taken so far.

    Example: rmhil retention --levels 5 --region 0:8,0:8 --duration 1000 --run latest
    """
    from rmhil.measure.pictures import retention_picture

    if target is not None and levels is not None:
        raise ConfigError("TARGET and --levels exclude one another: both say what the cells are written to")
    wanted = None if target is None else load_target(target)
    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    settings: dict[str, Any] = {"duration": duration, "tolerance": tolerance, "averages": averages}
    asked = settings | {"target": target, "levels": levels} | choice.settings
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "retention", asked) as work:
        crossbar, named = work.cells(choice)
        if wanted is not None:
            values = choice.target(wanted, work.crossbar(), crossbar, named)
            crossbar.check_target(values, tolerance)
            named = named & ~np.isnan(values).reshape(named.shape)
        cells = cells_in(crossbar, named)
        goal = _goal(crossbar, cells, None if wanted is None else values, levels)
        test = RetentionTest(crossbar, cells, duration, averages)
        with kept(work, "retention", test.measured, retention_picture) as found:
            if goal is not None:
                with pulsing(crossbar, shown=not as_json, live=live) as display:
                    display.aim("writing", test.target_map(goal), tolerance)
                    test.write(goal, display.progress, display.watch, tolerance)
                _say_left_out(work, len(cells) - len(test.cells))
            # Nothing is pulsed from here on, so that Ctrl-C need not wait: a bench may be asleep for hours.
            with progress_bar("reading", shown=not as_json) as progress:
                test.read_on(progress)
    show(work, found, as_json)


def _goal(crossbar: Crossbar, cells: Cells, values: Floats | None, levels: int | None) -> Floats | None:
    """S that each cell is written to; None: it stays as it is."""
    if not len(cells):
        raise ConfigError("no cell is named: the target is NaN everywhere")
    if levels is not None:
        return spread_levels(crossbar, len(cells), levels)
    if values is None:
        return None
    full = values.reshape(len(crossbar.arrays), len(crossbar.bl), len(crossbar.sl))
    return np.asarray(full[cells.index])


def _say_left_out(work: Session, count: int) -> None:
    if count:
        text = f"note: {count:,} cell(s) did not come to their targets and are left out"
        error_console().print(text, soft_wrap=True)
        work.step(left_out=count)
