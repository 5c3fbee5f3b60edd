"""One simulated backend that holds a network of 101 million weights, in memory and in mapped files.

    python benchmarks/scale.py                # some minutes; writes benchmarks/results/scale.json
    python benchmarks/scale.py --sample 2 --layer 16 --modes memory --out other.json

The network is the image generator of arXiv 2601.10037 (a diffusion transformer whose attention is a depth-wise
convolution): 101,544,960 matrix weights, two cells each, on arrays of 128 x 128. All cells are opened and made
resident. A sample of the arrays is programmed by write-verify, each of its steps one transaction of all its cells; the
arrays of one layer multiply a batch of vectors in one call. What the whole network would take is worked out from that,
and marked as such. Each mode runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from provenance import provenance
from rich.console import Console
from rich.table import Table

from rmhil import Crossbar
from rmhil.backend import Ints
from rmhil.mapping import DifferentialPair, blocks
from rmhil.placement import Bin, Rectangle, place
from rmhil.wiring import Wiring
from sim_backend import SimBackend, open_backend

RESULTS = Path(__file__).parent / "results" / "scale.json"

LINES = 128
"""BLs and SLs of an array."""

BLOCKS, WIDTH, HIDDEN = 12, 768, 3072
"""Of the network: transformer blocks, width of a token, and width inside the feed-forward part."""

CONVOLUTION = 49
"""Weights of one channel of the depth-wise convolution: 7 x 7."""

TOLERANCE = 1e-6
"""S, of the write-verify."""

MODES = ("memory", "mapped")

Matrix = tuple[int, int, int]
"""Groups, outputs and inputs of a weight matrix."""


def network() -> dict[str, Matrix]:
    """Every weight matrix of the network, by layer."""
    layers = {"patches": (1, WIDTH, 16), "time.0": (1, WIDTH, 256), "time.2": (1, WIDTH, WIDTH)}
    for number in range(BLOCKS):
        layers |= {
            f"{number}.convolution": (WIDTH, 1, CONVOLUTION),
            f"{number}.fc1": (1, HIDDEN, WIDTH),
            f"{number}.fc2": (1, WIDTH, HIDDEN),
            f"{number}.modulation": (1, 6 * WIDTH, WIDTH),
        }
    return layers | {"final.modulation": (1, 2 * WIDTH, WIDTH), "final": (1, 32, WIDTH)}


def tiles(matrix: Matrix) -> list[Rectangle]:
    """The rectangles of cells that a matrix takes as differential pairs."""
    groups, outputs, inputs = matrix
    pair = DifferentialPair()
    cut = [
        Rectangle(block.inputs.stop - block.inputs.start, pair.n_sl(block.outputs.stop - block.outputs.start))
        for block in blocks(outputs, inputs, pair, LINES, LINES)
    ]
    return cut * groups


def placed(layers: dict[str, Matrix]) -> dict[str, Any]:
    """How many arrays the network takes, and how long it takes to place it."""
    needs = [tile for matrix in layers.values() for tile in tiles(matrix)]
    least = sum(tile.cells for tile in needs) / LINES**2
    wiring, numbers = Wiring(), np.arange(LINES, dtype=np.int64)
    bl_bank, sl_bank = numbers // wiring.bl_channels, numbers // wiring.sl_channels
    bins = [Bin(0, array, bl_bank, sl_bank) for array in range(int(1.02 * least) + 1)]
    started = time.perf_counter()
    sites = place(needs, bins)
    return {
        "weights": sum(groups * outputs * inputs for groups, outputs, inputs in layers.values()),
        "tiles": len(needs),
        "cells_used": sum(tile.cells for tile in needs),
        "arrays": 1 + max(site.array for site in sites),
        "placing_s": time.perf_counter() - started,
    }


def measure(arrays: int, sample: int, layer: int, batch: int, folder: Path | None) -> dict[str, Any]:
    """Open so many arrays, make their state resident, program some of them, and multiply with others."""
    with open_backend(n_arrays=1) as warm_up:
        make_resident(warm_up)  # what torch takes for itself at the first call is no state of cells
    before = memory()
    started = time.perf_counter()
    with open_backend(n_arrays=arrays, n_bl=LINES, n_sl=LINES, seed=7, storage=folder) as backend:
        opening = time.perf_counter() - started
        after_opening = memory()
        make_resident(backend)
        resident = memory()
        cells = backend.spec.n_cells
        return {
            "cells": cells,
            "opening_s": opening,
            "mb_before_opening": before["VmRSS"],
            "mb_after_opening": after_opening["VmRSS"],
            "mb_with_the_state_resident": resident["VmRSS"],
            "state_bytes_a_cell": (resident["VmRSS"] - after_opening["VmRSS"]) * 1e6 / cells,
            "state_in_files_mb": resident["RssFile"] - after_opening["RssFile"],
            "programming": programming(backend, sample),
            "multiplying": multiplying(backend, layer, batch),
            "mb_at_the_end": memory(),
        }


def memory() -> dict[str, float]:
    """MB that this process has resident now and had at most (`VmHWM`), and of which kind; from the kernel."""
    wanted = ("VmRSS", "VmHWM", "RssAnon", "RssFile")
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(rest[0]) * 1024 / 1e6 for key, *rest in lines if (name := key.rstrip(":")) in wanted}


def make_resident(backend: SimBackend) -> None:
    """Write to every page of the state, as programming every array would."""
    store = backend._chip._store  # there is no other way in short of writing 203 million cells
    each = 1024  # values of 4 bytes on a page
    for tensor in (store.conductance, store.written, store.counts):
        tensor[::each].add_(0)


def programming(backend: SimBackend, sample: int) -> dict[str, Any]:
    """Program arrays from all over the backend by write-verify, all of them together."""
    chosen = np.linspace(0, backend.spec.n_arrays - 1, sample).astype(np.int64)
    crossbar = Crossbar(backend, arrays=chosen)
    low, high = backend.spec.conductance_min, backend.spec.conductance_max
    target = np.random.default_rng(0).uniform(low, high, crossbar.shape)
    started = time.perf_counter()
    report = crossbar.program(target, tolerance=TOLERANCE)
    seconds = time.perf_counter() - started
    return {
        "arrays": sample,
        "cells": target.size,
        "seconds": seconds,
        "cells_per_s": target.size / seconds,
        "report": str(report),
    }


def multiplying(backend: SimBackend, layer: int, batch: int) -> dict[str, Any]:
    """Multiply vectors with the arrays of one layer, in one call, and one array after the other."""
    numbers = np.arange(min(layer, backend.spec.n_arrays), dtype=np.int64)
    generator = torch.Generator().manual_seed(0)
    limit = backend.spec.limits.read_voltage
    volts = (torch.rand(len(numbers), batch, LINES, generator=generator) * 2 - 1) * (0.99 * limit)
    before = memory()["VmRSS"]
    first = timed(lambda: backend.mvm(volts, arrays=numbers))
    together = median(timed(lambda: backend.mvm(volts, arrays=numbers)) for _ in range(9))
    one_by_one = one_array_at_a_time(backend, volts, numbers)
    return {
        "arrays": len(numbers),
        "batch": batch,
        "first_call_s": first,
        "call_s": together,
        "array_vectors_per_s": len(numbers) * batch / together,
        "one_array_a_call_times_slower": one_by_one / together,
        "held_mb": memory()["VmRSS"] - before,
        "held_bytes_a_cell_by_arithmetic": 8,
    }


def one_array_at_a_time(backend: SimBackend, volts: torch.Tensor, numbers: Ints) -> float:
    """Seconds of the same products by as many calls, at no more than 16 of the arrays; for all of them."""
    few = min(16, len(numbers))

    def calls() -> None:
        for number in range(few):
            backend.mvm(volts[number : number + 1], arrays=numbers[number : number + 1])

    calls()  # the matrices of single arrays are held apart
    return median(timed(calls) for _ in range(9)) * len(numbers) / few


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def worked_out(found: dict[str, Any], arrays: int) -> dict[str, float]:
    """What all arrays would take, at the rates of the sample."""
    programming, multiplying = found["programming"], found["multiplying"]
    a_matrix = (multiplying["first_call_s"] - multiplying["call_s"]) / multiplying["arrays"]
    return {
        "programming_all_h": found["cells"] / programming["cells_per_s"] / 3600,
        "effective_matrices_of_all_min": arrays * a_matrix / 60,
        "effective_matrices_of_all_gb": found["cells"] * multiplying["held_bytes_a_cell_by_arithmetic"] / 1e9,
        "one_vector_through_all_s": arrays / multiplying["array_vectors_per_s"],
    }


def in_a_process_of_its_own(mode: str, arrays: int, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a new process."""
    with tempfile.TemporaryDirectory(prefix="rmhil-scale-", dir=options.folder) as folder:
        arguments = [arrays, options.sample, options.layer, options.batch, folder if mode == "mapped" else ""]
        command = [sys.executable, __file__, "--one", *map(str, arguments)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(text)
    return found | {"worked_out_for_all": worked_out(found, arrays)}


def show(model: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    table = Table(title=f"{model['weights']:,} weights on {model['arrays']:,} arrays of {LINES} x {LINES}")
    table.add_column("")
    for mode in found:
        table.add_column(mode, justify="right")
    lines: dict[str, Callable[[dict[str, Any]], str]] = {
        "opening": lambda one: f"{one['opening_s'] * 1e3:.1f} ms",
        "state a cell": lambda one: f"{one['state_bytes_a_cell']:.3f} bytes",
        "peak memory": lambda one: f"{one['mb_at_the_end']['VmHWM']:,.0f} MB",
        "of it pages of files, at the end": lambda one: f"{one['mb_at_the_end']['RssFile']:,.0f} MB",
        "programming": lambda one: f"{one['programming']['cells_per_s']:,.0f} cells/s",
        "effective matrices of a layer": lambda one: f"{one['multiplying']['first_call_s']:.1f} s",
        "MVM of a layer": lambda one: f"{one['multiplying']['array_vectors_per_s']:,.0f} arrays x vectors/s",
        "programming all (worked out)": lambda one: f"{one['worked_out_for_all']['programming_all_h']:.1f} h",
    }
    for title, text in lines.items():
        table.add_row(title, *(text(one) for one in found.values()))
    Console(width=120).print(table)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        arrays, sample, layer, batch = map(int, sys.argv[2:6])
        folder = Path(sys.argv[6]) if sys.argv[6] else None
        sys.stdout.write(json.dumps(measure(arrays, sample, layer, batch, folder)))
        return
    parser = argparse.ArgumentParser(description="One backend with 203 million simulated cells.")
    parser.add_argument("--sample", type=int, default=16, help="arrays that are programmed")
    parser.add_argument("--layer", type=int, default=288, help="arrays that multiply together: those of one fc1")
    parser.add_argument("--batch", type=int, default=64, help="vectors that each of them multiplies")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--folder", type=Path, help="folder for mapped files; that of temporary files by default")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    model = placed(network())
    found = {mode: in_a_process_of_its_own(mode, model["arrays"], options) for mode in options.modes}
    show(model, found)
    content = {
        **provenance("scale.py", ("rmhil", "numpy", "torch")),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "threads": torch.get_num_threads(),
        "network": model,
        "modes": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
