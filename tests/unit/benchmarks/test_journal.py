from __future__ import annotations

from pathlib import Path

import pytest
from journal import commits, cost


@pytest.mark.parametrize("at_once", [None, 1])
def test_both_ways_drive_the_array_alike_and_the_record_takes_time(tmp_path: Path, at_once: int | None) -> None:
    found = cost(3, at_once, tmp_path, rounds=1)
    assert found.cells == 9
    assert found.applies > 20
    assert found.apply_cost > 0.0
    assert found.bytes > 4096


def test_commits_are_timed_one_by_one(tmp_path: Path) -> None:
    found = commits(tmp_path, 20)
    assert set(found) == {"flushed", "not flushed"}
    assert all(0.0 < one["median_s"] <= one["p99_s"] for one in found.values())
