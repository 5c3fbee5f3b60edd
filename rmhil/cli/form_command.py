"""`rmhil form`: make virgin cells conduct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.measuring import draw_into
from rmhil.cli.pulsing import pulsing
from rmhil.cli.session import Place, Session, session
from rmhil.program_report import Outcome, ProgramInterruptedError
from rmhil.write_verify.program import FORM_PULSES

if TYPE_CHECKING:
    from rmhil.backend import Floats
    from rmhil.crossbar import Crossbar
    from rmhil.program_report import ProgramReport
    from rmhil.report.canvas import Picture

_NAMED_MOST = 12
"""Failed cells that are named one by one; the map has all of them."""


def form(
    ctx: typer.Context,
    max_pulses: Annotated[
        int, typer.Option("--max-pulses", min=1, help="FORM pulses allowed for each cell; each is 0.1 V higher.")
    ] = FORM_PULSES,
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
    """Form virgin cells, and say which ones do not form; formed cells are read and left alone.

    The amplitude rises from pulse to pulse until a cell conducts. The run keeps the map: conductance, FORM pulses,
    forming voltage and outcome of each cell. Ctrl-C, or `q` on a terminal, stops after the step.

    Example: rmhil form --region 0:32,0:32 --seed 7
    """
    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    settings: dict[str, Any] = {"max_pulses": max_pulses, "averages": averages}
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "form", settings | choice.settings) as work:
        crossbar, named = work.cells(choice)
        if not as_json:
            output_console().print(work.header, soft_wrap=True)
        try:
            with pulsing(crossbar, shown=not as_json, live=live) as display:
                display.aim("forming", None, np.nan)
                report = crossbar.form(named, progress=display.progress, watch=display.watch, **settings)
        except ProgramInterruptedError as interrupt:
            _keep(work, crossbar, interrupt.report)
            raise
        name = _keep(work, crossbar, report)
    facts = summary(crossbar, report)
    if as_json:
        print_json({"run": work.run.path, "provenance": report.provenance, "map": name} | facts)
        return
    output_console().print(f"[bold]{report}[/]", soft_wrap=True)
    _print(work, name, facts)


def form_voltage(crossbar: Crossbar, report: ProgramReport) -> Floats:
    """V of the last FORM pulse of each cell; NaN where none was given."""
    from rmhil.write_verify.ramps import FORMING

    given = report.pulses["form"]
    most = max(int(given.max(initial=0)), 1)
    ramp = np.array([FORMING.pulses(crossbar.spec, 1, number).amplitude[0] for number in range(most)])
    return np.where(given > 0, ramp[np.maximum(given, 1) - 1], np.nan)


def _keep(work: Session, crossbar: Crossbar, report: ProgramReport) -> str:
    """Keep the map, and its picture if any cell was formed."""
    volts = form_voltage(crossbar, report)
    maps = {
        "conductance": report.achieved,
        "form_voltage": volts,
        "pulses": {"form": report.pulses["form"]},
        "reads": report.reads,
        "outcome": report.outcome,
        "maybe_pulsed": report.maybe_pulsed,
        "provenance": report.provenance,
        "seconds": report.seconds,
    }
    name = work.keep_map("form", maps, crossbar).stem
    work.step(map=name, **summary(crossbar, report))
    formed = (report.outcome == Outcome.CONVERGED) & np.isfinite(volts)
    if formed.any():

        def draw(name: str, which: ProgramReport) -> Picture:
            from rmhil.measure.pictures import form_picture

            return form_picture(name, volts[formed], which.achieved[formed], which.provenance)

        draw_into(work, draw, name, report)
    return name


def summary(crossbar: Crossbar, report: ProgramReport) -> dict[str, Any]:
    """What forming came to, in plain numbers."""
    volts = form_voltage(crossbar, report)[report.outcome == Outcome.CONVERGED]
    formed_now = volts[np.isfinite(volts)]
    return {
        "cells": int(report.asked_for.sum()),
        "conducting": report.count(Outcome.CONVERGED),
        "formed_now": int(formed_now.size),
        "conducting_fraction": report.converged_fraction(),
        "form_pulses": int(report.pulses["form"].sum()),
        "form_v_mean": float(formed_now.mean()) if formed_now.size else None,
        "form_v_std": float(formed_now.std()) if formed_now.size else None,
        "outcomes": {outcome.name.lower(): report.count(outcome) for outcome in Outcome},
        "failed_cells": failed_cells(crossbar, report),
        "backend_seconds": report.seconds,
    }


def failed_cells(crossbar: Crossbar, report: ProgramReport) -> list[list[int]]:
    """`[array, bl, sl]` of each cell that did not form, by its numbers in the backend."""
    shape = (len(crossbar.arrays), len(crossbar.bl), len(crossbar.sl))
    array, bl, sl = np.nonzero((report.outcome == Outcome.FORM_FAILED).reshape(shape))
    places = zip(crossbar.arrays[array], crossbar.bl[bl], crossbar.sl[sl], strict=True)
    return [[int(number) for number in place] for place in places]


def _print(work: Session, name: str, facts: dict[str, Any]) -> None:
    failed = facts["failed_cells"]
    shown: dict[str, object] = {"conduct": f"{facts['conducting']:,} of {facts['cells']:,} cells"}
    if facts["formed_now"]:
        volts = f"{facts['form_v_mean']:.2f} +- {facts['form_v_std']:.2f} V"
        shown["formed now"] = f"{facts['formed_now']:,}, the last pulse at {volts}"
    if failed:
        names = ", ".join("/".join(map(str, one)) for one in failed[:_NAMED_MOST])
        more = f" and {len(failed) - _NAMED_MOST:,} more (map {name}, outcome)" if len(failed) > _NAMED_MOST else ""
        shown["not formed (array/BL/SL)"] = names + more
    shown |= {"pulses": f"{facts['form_pulses']:,} FORM", "run": work.run.path}
    print_facts("", shown)
