"""Time of a simulated MVM as a ratio to a plain torch matmul of the same size, type and number of threads.

    python benchmarks/mvm.py                       # a minute or two; writes benchmarks/results/mvm.json
    python benchmarks/mvm.py --device cuda --out benchmarks/results/mvm_cuda.json
    python benchmarks/mvm.py --threads 1 --size 512 --calls 2000

Both sides run in one process, call by call in turn, so that what else the machine does falls on both. Each figure is
given twice: from the shortest call of each side, and from the median one; the medians are what a user sees. Calls go
through `SimBackend.mvm`, with all of its checks. The array is formed and programmed, and wired as a single pass.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rmhil.backend import Cells, MvmResult, Operation, Pulses, Read
from rmhil.units import Ohms, Seconds
from sim_backend import SimBackend, open_backend

RESULTS = Path(__file__).parent / "results" / "mvm.json"

BATCHES = (1, 64, 1024)

FULL_SCALE_CELLS = 64
"""1: cells of 80 uS at 0.2 V whose current the wiring's TIA of 1.2 kohm lets fill the ADC."""

CASES: dict[str, tuple[str, ...]] = {
    "constant noise": ("read-noise", "telegraph", "lines", "retention"),
    "read noise and wires": (),
}
"""What is off. Constant noise: that of the ADC alone. Otherwise everything is on."""

SHARE = 400_000_000
"""Products of each side that one figure is worth, at least; small batches get more calls."""

WARM_UP = 5

CONSOLE = Console(width=110)


def opened(size: int, off: Sequence[str], device: str) -> SimBackend:
    """A chip of one pass, every cell at a level of its own, an hour after it was programmed."""
    tia: Ohms = 1200.0 * FULL_SCALE_CELLS / size
    wiring = {"bl_channels": size, "sl_channels": size, "adc_count": size, "tia_resistance": tia}
    backend = open_backend(n_bl=size, n_sl=size, seed=1, off=tuple(off), device=device, wiring=wiring)
    gates = np.random.default_rng(0).uniform(1.0, 3.2, size * size)
    cells = Cells.from_mask(np.ones(backend.spec.shape, dtype=bool))
    limits, width = backend.spec.limits, backend.spec.pulse_width
    steps = ((Operation.FORM, limits.form_voltage, 1.5), (Operation.RESET, 2.2, limits.gate_voltage))
    for operation, amplitude, gate in (*steps, (Operation.SET, 2.0, gates)):
        pulses = Pulses.of(len(cells), operation, amplitude, width, gate, limits.current)
        backend.apply(cells, pulses, Read.default(backend.spec))
    backend.wait(3600.0)
    return backend


def in_turn(sides: Sequence[Callable[[], object]], calls: int, wait: Callable[[], object]) -> list[list[Seconds]]:
    """Times of each side, one call of each after the other; `wait` waits for the device."""
    times: list[list[Seconds]] = [[] for _ in sides]
    for number in range(-WARM_UP, calls):
        for side, taken in zip(sides, times, strict=True):
            wait()
            started = time.perf_counter()
            side()
            wait()
            if number >= 0:
                taken.append(time.perf_counter() - started)
    return times


def measure(backend: SimBackend, batch: int, calls: int | None) -> dict[str, Any]:
    """One case at one batch: the plain product, the MVM, and the MVM into tensors of the caller."""
    size = backend.spec.n_bl
    generator = torch.Generator().manual_seed(batch)
    volts = (0.4 * torch.rand(1, batch, size, generator=generator) - 0.2).to(backend.device)
    matrix = torch.from_numpy(backend.true_conductance[0]).to(backend.device, backend.dtype)
    out = backend.mvm(volts)
    if bool(out.over_range.any()):
        raise RuntimeError("the TIA is too large for this array: currents over range take another way")
    plain = volts[0]
    wait = torch.cuda.synchronize if backend.device.type == "cuda" else _nothing
    count = calls or min(3000, max(60, SHARE // (batch * size * size)))
    reuse = MvmResult(torch.empty_like(out.currents), torch.empty_like(out.over_range))
    sides = (lambda: plain @ matrix, lambda: backend.mvm(volts), lambda: backend.mvm(volts, out=reuse))
    times = in_turn(sides, count, wait)
    shortest, median = (np.array([kind(one) for one in times]) for kind in (min, np.median))
    return {
        "batch": batch,
        "calls": count,
        "plain_min_us": shortest[0] * 1e6,
        "plain_median_us": median[0] * 1e6,
        "mvm_min_us": shortest[1] * 1e6,
        "mvm_median_us": median[1] * 1e6,
        "ratio_min": shortest[1] / shortest[0],
        "ratio_median": median[1] / median[0],
        "ratio_median_with_out": median[2] / median[0],
        "vectors_per_s": batch / median[1],
    }


def _nothing() -> None:
    """A CPU is done when a call returns."""


def campaign(size: int, threads: Sequence[int], device: str, calls: int | None) -> list[dict[str, Any]]:
    """All cases, by threads and batch, with a progress bar."""
    rows = []
    with Progress(console=CONSOLE) as bar:
        shown = bar.add_task("MVM", total=len(CASES) * len(threads) * len(BATCHES))
        for case, off in CASES.items():
            with opened(size, off, device) as backend:
                for count in threads:
                    torch.set_num_threads(count)
                    for batch in BATCHES:
                        rows.append({"case": case, "threads": count} | measure(backend, batch, calls))
                        bar.advance(shown)
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A table on the terminal."""
    table = Table("case", "threads", "batch", "plain us", "MVM us", "ratio of shortest", "of medians", "with out=")
    for row in rows:
        numbers = (row["threads"], row["batch"], row["plain_median_us"], row["mvm_median_us"])
        ratios = (row["ratio_min"], row["ratio_median"], row["ratio_median_with_out"])
        table.add_row(row["case"], *(f"{one:,.0f}" for one in numbers), *(f"{one:.2f}" for one in ratios))
    CONSOLE.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="BLs and SLs of the array")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads, of both sides")
    parser.add_argument("--calls", type=int, help="of each side, for one figure (default: by the size of the batch)")
    parser.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    rows = campaign(options.size, options.threads, options.device, options.calls)
    show(rows)
    content = {
        **provenance("mvm.py", ("rmhil", "torch", "numpy"), argv),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "cpu",
        "size": options.size,
        "rows": rows,
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
