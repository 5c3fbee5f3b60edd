"""`rmhil mvm`: bit-line voltages in, source-line currents out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.inputs import load_numbers, save_numbers
from rmhil.cli.session import Place, free_name, session
from rmhil.errors import ShapeError
from rmhil.units import MICRO

if TYPE_CHECKING:
    from rmhil.backend import Floats


def mvm(
    ctx: typer.Context,
    voltages: Annotated[
        Path,
        typer.Argument(
            metavar="VOLTAGES.npy",
            show_default=False,
            help="BL voltages in V about the virtual ground: (n_bl,), (batch, n_bl) or (n_arrays, batch, n_bl).",
        ),
    ],
    carry: Annotated[
        bool, typer.Option("--carry-over-range", help="Keep currents beyond the converter's range, marked, and go on.")
    ] = False,
    region: options.Region = None,
    to: options.ResultFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Multiply voltages by the conductances of the array: currents of its source lines, in A.

    Every voltage must lie within the read limit (0.2 V by default). The currents are kept in the run;
    --to writes them to a .npy file as well.

    Example: rmhil mvm inputs.npy --run latest --to currents.npy
    """
    wanted = load_numbers(voltages)
    if not wanted.size:
        raise ShapeError("voltages", wanted.shape, "at least one vector of BL voltages")
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    settings = {"voltages": voltages, "region": region, "carry_over_range": carry}
    with session(ctx, place, "mvm", settings) as work:
        result = work.crossbar(region).mvm(wanted, on_over_range="carry") if carry else None
        measured = work.crossbar(region).mvm(wanted) if result is None else result.currents
        currents = measured.cpu().numpy().astype(np.float64)
        over_range = np.zeros(currents.shape, dtype=np.bool_) if result is None else result.over_range.cpu().numpy()
        name = free_name("mvm", work.run.array_names())
        work.run.save_arrays(name, voltages=wanted, currents=currents, over_range=over_range)
        facts = _summary(currents, over_range)
        work.step(arrays=name, **facts)
    if to is not None:
        save_numbers(to, currents)
    if as_json:
        print_json(
            {"run": work.run.path, "provenance": work.backend.spec.provenance} | facts | {"currents_amperes": currents}
        )
        return
    output_console().print(work.header, soft_wrap=True)
    print_facts(
        f"currents of shape {currents.shape}",
        {
            "smallest": f"{facts['smallest_amperes'] / MICRO:.3f} uA",
            "largest": f"{facts['largest_amperes'] / MICRO:.3f} uA",
            "over range": f"{facts['over_range']:,} of {currents.size:,}",
            "run": work.run.path,
        },
    )


def _summary(currents: Floats, over_range: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "shape": currents.shape,
        "smallest_amperes": float(currents.min()),
        "largest_amperes": float(currents.max()),
        "over_range": int(over_range.sum()),
    }
