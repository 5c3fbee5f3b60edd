"""Time of the line network: against badcrossbar from cold, of one changed cell, and of many arrays.

    OMP_NUM_THREADS=1 python benchmarks/line_network.py      # two minutes; writes results/line_network.json

badcrossbar is on PyPI and needs apt's libcairo2-dev and pkg-config to install. It solves the same circuit for 64
vectors; here the effective matrix is solved and multiplied by them. Both run in turn in one process, each call from
cold: nothing is held from one call to the next. Word lines (here: bit lines) are driven through one segment, bit lines
(here: source lines) end at ground through one; conductances are uniform from 10 to 80 uS, inputs from 0 to 0.2 V.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from rich.console import Console
from rich.table import Table

from rmhil.line_model import LineResistances, effective_matrix
from rmhil.line_solver import LineTensors, solve
from sim_backend.line_factors import LineFactors

RESULTS = Path(__file__).parent / "results" / "line_network.json"
VECTORS = 64
CASES = ((64, 5.0), (128, 1.0), (128, 5.0), (256, 5.0))
"""Lines of a square array, and ohm a segment."""

CHANGES = 20
"""Cells changed one after the other between two solutions."""

MANY, MANY_SHAPE = 32, (128, 64)
"""Arrays solved in one call: banks of 64 SLs of arrays with 128 BLs."""


def lines_of(n_bl: int, n_sl: int, wire: float) -> LineResistances:
    return LineResistances(bl_source=np.zeros(n_bl), sl_load=np.zeros(n_sl), bl_segment=wire, sl_segment=wire)


def in_turn(repeats: int, *calls: Callable[[], Any]) -> list[float]:
    """Median seconds of each call; one round of all of them first, which does not count."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(repeats + 1):
        for call, taken in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            call()
            if number:
                taken.append(time.perf_counter() - started)
    return [float(np.median(taken)) for taken in seconds]


def against_badcrossbar(n: int, wire: float, repeats: int) -> dict[str, Any]:
    """Effective matrix and 64 vectors, from cold."""
    import badcrossbar

    rng = np.random.default_rng(1)
    conductance = rng.uniform(10e-6, 80e-6, (n, n))
    drive = rng.uniform(0.0, 0.2, (VECTORS, n))
    lines = lines_of(n, n, wire)

    def theirs() -> np.ndarray:
        asked = {"node_voltages": False, "all_currents": False}  # the outputs alone, as here
        return np.asarray(badcrossbar.compute(drive.T, 1 / conductance, wire, **asked).currents.output)

    def ours() -> np.ndarray:
        return np.asarray(drive @ effective_matrix(conductance, lines))

    expected = theirs()
    their_time, our_time = in_turn(repeats, theirs, ours)
    return {
        "n": n,
        "wire_ohm": wire,
        "badcrossbar_s": their_time,
        "effective_matrix_s": our_time,
        "ratio": their_time / our_time,
        "largest_relative_difference": float(np.abs(ours() / expected - 1).max()),
    }


def one_cell(n: int, wire: float, repeats: int) -> dict[str, Any]:
    """An update of one changed cell against a solution."""
    rng = np.random.default_rng(2)
    lines, every = [lines_of(n, n, wire)], np.arange(n)
    cells = torch.from_numpy(rng.uniform(10e-6, 80e-6, (1, n, n)))
    network = LineFactors(cells, lines, every, n)

    def full() -> torch.Tensor:
        return solve(network.conductance, every.tolist(), n, LineTensors.of(lines, every, cells.device))

    def updates() -> None:
        for row, column in rng.integers(n, size=(CHANGES, 2)).tolist():
            network.change(0, row, column, float(rng.uniform(10e-6, 80e-6)))

    full_time, updates_time = in_turn(repeats, full, updates)
    update_time = updates_time / CHANGES
    expected = full()
    return {
        "n": n,
        "wire_ohm": wire,
        "solve_s": full_time,
        "update_s": update_time,
        "ratio": full_time / update_time,
        "changes": CHANGES * (repeats + 1),
        "relative_error_after_them": float((network.effective - expected).abs().max() / expected.max()),
        "held_mb": network.bytes_held / 1e6,
    }


def many_arrays(repeats: int) -> dict[str, Any]:
    """A batch of arrays in one call."""
    n_bl, n_sl = MANY_SHAPE
    cells = torch.from_numpy(np.random.default_rng(3).uniform(10e-6, 80e-6, (MANY, n_bl, n_sl)))
    on = np.arange(n_sl)
    lines = LineTensors.of([lines_of(n_bl, n_sl, 1.0)] * MANY, on, cells.device)
    (seconds,) = in_turn(repeats, lambda: solve(cells, on.tolist(), n_sl, lines))
    return {"arrays": MANY, "n_bl": n_bl, "n_sl": n_sl, "ms_per_array": 1e3 * seconds / MANY}


def show(rows: list[dict[str, Any]], title: str) -> None:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="calls of each kind that count; the median is reported")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    results = {
        **provenance("line_network.py", ("torch", "numpy", "scipy", "badcrossbar")),
        "torch_threads": torch.get_num_threads(),
        "vectors": VECTORS,
        "against_badcrossbar": [against_badcrossbar(n, wire, arguments.repeats) for n, wire in CASES],
        "one_changed_cell": [one_cell(n, wire, arguments.repeats) for n, wire in CASES if n >= 128],
        "many_arrays": many_arrays(arguments.repeats),
    }
    for title in ("against_badcrossbar", "one_changed_cell"):
        show(results[title], title.replace("_", " "))
    show([results["many_arrays"]], "many arrays")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
