"""The ledger on a simulated array, and what the preset `measured` makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rmhil
from rmhil.cost import cost_table
from rmhil.cost.measured import SKIP_VARIANT
from rmhil.ledger import DEPLOYMENT, Counts, pass_seconds
from rmhil.store import Run
from rmhil.wiring import Wiring

SIZE = 16
AMPLITUDE = 0.1
"""V, largest input of the MVMs."""


@pytest.fixture(scope="module")
def counts() -> dict[str, Counts]:
    """Deploy a map, then reprogram it to a slightly different one in both accountings, then multiply."""
    random = np.random.default_rng(3)
    target = random.uniform(20e-6, 70e-6, (SIZE, SIZE))
    moved = np.where(random.random(target.shape) < 0.2, target + 8e-6, target)
    with rmhil.open_backend("sim", seed=3, n_bl=SIZE, n_sl=SIZE) as backend:
        array = rmhil.Crossbar(backend)
        ledger = array.ledger
        array.program(target)
        ledger.mark(DEPLOYMENT)
        array.program(moved)
        skipped = ledger.since(DEPLOYMENT)
        ledger.mark("skipped")
        array.program(target, rewrite=True)
        rewritten = ledger.since("skipped")
        ledger.mark("rewritten")
        array.mvm(random.uniform(-AMPLITUDE, AMPLITUDE, (10, SIZE)))
        multiplied = ledger.since("rewritten")
    training = Counts(training_steps=20, parameter_updates=20 * SIZE * SIZE)
    adapter = Counts(training_steps=5, parameter_updates=5 * 64, sram_bits_written=5 * 64 * 32)
    return {
        "full skip/unlearn": skipped + training,
        "full rewrite/unlearn": rewritten + training,
        "RM-DLoRA/unlearn": adapter,
        "RM-DLoRA/unlearn/inference": multiplied + Counts(lora_macs=640, sram_bits_read=64 * 32),
        "digital float/unlearn/inference": Counts(digital_macs=10 * SIZE * SIZE),
    }


def test_reprogramming_that_skips_cells_in_tolerance_pulses_fewer(counts: dict[str, Counts]) -> None:
    rewritten, skipped = counts["full rewrite/unlearn"], counts["full skip/unlearn"]
    assert rewritten.pulses >= SIZE * SIZE
    assert 0 < skipped.pulses < rewritten.pulses / 2
    assert skipped.unsensed_pulses == rewritten.unsensed_pulses == 0
    assert 0 < skipped.programming_energy < rewritten.programming_energy


def test_multiplying_gives_no_pulse_and_counts_every_conversion(counts: dict[str, Counts]) -> None:
    multiplied = counts["RM-DLoRA/unlearn/inference"]
    assert multiplied.pulses == 0
    assert (multiplied.mvms, multiplied.passes) == (10, 10)
    assert multiplied.dac_conversions == multiplied.adc_conversions == 10 * SIZE
    largest = AMPLITUDE**2 * 80e-6 * pass_seconds(Wiring(), SIZE)  # J in one cell: the window ends at 80 uS
    assert 0.05 * largest < multiplied.array_energy / multiplied.analog_macs < largest


def test_a_run_on_disk_gives_the_ratios_of_its_counts(counts: dict[str, Counts], tmp_path: Path) -> None:
    with Run.create(tmp_path, command="test") as run:
        run.save_results({"workload": "square", "counts": {key: value.to_dict() for key, value in counts.items()}})
    saved = json.loads((run.path / "results.json").read_text(encoding="utf-8"))
    table = cost_table("measured", saved)
    assert table.ratio("square", "training", "unlearn") == SIZE * SIZE / 64
    main, skipping = (entry for entry in table.entries if entry.quantity == "write")
    assert skipping.variant == SKIP_VARIANT
    assert main.ratio > skipping.ratio > 1
    assert 0 < table.ratio("square", "inference", "unlearn") < 1  # the board's converters outweigh 256 digital MACs
