"""`rmhil form`: make virgin cells conduct."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, names, places
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
        facts = _keep(work, crossbar, report)
    if as_json:
        print_json({"run": work.run.path, "provenance": report.provenance} | facts)
        return
    output_console().print(f"[bold]{report}[/]", soft_wrap=True)
    _print(work, facts)


def form_voltage(crossbar: Crossbar, report: ProgramReport) -> Floats:
    """V of the last FORM pulse of each cell; NaN where none was given."""
    from rmhil.write_verify.ramps import FORMING

    given = report.pulses["form"]
    most = max(int(given.max(initial=0)), 1)
    ramp = np.array([FORMING.pulses(crossbar.spec, 1, number).amplitude[0] for number in range(most)])
    return np.where(given > 0, ramp[np.maximum(given, 1) - 1], np.nan)


def _keep(work: Session, crossbar: Crossbar, report: ProgramReport) -> dict[str, Any]:
    """Keep the map, its picture if any cell was formed, and what it came to."""
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
    formed = (report.outcome == Outcome.CONVERGED) & np.isfinite(volts)
    facts = {"map": name} | summary(crossbar, report, volts[formed])
    work.step(**facts)
    if formed.any():
        from rmhil.measure.pictures import form_picture

        draw_into(work, partial(form_picture, name, volts[formed], report.achieved[formed], report.provenance))
    return facts


def summary(crossbar: Crossbar, report: ProgramReport, formed_now: Floats) -> dict[str, Any]:
    """What forming came to, in plain numbers; `formed_now` is the forming voltage of each cell that formed, in V."""
    return {
        "cells": int(report.asked_for.sum()),
        "conducting": report.count(Outcome.CONVERGED),
        "formed_now": int(formed_now.size),
        "conducting_fraction": report.converged_fraction(),
        "form_pulses": int(report.pulses["form"].sum()),
        "form_v_mean": float(formed_now.mean()) if formed_now.size else None,
        "form_v_std": float(formed_now.std()) if formed_now.size else None,
        "outcomes": {outcome.name.lower(): report.count(outcome) for outcome in Outcome},
        "failed_cells": places(crossbar, report.outcome == Outcome.FORM_FAILED),
        "backend_seconds": report.seconds,
    }


def _print(work: Session, facts: dict[str, Any]) -> None:
    failed = facts["failed_cells"]
    shown: dict[str, object] = {"conduct": f"{facts['conducting']:,} of {facts['cells']:,} cells"}
    if facts["formed_now"]:
        volts = f"{facts['form_v_mean']:.2f} +- {facts['form_v_std']:.2f} V"
        shown["formed now"] = f"{facts['formed_now']:,}, the last pulse at {volts}"
    if failed:
        shown["not formed (array/BL/SL)"] = names(failed)
    shown |= {"pulses": f"{facts['form_pulses']:,} FORM", "run": work.run.path}
    print_facts("", shown)
