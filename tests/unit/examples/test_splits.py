from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rmhil_examples.splits import folds

from rmhil.errors import OutOfRangeError


@given(per_class=st.integers(6, 25), classes=st.integers(1, 5), count=st.integers(2, 6), seed=st.integers(0, 99))
def test_over_all_folds_every_sample_is_tested_once_and_never_seen_before(
    per_class: int, classes: int, count: int, seed: int
) -> None:
    y = torch.arange(classes).repeat(per_class)
    tested = []
    for fold in range(count):
        split = folds(y, range(classes), count, fold, 1, seed)
        together = torch.cat(split)
        assert len(together.unique()) == len(together) == len(y)
        assert torch.bincount(y[split.validation], minlength=classes).tolist() == [1] * classes
        tested.append(split.test)
    assert torch.equal(torch.cat(tested).sort().values, torch.arange(len(y)))


def test_other_classes_are_left_out() -> None:
    y = torch.arange(4).repeat_interleave(10)
    assert set(y[torch.cat(folds(y, [0, 2], 5, 1, 2, seed=0))].tolist()) == {0, 2}


def test_a_split_that_leaves_nothing_is_refused() -> None:
    y = torch.zeros(10, dtype=torch.int64)
    with pytest.raises(OutOfRangeError, match="fold"):
        folds(y, [0], 5, 5, 1, seed=0)
    with pytest.raises(OutOfRangeError, match="validation"):
        folds(y, [0], 5, 0, 8, seed=0)
