"""`rmhil history`: the life of one cell, over all runs on its chip."""

from __future__ import annotations

import csv
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.errors import InputFileError
from rmhil.store import LATEST, Run
from rmhil.units import MICRO

if TYPE_CHECKING:
    from rmhil.backend import Cells
    from rmhil.journal import CellEvent
    from rmhil.wear import WearFile

_COLUMNS = {
    "amplitude": "amplitude_v",
    "gate_voltage": "gate_voltage_v",
    "width": "width_s",
    "compliance": "compliance_a",
    "read_voltage": "read_voltage_v",
    "read_gate_voltage": "read_gate_voltage_v",
    "conductance": "conductance_siemens",
    "current": "current_a",
    "pulse_current": "pulse_current_a",
    "clock": "clock_s",
}
"""Names with units of what has one, in files."""


def history(
    cell: Annotated[
        str, typer.Argument(metavar="BL,SL", show_default=False, help="The cell, e.g. 3,5; or ARRAY,BL,SL.")
    ],
    last: Annotated[int, typer.Option("--last", min=1, help="Show so many of the latest events.")] = 40,
    only_run: Annotated[
        bool, typer.Option("--only-run", help="Only this run, and not all runs on the same chip.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE.csv", help="Also write all events to this file.")
    ] = None,
    run: options.RunToRead = LATEST,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Show every pulse and every reading of one cell, oldest first, and what it has left of its wear.

    Example: rmhil history 3,5
    """
    from rmhil.cli.cell_choice import parse_cell
    from rmhil.journal import cell_history
    from rmhil.wear import WearFile, chip_file_of

    if to is not None and to.suffix.lower() != ".csv":
        raise InputFileError(f"{to}: a history is written as .csv")
    opened = Run.open(run, out)
    named = parse_cell(cell, shape_of(opened))
    with WearFile.open(chip_file_of(opened)) as chip:
        runs = [opened.path] if only_run else chip.runs()
        wear = _wear(chip, named)
    events = cell_history(runs, *(int(numbers[0]) for numbers in named.index))
    if to is not None:
        _write(events, to)
    if as_json:
        print_json({"cell": str(named.names[0])} | wear | {"events": [_plain(event) for event in events]})
    else:
        _print(str(named.names[0]), events, wear, last)


def shape_of(run: Run) -> tuple[int, int, int]:
    """`(n_arrays, n_bl, n_sl)` of the array that a run worked on.

    Raises:
        RunDirectoryError: its record does not say.
    """
    from rmhil.errors import RunDirectoryError

    backend = run.record.backend or {}
    try:
        return (int(backend["n_arrays"]), int(backend["n_bl"]), int(backend["n_sl"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(f"{run.path}: the run names no array") from error


def _wear(chip: WearFile, cell: Cells) -> dict[str, Any]:
    from rmhil.wear.counts import PULSES_A_CYCLE

    counts, budget = chip.counts(), chip.budget
    own = (counts.cells.array == cell.array) & (counts.cells.bl == cell.bl) & (counts.cells.sl == cell.sl)
    pulses = {kind: int(getattr(counts, kind)[own].sum()) for kind in ("form", "set", "reset")}
    cycles = (pulses["set"] + pulses["reset"]) / PULSES_A_CYCLE
    return {"pulses": pulses, "cycles": cycles, "budget_cycles": budget.cycles, "chip_file": chip.path}


def _plain(event: CellEvent) -> dict[str, Any]:
    """An event with units in its names, and words for codes; what does not apply is left out."""
    found = {}
    for one in fields(event):
        value = getattr(event, one.name)
        if value is not None and value == value:  # NaN: not sensed
            found[_COLUMNS.get(one.name, one.name)] = value.name.lower() if isinstance(value, IntEnum) else value
    return found


def _write(events: list[CellEvent], path: Path) -> None:
    from rmhil.journal import CellEvent
    from rmhil.whole_files import replacing

    columns = [_COLUMNS.get(one.name, one.name) for one in fields(CellEvent)]
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_plain(event) for event in events)


def _print(name: str, events: list[CellEvent], wear: dict[str, Any], last: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, justify in (
        ("time (UTC)", "left"), ("job", "left"), ("what", "left"), ("V", "right"), ("gate V", "right"), ("ms", "right"),
        ("uS", "right"), ("", "left"),
    ):  # fmt: skip
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for event in events[-last:]:
        table.add_row(*_row(event))
    left_out = len(events) - last
    title = f"cell {name}: {len(events):,} events" + (f", the last {last:,} of them" if left_out > 0 else "")
    output_console().print(f"[bold]{title}[/]")
    output_console().print(table)
    pulses = ", ".join(f"{count:,} {kind.upper()}" for kind, count in wear["pulses"].items())
    print_facts("", {"pulses": f"{pulses}, of commands that have ended",
                     "wear": f"{wear['cycles']:g} of {wear['budget_cycles']:,} cycles",
                     "chip": wear["chip_file"]})  # fmt: skip


def _row(event: CellEvent) -> list[str]:
    pulsed = event.operation is not None
    what = event.operation.name if event.operation is not None else "read"
    amplitude = event.amplitude if pulsed else event.read_voltage
    gate = event.gate_voltage if pulsed else event.read_gate_voltage
    width = "" if event.width is None else f"{event.width * 1e3:g}"
    notes = [] if event.fate.name == "DONE" else [event.fate.name.lower()]
    notes += [] if event.status is None or event.status.name == "NORMAL" else [event.status.name.lower()]
    reading = "" if event.conductance is None else f"{event.conductance / MICRO:.3f}"
    time = event.time.replace("T", " ").partition("+")[0]
    numbers = ("" if value is None else f"{value:.3f}" for value in (amplitude, gate))
    return [time, event.job, what, *numbers, width, reading, ", ".join(notes)]
