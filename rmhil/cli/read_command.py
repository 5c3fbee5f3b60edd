"""`rmhil read`: the conductance map as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, cells_in
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.session import Place, session
from rmhil.export import check_format, write_export
from rmhil.measure.pulsing import in_the_backend
from rmhil.units import MICRO

_LISTED = 8
"""Cells at most that are shown one by one, instead of how they are distributed."""

_QUANTILES = {"smallest": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "largest": 1.0}


def read(
    ctx: typer.Context,
    averages: options.Averages = 1,
    region: options.Region = None,
    cell: options.CellNames = None,
    mask: options.MaskFile = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Also write the map to this file: .npy, .csv or .nc (netCDF)."),
    ] = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Read the conductance of cells, in S; nothing is pulsed.

    The map is kept in the run; --to writes it to a file as well, in S. In a .npy file it has the shape of the array, or
    of the region; cells that were not asked for are NaN.

    Example: rmhil read --run latest --averages 4 --to map.npy
    """
    if to is not None:
        check_format(to)
    choice = CellChoice(region=region, cells=cell or (), mask=mask)
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "read", {"averages": averages} | choice.settings) as work:
        crossbar, named = work.cells(choice)
        with progress_bar(shown=not as_json) as progress:
            conductance = crossbar.read(averages=averages, mask=named, progress=progress)
        provenance = work.backend.spec.provenance
        maps = {"conductance": conductance, "provenance": provenance}
        path = work.keep_map("read", maps, crossbar, averages=averages)
        values = conductance[named]
        levels = {name: float(np.quantile(values, share)) for name, share in _QUANTILES.items()}
        work.step(cells=values.size, conductance_siemens=levels)
    if to is not None:
        write_export(work.run.load_map(path.stem), to, "conductance")
    if as_json:
        print_json({"run": work.run.path, "provenance": provenance, "cells": values.size,
                    "shape": conductance.shape, "conductance_siemens": levels})  # fmt: skip
        return
    output_console().print(work.header, soft_wrap=True)
    shown = {name: f"{level / MICRO:.3f} uS" for name, level in levels.items()}
    if values.size <= _LISTED:
        cells = in_the_backend(crossbar, cells_in(crossbar, named)).names
        shown = {f"cell {name}": f"{value / MICRO:.3f} uS" for name, value in zip(cells, values, strict=True)}
    print_facts(f"conductance of {values.size:,} cells", shown | {"run": work.run.path})
