"""`rmhil bench-cell`: one cell on an analyser, from its forming to its retention."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.errors import ConfigError

if TYPE_CHECKING:
    from rmhil.bench.one_cell import OneCell
    from rmhil.crossbar import Crossbar

    from .experiments import Experiment, Extent

_OUT = Path("bench-cell")
NUMBERS = "bench-cell.json"
"""File of the numbers, beside the pictures and the data."""


def bench_cell(
    resource: Annotated[
        str | None,
        typer.Argument(
            metavar="[RESOURCE]",
            show_default=False,
            help="VISA name of the analyser, `GPIB0::17::INSTR` say; none with `--emulate`.",
        ),
    ] = None,
    emulated: Annotated[bool, typer.Option("--emulate", help="Start an emulated analyser, and use that.")] = False,
    bl: Annotated[int, typer.Option("--bl", help="Channel of the bit line.")] = 1,
    sl: Annotated[int, typer.Option("--sl", help="Channel of the source line.")] = 2,
    wl: Annotated[int, typer.Option("--wl", help="Channel of the gate.")] = 3,
    library: Annotated[str, typer.Option("--visa", help="VISA library: `@py`, or `@ivi` for the vendor's.")] = "@py",
    quick: Annotated[bool, typer.Option("--quick", help="A look: fewer sweeps, levels, cycles and seconds.")] = False,
    retention: Annotated[
        float | None,
        typer.Option("--retention", min=1.0, show_default="1000", help="Seconds to the last reading of each level."),
    ] = None,
    seed: options.Seed = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results; made when missing.")] = _OUT,
    as_json: options.AsJson = False,
) -> None:
    """Form, sweep, write, cycle and keep one discrete 1T1R cell on three SMUs of an analyser.

    The same on an instrument and on the emulator. Pictures (PNG), data (CSV) and numbers (JSON) go to a folder. The
    cell is formed and worn for that: use one that may be. Ctrl-C puts the outputs to 0 V and keeps what is done.

    Example: rmhil bench-cell --emulate --quick
    """
    from dataclasses import replace

    from rmhil.line_solver import one_thread
    from rmhil.measure.numbers import number_rows
    from sim_backend.characterise.raw_data import make_folder

    from .experiments import Extent

    extent = Extent.quick() if quick else Extent()
    chosen = extent if retention is None else replace(extent, retention=retention)
    with _resource(resource, emulated, seed or 0) as name, _opened(name, bl, sl, wl, library) as cell, one_thread():
        make_folder(out)
        numbers = measure_cell(cell, chosen, out, shown=not as_json)
    if as_json:
        print_json(numbers | {"folder": out})
        return
    for title, found in numbers["measurements"].items():
        print_facts(title, dict(number_rows(found)))
    output_console().print(
        f"{numbers['provenance']}: {numbers['messages']:,} messages to the analyser, results in {out}"
    )


def measure_cell(cell: OneCell, extent: Extent, out: Path, *, shown: bool) -> dict[str, Any]:
    """All experiments on an open cell; each is kept as soon as it is done.

    Args:
        cell: virgin or formed.
        extent: how much of each.
        out: folder, which exists.
        shown: whether progress is drawn.
    """
    from rmhil.crossbar import Crossbar

    from .experiments import EXPERIMENTS

    crossbar = Crossbar(cell)
    found: dict[str, Any] = {"forming": _form(crossbar)}
    numbers: dict[str, Any] = {"provenance": cell.spec.provenance, "measurements": found}
    for name, experiment in EXPERIMENTS.items():
        with progress_bar(name, shown=shown) as progress:
            measured = experiment.measure(crossbar, progress, extent)
        cell.analyser.check_errors()
        found[name] = measured.summary()
        _keep(name, experiment, measured, out)
        numbers["messages"], _ = cell.analyser.traffic
        _write(numbers, out)
    return numbers


def _form(crossbar: Crossbar) -> dict[str, Any]:
    report = crossbar.form()
    if not report.converged_fraction() == 1.0:
        raise ConfigError(f"the cell does not form: {report}")
    return {"form_pulses": int(report.pulses["form"].sum()), "conductance_siemens": float(report.achieved.flat[0])}


def _keep(name: str, experiment: Experiment, measured: Any, out: Path) -> None:  # noqa: ANN401 - a `Measured`
    from rmhil.report.canvas import style
    from rmhil.whole_files import write_bytes
    from sim_backend.characterise.raw_data import keep_tables

    keep_tables(measured.tables(), out)
    with style():
        picture = experiment.draw(measured)
    write_bytes(out / f"{name}.png", picture.png)


def _write(numbers: dict[str, Any], out: Path) -> None:
    from rmhil.plain import plain
    from rmhil.whole_files import write_text

    write_text(out / NUMBERS, json.dumps(plain(numbers), indent=2))


def _opened(resource: str, bl: int, sl: int, wl: int, library: str) -> OneCell:
    from rmhil.bench.one_cell import OneCell

    return OneCell.open(resource, bl=bl, sl=sl, wl=wl, library=library)


@contextmanager
def _resource(resource: str | None, emulated: bool, seed: int) -> Iterator[str]:
    """The analyser's name, with the bench it belongs to locked; an emulated one lives as long as it is used."""
    if (resource is None) != emulated:
        raise ConfigError("bench-cell needs the VISA name of an analyser, or --emulate; one of the two")
    if resource is not None:
        from rmhil.bench.ownership import BenchLock, default_lock

        lock = BenchLock(default_lock(resource), resource)
        lock.take()
        try:
            yield resource
        finally:
            lock.release()
        return
    from sim_backend.b1500a import emulate

    with emulate("cell", seed=seed, socket=None) as emulator:
        yield emulator.resource
