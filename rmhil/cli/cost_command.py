"""`rmhil cost`: what adapting and running a network costs, beside the conventional way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from rmhil.cost import CostEntry, CostTable


def cost(
    preset: Annotated[str, typer.Option(metavar="NAME", help="`paper-fit`, `exact` or `measured`.")] = "exact",
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Run whose counts `measured` uses: its directory, its name, or `latest`."),
    ] = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Print the cost ratios of training, writing and inference, each with where it comes from.

    A ratio is the conventional way (full reprogramming, or digital inference) over adapters beside the
    array. Presets:

    - `paper-fit`: the ratios published in arXiv 2601.10037, from constants fitted to them
    - `exact`: counts that follow from the layer tables of the published networks
    - `measured`: what a run counted, with data-sheet energies

    With --json: workload -> training, write, inference -> stage -> ratio, unrounded. The write ratio of
    `measured` is then the one against rewriting every cell.

    Example: rmhil cost --preset measured --run latest
    """
    from rmhil.cost import cost_table

    table = cost_table(preset, None if run is None else _results(run, out))
    if as_json:
        print_json(table.to_dict())
    else:
        _show(table)


def _results(run: str, root: Path) -> dict[str, object]:
    from rmhil.errors import RunDirectoryError
    from rmhil.store import Run

    opened = Run.open(run, root)
    try:
        results = opened.results()
    finally:
        opened.close()
    if results is None:
        raise RunDirectoryError(f"{opened.path}: holds no results; cost needs a run of the main job, e.g. `rmhil demo`")
    return results


def _show(table: CostTable) -> None:
    console = output_console()
    console.print(render(table))
    for note in table.notes:
        console.print(f"- {note}", style="dim", markup=False)


def render(table: CostTable) -> Table:
    """The table for a terminal: each ratio with its published counterpart and its origin."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    shown = Table(
        title=escape(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for name in ("workload", "cost of", "stage"):
        shown.add_column(name, no_wrap=True)
    for name in ("ratio", "published"):
        shown.add_column(name, no_wrap=True, justify="right")
    shown.add_column("where it comes from", overflow="fold")
    groups = _alike(table.entries)
    for number, group in enumerate(groups):
        entry, following = group[0], groups[number + 1 : number + 2]
        shown.add_row(
            escape(entry.workload),
            entry.quantity,
            ",\n".join(each.stage for each in group),
            table.text(entry.ratio),
            "-" if entry.published is None else f"{entry.published:.2f}",
            escape((f"{entry.variant}: " if entry.variant else "") + entry.source),
            end_section=any(later[0].workload != entry.workload for later in following),
        )
    return shown


def _alike(entries: Sequence[CostEntry]) -> list[list[CostEntry]]:
    """Neighbours that differ in nothing but the stage, together."""
    return [list(group) for _, group in groupby(entries, key=lambda entry: replace(entry, stage="learn"))]
