"""`rmhil endurance`: SET/RESET cycles of chosen cells, within what is left of their wear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.cell_choice import CellChoice, cells_in
from rmhil.cli.console import error_console
from rmhil.cli.measuring import kept, show
from rmhil.cli.pulsing import pulsing_bar
from rmhil.cli.session import Place, Session, session
from rmhil.errors import OutOfRangeError
from rmhil.measure.endurance import AMPLITUDE, GATE, EnduranceTest
from rmhil.measure.pulsing import RESET_PULSES, in_the_backend

if TYPE_CHECKING:
    from rmhil.backend import Cells


def endurance(
    ctx: typer.Context,
    cycles: Annotated[int, typer.Option("--cycles", min=1, help="SET/RESET cycles of each cell.")] = 1000,
    gate: Annotated[float, typer.Option("--gate", metavar="V", help="WL during each SET, in V.")] = GATE,
    amplitude: Annotated[
        float, typer.Option("--reset", metavar="V", help="Amplitude of each RESET, in V.")
    ] = AMPLITUDE,
    region: options.Region = None,
    cell: options.CellNames = None,
    mask: options.MaskFile = None,
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Cycle cells between SET and RESET, and read both states at cycles evenly in the logarithm.

    This wears the cells: they must be named by --cell, --region or --mask. More cycles than are left
    of a cell's budget (30,000 unless the chip's file says otherwise) are refused before a pulse is given. Ctrl-C, or
    `q` on a terminal, stops after the cycle and keeps what was read.

    Example: rmhil endurance --cell 3,5 --cycles 1000 --run latest
    """
    from rmhil.measure.pictures import endurance_picture

    choice = CellChoice(region=region, cells=cell or (), mask=mask).named("endurance wears cells")
    settings: dict[str, Any] = {"cycles": cycles, "gate": gate, "reset": amplitude} | choice.settings
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    with session(ctx, place, "endurance", settings) as work:
        crossbar, named = work.cells(choice)
        cells = cells_in(crossbar, named)
        test = EnduranceTest(crossbar, cells, cycles, gate, amplitude)
        left = cycles_left(work, in_the_backend(crossbar, cells), cycles)
        if not as_json:
            text = f"{len(cells):,} cell(s), {cycles:,} cycles each; {left:,} are left of the budget afterwards"
            error_console().print(text, soft_wrap=True)
        with (
            kept(work, "endurance", test.measured, endurance_picture) as found,
            pulsing_bar("cycling", shown=not as_json) as progress,
        ):
            test.run(progress)
    show(work, found, as_json)


def cycles_left(work: Session, cells: Cells, cycles: int) -> int:
    """SET/RESET cycles that the most worn of some cells has left after a measurement.

    Args:
        work: the session.
        cells: by their numbers in the backend.
        cycles: that they are to have.

    Raises:
        OutOfRangeError: a cell has not so many left; nothing was pulsed.
    """
    from rmhil.wear import WearFile, chip_file_of
    from rmhil.wear.counts import PULSES_A_CYCLE

    with WearFile.open(chip_file_of(work.run)) as chip:
        budget, counts = chip.budget, chip.counts()
    had = np.zeros(work.backend.spec.shape, dtype=np.int64)
    had[counts.cells.index] = counts.pulses
    worst = int(np.argmax(had[cells.index]))
    left = (budget.pulses - int(had[cells.index][worst]) - RESET_PULSES) // PULSES_A_CYCLE
    if cycles > left:
        name = str(cells[worst : worst + 1].names[0])
        raise OutOfRangeError(
            f"cycles (cell {name} has had {had[cells.index][worst]:,} SET and RESET pulses of {budget.pulses:,})",
            cycles, 1, max(left, 0), "",
        )  # fmt: skip
    return left - cycles
