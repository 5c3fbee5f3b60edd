"""What the journal and the count of wear cost: programming a map with and without them, and a commit by itself.

    OMP_NUM_THREADS=1 python benchmarks/journal.py     # about a minute; writes benchmarks/results/journal.json

A simulated array is programmed with the adaptive policy, all cells in one transaction (as `sim` does) and one cell in
each (as a bench does). Runs with and without a record alternate, and the median of each is taken; both give the same
map. The cost of an `apply` is the time spent in it beyond that of the array. Commits are timed one by one, those that
wait for the disk, as on a bench, and those that do not, as on a simulator; the disk is that of the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance
from rich.console import Console
from rich.table import Table

import rmhil
from rmhil.backend import Cells, Operation, Pulses, Read
from rmhil.journal import Journal, Kind, Replay, recorded
from rmhil.ledger import Ledger
from rmhil.recording import recording
from rmhil.run_record import JOURNAL_NAME
from rmhil.store import Run
from rmhil.units import Seconds

RESULTS = Path(__file__).parent / "results" / "journal.json"
ROUNDS = 5
COMMITS = 500
STEP: Seconds = 26e-3
"""s of a write-verify step on the emulated analyser's clock, one message a step (results/write_verify_step.json)."""

CONSOLE = Console(width=110)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of programming one map.

    Attributes:
        cells: in the map.
        applies: transactions with the array.
        bare: s without a record, median.
        recorded: s with it, median.
        ratio: 1, of the two.
        apply_bare: s of one transaction with the array, mean.
        apply_cost: s that the record adds to it, mean.
        taking_in: s for taking the journal into the chip file, once, at the end.
        replay: s for answering the whole job from the journal, as a resumed one does.
        bytes: size of the journal.
    """

    cells: int
    applies: int
    bare: Seconds
    recorded: Seconds
    ratio: float
    apply_bare: Seconds
    apply_cost: Seconds
    taking_in: Seconds
    replay: Seconds
    bytes: int


@dataclass
class Timed:
    """Time spent in the transactions of a backend."""

    applies: int = 0
    seconds: Seconds = 0.0

    @contextmanager
    def watching(self, backend: Any) -> Iterator[None]:  # noqa: ANN401 - any backend
        """Measure each `apply` of this backend."""
        apply = backend.apply

        def timed(*arguments: Any) -> Any:  # noqa: ANN401
            start = time.perf_counter()
            readings = apply(*arguments)
            self.seconds += time.perf_counter() - start
            self.applies += 1
            return readings

        backend.apply = timed
        yield


def without(target: np.ndarray, options: dict[str, Any]) -> tuple[Seconds, Timed]:
    """Seconds for programming, and in its transactions."""
    inner = Timed()
    with rmhil.open_backend("sim", **options) as backend, inner.watching(backend):
        start = time.perf_counter()
        rmhil.Crossbar(backend).program(target)
        return time.perf_counter() - start, inner


def with_record(target: np.ndarray, options: dict[str, Any], folder: Path) -> tuple[Seconds, Timed, Timed, Run]:
    """Seconds for programming and taking in, of transactions with the record and without it, and the run."""
    inner, outer = Timed(), Timed()
    with rmhil.open_backend("sim", **options) as backend, inner.watching(backend):
        start = time.perf_counter()
        with (
            Run.create(folder, command="benchmark", backend_spec=backend.spec) as run,
            recording(run, backend, "program", {}, Ledger()) as (recording_backend, _),
            outer.watching(recording_backend),
        ):
            rmhil.Crossbar(recording_backend).program(target)
        return time.perf_counter() - start, outer, inner, run


def replayed(target: np.ndarray, options: dict[str, Any], run: Run) -> Seconds:
    """Seconds for answering a whole job from its journal."""
    journal = Journal(run.path / JOURNAL_NAME)
    with rmhil.open_backend("sim", **options) as backend:
        start = time.perf_counter()
        replay = Replay(journal.transactions(1))
        rmhil.Crossbar(recorded(backend, journal, 1, replay=replay)).program(target)
        assert replay.is_over
        return time.perf_counter() - start


def cost(size: int, at_once: int | None, folder: Path, rounds: int) -> Cost:
    """Of a square map."""
    options = {"seed": 7, "n_bl": size, "n_sl": size, "cells_at_once": at_once}
    target = np.random.default_rng(0).uniform(10e-6, 80e-6, (size, size))
    without(target, options)  # what is done once in a process is not the record's
    pairs = [(without(target, options), with_record(target, options, folder)) for _ in range(rounds)]
    bare, kept = (statistics.median(pair[kind][0] for pair in pairs) for kind in (0, 1))
    applies = pairs[0][0][1].applies
    per_apply = statistics.median((pair[1][1].seconds - pair[1][2].seconds) / applies for pair in pairs)
    whole = statistics.median(pair[1][0] - pair[1][1].seconds - (pair[0][0] - pair[0][1].seconds) for pair in pairs)
    run = pairs[-1][1][3]
    return Cost(
        cells=size**2,
        applies=applies,
        bare=bare,
        recorded=kept,
        ratio=kept / bare,
        apply_bare=statistics.median(pair[0][1].seconds / applies for pair in pairs),
        apply_cost=per_apply,
        taking_in=whole,
        replay=replayed(target, options, run),
        bytes=(run.path / JOURNAL_NAME).stat().st_size,
    )


def commits(folder: Path, count: int) -> dict[str, dict[str, Seconds]]:
    """Seconds of an intent of one cell, flushed to the disk or not: median and the slowest in a hundred."""
    journal = Journal(folder / "commits.sqlite")
    job, cell = journal.begin_job("program", {}), Cells.of(0, 1, 1)
    pulses, read = Pulses.of(1, Operation.SET, 2.0, 1e-3, 1.5, 1e-3), Read(voltage=0.2, gate_voltage=5.0)
    found = {}
    for name, journal.durable in (("flushed", True), ("not flushed", False)):
        times = []
        for _ in range(count):
            start = time.perf_counter()
            journal.write_intents(job, Kind.PULSE, [(cell, pulses, read)])
            times.append(time.perf_counter() - start)
        found[name] = {"median_s": float(np.median(times)), "p99_s": float(np.quantile(times, 0.99))}
    journal.close()
    return found


def show(costs: dict[str, Cost], found: dict[str, dict[str, Seconds]]) -> None:
    """Print both tables, and what a bench pays."""
    table = Table(title="programming a map with and without a record")
    for column in (
        "cells at once",
        "cells",
        "applies",
        "bare s",
        "recorded s",
        "ratio",
        "apply ms",
        "record ms an apply",
    ):
        table.add_column(column, justify="right")
    for name, one in costs.items():
        numbers = (f"{one.bare:.2f}", f"{one.recorded:.2f}", f"{one.ratio:.3f}")
        times = (f"{1e3 * one.apply_bare:.2f}", f"{1e3 * one.apply_cost:.2f}")
        table.add_row(name, f"{one.cells:,}", f"{one.applies:,}", *numbers, *times)
    CONSOLE.print(table)
    for name, one in found.items():
        CONSOLE.print(f"commit, {name}: {1e3 * one['median_s']:.2f} ms, slowest in 100: {1e3 * one['p99_s']:.2f} ms")
    share = sum(one["median_s"] for one in found.values()) / STEP  # the intent waits for the disk, the result does not
    CONSOLE.print(f"both commits of a step against a step of {1e3 * STEP:.0f} ms on the bench: {share:.1%}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="lines of the map that is programmed all at once")
    parser.add_argument("--one-by-one", type=int, default=12, help="lines of the map that is programmed cell by cell")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="where runs are written; else in the temporary folder")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        costs = {
            "all": cost(options.size, None, folder, options.rounds),
            "one": cost(options.one_by_one, 1, folder, options.rounds),
        }
        found = commits(folder, COMMITS)
    show(costs, found)
    record: dict[str, Any] = {
        **provenance("journal.py", ("rmhil", "numpy", "torch"), argv),
        "rounds": options.rounds,
        "cells_at_once": {name: asdict(one) for name, one in costs.items()},
        "commits": found,
        "bench_step_s": STEP,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
