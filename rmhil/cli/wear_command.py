"""`rmhil wear`: how often the cells of a chip have been written, and how often they may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rmhil.cli import options
from rmhil.cli.console import print_facts, print_json
from rmhil.errors import ConfigError, InputFileError
from rmhil.store import LATEST, Run
from rmhil.wear import WearBudget, WearCounts, WearFile, chip_file_of

_MOST = 5
"""Cells that are named, the most worn first."""


def wear(
    chip: Annotated[
        Path | None,
        typer.Option("--chip", metavar="FILE", help="The chip file; else the one that the run was counted in."),
    ] = None,
    run: options.RunToRead = LATEST,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget", min=1, metavar="CYCLES", help="Allow so many SET/RESET cycles for each cell from now on."
        ),
    ] = None,
    warn_share: Annotated[
        float | None,
        typer.Option("--warn-share", help="Warn from this share of the budget on, above 0 and at most 1."),
    ] = None,
    rebuild: Annotated[
        list[Path] | None,
        typer.Option(
            "--rebuild",
            metavar="RUN",
            show_default=False,
            help="Make a lost or damaged chip file anew from the journals of its runs; once for each run.",
        ),
    ] = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Show how often the cells of a chip were written, over all runs; --budget allows more, or less.

    A SET and a RESET are a cycle. Pulses beyond the budget are refused before they are given.

    Example: rmhil wear --run latest
    """
    with _opened(chip, rebuild) if rebuild else WearFile.open(_existing(chip, run, out)) as file:
        if budget is not None or warn_share is not None:
            now = file.budget
            cycles = now.cycles if budget is None else budget
            file.set_budget(WearBudget(cycles=cycles, warn_share=now.warn_share if warn_share is None else warn_share))
        facts = summary(file)
    print_json(facts) if as_json else print_facts(f"wear of {facts['chip']}", _told(facts))


def _opened(chip: Path | None, runs: list[Path]) -> WearFile:
    if chip is None:
        raise ConfigError("--rebuild needs --chip FILE: which file is to be made anew?")
    return WearFile.rebuild(chip, runs)


def _existing(chip: Path | None, run: str, out: Path) -> Path:
    path = chip or chip_file_of(Run.open(run, out))
    if not path.is_file():
        raise InputFileError(f"no chip file {path}; --rebuild makes it anew from the runs of the chip")
    return path


def summary(file: WearFile) -> dict[str, Any]:
    """What a chip file comes to, in plain numbers."""
    counts, budget = file.counts(), file.budget
    cycles = counts.cycles
    return {
        "chip": file.path,
        "runs": [str(run) for run in file.runs()],
        "budget_cycles": budget.cycles,
        "warn_share": budget.warn_share,
        "cells": len(cycles),
        "pulses": {"form": int(counts.form.sum()), "set": int(counts.set.sum()), "reset": int(counts.reset.sum())},
        "maybe_applied": int(counts.maybe.sum()),
        "cells_near_the_budget": int(np.count_nonzero(cycles >= budget.warn_share * budget.cycles)),
        "cells_at_the_budget": int(np.count_nonzero(counts.pulses >= budget.pulses)),
        "most_worn": _most_worn(counts),
    }


def _most_worn(counts: WearCounts) -> list[dict[str, int]]:
    first = np.argsort(-counts.pulses, kind="stable")[:_MOST]
    rows = zip(*(index[first].tolist() for index in counts.cells.index), counts.cycles[first].tolist(), strict=True)
    return [dict(zip(("array", "bl", "sl", "cycles"), row, strict=True)) for row in rows]


def _told(facts: dict[str, Any]) -> dict[str, str]:
    pulses = facts["pulses"]
    worn = [f"({one['array']}, {one['bl']}, {one['sl']}) {one['cycles']:,}" for one in facts["most_worn"]]
    return {
        "budget": f"{facts['budget_cycles']:,} SET/RESET cycles a cell, a warning from {facts['warn_share']:.0%} on",
        "cells pulsed": f"{facts['cells']:,}; {facts['cells_near_the_budget']:,} near the budget, "
        f"{facts['cells_at_the_budget']:,} at it",
        "pulses": f"{pulses['form']:,} FORM, {pulses['set']:,} SET, {pulses['reset']:,} RESET",
        "of them maybe applied": f"{facts['maybe_applied']:,}",
        "most worn (array, bl, sl)": ", ".join(worn) or "none",
        "runs": f"{len(facts['runs']):,}",
    }
