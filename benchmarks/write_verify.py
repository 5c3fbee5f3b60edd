"""What write-verify takes, by policy, on the preset and on populations that no policy was tuned on.

    python benchmarks/write_verify.py          # some 20 minutes on two cores; writes benchmarks/results/write_verify.*
    python benchmarks/write_verify.py --quick --out quick.json
    python benchmarks/write_verify.py --time   # only the time of the large array again, with nothing else running
    python benchmarks/write_verify.py --render # only the tables again, from the results that are there

Every chip is new and formed first, and gets a random map, uniform over its window. The policies:

- `incremental`: its default, fixed steps.
- `incremental-best`: the settings of the fewest pulses for this population and tolerance, by
  benchmarks/incremental_search.py, with three confirming reads.
- `incremental-best, sure`: the same with as many confirming reads as it takes to have 99.5 % truly in tolerance on
  the chip of the search; left out where no number of them does.
- `adaptive`: with a population that was learnt on 64 pilot cells of the same chip; what they took is counted apart.
- `adaptive, no pilot`: with the wide estimate that it has of any cell.

Pulses are SET and RESET pulses of all cells; "reads" are readings beside those that came with a pulse (the first one of
each cell, those that confirm, those after the pause); cost is both. "Truly" goes by the simulator's own state, which
no bench can see: once of each cell right after the transaction that held its last reading; once, "after 1 s", of all
cells one second after the whole map was written, when the first cells have drifted for as long as that took. Shares
are of the cells that can hold the tolerance: not those that are stuck or could not be formed, nor those whose
random-telegraph step alone exceeds the tolerance. Both are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from cell_populations import CASES, Watched, fluctuating
from incremental_search import confirmed, search
from provenance import provenance
from rich.console import Console
from rich.progress import Progress
from write_verify_tables import render, show

from rmhil import Crossbar
from rmhil.backend import Floats
from rmhil.crossbar import Outcome, ProgramReport
from rmhil.write_verify import Adaptive, AnyPolicy, Incremental
from sim_backend import open_backend
from sim_backend.presets import TAOX_180, DevicePreset

RESULTS = Path(__file__).parent / "results" / "write_verify.json"
PILOT = 64
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DIGITS = 6
"""1: significant digits of a number in the results; more say nothing about a few thousand cells."""


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
        watched = Watched(backend)
        crossbar = Crossbar(watched)
        forming = crossbar.form()
        population = crossbar.learn_population(PILOT) if name == "adaptive" else None
        policy = Timed(Incremental(**settings) if name.startswith("incremental") else Adaptive(population=population))
        target = np.random.default_rng(seed).uniform(cells.conductance_min, cells.conductance_max, crossbar.shape)
        watched.seconds, started = 0.0, time.perf_counter()
        report = crossbar.program(target, tolerance=task.tolerance, policy=policy)
        wall = time.perf_counter() - started - watched.seconds
        backend.wait(1.0)
        later = backend.true_conductance[0]
        trembling = fluctuating(backend, target, task.tolerance)
        stuck = backend.stuck_cells[0]
    counts = counted(report) | shares(report, watched.seen[0], later, stuck, trembling)
    return counts | {
        "form_pulses": forming.form_pulses_per_cell(),
        "pilot_pulses": population.pilot_pulses / target.size if population else 0.0,
        "pilot_reads": population.pilot_reads / target.size if population else 0.0,
        "stuck_pulses": float(stuck_pulses(report)),
        "wall_s": wall,
        "policy_cells_per_s": target.size / policy.seconds,
        "bench_s": report.seconds,
    }


def stuck_pulses(report: ProgramReport) -> float:
    """Median number of pulses of a cell that was found to be stuck; 0 if none was."""
    pulses = (report.pulses["set"] + report.pulses["reset"])[report.outcome == Outcome.STUCK]
    return float(np.median(pulses)) if pulses.size else 0.0


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
    report: ProgramReport, now: Floats, later: Floats, stuck: np.ndarray, trembling: np.ndarray
) -> dict[str, Any]:
    """Shares of the cells that can hold the tolerance by two true maps (S), and how many cannot."""
    dead = stuck | (report.outcome == Outcome.FORM_FAILED)
    able = ~dead & ~trembling
    within, still = (np.abs(true - report.target) <= report.tolerance for true in (now, later))
    return {
        "verified": report.working_converged_fraction(),
        "truly": float(within[able].mean()),
        "truly_after_1_s": float(still[able].mean()),
        "truly_of_all_after_1_s": float(still.mean()),
        "stuck": int(dead.sum()),
        "fluctuating": int((trembling & ~dead).sum()),
    }


def carry_out(task: Task) -> dict[str, Any]:
    """Search the best incremental policy, then measure all policies on each chip of the task."""
    case = CASES[task.number]
    best, tried = search(case.cells, task.tolerance)
    sure, reads_tried = confirmed(best, case.cells, task.tolerance)
    policies: dict[str, dict[str, Any]] = {"incremental": {}, "incremental-best": asdict(best)}
    if sure is not None:
        policies["incremental-best, sure"] = asdict(sure)
    rows = []
    for name, settings in (policies | {"adaptive": {}, "adaptive, no pilot": {}}).items():
        runs = [measure(name, task, seed, settings) for seed in task.seeds]
        mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        place = {"population": case.cells.name, "tolerance_us": task.tolerance * 1e6, "policy": name}
        least = {"truly_least": min(run["truly"] for run in runs)}
        rows.append(place | mean | least | {"settings": settings})
    found = {"candidates": len(tried), "confirming": [asdict(one) for one in reads_tried]}
    return {"task": asdict(task), "rows": rows, "search": found}


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
    parser.add_argument("--time", action="store_true", help="only time the large array, for the results in --out")
    parser.add_argument("--render", action="store_true", help="only write the tables of the results in --out")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    if options.render:
        render(options.out, in_docs=options.out == RESULTS)
        return
    if options.time:
        content = json.loads(options.out.read_text(encoding="utf-8"))
        write(options.out, content | {"whole_array": whole_array(options.whole)})
        return
    todo = list(tasks(options.size, options.preset_size, options.seeds))
    if options.quick:
        todo = [Task(task.number, task.tolerance, 32, task.seeds[:1]) for task in todo[:4]]
    started = time.perf_counter()
    whole = whole_array(32 if options.quick else options.whole)
    results = campaign(todo, options.workers)
    show(results)
    took = f"{whole['size']} x {whole['size']} cells to 1 uS in {whole['wall_s']:.2f} s"
    Console().print(f"{took}, the policy alone {whole['policy_cells_per_s']:,.0f} cells/s")
    keep(options.out, results, whole, time.perf_counter() - started)


def keep(out: Path, results: list[dict[str, Any]], whole: dict[str, Any], seconds: float) -> None:
    """Write results and tables."""
    content = {
        **provenance("write_verify.py", ("rmhil", "numpy", "scipy", "torch")),
        "seconds": round(seconds),
        "preset": TAOX_180.model_dump(mode="json"),
        "populations": {case.cells.name: unlike_the_preset(case.cells) for case in CASES},
        "whole_array": whole,
        "results": results,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, content)
    render(out, in_docs=out == RESULTS)


def write(out: Path, content: dict[str, Any]) -> None:
    """Write results, rounded, as compact JSON."""
    out.write_text(compact(rounded(content)) + "\n", encoding="utf-8")


def unlike_the_preset(cells: DevicePreset) -> dict[str, Any]:
    """Parameters in which a kind of cell differs from the preset."""
    preset = TAOX_180.model_dump(mode="json")
    return {name: value for name, value in cells.model_dump(mode="json").items() if value != preset[name]}


def rounded(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def compact(content: dict[str, Any]) -> str:
    """JSON with one line for each kind of cell and each row of the table."""
    parts = []
    for key, value in content.items():
        if key == "results":
            some = ",\n ".join(_task(result) for result in value)
            parts.append(f'"{key}": [\n {some}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}"


def _task(result: dict[str, Any]) -> str:
    rows = ",\n   ".join(json.dumps(row) for row in result["rows"])
    rest = ", ".join(f'"{key}": {json.dumps(value)}' for key, value in result.items() if key != "rows")
    return f'{{{rest}, "rows": [\n   {rows}]}}'


if __name__ == "__main__":
    main()
