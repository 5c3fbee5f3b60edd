from __future__ import annotations

from typing import Any

import olivetti_summary
import pytest

METHODS = ("digital float", "RM-DLoRA", "full skip")
STAGES = ("learn", "unlearn", "continual")
PEOPLE = 6


def run(group: int, fold: int, seed: int, wrong: dict[tuple[str, str], list[int]]) -> dict[str, Any]:
    """A run in which every photograph is right but for those named: (method, stage) -> positions."""
    test = [{"name": f"photograph {2 * fold + n} of person {p}", "class": p} for p in range(PEOPLE) for n in range(2)]
    counts = dict.fromkeys(("set_pulses", "reset_pulses", "form_pulses", "reads"), 10)
    counts |= dict.fromkeys(("pulse_energy_j", "unsensed_energy_j", "read_energy_j"), 0.5)
    return {
        "group": group, "fold": fold, "seed": seed, "provenance": "sim", "recipe": {}, "versions": {}, "parameters": {},
        "test": test,
        "predictions": {
            method: {
                stage: [
                    each["class"] if place not in wrong.get((method, stage), []) else (each["class"] + 1) % PEOPLE
                    for place, each in enumerate(test)
                ]
                for stage in STAGES
            }
            for method in METHODS
        },
        "trainings": {}, "programming": {"first": ""}, "pulses_after_deployment": 0, "wall_s": 1.0,
        "counts": {"full skip/unlearn": counts},
    }  # fmt: skip


def test_differences_are_paired_and_averaged_over_photographs() -> None:
    runs = [
        run(0, 0, 0, {("RM-DLoRA", "learn"): [0], ("digital float", "learn"): [0]}),
        run(0, 1, 0, {("RM-DLoRA", "learn"): [0, 1]}),
    ]
    found = olivetti_summary.summarise(runs)
    assert found["accuracy"]["RM-DLoRA"]["learn"]["kept"]["mean"] == pytest.approx(13 / 16)
    difference = found["difference"]["RM-DLoRA"]["learn"]["kept"]
    assert difference["mean"] == pytest.approx(-2 / 16)
    low, high = difference["ci95"]
    assert low < -2 / 16 < high <= 0
    assert found["difference"]["full skip"]["unlearn"]["kept"]["ci95"] == [0, 0]


def test_seeds_of_one_photograph_are_one_cluster() -> None:
    """Repeating the same outcome with other seeds says nothing more about photographs."""
    wrong = {("RM-DLoRA", "learn"): [0, 3]}
    once = olivetti_summary.summarise([run(0, 0, 0, wrong)])
    thrice = olivetti_summary.summarise([run(0, 0, seed, wrong) for seed in range(3)])
    assert once["difference"] == thrice["difference"]
    assert once["photographs"] == thrice["photographs"] == 12


def test_photographs_of_one_training_may_be_one_cluster_too() -> None:
    runs = [run(0, fold, 0, {("RM-DLoRA", "learn"): list(range(12))} if fold else {}) for fold in range(4)]
    found = olivetti_summary.summarise(runs)["difference"]["RM-DLoRA"]["learn"]["kept"]
    low, high = found["ci95"]
    wide_low, wide_high = found["ci95_by_split"]
    assert wide_low < low
    assert high < wide_high


def test_the_table_says_what_was_met() -> None:
    everyone_forgets = {(method, stage): [4, 5] for method in METHODS for stage in ("unlearn", "continual")}
    good = olivetti_summary.table_of(olivetti_summary.summarise([run(0, 0, 0, everyone_forgets)]))
    assert good.count(": met.") == 3
    bad = olivetti_summary.table_of(olivetti_summary.summarise([run(0, 0, 0, {("RM-DLoRA", "continual"): [10, 0]})]))
    assert bad.count("NOT met.") == 3
    assert "| full skip/unlearn | 10 | 20 | 10 | 1.5 |" in bad


def test_the_table_shows_the_more_cautious_interval_of_rm_dlora_too() -> None:
    runs = [run(0, fold, 0, {("RM-DLoRA", "learn"): list(range(12))} if fold else {}) for fold in range(4)]
    summary = olivetti_summary.summarise(runs)
    text = olivetti_summary.table_of(summary)
    found = summary["difference"]["RM-DLoRA"]["learn"]["kept"]
    low, high = (100 * end for end in found["ci95_by_split"])
    assert f"| RM-DLoRA | learn | -75.0 [{100 * found['ci95'][0]:+.1f}, " in text
    assert f"] [{low:+.1f}, {high:+.1f}] |" in text
    assert "resampling whole splits" in text
    assert all("] [" not in line for line in text.splitlines() if line.startswith("| full skip"))


def test_pulses_and_reads_are_kept_under_a_name_that_says_so() -> None:
    found = olivetti_summary.summarise([run(0, 0, 0, {})])
    assert found["writes"]["full skip/unlearn"]["set_and_reset_pulses"] == 20
    assert "cells_pulsed" not in found
