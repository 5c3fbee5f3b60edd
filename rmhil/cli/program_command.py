"""`rmhil program`: write target conductances into the cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.inputs import check_fits, load_numbers
from rmhil.cli.session import Place, Session, session
from rmhil.program_report import ProgramInterruptedError

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar
    from rmhil.program_report import ProgramReport


def program(
    ctx: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET.npy",
            show_default=False,
            help="Conductances in S, (n_bl, n_sl) or (n_arrays, n_bl, n_sl); NaN leaves a cell alone.",
        ),
    ],
    tolerance: options.Tolerance = 2e-6,
    policy: Annotated[
        str, typer.Option("--policy", help="How pulses are chosen: adaptive or incremental.")
    ] = "adaptive",
    max_pulses: Annotated[
        int,
        typer.Option("--max-pulses", min=1, help="SET and RESET pulses allowed for each cell, erasing apart."),
    ] = 200,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite",
            help="RESET every cell first, also those in tolerance; erasing takes up to 8 pulses beyond --max-pulses.",
        ),
    ] = False,
    averages: options.Averages = 1,
    region: options.Region = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Write target conductances into the array by write-verify.

    Virgin cells are formed first; cells already in tolerance are not pulsed. Ctrl-C stops between two
    pulses with every output at 0 V, and the run keeps the map as far as it came.

    Example: rmhil program letters.npy --tolerance 2e-6 --seed 7
    """
    wanted = load_numbers(target)
    settings: dict[str, Any] = {
        "tolerance": tolerance,
        "policy": policy,
        "max_pulses": max_pulses,
        "rewrite": rewrite,
        "averages": averages,
    }
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "program", settings | {"target": target, "region": region}) as work:
        crossbar = work.crossbar(region)
        check_fits("target", wanted, crossbar.shape, region)
        if not as_json:
            output_console().print(work.header, soft_wrap=True)
        with progress_bar(shown=not as_json) as bar:
            before = work.ledger.counts.pulses

            def progress(done: int, total: int, text: str) -> None:
                bar(done, total, f"{text}, {work.ledger.counts.pulses - before:,} pulses")

            try:
                report = crossbar.program(wanted, progress=progress, **settings)
            except ProgramInterruptedError as interrupt:
                _keep(work, crossbar, interrupt.report)
                raise
        _keep(work, crossbar, report)
    if as_json:
        print_json({"run": work.run.path, "provenance": report.provenance} | summary(report))
    else:
        _print(work, report)


def _keep(work: Session, crossbar: Crossbar, report: ProgramReport) -> None:
    work.keep_map("program", report, crossbar)
    work.step(**summary(report))


def summary(report: ProgramReport) -> dict[str, Any]:
    """What a program report comes to, in plain numbers."""
    from rmhil.program_report import Outcome

    return {
        "cells": int(report.asked_for.sum()),
        "tolerance_siemens": report.tolerance,
        "converged_fraction": report.converged_fraction(),
        "pulses_per_cell": report.pulses_per_cell(),
        "pulses": {kind: int(count.sum()) for kind, count in report.pulses.items()},
        "reads": int(report.reads.sum()),
        "outcomes": {outcome.name.lower(): report.count(outcome) for outcome in Outcome},
        "backend_seconds": report.seconds,
    }


def _print(work: Session, report: ProgramReport) -> None:
    pulses = ", ".join(f"{int(count.sum()):,} {kind.upper()}" for kind, count in report.pulses.items())
    output_console().print(f"[bold]{report}[/]", soft_wrap=True)
    facts = {
        "pulses": pulses,
        "reads": f"{int(report.reads.sum()):,}",
        "time on the array": f"{report.seconds:,.3f} s",
        "run": work.run.path,
    }
    print_facts("", facts)
