from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from loguru import logger

from rmhil.backend import Cells, Operation, Pulses
from rmhil.errors import WearError
from rmhil.wear import WearBudget, WearCounts, WearGuard

CELL, OTHER = Cells.of(0, 1, 1), Cells.of(0, 0, 2)
BUDGET = WearBudget(cycles=5, warn_share=0.6)


def pulses(operation: Operation, count: int = 1) -> Pulses:
    return Pulses.of(count, operation, 2.0, 1e-3, 1.5, 1e-3)


def guard(had: int) -> WearGuard:
    """Of a chip whose one used cell has had some SET pulses."""
    numbers = {name: np.array([had if name == "set" else 0]) for name in ("form", "set", "reset", "maybe")}
    return WearGuard((1, 3, 3), WearCounts(cells=CELL, **numbers), BUDGET)


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    logger.enable("rmhil")
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    yield lines
    logger.remove(sink)
    logger.disable("rmhil")


def test_pulses_are_refused_when_the_cycles_are_used_up_and_not_before() -> None:
    one = guard(had=0)
    for given in range(10):
        operation = Operation.SET if given % 2 else Operation.RESET
        one.refuse_worn(CELL, pulses(operation))
        one.count(CELL, pulses(operation))
    for operation in (Operation.SET, Operation.RESET):
        with pytest.raises(WearError, match=r"cell \(0, 1, 1\) = 5 SET/RESET cycles, allowed 5.*--budget"):
            one.refuse_worn(CELL, pulses(operation))
    one.refuse_worn(OTHER, pulses(Operation.SET))


def test_earlier_runs_count() -> None:
    with pytest.raises(WearError):
        guard(had=10).refuse_worn(CELL, pulses(Operation.SET))
    guard(had=9).refuse_worn(CELL, pulses(Operation.SET))


def test_one_worn_cell_among_many_stops_them_all_before_any_is_pulsed() -> None:
    both = Cells.of(0, [0, 1], [2, 1])
    with pytest.raises(WearError, match=r"cell \(0, 1, 1\)"):
        guard(had=10).refuse_worn(both, pulses(Operation.SET, 2))


def test_forming_is_no_cycle() -> None:
    one = guard(had=10)
    one.refuse_worn(CELL, pulses(Operation.FORM))
    one.count(OTHER, pulses(Operation.FORM))
    one.refuse_worn(OTHER, pulses(Operation.SET))


def test_a_warning_comes_once_and_at_the_stated_share(said: list[str]) -> None:
    one = guard(had=4)
    one.count(CELL, pulses(Operation.SET))
    assert said == []
    for _ in range(3):
        one.count(CELL, pulses(Operation.SET))
    assert len(said) == 1
    assert "cell (0, 1, 1) has had 3 of its 5 SET/RESET cycles, 60% or more" in said[0]
