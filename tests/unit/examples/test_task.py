"""Promises of a task with fewer test samples."""

from __future__ import annotations

import pytest
import torch
from rmhil_examples.digits.workload import DigitsWorkload
from rmhil_examples.task import CLASSES

from rmhil.errors import OutOfRangeError


def test_fewer_pictures_are_the_first_of_each_class_in_nearly_equal_numbers() -> None:
    task = DigitsWorkload().load(3)
    few = task.with_pictures(20)
    assert len(few.test) == len(few.test_names) == len(few.shown) == 20
    per_class = torch.bincount(few.test.y, minlength=CLASSES)
    assert set(per_class.tolist()) == {3, 4}
    where = [list(task.test_names).index(name) for name in few.test_names]
    assert torch.equal(few.test.x, task.test.x[where])
    assert torch.equal(few.test.y, task.test.y[where])


def test_all_pictures_stay_where_more_are_asked_for() -> None:
    task = DigitsWorkload().load(3)
    assert task.with_pictures(10_000).test_names == list(task.test_names)
    with pytest.raises(OutOfRangeError, match="pictures = 5"):
        task.with_pictures(5)
