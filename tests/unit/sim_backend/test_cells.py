"""The resident state: counts that never give a draw twice, times that are never too late, fair rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loguru import logger

from sim_backend.cells import STEP_EVENT, CellStore
from sim_backend.rng import keys

COUNT = 64


def store(cells: int = COUNT, n_arrays: int = 1) -> tuple[CellStore, torch.Tensor, torch.Tensor]:
    """A store with its cells' positions and keys."""
    flat = torch.arange(cells * n_arrays)
    return CellStore(n_arrays, cells, torch.device("cpu")), flat, keys(1, flat, flat, flat)


def transact(
    held: CellStore, flat: torch.Tensor, cell_keys: torch.Tensor, conductance: float, rewritten: bool, time: float
) -> torch.Tensor:
    """One transaction of all cells; the event numbers it had."""
    before, one = held.look(flat), torch.ones(flat.numel(), dtype=torch.float64)
    written = torch.full_like(one, time) if rewritten else before.written
    mask = torch.full_like(flat, rewritten, dtype=torch.bool)
    held.put(flat, before, cell_keys, conductance * one, mask, written)
    return before.event


def test_no_two_transactions_of_a_cell_have_one_number() -> None:
    """Not even after more readings than its counter of 11 bits holds."""
    held, flat, cell_keys = store(1)
    seen: list[int] = []
    for number in range(6):
        seen.append(int(transact(held, flat, cell_keys, 1e-5, number % 3 == 0, 0.0)))
        following = int(held.look(flat).event)
        left = 2045 - following % 2048
        seen += range(following, following + left)
        held.counts += left  # as if so many readings had been taken
        seen += [int(transact(held, flat, cell_keys, 1e-5, False, 0.0)) for _ in range(10)]
    assert held.epoch == 6
    assert len(set(seen)) == len(seen) > 12_000
    assert max(seen) < 1 << 62


def test_steps_of_a_transaction_do_not_meet_other_transactions() -> None:
    held, flat, cell_keys = store(1)
    seen = [int(transact(held, flat, cell_keys, 1e-5, number % 3 == 0, 0.0)) for number in range(300)]
    assert all(event < STEP_EVENT for event in seen)


def test_writes_are_counted_and_readings_are_not() -> None:
    held, flat, cell_keys = store()
    for number in range(9):
        transact(held, flat, cell_keys, 1e-5, number % 3 == 0, 0.0)
    assert held.look(flat).writes.tolist() == [3] * COUNT


def test_a_cell_that_was_written_a_million_times_counts_no_further_and_says_so() -> None:
    held, flat, cell_keys = store(2)
    most = (1 << 20) - 1
    held.counts[:] = (most - 1) << 11
    said: list[str] = []
    logger.enable("sim_backend")
    sink = logger.add(said.append, level="WARNING")
    try:
        seen = [int(transact(held, flat, cell_keys, 1e-5, True, 0.0)[0]) for _ in range(8)]
        held.counts += 2035  # as if so many transactions had been made
        seen += [int(transact(held, flat, cell_keys, 1e-5, True, 0.0)[0]) for _ in range(20)]
    finally:
        logger.remove(sink)
        logger.disable("sim_backend")
    assert held.look(flat).writes.tolist() == [most, most]
    assert len(set(seen)) == len(seen)
    assert sum("1,048,575 times" in one for one in said) == 1


def test_times_are_never_too_late_and_right_to_30_microseconds() -> None:
    held, flat, cell_keys = store()
    clock = 0.0
    generator = np.random.default_rng(3)
    for _ in range(200):
        clock += float(generator.exponential(2000.0))
        transact(held, flat, cell_keys, 1e-5, True, clock)
        late = clock - held.look(flat).written
        assert float(late.min()) >= 0.0
        assert float(late.max()) <= 31e-6


@pytest.mark.parametrize("apart", [700.0, 1234.567])  # s, from one write of another cell to the next
def test_ages_of_cells_left_alone_stay_right_while_others_are_written(apart: float) -> None:
    """Also after thousands of moves of the base, whose roundings do not add up."""
    held, flat, cell_keys = store(n_arrays=2)
    first = torch.linspace(100.0, 500.0, flat.numel(), dtype=torch.float64)
    everything = torch.ones_like(flat, dtype=torch.bool)
    held.put(flat, held.look(flat), cell_keys, torch.full_like(first, 1e-5), everything, first)
    for number in range(4000):
        clock = 1e3 + apart * number
        transact(held, flat[:1], cell_keys[:1], 1e-5, True, clock)
    assert float(held.base[0]) > 4000 * 512.0
    written = held.look(flat).written
    assert float(written[0]) == pytest.approx(clock, abs=31e-6)
    # Of the same array, and so counted from a base that has moved thousands of times; and of the other one.
    early = (first - written)[1:]
    assert float(early.min()) >= 0.0
    assert float((early[: COUNT - 1] / (clock - first[1:COUNT])).max()) < 1.2e-7
    assert float(early[COUNT - 1 :].max()) <= 31e-6


def test_moves_below_the_resolution_add_up_to_what_they_are() -> None:
    """float32 resolves 3.6 pS at 50 uS. A move of a hundredth of that, 10,000 times, is a hundred times as much."""
    held, flat, cell_keys = store(4096)
    transact(held, flat, cell_keys, 50e-6, True, 0.0)
    start, move, times = held.look(flat).conductance.clone(), 3.6e-14, 2000
    for _ in range(times):
        before = held.look(flat)
        held.put(
            flat, before, cell_keys, before.conductance + move, torch.zeros_like(flat, dtype=torch.bool), before.written
        )
    moved = held.look(flat).conductance - start
    jumps = times * move / 2.0**-38  # each of one step of float32
    assert float(moved.mean()) == pytest.approx(times * move, rel=4 / (4096 * jumps) ** 0.5)


def test_what_float32_holds_is_kept_as_it_is() -> None:
    held, flat, cell_keys = store()
    transact(held, flat, cell_keys, 50e-6, True, 0.0)
    start = held.look(flat).conductance
    for _ in range(100):
        transact(held, flat, cell_keys, float(start[0]), False, 0.0)
    assert torch.equal(held.look(flat).conductance, start)
