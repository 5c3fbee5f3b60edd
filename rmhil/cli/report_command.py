"""`rmhil report`: one HTML file with the pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_json
from rmhil.store import LATEST, Run


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run: its directory, its name, or `latest`.", show_default=True)
    ] = LATEST,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE.html",
            show_default="report.html in the run",
            help="File to write; its plots go beside it, and nothing into the run.",
        ),
    ] = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Write a run's report: one self-contained HTML file, with its plots also as PNG files.

    It shows target, achieved and error maps, pulses, accuracy by class and stage, the embedding and the
    cost, as far as the run holds them, and the ledger, the journal, the configuration and the versions.

    Example: rmhil report latest
    """
    from rmhil.report import plots_of, write_report

    opened = Run.open(run, out)
    written = write_report(opened, to)
    plots = sorted(plots_of(opened, to).glob("*.png"))
    if as_json:
        print_json({"run": opened.path, "report": written, "plots": plots})
        return
    output_console().print(f"report {written}", soft_wrap=True)
