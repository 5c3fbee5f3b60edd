from __future__ import annotations

from itertools import product

import pytest
from rmhil_examples.stages import seed_of

STAGES = ("learn", "restore", "unlearn", "continual")


def test_no_two_seeds_agree_within_a_run_or_between_runs_of_other_seeds() -> None:
    seeds = [seed_of(stage, run, adapter=adapter) for run, stage, adapter in product(range(50), STAGES, (False, True))]
    assert len(set(seeds)) == len(seeds)


def test_the_seeds_are_said_to_be_shared_by_groups_and_folds() -> None:
    assert "other people or folds\n    share them" in (seed_of.__doc__ or "")


@pytest.mark.parametrize(("stage", "seed"), [("learn", 24), ("restore", 26), ("unlearn", 28), ("continual", 30)])
def test_the_seeds_are_those_of_the_committed_results(stage: str, seed: int) -> None:
    assert seed_of(stage, 3) == seed
    assert seed_of(stage, 3, adapter=True) == seed + 1
