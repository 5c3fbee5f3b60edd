"""`rmhil export`: a map or a measurement of a run, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_json
from rmhil.errors import RunDirectoryError
from rmhil.export import check_format
from rmhil.store import LATEST, Run

if TYPE_CHECKING:
    import xarray as xr


def export(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", show_default=False, help="A map or a measurement, as `rmhil info --run` lists."),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE",
            show_default=False,
            help="File to write; its ending says the format: .csv (units in the names), .npy or .nc (netCDF).",
        ),
    ],
    variable: Annotated[
        str | None,
        typer.Option("--variable", help="Only this variable, e.g. achieved; a .npy file holds one."),
    ] = None,
    run: options.RunToRead = LATEST,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Write a map or a measurement of a run as CSV, npy or netCDF.

    Example: rmhil export program --to map.csv
    """
    from rmhil.export import write_export

    check_format(to)
    opened = Run.open(run, out)
    written = write_export(find_labelled(opened, name), to, variable)
    if as_json:
        print_json({"run": opened.path, "name": name, "file": written})
        return
    output_console().print(f"{name} of run {opened.name} -> {written}", soft_wrap=True)


def find_labelled(run: Run, name: str) -> xr.Dataset:
    """A map or a measurement of a run; no two of them have one name.

    Raises:
        RunDirectoryError: there is neither; the message lists what there is.
    """
    from rmhil.measure.labelled import load_measurement, measurement_names

    measurements = measurement_names(run)
    if name in measurements:
        return load_measurement(run, name)
    if name in run.map_names():
        return run.load_map(name)
    known = ", ".join([*run.map_names(), *measurements]) or "none"
    raise RunDirectoryError(f"{run.path}: no map and no measurement {name!r}; there are: {known}")
