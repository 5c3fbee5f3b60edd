"""`rmhil demo`: the main job from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.checks import whole_number
from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.session import Place, command_line
from rmhil.reopen import SECTION
from rmhil.store import Run
from rmhil.whole_files import write_text

from .extent import PICTURES, Extent

if TYPE_CHECKING:
    import torch

    from rmhil.backend import Backend
    from rmhil.ledger import Ledger

    from .main_job import MainJob
    from .task import StagedTask

_WORKLOAD = "Workload"

DEFAULT_SEED = 0

TOTAL_LEDGER = "ledger-total.json"
"""File of everything counted on the array, while `ledger.json` ends before full reprogramming and the pulse sweep."""

_COLUMNS = ("learn\nall", "unlearn\nkept", "\nforgotten", "learn on\nkept", "\nforgotten", "\nnew")
"""Headings: a stage, and the classes below it."""


def demo(
    ctx: typer.Context,
    workload: Annotated[
        str, typer.Option("--workload", metavar="NAME", rich_help_panel=_WORKLOAD, help="`digits` or `face`.")
    ] = "digits",
    group: Annotated[
        int | None,
        typer.Option("--group", rich_help_panel=_WORKLOAD, show_default=False, help="face: which six people, 0 to 5."),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(
            "--fold", rich_help_panel=_WORKLOAD, show_default=False, help="Which fifth of the samples is for testing."
        ),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures",
            rich_help_panel=_WORKLOAD,
            show_default=False,
            help="Test pictures that accuracy is measured on, at least one a class. Default: all in simulation, "
            f"{PICTURES} on instruments.",
        ),
    ] = None,
    array_steps: Annotated[
        int | None,
        typer.Option(
            "--in-the-loop",
            min=0,
            metavar="STEPS",
            rich_help_panel=_WORKLOAD,
            show_default=False,
            help="Steps of each adapter's training that drive the array; the others compute with the measured map. "
            "Default: all in simulation, 0 on instruments.",
        ),
    ] = None,
    comparisons: Annotated[
        bool | None,
        typer.Option(
            "--comparisons/--no-comparisons",
            rich_help_panel=_WORKLOAD,
            show_default=False,
            help="Full reprogramming, and pulses against tolerance, which write the array again and again. Default: in "
            "simulation only.",
        ),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            metavar="pair|offset",
            rich_help_panel=_WORKLOAD,
            show_default=False,
            help="Two cells a weight, or one and a column of zeros. Default: pair in simulation, else offset.",
        ),
    ] = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    out: options.OutDirectory = options.RUNS,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html into the run.")] = True,
    as_json: options.AsJson = False,
) -> None:
    """Learn, program, infer, unlearn and learn on with adapters beside an array, and what that is compared with.

    Five classes are learnt by a float model, which is programmed to the array. Then one class is forgotten and another
    one learnt, by adapters alone. Beside it: the same on the float model, the bare array, and full reprogramming. The
    run directory keeps everything; `rmhil infer --run latest` runs the network again. Where cells are written one at
    a time, on a bench or its twin, accuracy is measured on fewer pictures, adapters are trained on the measured map,
    and the array is written once; the options of the workload ask for more.

    Example: rmhil demo --workload digits --seed 7
    """
    from rmhil.line_solver import one_thread
    from rmhil.workload import find_workload

    started = perf_counter()
    if pictures is not None:
        whole_number("pictures", pictures)
    chosen = {name: value for name, value in (("group", group), ("fold", fold)) if value is not None}
    drawn = DEFAULT_SEED if seed is None else seed
    task: Any = find_workload(workload).load(drawn, **chosen)
    choice = Place(backend=backend, config=config, seed=seed, run=None, out=out).choice
    with choice.open() as opened:
        extent = Extent.of(
            opened.spec, pictures=pictures, array_steps=array_steps, comparisons=comparisons, cells=mapping
        )
        _check_fits(task, opened, extent)
        task = task if extent.pictures is None else task.with_pictures(extent.pictures)
        run = Run.create(
            out, command=command_line(ctx), backend_spec=opened.spec, seed=drawn,
            config={
                SECTION: choice.entry(), "workload": task.workload, "options": task.options, "recipe": task.recipe,
                "extent": asdict(extent),
            },
        )  # fmt: skip
        choice.keep_config(run)
        # The operations of this network take microseconds: on a busy machine a second thread was 25 times slower.
        with run, _recorded(run, opened) as recorded, one_thread():
            results = _main_job(task, recorded, run, extent, shown=not as_json)
    written = _report(run) if report else None
    seconds = perf_counter() - started
    if as_json:
        print_json(results | {"run": run.path, "report": written, "provenance": opened.spec.provenance})
        return
    _print(results, run, opened.spec.provenance, written, seconds)


def _check_fits(task: StagedTask, backend: Backend, extent: Extent) -> None:
    """Refuse a network that does not fit the array, before a run is made and minutes are spent on training.

    Raises:
        PlacementError: it does not fit; the message says what is missing.
    """
    from rmhil.crossbar import Crossbar

    from .main_job import placed

    placed(task, [Crossbar(backend)], extent.mapping)


def _main_job(task: StagedTask, backend: Backend, run: Run, extent: Extent, *, shown: bool) -> dict[str, Any]:
    import numpy as np

    from rmhil.backend import StateSaving
    from rmhil.crossbar import Crossbar
    from rmhil.ledger import Ledger

    from .main_job import MainJob
    from .pulse_sweep import pulses_against_tolerance

    bars = partial(progress_bar, shown=shown)
    crossbar = Crossbar(backend)
    job = MainJob(
        task, [crossbar], bars, run.step, extent.array_steps, mapping=extent.mapping, measured_from=extent.measured_from
    )
    aside = Ledger()
    with _total_kept(run, crossbar.ledger, aside):
        with _ledger_kept(run, crossbar.ledger):
            job.learn()
            job.deploy()
            _keep_maps(run, job)
            job.float_reference()
            chip = job.use_adapters()
            _keep_network(run, task, chip, backend)
        run.save_arrays("embeddings", labels=task.shown.y.numpy(), **job.record.embeddings)
        run.save_results(job.record.results())
        if not extent.comparisons:
            return job.record.results()
        job.full_reprogramming()
        with bars("array: pulses against tolerance") as progress:
            used = np.isfinite(job.reports[0].target)
            sweep = pulses_against_tolerance(crossbar, used, task.seed, progress, aside)
        if not isinstance(backend, StateSaving):
            job.write_back()
    results = job.record.results() | {"pulses_against_tolerance": sweep}
    run.save_results(results)
    return results


@contextmanager
def _recorded(run: Run, backend: Backend) -> Iterator[Backend]:
    """The backend, with pulses and wear on record where the chip outlives the command; a simulated array does not."""
    from rmhil.backend import StateSaving
    from rmhil.ledger import Ledger
    from rmhil.recording import recording

    if isinstance(backend, StateSaving):
        yield backend
        return
    with recording(run, backend, "demo", {"command": run.record.command}, Ledger()) as (recorded, _):
        yield recorded


@contextmanager
def _ledger_kept(run: Run, ledger: Ledger) -> Iterator[None]:
    """Keep the counts of the work inside, however it ends; `_total_kept` keeps what came afterwards too."""
    try:
        yield
    finally:
        run.save_ledger(ledger)


@contextmanager
def _total_kept(run: Run, ledger: Ledger, aside: Ledger) -> Iterator[None]:
    """Keep everything that was done to the array, comparisons included, however the work inside ends."""
    from rmhil.ledger import Ledger

    try:
        yield
    finally:
        total = Ledger.from_dict(ledger.to_dict() | {"counts": (ledger.counts + aside.counts).to_dict()})
        write_text(run.path / TOTAL_LEDGER, json.dumps(total.to_dict(), indent=2))


def _keep_maps(run: Run, job: MainJob) -> None:
    for number, (programmed, verified) in enumerate(zip(job.reports, job.verified, strict=True)):
        suffix = f"-{number}" if len(job.reports) > 1 else ""
        run.save_map(f"program{suffix}", programmed)
        run.save_map(f"verify{suffix}", verified)


def _keep_network(run: Run, task: StagedTask, chip: torch.nn.Module, backend: Backend) -> None:
    from rmhil.deployed import keep_deployment
    from rmhil.nn import adapter_names

    from .job_record import STAGES
    from .main_job import bank_of

    names = adapter_names(chip)  # restore, unlearn, continual: one more after each stage
    keep_deployment(
        run, chip, backend, workload=task.workload, seed=task.seed, options=task.options, bank=bank_of(chip),
        stages={stage: names[: number + 1] for number, stage in enumerate(STAGES)},
    )  # fmt: skip


def _report(run: Run) -> Path:
    from rmhil.report import write_report

    return write_report(run)


def _print(results: Mapping[str, Any], run: Run, provenance: str, written: Path | None, seconds: float) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = output_console()
    console.print(f"[bold]{results['workload']}[/] on {provenance}: accuracy on {results['test_samples']} test samples")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for title in _COLUMNS:
        table.add_column(title, justify="right")
    for method in results["methods"]:
        stages = results["accuracy"][method]
        learn, unlearn, continual = (stages[name] for name in results["stages"])
        shares = (
            learn["overall"],
            unlearn["kept"],
            unlearn["forgotten"],
            continual["kept"],
            continual["forgotten"],
            continual["new"],
        )
        table.add_row(method, *(f"{share:.1%}" for share in shares), style="bold" if method == "RM-DLoRA" else None)
    console.print(table)
    facts: dict[str, object] = {f"programming, {name}": text for name, text in results["programming"].items()}
    facts["RM pulses after deployment"] = f"{results['pulses_after_deployment']:,} (RM-DLoRA)"
    facts |= {f"parameters, {name}": f"{count:,}" for name, count in results["parameters"].items()}
    facts |= {"run": run.path} | ({} if written is None else {"report": written}) | {"time": f"{seconds:.0f} s"}
    print_facts("", facts)
    console.print(
        "The array before LoRA remembers the forgotten class: an adapter that is taken off forgets nothing.",
        style="dim",
    )
