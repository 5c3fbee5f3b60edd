from __future__ import annotations

import pytest

from rmhil.cost import PRESETS, STAGES, cost_table
from rmhil.cost.paper_fit import PUBLISHED
from rmhil.errors import ConfigError, UnknownNameError

PRINTED = {
    "face": {
        "training": {"unlearn": "36.68", "continual": "27.51"},
        "write": {"unlearn": "92.91", "continual": "69.68"},
        "inference": {"learn": "20.19", "unlearn": "25.43", "continual": "12.48"},
    },
    "speaker": {
        "training": {"unlearn": "25.16", "continual": "25.16"},
        "write": {"unlearn": "63.74", "continual": "63.74"},
        "inference": {"learn": "12.03", "unlearn": "12.03", "continual": "6.13"},
    },
    "image": {
        "training": {"unlearn": "147.76", "continual": "147.76"},
        "write": {"unlearn": "387.95", "continual": "387.95"},
        "inference": {"learn": "48.44", "unlearn": "48.44", "continual": "36.19"},
    },
}


def test_paper_fit_returns_every_published_digit() -> None:
    printed = {
        workload: {
            quantity: {stage: f"{ratio:.2f}" for stage, ratio in stages.items()}
            for quantity, stages in quantities.items()
        }
        for workload, quantities in cost_table("paper-fit").to_dict().items()
    }
    assert printed == PRINTED


def test_paper_fit_is_computed_and_not_copied_from_the_published_table() -> None:
    for entry in cost_table("paper-fit").entries:
        assert entry.published == PUBLISHED[entry.workload][entry.quantity][entry.stage]
        assert entry.ratio != entry.published


@pytest.mark.parametrize(
    ("workload", "stage", "training", "write"),
    [
        ("face", "unlearn", 3.667, 9.287),
        ("face", "continual", 2.750, 6.966),
        ("speaker", "unlearn", 25.165, 63.741),
        ("speaker", "continual", 25.165, 63.741),
        ("image", "unlearn", 153.725, 389.375),
        ("image", "continual", 153.725, 389.375),
    ],
)
def test_exact_counts_give_the_corrected_ratios(workload: str, stage: str, training: float, write: float) -> None:
    table = cost_table("exact")
    assert table.ratio(workload, "training", stage) == pytest.approx(training, abs=5e-4)
    assert table.ratio(workload, "write", stage) == pytest.approx(write, abs=1e-3)


@pytest.mark.parametrize(
    ("workload", "ratios"),
    [
        ("face", (87_160 / (8 * 3_354), 87_160 / (6 * 3_354), 87_160 / (14 * 3_354))),
        ("speaker", (3_340_800 / (8 * 16_760), 3_340_800 / (8 * 16_760), 3_340_800 / (16 * 16_760))),
        ("image", (3_699_572_736 / (4 * 5_898_240), 3_699_572_736 / (4 * 5_898_240), 3_699_572_736 / (8 * 5_898_240))),
    ],
)
def test_exact_inference_compares_digital_macs_and_claims_no_published_counterpart(
    workload: str, ratios: tuple[float, float, float]
) -> None:
    table = cost_table("exact")
    assert [table.ratio(workload, "inference", stage) for stage in STAGES] == pytest.approx(ratios)
    entries = [entry for entry in table.entries if entry.quantity == "inference"]
    assert all(entry.published is None for entry in entries)
    assert all("no published counterpart" in entry.source for entry in entries)


@pytest.mark.parametrize("preset", ["paper-fit", "exact"])
def test_every_ratio_says_where_it_comes_from(preset: str) -> None:
    entries = cost_table(preset).entries
    assert len(entries) == 21
    assert all(entry.source and entry.ratio > 0 for entry in entries)


def test_an_unknown_preset_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="'cheap'; known: exact, measured, paper-fit"):
        cost_table("cheap")
    assert sorted(PRESETS) == ["exact", "measured", "paper-fit"]


def test_measured_without_a_run_says_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match="--run"):
        cost_table("measured")


@pytest.mark.parametrize("preset", ["paper-fit", "exact"])
def test_presets_of_the_published_networks_refuse_a_run(preset: str) -> None:
    with pytest.raises(ConfigError, match="takes no run"):
        cost_table(preset, {"workload": "face", "counts": {}})


def test_a_ratio_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="face training learn"):
        cost_table("exact").ratio("face", "training", "learn")
