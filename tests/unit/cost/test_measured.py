from __future__ import annotations

from typing import Any

import pytest

from rmhil.cost import CostEntry, cost_table
from rmhil.cost.energy import DEFAULT_CONSTANTS, EnergyConstants, inference_energy, rm_write_energy, sram_write_energy
from rmhil.cost.measured import ADAPTERS, DIGITAL, REWRITE, SKIP, SKIP_VARIANT, stage_key, table
from rmhil.errors import RunDirectoryError
from rmhil.ledger import Counts

LORA = Counts(training_steps=16, parameter_updates=16 * 1404, sram_bits_written=17 * 1404 * 32)
REWRITTEN = Counts(
    training_steps=200,
    parameter_updates=200 * 5148,
    set_pulses=60_000,
    reset_pulses=40_000,
    pulse_energy=1e-5,
    unsensed_pulses=10,
    unsensed_energy=1e-6,
    reads=110_000,
    read_energy=2e-6,
)
SKIPPED = Counts(training_steps=200, parameter_updates=200 * 5148, set_pulses=1_000, pulse_energy=1e-7, reads=10_000)
INFERENCE = Counts(
    mvms=100,
    passes=100,
    array_energy=3e-9,
    dac_conversions=1_600,
    adc_conversions=2_000,
    dac_time=0.04,
    tia_time=0.05,
    lora_macs=20_000,
    digital_macs=500,
    sram_bits_read=44_928,
)
BASELINE = Counts(digital_macs=87_160)


def results_of(**counts: Counts) -> dict[str, Any]:
    return {"workload": "digits", "counts": {key: value.to_dict() for key, value in counts.items()}}


def full_results() -> dict[str, Any]:
    counts = {}
    for stage in ("unlearn", "continual"):
        counts |= {
            stage_key(ADAPTERS, stage): LORA,
            stage_key(REWRITE, stage): REWRITTEN,
            stage_key(SKIP, stage): SKIPPED,
        }
    for stage in ("learn", "unlearn", "continual"):
        counts[stage_key(ADAPTERS, stage, inference=True)] = INFERENCE
        counts[stage_key(DIGITAL, stage, inference=True)] = BASELINE
    return results_of(**counts)


def entry_of(quantity: str, stage: str, variant: str = "") -> CostEntry:
    return next(
        entry
        for entry in table(full_results()).entries
        if (entry.quantity, entry.stage, entry.variant) == (quantity, stage, variant)
    )


def test_training_compares_parameters_trained_in_the_run() -> None:
    entry = entry_of("training", "unlearn")
    assert entry.ratio == pytest.approx(5148 / 1404)
    assert "200 and 16 steps" in entry.source


def test_writing_compares_every_pulse_and_read_with_every_sram_bit() -> None:
    sram = LORA.sram_bits_written * DEFAULT_CONSTANTS.sram_write.value
    assert entry_of("write", "continual").ratio == pytest.approx((1e-5 + 1e-6 + 2e-6) / sram)
    assert entry_of("write", "continual", SKIP_VARIANT).ratio == pytest.approx(1e-7 / sram)
    assert rm_write_energy(REWRITTEN) == pytest.approx(1.3e-5)
    assert sram_write_energy(LORA) == pytest.approx(sram)


def test_inference_compares_digital_macs_with_cells_converters_and_adapters() -> None:
    c = DEFAULT_CONSTANTS
    converters = 0.04 * c.dac_channel.value + 0.05 * c.amplifier.value + 2_000 * c.adc_conversion.value
    lora = 20_000 * c.mac + 44_928 * c.sram_read.value
    digital = 500 * c.mac
    energy = inference_energy(INFERENCE)
    assert energy.converters == pytest.approx(converters)
    assert energy.lora == pytest.approx(lora)
    assert energy.digital == pytest.approx(digital)
    entry = entry_of("inference", "learn")
    assert entry.ratio == pytest.approx(87_160 * c.mac / (3e-9 + converters + lora + digital))
    assert "without converters" in entry.source


def test_the_digital_baseline_is_the_documented_4_6_pj_a_mac() -> None:
    assert DEFAULT_CONSTANTS.mac == pytest.approx(4.6e-12)


def test_a_run_keeps_the_name_of_its_own_workload() -> None:
    nested = cost_table("measured", full_results()).to_dict()
    assert list(nested) == ["digits"]
    assert {quantity: list(stages) for quantity, stages in nested["digits"].items()} == {
        "training": ["unlearn", "continual"],
        "write": ["unlearn", "continual"],
        "inference": ["learn", "unlearn", "continual"],
    }


def test_the_main_write_ratio_charges_every_cell_as_the_paper_does() -> None:
    measured = table(full_results())
    assert measured.ratio("digits", "write", "unlearn") == entry_of("write", "unlearn").ratio
    assert measured.ratio("digits", "write", "unlearn") > entry_of("write", "unlearn", SKIP_VARIANT).ratio


def test_every_constant_has_a_unit_and_a_source_and_estimates_a_range() -> None:
    for name, constant in DEFAULT_CONSTANTS._asdict().items():
        assert constant.unit, name
        assert constant.source, name
        assert (constant.low is None) == (constant.high is None), name
        assert constant.low is None or constant.low < constant.value < constant.high, name
    notes = " ".join(table(full_results()).notes)
    assert "estimate, range" in notes
    assert "SBAS172A" in notes


def test_other_constants_change_the_ratios_they_concern() -> None:
    dearer = DEFAULT_CONSTANTS.sram_write.__class__(2 * DEFAULT_CONSTANTS.sram_write.value, "J/bit", "twice as much")
    table_of_it = table(full_results(), EnergyConstants(sram_write=dearer))
    assert table_of_it.ratio("digits", "write", "unlearn") == pytest.approx(entry_of("write", "unlearn").ratio / 2)
    assert table_of_it.ratio("digits", "training", "unlearn") == entry_of("training", "unlearn").ratio


def test_stages_that_the_run_did_not_reach_are_left_out() -> None:
    results = full_results()
    del results["counts"][stage_key(ADAPTERS, "continual")]
    nested = table(results).to_dict()["digits"]
    assert list(nested["training"]) == ["unlearn"]
    assert list(nested["write"]) == ["unlearn"]


@pytest.mark.parametrize(
    "results", [{}, {"workload": "digits"}, {"workload": 3, "counts": {}}, {"workload": "digits", "counts": []}]
)
def test_a_run_without_counts_is_refused(results: dict[str, Any]) -> None:
    with pytest.raises(RunDirectoryError, match="no counts"):
        table(results)


def test_counts_that_compare_nothing_are_refused_with_what_is_needed() -> None:
    with pytest.raises(RunDirectoryError, match="needs RM-DLoRA/unlearn beside full rewrite/unlearn"):
        table(results_of(**{stage_key(ADAPTERS, "unlearn"): LORA}))


@pytest.mark.parametrize("damage", [{"reads": 3}, None, 7])
def test_damaged_counts_are_refused(damage: object) -> None:
    with pytest.raises(RunDirectoryError, match="damaged"):
        table({"workload": "digits", "counts": {"RM-DLoRA/unlearn": damage}})
