"""`rmhil program`: write target conductances into the cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import names, places
from rmhil.cli.console import error_console, output_console, print_facts, print_json
from rmhil.cli.live_map import FAILURES
from rmhil.cli.program_job import KIND, ProgramJob
from rmhil.cli.pulsing import pulsing
from rmhil.cli.session import Place, Session, session
from rmhil.program_report import Outcome, ProgramInterruptedError
from rmhil.whole_files import write_text
from rmhil.write_verify import Population
from rmhil.write_verify.pilot import CELLS_MIN

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar
    from rmhil.program_report import ProgramReport

POPULATION_NAME = "population.json"
"""File of a run that keeps what the adaptive policy knew of the population, if that was learnt."""


def program(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="Conductances in S: a .npy file, (n_bl, n_sl) or (n_arrays, n_bl, n_sl), where NaN leaves a cell "
            "alone; or one number for all cells, e.g. 40e-6. Not needed with --resume.",
        ),
    ] = None,
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
            help="RESET every cell first, even those in tolerance; erasing takes up to 8 pulses beyond --max-pulses.",
        ),
    ] = False,
    pilot: Annotated[
        int | None,
        typer.Option(
            "--pilot",
            min=CELLS_MIN,
            help="Before writing, learn on so many cells of the map what this kind of cell is like, for the adaptive "
            "policy. They are formed and pulsed through the window; the run keeps what was learnt as population.json.",
        ),
    ] = None,
    population: Annotated[
        Path | None,
        typer.Option(
            "--population",
            metavar="FILE.json",
            help="What an earlier --pilot learnt on cells of this window.",
        ),
    ] = None,
    averages: options.Averages = 1,
    region: options.Region = None,
    cell: options.CellNames = None,
    mask: options.MaskFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            rich_help_panel="Run directory",
            help="Go on with the last job of this run, which was cut short, exactly where it stopped: the run's "
            "directory, its name, or `latest`. Nothing else needs to be said.",
        ),
    ] = None,
    out: options.OutDirectory = options.RUNS,
    live: options.Live = None,
    as_json: options.AsJson = False,
) -> None:
    """Write target conductances into the array by write-verify.

    Virgin cells are formed first; cells already in tolerance are not pulsed. Ctrl-C, or `q` on a terminal, stops
    after the step with every output at 0 V, and the run keeps the map as far as it came; Ctrl-C again stops at once.
    A job that was stopped, or whose process was killed, goes on with --resume.

    Example: rmhil program letters.npy --tolerance 2e-6 --seed 7
    """
    typed: dict[str, Any] = {
        "target": target,
        "tolerance": tolerance,
        "policy": policy,
        "max_pulses": max_pulses,
        "rewrite": rewrite,
        "pilot": pilot,
        "population": population,
        "averages": averages,
        "region": region,
        "cell": cell,
        "mask": mask,
    }
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out, resume=resume)
    job = ProgramJob.of_options(typed) if resume is None else ProgramJob.begun(ctx, typed, resume, out)
    knowledge = job.knowledge
    with session(ctx, place, KIND, job.typed) as work:
        crossbar, wanted = job.aim(work)
        if resume is not None and target is not None:
            job.check_target(target, work, wanted)
        if not as_json:
            output_console().print(work.header, soft_wrap=True)
        with pulsing(crossbar, shown=not as_json, live=live) as display:
            before = work.ledger.counts.pulses

            def progress(done: int, total: int, text: str) -> None:
                display.progress(done, total, f"{text}, {work.ledger.counts.pulses - before:,} pulses")

            if job.pilot is not None:
                knowledge = crossbar.learn_population(job.pilot, ~np.isnan(wanted), progress)
            display.aim("programming", wanted, job.settings["tolerance"])
            try:
                report = crossbar.program(
                    wanted, policy=job.policy(knowledge), progress=progress, watch=display.watch, **job.settings
                )
            except ProgramInterruptedError as interrupt:
                _keep(work, crossbar, interrupt.report, knowledge, job.pilot is not None)
                raise
        facts = _keep(work, crossbar, report, knowledge, job.pilot is not None)
    if as_json:
        print_json({"run": work.run.path, "provenance": report.provenance} | facts)
    else:
        _print(work, report, facts["failed_cells"], knowledge, job.typed["population"])


def _pilot(knowledge: Population | None, learnt_here: bool) -> dict[str, Any]:
    """What the knowledge of the population cost, in this call or an earlier one, beside the report."""
    if knowledge is None:
        return {}
    spent = {name: getattr(knowledge, f"pilot_{name}") for name in ("cells", "form_pulses", "pulses", "reads")}
    return {"pilot": {"learnt_here": learnt_here} | spent}


def _keep(
    work: Session, crossbar: Crossbar, report: ProgramReport, knowledge: Population | None, learnt_here: bool
) -> dict[str, Any]:
    work.keep_map("program", report, crossbar)
    if knowledge is not None:
        write_text(work.run.path / POPULATION_NAME, knowledge.to_json())
    failed = {"failed_cells": places(crossbar, np.isin(report.outcome, FAILURES))}
    facts = summary(report) | failed | _pilot(knowledge, learnt_here)
    work.step(**facts)
    return facts


def summary(report: ProgramReport) -> dict[str, Any]:
    """What a program report comes to, in plain numbers."""
    return {
        "cells": int(report.asked_for.sum()),
        "tolerance_siemens": report.tolerance,
        "converged_fraction": report.converged_fraction(),
        "pulses_per_cell": report.pulses_per_cell(),
        "pulses": {kind: int(count.sum()) for kind, count in report.pulses.items()},
        "reads": int(report.reads.sum()),
        "converged_outside": report.converged_outside(),
        "maybe_applied": int(report.maybe_pulsed.sum()),
        "outcomes": {outcome.name.lower(): report.count(outcome) for outcome in Outcome},
        "backend_seconds": report.seconds,
    }


def _print(
    work: Session, report: ProgramReport, failed: list[list[int]], knowledge: Population | None, source: object
) -> None:
    pulses = ", ".join(f"{int(count.sum()):,} {kind.upper()}" for kind, count in report.pulses.items())
    output_console().print(f"[bold]{report}[/]", soft_wrap=True)
    facts = {
        "pulses": pulses,
        "reads": f"{int(report.reads.sum()):,}",
        "time on the array": f"{report.seconds:,.3f} s",
        "run": work.run.path,
    }
    if failed:
        facts["failed (array/BL/SL)"] = names(failed)
    if report.maybe_pulsed.any():
        facts["maybe applied"] = (
            f"one pulse of each of {int(report.maybe_pulsed.sum()):,} cells that broke off; it is counted, and such a "
            "cell is read before it is pulsed again"
        )
    if knowledge is not None:
        cost = (
            f"{knowledge.pilot_form_pulses:,} FORM, {knowledge.pilot_pulses:,} SET and RESET pulses, "
            f"{knowledge.pilot_reads:,} further reads"
        )
        learnt = f"learnt on {knowledge.pilot_cells} cells with {cost}"
        facts["population"] = learnt if source is None else f"{learnt}, earlier; from {source}"
    print_facts("", facts)
    if report.beyond_readings:
        text = (
            "note: the tolerance is finer than noise and drift of single readings; --averages 16 reads more finely, "
            "and a larger --tolerance asks for less"
        )
        error_console().print(text, soft_wrap=True)
