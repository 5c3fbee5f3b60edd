"""`rmhil sweep`: quasi-static I-V curves of chosen cells."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, cells_in
from rmhil.cli.measuring import kept, show
from rmhil.cli.pulsing import pulsing_bar
from rmhil.cli.session import Place, session
from rmhil.measure.sweeps import DWELL, RESET_STOP, SET_GATE, SET_STOP, STEP, SweepPlan, SweepTest


def sweep(
    ctx: typer.Context,
    sweeps: Annotated[int, typer.Option("--sweeps", min=1, help="Sweeps of each cell.")] = 5,
    set_stop: Annotated[float, typer.Option("--set-stop", metavar="V", help="End of the SET branch, in V.")] = SET_STOP,
    reset_stop: Annotated[
        float, typer.Option("--reset-stop", metavar="V", help="End of the RESET branch, in V (a magnitude).")
    ] = RESET_STOP,
    gate: Annotated[float, typer.Option("--gate", metavar="V", help="WL during the SET branch, in V.")] = SET_GATE,
    step: Annotated[float, typer.Option("--step", metavar="V", help="From step to step, in V.")] = STEP,
    dwell: Annotated[float, typer.Option("--dwell", metavar="S", help="Time at each step, in s.")] = DWELL,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Sweep the cells as they are, virgin ones too. Else they are RESET and swept once before.",
        ),
    ] = False,
    region: options.Region = None,
    cell: options.CellNames = None,
    mask: options.MaskFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Sweep cells quasi-statically: 0 to SET and back, 0 to RESET and back, again and again.

    The run keeps the traces (A, over cell, sweep and step) and a picture of the hysteresis. Cells must have been
    formed. Ctrl-C, or `q` on a terminal, stops after the sweep and keeps those that are done.

    Example: rmhil sweep --cell 3,5 --cell 3,6 --run latest
    """
    from rmhil.measure.pictures import sweeps_picture

    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    plan = {"set_stop": set_stop, "reset_stop": reset_stop, "gate": gate, "step": step, "dwell": dwell}
    settings: dict[str, Any] = {"sweeps": sweeps, "as_is": as_is} | plan | choice.settings
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "sweep", settings) as work:
        crossbar, named = work.cells(choice)
        test = SweepTest(crossbar, cells_in(crossbar, named), sweeps, SweepPlan(**plan), as_is=as_is)
        with (
            kept(work, "sweep", test.measured, sweeps_picture) as found,
            pulsing_bar("sweeping", shown=not as_json) as progress,
        ):
            test.run(progress)
    show(work, found, as_json)
