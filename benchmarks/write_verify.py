"""Pulses per cell and share of cells in tolerance, for both policies, on a whole simulated array.

    python benchmarks/write_verify.py                # some minutes; writes benchmarks/results/write_verify.json
    python benchmarks/write_verify.py --seeds 7 8 9 --size 64 --out other.json

Every chip is new and formed first. "Verified" counts by the verify reads, as a bench would; "truly" by the
simulator's own state, which no bench can see; "read again" by one fresh read of every cell. All three are shares
of the cells that are not stuck. The incremental policy is also run with coarser gate steps, since its pulses go
with the step.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rmhil import Crossbar
from rmhil.crossbar import Outcome, ProgramReport
from rmhil.write_verify import Adaptive, AnyPolicy, Incremental
from sim_backend import open_backend

RESULTS = Path(__file__).parent / "results" / "write_verify.json"
COARSE_STEPS = (0.04, 0.05)
"""V: gate steps of the incremental policy beside its default."""

_WIDTH = 120
"""1: characters of the table, also where the output is not a terminal."""

COLUMNS = {
    "policy": "policy",
    "tolerance_us": "uS",
    "pulses_per_cell": "pulses",
    "pulses_95_percent": "95 %",
    "verified": "verified",
    "truly": "truly",
    "read_again": "read again",
    "stuck": "stuck",
    "bench_s": "bench s",
    "wall_s": "wall s",
}


def run(policy: AnyPolicy, tolerance: float, size: int, seed: int) -> dict[str, Any]:
    """Form and program one new chip with a random map; what came of it, as plain numbers."""
    with open_backend(n_bl=size, n_sl=size, seed=seed) as backend:
        crossbar = Crossbar(backend)
        forming = crossbar.form()
        low, high = crossbar.spec.conductance_min, crossbar.spec.conductance_max
        target = np.random.default_rng(seed).uniform(low, high, crossbar.shape)
        started = time.perf_counter()
        report = crossbar.program(target, tolerance=tolerance, policy=policy)
        wall = time.perf_counter() - started
        again = crossbar.verify(target, tolerance=tolerance)
        truth = np.abs(backend.true_conductance[0] - target) <= tolerance
    working = (report.outcome != Outcome.STUCK) & (report.outcome != Outcome.FORM_FAILED)
    return summary(report) | {
        "form_pulses_per_cell": forming.form_pulses_per_cell(),
        "truly": float(truth[working].mean()),
        "read_again": float(again.within[working].mean()),
        "wall_s": wall,
        "provenance": report.provenance,
    }


def summary(report: ProgramReport) -> dict[str, Any]:
    """What a report says, as plain numbers."""
    pulses = (report.pulses["set"] + report.pulses["reset"])[report.outcome == Outcome.CONVERGED]
    return {
        "pulses_per_cell": report.pulses_per_cell(),
        "set_per_cell": float(report.pulses["set"].mean()),
        "reset_per_cell": float(report.pulses["reset"].mean()),
        "reads_per_cell": float(report.reads.mean()),
        "pulses_median": float(np.median(pulses)),
        "pulses_95_percent": float(np.percentile(pulses, 95)),
        "pulses_most": int(pulses.max()),
        "verified": report.working_converged_fraction(),
        "stuck": report.count(Outcome.STUCK) + report.count(Outcome.FORM_FAILED),
        "out_of_pulses": report.count(Outcome.OUT_OF_PULSES),
        "bench_s": report.seconds,
    }


def campaign(size: int, seeds: list[int]) -> list[dict[str, Any]]:
    """Every policy at every tolerance, averaged over the seeds."""
    policies: list[tuple[str, AnyPolicy]] = [("adaptive", Adaptive()), ("incremental", Incremental())]
    policies += [(f"incremental, steps of {step:g} V", Incremental(gate_step=step)) for step in COARSE_STEPS]
    rows = []
    for name, policy in policies:
        for tolerance_us in (2.0, 1.0):
            runs = [run(policy, tolerance_us * 1e-6, size, seed) for seed in seeds]
            numbers = [key for key, value in runs[0].items() if not isinstance(value, str)]
            mean = {key: float(np.mean([one[key] for one in runs])) for key in numbers}
            chips = [one["provenance"] for one in runs]
            rows.append({"policy": name, "tolerance_us": tolerance_us} | mean | {"chips": chips})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(
        title="Write-verify of a random map: tolerance, SET and RESET pulses a cell, shares of the working cells"
    )
    for title in COLUMNS.values():
        table.add_column(title, justify="left" if title == "policy" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(written(key, row[key]) for key in COLUMNS))
    Console(width=_WIDTH).print(table)


def written(key: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    if key in ("verified", "truly", "read_again"):
        return f"{int(value * 1e4) / 100:.2f} %"  # rounded down: 100 % is said only of all
    return f"{value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Pulses per cell and cells in tolerance, by policy.")
    parser.add_argument("--size", type=int, default=128, help="bit and source lines of the chip")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9], help="one chip each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    rows = campaign(options.size, options.seeds)
    show(rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "command": "python benchmarks/write_verify.py " + " ".join(sys.argv[1:]),
        "map": f"{options.size} x {options.size} cells, targets uniform over the window",
        "versions": {name: version(name) for name in ("rmhil", "numpy", "torch")}
        | {"python": platform.python_version()},
        "rows": rows,
    }
    content["command"] = content["command"].strip()
    options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
