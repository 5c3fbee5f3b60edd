"""`rmhil sensitivity`: what costs accuracy on a chip."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.session import command_line

if TYPE_CHECKING:
    from rmhil.store import Run
    from sim_backend.sensitivity.chips import Recipe
    from sim_backend.sensitivity.study import Study

_WORKLOAD = "Workload"

CHIPS = 3
"""Chips unless told otherwise: the fewest that give a spread worth the name."""

SAMPLES = 256
"""Test samples unless told otherwise."""

PAGE_NAME, PLOT_NAME = "sensitivity.html", "sensitivity.png"


def sensitivity(
    ctx: typer.Context,
    workload: Annotated[
        str, typer.Option("--workload", metavar="NAME", rich_help_panel=_WORKLOAD, help="`digits` or `face`.")
    ] = "digits",
    samples: Annotated[
        int,
        typer.Option(
            "--samples", min=2, rich_help_panel=_WORKLOAD, help="Test samples at most, taken evenly over all classes."
        ),
    ] = SAMPLES,
    cause: Annotated[
        list[str] | None,
        typer.Option(
            "--cause",
            metavar="NAME",
            show_default="all",
            help="Ask about this cause, or group of causes, only; may be repeated.",
        ),
    ] = None,
    chips: Annotated[int, typer.Option("--chips", min=1, help="Chips that everything is tried on.")] = CHIPS,
    tolerance: options.Tolerance = 1e-6,
    policy: Annotated[str, typer.Option("--policy", metavar="NAME", help="Of the write-verify.")] = "adaptive",
    age: Annotated[
        float, typer.Option("--age", metavar="SECONDS", min=0, help="Time from programming to inference, in s.")
    ] = 0.0,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Ask what costs accuracy: each cause switched off, and each alone, with one bar a cause.

    The network of a workload is trained in floating point and put on simulated chips by write-verify. The seed is that
    of the training and of the first chip. The run directory keeps the figures of every chip (results.json), the plot
    (plots/sensitivity.png) and a page with both (sensitivity.html), renewed after each chip.

    Example: rmhil sensitivity --workload digits --age 1e6
    """  # fmt: skip
    from rmhil.store import Run
    from sim_backend.config import load_config
    from sim_backend.sensitivity.causes import plan_of
    from sim_backend.sensitivity.chips import Recipe, measure
    from sim_backend.sensitivity.network import check_fits, load, test_samples, trained

    settings = load_config(config, {} if seed is None else {"seed": seed})
    plan, recipe = plan_of(settings, cause), Recipe(tolerance=tolerance, policy=policy, age=age)
    task = load(workload, settings.seed)
    check_fits(task, settings)
    asked = {"workload": workload, "samples": samples, "chips": chips, "causes": cause, "recipe": recipe}
    bars = partial(progress_bar, shown=not as_json)
    with bars("float network") as progress:
        model = trained(task, settings.seed, progress)
    with bars("") as progress:
        studies = measure(model, test_samples(task, samples), plan, recipe, chips, progress)
        first = next(studies)  # until then there is nothing to keep, and no run directory
        kept = {"sim": settings, "sensitivity": asked}
        with Run.create(out, command=command_line(ctx), seed=settings.seed, config=kept) as run:
            for study in chain([first], studies):
                _keep(run, study, recipe, workload, chips)
    files = {"run": run.path, "page": run.path / PAGE_NAME, "plot": run.path / "plots" / PLOT_NAME}
    if as_json:
        print_json(study.to_dict() | {"provenance": settings.provenance} | files)
        return
    _print(study, recipe, f"{workload} on {settings.provenance}")
    print_facts("", files)


def _keep(run: Run, study: Study, recipe: Recipe, workload: str, chips: int) -> None:
    """Keep what is known after one more chip."""
    from rmhil.whole_files import write_bytes, write_text
    from sim_backend.sensitivity.page import sensitivity_page
    from sim_backend.sensitivity.picture import sensitivity_picture

    provenance = study.plan.as_it_is.config.provenance
    run.step("chip", seed=study.seeds[-1])
    run.save_results({"workload": workload, "provenance": provenance} | study.to_dict())
    shown = sensitivity_picture(study)
    write_bytes(run.directory("plots") / PLOT_NAME, shown.png)
    done = len(study.seeds)
    status = "complete" if done == chips else f"{done} of {chips} chips"
    facts = [provenance, f"$ {run.record.command}", run.record.created]
    title = f"{workload}: what costs accuracy"
    write_text(run.path / PAGE_NAME, sensitivity_page(title, status, facts, study, recipe, shown))


def _print(study: Study, recipe: Recipe, title: str) -> None:
    from sim_backend.sensitivity.text import HEAD, headline, notes, rows

    console = output_console()
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    console.print(escape(headline(study)), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in HEAD:
        first = title == HEAD[0]
        table.add_column(title.replace(" ", "\n", 1), justify="left" if first else "right", no_wrap=True)
    for row in rows(study):
        table.add_row(*row, style="dim" if row[0].startswith("what if") else None)
    console.print(table)
    for note in notes(study, recipe):
        console.print(escape(note), style="dim")
