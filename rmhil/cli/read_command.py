"""`rmhil read`: the conductance map as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.inputs import save_numbers
from rmhil.cli.session import Place, session
from rmhil.units import MICRO

_QUANTILES = {"smallest": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "largest": 1.0}


def read(
    ctx: typer.Context,
    averages: options.Averages = 1,
    region: options.Region = None,
    to: options.ResultFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Read the conductance of every cell, in S; nothing is pulsed.

    The map is kept in the run; --to writes it to a .npy file as well, in S, in the shape of the array.

    Example: rmhil read --run latest --averages 4 --to map.npy
    """
    settings: dict[str, Any] = {"averages": averages}
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "read", settings | {"region": region}) as work:
        crossbar = work.crossbar(region)
        conductance = crossbar.read(averages=averages)
        provenance = work.backend.spec.provenance
        work.keep_map("read", {"conductance": conductance, "provenance": provenance}, crossbar, averages=averages)
        levels = {name: float(np.quantile(conductance, share)) for name, share in _QUANTILES.items()}
        work.step(cells=conductance.size, conductance_siemens=levels)
    if to is not None:
        save_numbers(to, conductance)
    if as_json:
        print_json({"run": work.run.path, "provenance": provenance, "cells": conductance.size,
                    "shape": conductance.shape, "conductance_siemens": levels})  # fmt: skip
        return
    output_console().print(work.header, soft_wrap=True)
    shown = {name: f"{level / MICRO:.3f} uS" for name, level in levels.items()}
    print_facts(f"conductance of {conductance.size:,} cells", shown | {"run": work.run.path})
