"""RM-DLoRA against the float model on the Olivetti photographs: 6 groups x 5 folds x 3 seeds, on the default simulator.

    python benchmarks/olivetti.py                              # all 90 runs, two at a time; goes on where it stopped
    python benchmarks/olivetti.py --groups 0 --folds 0 --seeds 0 --out /tmp/one
    python benchmarks/olivetti.py --summary-only               # from the runs that are there

Each run is one main job (examples/main_job.py) on a chip of its own: the float model learns five people, is programmed
to 1 uS, and forgets one and learns a sixth, with and without a restore adapter after programming, beside the float
model with the same recipe and full reprogramming in both accountings. Runs are kept one by one in `runs/olivetti`;
the summary and all predictions go to benchmarks/results/olivetti.json, a table to olivetti.md. A run that was made with
another recipe or other versions of packages is refused, neither repeated nor summarised.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from olivetti_summary import summarise, table_of
from rich.console import Console
from rich.progress import Progress

RESULTS = Path(__file__).parent / "results" / "olivetti.json"
RUNS = Path("runs") / "olivetti"
FORMAT = 1
"""Version of the layout of a run's file; another one is refused."""

PACKAGES = ("rmhil", "torch", "numpy", "scipy")
"""Packages whose versions a run depends on."""


class Case(NamedTuple):
    """One run."""

    group: int
    fold: int
    seed: int

    @property
    def file_name(self) -> str:
        """Of the file that keeps the run."""
        return f"group-{self.group}-fold-{self.fold}-seed-{self.seed}.json"

    @property
    def chip_seed(self) -> int:
        """Of the simulated chip; no two runs share one."""
        return 10_000 * self.seed + 100 * self.group + self.fold


class ForeignRunError(Exception):
    """A file is not a run of this benchmark as it is now; the message names the file and what differs."""


def run_case(case: Case) -> dict[str, Any]:
    """One main job; plain data."""
    import torch
    from loguru import logger

    torch.set_num_threads(1)
    logger.disable("rmhil_examples")
    from rmhil_examples.main_job import run_main_job

    from rmhil import Crossbar, open_backend
    from rmhil.plain import plain
    from rmhil.workload import find_workload

    started = time.perf_counter()
    task: Any = find_workload("face").load(case.seed, group=case.group, fold=case.fold)
    with open_backend("sim", seed=case.chip_seed) as backend:
        record = run_main_job(task, [Crossbar(backend)], also_unrestored=True)
        provenance = backend.spec.provenance
    results = record.results()
    return {
        **case._asdict(),
        "format": FORMAT,
        "recipe": plain(task.recipe),
        "versions": present_versions(),
        "provenance": provenance,
        "test": [
            {"name": name, "class": number} for name, number in zip(task.test_names, task.test.y.tolist(), strict=True)
        ],
        "predictions": plain(record.predictions),
        "accuracy": results["accuracy"],
        "counts": results["counts"],
        "parameters": results["parameters"],
        "programming": results["programming"],
        "trainings": results["trainings"],
        "pulses_after_deployment": results["pulses_after_deployment"],
        "wall_s": round(time.perf_counter() - started, 1),
    }


def run_and_keep(case: Case, folder: Path) -> float:
    """Run one case and write its file whole; seconds it took."""
    result = run_case(case)
    path = folder / case.file_name
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(result), encoding="utf-8")
    unfinished.replace(path)
    return float(result["wall_s"])


def present_versions() -> dict[str, str]:
    """Versions of the packages that a run depends on."""
    return {name: version(name) for name in PACKAGES}


def made_as_now() -> dict[str, Any]:
    """What every run must agree with to be one of this benchmark."""
    from rmhil.plain import plain
    from rmhil.workload import find_workload

    workload: Any = find_workload("face")
    return {"format": FORMAT, "recipe": plain(workload.recipe()), "versions": present_versions()}


def read_runs(cases: Sequence[Case], folder: Path) -> list[dict[str, Any]]:
    """Those of the runs that are there, by file name.

    Raises:
        ForeignRunError: a file is damaged, or was made with another layout, recipe or version than the present ones.
    """
    now = made_as_now()
    there = sorted((case.file_name, case) for case in cases if (folder / case.file_name).is_file())
    return [_read_run(folder / name, case._asdict() | now) for name, case in there]


def _read_run(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ForeignRunError(f"{path} is not a run of this benchmark: {error}") from error
    different = list(_differences({name: found.get(name) for name in wanted}, wanted))
    if different:
        raise ForeignRunError(
            f"{path} was made otherwise: {'; '.join(different)}. Move it away, or give another folder with --out"
        )
    return found


def _differences(found: Any, now: Any, name: str = "") -> Iterator[str]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(found, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*now, *found)):
            yield from _differences(found.get(key), now.get(key), f"{name} {key}".lstrip())
    elif found != now:
        yield f"{name} {found!r}, now {now!r}"


def run_missing(cases: Sequence[Case], folder: Path, jobs: int, console: Console) -> None:
    """Run what is not there yet, several at a time; each run uses one thread."""
    missing = [case for case in cases if not (folder / case.file_name).is_file()]
    console.print(f"{len(cases) - len(missing)} of {len(cases)} runs are there, {len(missing)} to do, {jobs} at a time")
    if not missing:
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # read by the new processes when they import numpy and torch
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, Progress(console=console) as bar:
        task = bar.add_task("runs", total=len(missing))
        try:
            for done in as_completed([pool.submit(run_and_keep, case, folder) for case in missing]):
                bar.update(task, advance=1, description=f"runs (the last took {done.result():.0f} s)")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(3)))
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes of one thread each")
    parser.add_argument(
        "--out", type=Path, default=RUNS, help="folder of the single runs; what is there is not repeated"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the summary; a .md goes beside it")
    parser.add_argument("--summary-only", action="store_true", help="run nothing")
    options = parser.parse_args(argv)
    console = Console(width=120, highlight=False)
    options.out.mkdir(parents=True, exist_ok=True)
    cases = list(cases_of(options))
    try:
        runs = read_runs(cases, options.out)  # before hours are spent beside runs of another recipe
        if not options.summary_only:
            run_missing(cases, options.out, options.jobs, console)
            runs = read_runs(cases, options.out)
    except ForeignRunError as error:
        parser.error(str(error))
    if not runs:
        parser.error(f"none of the runs asked for is in {options.out}")
    summary = summarise(runs) | {"python": platform.python_version(), "machine": platform.machine()}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    text = table_of(summary)
    options.results.with_suffix(".md").write_text(text, encoding="utf-8")
    console.print(text, markup=False)


def cases_of(options: argparse.Namespace) -> Iterator[Case]:
    """Seeds outermost, so that an unfinished campaign covers all people first."""
    for seed, group, fold in product(options.seeds, options.groups, options.folds):
        yield Case(group, fold, seed)


if __name__ == "__main__":
    main()
