"""`rmhil fit`: the simulated cell from measured tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar

if TYPE_CHECKING:
    from sim_backend.fit.report import FitReport

_TABLES = "Measured tables"
_RESULT = "Result"
_SUFFIX = ".toml"


def fit(
    pulses: Annotated[
        Path | None, typer.Option("--pulses", metavar="FILE.csv", rich_help_panel=_TABLES, help="FORM, SET and RESET.")
    ] = None,
    sweeps: Annotated[
        Path | None, typer.Option("--sweeps", metavar="FILE.csv", rich_help_panel=_TABLES, help="Quasi-static sweeps.")
    ] = None,
    retention: Annotated[
        Path | None, typer.Option("--retention", metavar="FILE.csv", rich_help_panel=_TABLES, help="After a write.")
    ] = None,
    reads: Annotated[
        Path | None, typer.Option("--reads", metavar="FILE.csv", rich_help_panel=_TABLES, help="Repeated reads.")
    ] = None,
    series: Annotated[
        float | None,
        typer.Option(
            "--series", metavar="OHM", min=0.0, rich_help_panel=_TABLES,
            help="Resistance between the drivers and the cell, for tables without `series_ohm`.",
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--start", metavar="PRESET", rich_help_panel=_RESULT,
            help="Preset (name or file) whose values stay where the tables say nothing.",
        ),
    ] = "taox180",
    name: Annotated[
        str | None, typer.Option("--name", rich_help_panel=_RESULT, show_default="as --out", help="Of the new one.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.toml", rich_help_panel=_RESULT, help="Where the new preset goes.")
    ] = Path("cell.toml"),
    plots: Annotated[
        bool, typer.Option("--plots/--no-plots", rich_help_panel=_RESULT, help="Also write a page of plots.")
    ] = True,
    as_json: options.AsJson = False,
) -> None:  # fmt: skip
    """Fit the simulated cell to measured pulses, sweeps, retention and reads, and write it as a preset.

    What the tables do not determine keeps the value of the start preset and is listed. The file opens chips of such
    cells: `open_backend("sim", preset="cell.toml")`.

    Example: rmhil fit --pulses pulses.csv --reads reads.csv --out wafer7.toml
    """
    from rmhil.errors import ConfigError, InputFileError
    from rmhil.line_solver import one_thread
    from sim_backend.fit.fit import fit_cell, missing
    from sim_backend.fit.tables import load_table

    if out.suffix != _SUFFIX:
        raise ConfigError(f"--out {out}: a preset is a {_SUFFIX} file")
    for file in (out, _page_name(out)) if plots else (out,):
        _refuse_unwritable(file)
    given = {"pulses": pulses, "sweeps": sweeps, "retention": retention, "reads": reads}
    tables = {kind: load_table(path, kind) for kind, path in given.items() if path is not None}
    with one_thread(), progress_bar("fit", shown=not as_json) as progress:
        report = fit_cell(
            **tables, start=start, name=out.stem if name is None else name, series=series, progress=progress
        )
    if not report.estimates:
        files = ", ".join(str(path) for path in given.values() if path is not None)
        raise InputFileError(f"nothing could be determined from {files}, no preset is written: {missing(report)}")
    report.write_preset(out)
    page = _page(report, out) if plots else None
    if as_json:
        print_json(report.to_dict() | {"written": out, "page": page})
        return
    _print(report, out, page)


def _refuse_unwritable(path: Path) -> None:
    """Before a long fit, and not after it."""
    from tempfile import TemporaryFile

    from rmhil.errors import InputFileError

    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputFileError(f"{path} cannot be written: {error.strerror}") from error
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise InputFileError(f"{path} cannot be written: it is {'write-protected' if path.is_file() else 'no file'}")


def _page_name(out: Path) -> Path:
    return out.with_suffix(".html")


def _page(report: FitReport, out: Path) -> Path:
    from sim_backend.fit.page import write_page

    return write_page(report, _page_name(out))


def _print(report: FitReport, out: Path, page: Path | None) -> None:
    console = output_console()
    _print_estimates(report)
    print_facts("Not determined, as in " + report.start, {name: why for name, why in report.undetermined.items()})
    facts: dict[str, object] = {
        one.part: f"{one.scaled_rms:.2f} of what the model expects, worst {one.worst(1)[0][0]}"
        for one in report.residuals
    }
    print_facts("Residuals (rms)", facts)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    print_facts("", {"preset": out} | ({} if page is None else {"plots": page}))


def _print_estimates(report: FitReport) -> None:
    """One table; its last column numbers the data behind the values, listed below it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sim_backend.fit.wording import amounts

    sources = list(dict.fromkeys(one.source for one in report.estimates.values()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("parameter", "value", "95 % from", "to", "start", "unit", "#"):
        table.add_column(title, justify="left" if title in ("parameter", "unit") else "right", no_wrap=True)
    for one in report.estimates.values():
        texts, unit = amounts(one.name, (one.value, one.low, one.high, one.kept))
        table.add_row(one.name, *texts, unit, str(sources.index(one.source) + 1))
    output_console().print(table)
    print_facts("# Data", {str(number): source for number, source in enumerate(sources, start=1)})
