"""`rmhil characterise`: the published curves of a device, measured on an array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json, progress_bar
from rmhil.cli.session import command_line
from rmhil.reopen import BackendChoice

if TYPE_CHECKING:
    from rmhil.backend import Backend
    from rmhil.crossbar import Crossbar
    from rmhil.program_report import Progress
    from rmhil.report.canvas import Picture

    from .curves import Curve, Extent
    from .page import Part

_OUT = Path("characterise")

DEFAULT_SEED = 0


def characterise(
    ctx: typer.Context,
    curves: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CURVE]...",
            show_default=False,
            help="sweeps, endurance, levels, trajectories, tolerance, pattern, retention; none: all of them.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer cells, cycles and repeats: a look, not the published statements.")
    ] = False,
    cycles: Annotated[
        int | None,
        typer.Option("--cycles", min=2, show_default="30,000", help="SET/RESET cycles of the endurance."),
    ] = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results; made when missing.")] = _OUT,
    as_json: options.AsJson = False,
) -> None:
    """Measure the published curves of the device: sweeps, endurance, levels, retention, write-verify.

    Pictures (PNG), raw data (CSV, as `rmhil fit` reads them), numbers (JSON) and one page (HTML) go to a folder. The
    cells are formed, written and worn for that: on a real chip, use one that may be. Ctrl-C keeps the curves that are
    done.

    Example: rmhil characterise levels retention --seed 7 --out curves
    """
    from .curves import Extent, find_curves
    from .raw_data import make_folder

    wanted = find_curves(curves or [])
    given = {} if seed is None else {"seed": seed}
    with BackendChoice(name=backend or "sim", config=config, options=given).open() as opened:
        extent = Extent(seed=DEFAULT_SEED if seed is None else seed, quick=quick, cycles=cycles)
        rooms = _rooms(opened, wanted, extent)
        make_folder(out)
        book = Book(out, opened.spec.provenance, command_line(ctx), extent)
        _measure(wanted, rooms, book, shown=not as_json)
    if as_json:
        print_json({"provenance": book.provenance, "page": book.page, "curves": book.summaries})
    else:
        _print(book)


class Book:
    """The folder of a characterisation: each curve is kept as soon as it is measured."""

    def __init__(self, folder: Path, provenance: str, command: str, extent: Extent) -> None:
        self.folder, self.provenance, self.command, self.extent = folder, provenance, command, extent
        self.parts: dict[str, Part] = {}

    @property
    def page(self) -> Path:
        """The HTML file."""
        from .page import PAGE

        return self.folder / PAGE

    @property
    def summaries(self) -> dict[str, Any]:
        """Numbers of each curve so far."""
        return {name: part.summary for name, part in self.parts.items()}

    def keep(self, name: str, curve: Curve[Any], measured: Any, seconds: float) -> None:  # noqa: ANN401 - a `Measured`
        """Write the tables, the numbers and the pictures of a curve, in this order: what was measured is kept first."""
        from .page import Part
        from .raw_data import keep_tables

        files = keep_tables(measured.tables(), self.folder)
        part = Part(curve=curve, summary=measured.summary(), pictures=[], files=files, seconds=seconds)
        self.parts[name] = part
        self.close("running")
        self.parts[name] = replace(part, pictures=self._drawn(curve, measured))
        self.close("running")

    def _drawn(self, curve: Curve[Any], measured: Any) -> list[Picture]:  # noqa: ANN401 - a `Measured`
        from rmhil.report.canvas import style
        from rmhil.whole_files import write_bytes

        with style():
            pictures = curve.draw(measured)
        for shown in pictures:
            write_bytes(self.folder / f"{shown.name}.png", shown.png)
        return pictures

    def close(self, status: str) -> None:
        """Write the page and the numbers of what there is."""
        from .page import write_page

        facts = {"provenance": self.provenance, "command": self.command, "seed": self.extent.seed, "status": status}
        write_page(self.folder, self.parts, facts)


def _rooms(backend: Backend, wanted: dict[str, Curve[Any]], extent: Extent) -> dict[str, Crossbar]:
    """The cells of each curve, on the first array."""
    from rmhil.crossbar import Crossbar

    from .curves import CURVES
    from .rooms import find_rooms

    every = {name: curve.room for name, curve in CURVES.items()}
    return find_rooms(Crossbar(backend).region(arrays=[0]), every, list(wanted), quick=extent.quick)


def _measure(wanted: dict[str, Curve[Any]], rooms: dict[str, Crossbar], book: Book, *, shown: bool) -> None:
    """Measure one curve after the other; the page says how it ended."""
    from rmhil.line_solver import one_thread

    status = "failed"
    try:
        with one_thread():
            for name, curve in wanted.items():
                with progress_bar(name, shown=shown) as progress:
                    _one(name, curve, rooms[name], book, progress)
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        book.close(status)


def _one(name: str, curve: Curve[Any], room: Crossbar, book: Book, progress: Progress) -> None:
    started = perf_counter()
    measured = curve.measure(room, book.extent, progress)
    book.keep(name, curve, measured, perf_counter() - started)


def _print(book: Book) -> None:
    from rmhil.measure.numbers import number_rows

    output_console().print(book.provenance, soft_wrap=True)
    for name, part in book.parts.items():
        output_console().print(f"\n[bold]{part.curve.title}[/] ({name}, {part.seconds:.1f} s)")
        print_facts("", dict(number_rows(part.summary)))
    output_console().print(f"\npage: {book.page}", soft_wrap=True)  # a path in one piece, to be copied
