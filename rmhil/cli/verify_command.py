"""`rmhil verify`: read cells and compare them with their targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, load_target
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.session import Place, session
from rmhil.units import MICRO

if TYPE_CHECKING:
    from rmhil.program_report import VerifyReport


def verify(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="Conductances in S: a .npy file, (n_bl, n_sl) or (n_arrays, n_bl, n_sl), where NaN leaves a cell "
            "out; or one number for all cells, e.g. 40e-6.",
        ),
    ],
    tolerance: options.Tolerance = 2e-6,
    averages: options.Averages = 1,
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
    """Read the array and compare it with target conductances; nothing is pulsed.

    Example: rmhil verify letters.npy --run latest
    """
    wanted = load_target(target)
    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    settings: dict[str, Any] = {"tolerance": tolerance, "averages": averages}
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "verify", settings | {"target": target} | choice.settings) as work:
        crossbar, named = work.cells(choice)
        wanted = choice.target(wanted, work.crossbar(), crossbar, named)
        with progress_bar(shown=not as_json) as progress:
            report = crossbar.verify(wanted, progress=progress, **settings)
        work.keep_map("verify", report, crossbar)
        facts = summary(report)
        work.step(**facts)
    if as_json:
        print_json({"run": work.run.path, "provenance": report.provenance} | facts)
        return
    output_console().print(work.header, soft_wrap=True)
    output_console().print(f"[bold]{report}[/]", soft_wrap=True)
    worst = facts["largest_error_siemens"]
    print_facts("", {"largest error": "none" if worst is None else f"{worst / MICRO:.3f} uS", "run": work.run.path})


def summary(report: VerifyReport) -> dict[str, Any]:
    """What a verify report comes to, in plain numbers."""
    error = report.error[~np.isnan(report.error)]
    return {
        "cells": int(np.count_nonzero(~np.isnan(report.target))),
        "tolerance_siemens": report.tolerance,
        "within": int(report.within.sum()),
        "within_fraction": report.converged_fraction(),
        "mean_error_siemens": float(error.mean()) if error.size else None,
        "error_std_siemens": float(error.std()) if error.size else None,
        "largest_error_siemens": float(np.abs(error).max()) if error.size else None,
        "backend_seconds": report.seconds,
    }
