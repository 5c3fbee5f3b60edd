"""`rmhil yield`: which cells work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.measuring import PLOTS, draw_into
from rmhil.cli.pulsing import pulsing
from rmhil.cli.session import Place, Session, session
from rmhil.measure.cell_yield import Yield, YieldTest
from rmhil.program_report import CellState

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar


def measure_yield(
    ctx: typer.Context,
    low: Annotated[
        float | None,
        typer.Option("--low", metavar="SIEMENS", show_default="15 % of the window", help="The low level, in S."),
    ] = None,
    high: Annotated[
        float | None,
        typer.Option("--high", metavar="SIEMENS", show_default="85 % of the window", help="The high level, in S."),
    ] = None,
    tolerance: options.Tolerance = 2e-6,
    max_pulses: Annotated[
        int, typer.Option("--max-pulses", min=1, help="SET and RESET pulses allowed for each level.")
    ] = 100,
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
    """Form cells and write each to a low and to a high level: which work, which are stuck, on which lines.

    The run keeps the map of states, the levels reached and a picture. A line is named when it has more failures than
    chance explains. Ctrl-C, or `q` on a terminal, stops after the step and keeps what is known.

    Example: rmhil yield --region 0:32,0:32 --seed 7
    """
    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    levels: dict[str, Any] = {"low": low, "high": high, "tolerance": tolerance, "max_pulses": max_pulses}
    settings = levels | {"averages": averages}
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "yield", settings | choice.settings) as work:
        crossbar, named = work.cells(choice)
        test = YieldTest(crossbar, named, **settings)
        if not as_json:
            output_console().print(work.header, soft_wrap=True)
        try:
            with pulsing(crossbar, shown=not as_json, live=live) as display:
                test.run(display)
        finally:
            found = test.measured()
            facts = None if found is None else _keep(work, crossbar, found)
    if found is None or facts is None:
        return
    if as_json:
        print_json({"run": work.run.path, "provenance": found.provenance} | facts)
    else:
        _print(work, found, facts)


def _keep(work: Session, crossbar: Crossbar, found: Yield) -> dict[str, Any]:
    """Keep the map, what it came to, and its picture."""
    from rmhil.measure.pictures import yield_picture

    maps = {
        "state": found.state,
        "low": found.low,
        "high": found.high,
        "pulses": found.pulses,
        "provenance": found.provenance,
    }
    name = work.keep_map("yield", maps, crossbar).stem
    facts = {"map": name} | found.summary()
    work.step(**facts)
    draw_into(work, partial(yield_picture, name, found))
    return facts


def _print(work: Session, found: Yield, facts: dict[str, Any]) -> None:
    output_console().print(f"[bold]{found.share():.2%} of {int(found.judged.sum()):,} cells work[/]", soft_wrap=True)
    states = {
        state.name.lower().replace("_", " "): f"{found.count(state):,}"
        for state in CellState
        if state is not CellState.LEFT_ALONE and found.count(state)
    }
    suspects = {
        f"suspect {line.upper()}": ", ".join(map(str, facts[f"suspect_{line}"].tolist())) or "none"
        for line in ("bl", "sl")
    }
    pulses = ", ".join(f"{facts[f'{kind}_pulses']:,} {kind.upper()}" for kind in ("form", "set", "reset"))
    name = facts["map"]
    places = {"pulses": pulses, "data": f"maps/{name}.nc", "picture": f"{PLOTS}/{name}.png", "run": work.run.path}
    print_facts("", states | suspects | places)
