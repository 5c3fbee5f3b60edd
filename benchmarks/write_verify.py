"""What write-verify takes, by policy, on the preset and on populations that no policy was tuned on.

    python benchmarks/write_verify.py          # some minutes on two cores; writes benchmarks/results/write_verify.*
    python benchmarks/write_verify.py --quick --out quick.json

Every chip is new and formed first, and gets a random map, uniform over its window. The policies:

- `incremental`: its default, fixed steps.
- `incremental-best`: the best settings for this population and tolerance, by benchmarks/incremental_search.py.
- `adaptive`: with a population that was learnt on 64 pilot cells of the same chip; their pulses are counted apart.
- `adaptive, no pilot`: with the wide estimate that it has of any cell.

Pulses are SET and RESET pulses of all cells; "reads" are readings beside those that came with a pulse (the first one of
each cell, those that confirm, those after the pause); cost is both. "Truly" and "after 1 s" go by the simulator's
own state, which no bench can see, and are shares of the cells that can hold the tolerance: not those that are stuck
or could not be formed, nor those whose random-telegraph step alone exceeds the tolerance. Both are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rmhil import Crossbar
from rmhil.crossbar import Outcome, ProgramReport
from rmhil.write_verify import Adaptive, AnyPolicy, Incremental
from sim_backend import open_backend
from sim_backend.config import SimConfig
from sim_backend.parameters import cell_parameters
from sim_backend.rng import keys

sys.path.insert(0, str(Path(__file__).parent))

from cell_populations import CASES
from incremental_search import search

RESULTS = Path(__file__).parent / "results" / "write_verify.json"
PILOT = 64
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_WIDTH = 160
"""1: characters of the table, also where the output is not a terminal."""

COLUMNS = {
    "population": "population",
    "tolerance_us": "uS",
    "policy": "policy",
    "pulses": "pulses",
    "pulses_95_percent": "95 %",
    "reads": "reads",
    "cost": "cost",
    "verified": "verified",
    "truly": "truly",
    "truly_after_1_s": "after 1 s",
    "stuck": "stuck",
    "fluctuating": "fluct.",
    "pilot_pulses_per_cell": "pilot",
    "wall_s": "wall s",
    "policy_cells_per_s": "policy cells/s",
}


@dataclass(frozen=True, slots=True)
class Task:
    """One population at one tolerance, on some chips; `number` counts in `CASES`."""

    number: int
    tolerance: float
    size: int
    seeds: tuple[int, ...]


class Timed:
    """A policy, and the seconds spent in it."""

    def __init__(self, policy: AnyPolicy) -> None:
        self._policy, self.seconds = policy, 0.0
        self.name, self.pause = policy.name, policy.pause

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._policy, name)

        def timed(*arguments: object) -> object:
            started = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self.seconds += time.perf_counter() - started

        return timed


def measure(name: str, task: Task, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Form and program one new chip; what came of it, as plain numbers."""
    cells = CASES[task.number].cells
    with open_backend(preset=cells, n_bl=task.size, n_sl=task.size, seed=seed) as backend:
        crossbar = Crossbar(backend)
        forming = crossbar.form()
        population = crossbar.learn_population(PILOT) if name == "adaptive" else None
        policy = Timed(Incremental(**settings) if name.startswith("incremental") else Adaptive(population=population))
        target = np.random.default_rng(seed).uniform(cells.conductance_min, cells.conductance_max, crossbar.shape)
        started = time.perf_counter()
        report = crossbar.program(target, tolerance=task.tolerance, policy=policy)
        wall = time.perf_counter() - started
        now = np.abs(backend.true_conductance[0] - target) <= task.tolerance
        backend.wait(1.0)
        later = np.abs(backend.true_conductance[0] - target) <= task.tolerance
        steps = telegraph_steps(backend.config)
        stuck = backend.stuck_cells[0]
    return (
        counted(report)
        | shares(report, now, later, stuck, steps * target > task.tolerance)
        | {
            "form_pulses": forming.form_pulses_per_cell(),
            "pilot_pulses_per_cell": population.pilot_pulses / target.size if population else 0.0,
            "wall_s": wall,
            "policy_cells_per_s": target.size / policy.seconds,
            "bench_s": report.seconds,
        }
    )


def telegraph_steps(config: SimConfig) -> np.ndarray:
    """1: relative step of each cell's random-telegraph trap, drawn as the simulator draws it; 0 without one."""
    bl, sl = torch.meshgrid(torch.arange(config.n_bl), torch.arange(config.n_sl), indexing="ij")
    parameters = cell_parameters(config.device_preset, config, keys(config.seed, torch.zeros_like(bl), bl, sl))
    return parameters.telegraph.numpy()


def counted(report: ProgramReport) -> dict[str, float]:
    """Pulses and readings of all cells."""
    pulses = report.pulses["set"] + report.pulses["reset"]
    reads = report.reads - pulses - report.pulses["form"]
    return {
        "pulses": float(pulses.mean()),
        "set_pulses": float(report.pulses["set"].mean()),
        "pulses_95_percent": float(np.percentile(pulses, 95)),
        "pulses_most": int(pulses.max()),
        "reads": float(reads.mean()),
        "cost": float((pulses + reads).mean()),
    }


def shares(
    report: ProgramReport, now: np.ndarray, later: np.ndarray, stuck: np.ndarray, fluctuating: np.ndarray
) -> dict[str, float]:
    """Shares of the cells that can hold the tolerance, and how many cannot."""
    dead = stuck | (report.outcome == Outcome.FORM_FAILED)
    able = ~dead & ~fluctuating
    return {
        "verified": report.working_converged_fraction(),
        "truly": float(now[able].mean()),
        "truly_after_1_s": float(later[able].mean()),
        "stuck": int(dead.sum()),
        "fluctuating": int((fluctuating & ~dead).sum()),
    }


def carry_out(task: Task) -> dict[str, Any]:
    """Search the best incremental policy, then measure all policies on each chip of the task."""
    case = CASES[task.number]
    best, tried = search(case.cells, task.tolerance)
    policies = {
        "incremental": {},
        "incremental-best": asdict(best),
        "adaptive": {},
        "adaptive, no pilot": {},
    }
    rows = []
    for name, settings in policies.items():
        runs = [measure(name, task, seed, settings) for seed in task.seeds]
        mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        place = {"population": case.cells.name, "tolerance_us": task.tolerance * 1e6, "policy": name}
        rows.append(place | mean | {"runs": runs, "settings": settings})
    return {"task": asdict(task), "rows": rows, "search": tried}


def tasks(size: int, preset_size: int, seeds: list[int]) -> Iterator[Task]:
    """The preset on large chips and every seed, the others on smaller ones and two."""
    for number, case in enumerate(CASES):
        for tolerance in case.tolerances:
            some = tuple(seeds) if number == 0 else tuple(seeds[:2])
            yield Task(number, tolerance, preset_size if number == 0 else size, some)


def campaign(todo: list[Task], workers: int) -> list[dict[str, Any]]:
    """Every task, in processes of their own; Ctrl-C ends after those that are running."""
    for name in THREADS:
        os.environ[name] = "1"  # read by the new processes when they import numpy and torch
    done: dict[Task, dict[str, Any]] = {}
    with Progress() as bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        shown = bar.add_task("populations", total=len(todo))
        futures = {pool.submit(carry_out, task): task for task in todo}
        try:
            for future in as_completed(futures):
                done[futures[future]] = future.result()
                bar.advance(shown)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return [done[task] for task in todo]


def whole_array(size: int) -> dict[str, Any]:
    """Time of one large map by the adaptive policy, nothing else running."""
    run = measure("adaptive", Task(0, 1e-6, size, (1,)), 1, {})
    return {"size": size, "cells_per_s": size**2 / run["wall_s"]} | run


def show(results: list[dict[str, Any]]) -> None:
    table = Table(
        title="Write-verify of random maps: pulses (SET, RESET) and further reads a cell; shares of able cells"
    )
    for key, title in COLUMNS.items():
        table.add_column(title, justify="left" if key in ("population", "policy") else "right", no_wrap=True)
    for result in results:
        for row in result["rows"]:
            table.add_row(*(written(key, row[key]) for key in COLUMNS), end_section=row is result["rows"][-1])
    Console(width=_WIDTH).print(table)


MARKDOWN = (
    "population",
    "tolerance_us",
    "policy",
    "pulses",
    "reads",
    "cost",
    "verified",
    "truly",
    "truly_after_1_s",
    "stuck",
    "fluctuating",
)
"""Columns of the table for the documentation."""


def markdown(results: list[dict[str, Any]]) -> str:
    """The table for docs/explanation/write-verify.md."""
    lines = [[COLUMNS[key] for key in MARKDOWN], ["---"] * len(MARKDOWN)]
    for result in results:
        lines += [[written(key, row[key]) for key in MARKDOWN] for row in result["rows"]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(key: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    if key in ("verified", "truly", "truly_after_1_s"):
        return f"{int(value * 1e4) / 100:.2f} %"  # rounded down: 100 % is said only of all
    if key in ("tolerance_us", "stuck", "fluctuating", "pulses_95_percent"):
        return f"{value:g}" if key == "tolerance_us" else f"{value:.0f}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Pulses, reads and cells in tolerance, by policy and population.")
    parser.add_argument("--size", type=int, default=64, help="bit and source lines of the chips")
    parser.add_argument("--preset-size", type=int, default=128, help="those of the preset's chips")
    parser.add_argument("--whole", type=int, default=256, help="those of the array that is timed")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[7, 8, 9], help="one chip each; the first two of others"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--quick", action="store_true", help="the first two populations on small chips")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    todo = list(tasks(options.size, options.preset_size, options.seeds))
    if options.quick:
        todo = [Task(task.number, task.tolerance, 32, task.seeds[:1]) for task in todo[:4]]
    started = time.perf_counter()
    whole = whole_array(32 if options.quick else options.whole)
    results = campaign(todo, options.workers)
    show(results)
    took = f"{whole['size']} x {whole['size']} cells to 1 uS in {whole['wall_s']:.2f} s"
    Console(width=_WIDTH).print(f"{took}, the policy alone {whole['policy_cells_per_s']:,.0f} cells/s")
    keep(options.out, results, whole, time.perf_counter() - started)


def keep(out: Path, results: list[dict[str, Any]], whole: dict[str, Any], seconds: float) -> None:
    content = {
        "command": " ".join(["python benchmarks/write_verify.py", *sys.argv[1:]]),
        "seconds": round(seconds),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("rmhil", "numpy", "scipy", "torch")}
        | {"python": platform.python_version()},
        "populations": [case.cells.model_dump(mode="json") for case in CASES],
        "whole_array": whole,
        "results": results,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n")
    out.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
