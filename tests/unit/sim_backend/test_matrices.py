"""The cache of effective matrices: what it solves anew, what it updates, and what it leaves alone."""

from __future__ import annotations

import gc
import math
import weakref
from threading import Thread

import numpy as np
import pytest
import torch

from rmhil.backend import Ints
from rmhil.line_model import LineResistances
from sim_backend import matrices
from sim_backend.line_factors import LineFactors, _Probe, _Step
from sim_backend.matrices import Matrices, MatrixCache
from sim_backend.network import effective_matrices

N_ARRAYS, N_BL, N_SL = 3, 6, 8
CELLS = N_BL * N_SL
ALL = np.arange(N_ARRAYS)
BANK = np.array([1, 2, 5, 7])


class Source:
    """Arrays whose cells a test sets, and a list of what was asked of them."""

    transparent = False
    cells_at_once = 1 << 18

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.cells = torch.from_numpy(rng.uniform(10e-6, 80e-6, (N_ARRAYS, N_BL, N_SL)))
        self.lines = [
            LineResistances(
                bl_source=rng.uniform(50, 500, N_BL),
                sl_load=rng.uniform(50, 500, N_SL),
                bl_segment=5.0,
                sl_segment=5.0,
            )
            for _ in range(N_ARRAYS)
        ]
        self.held_until = math.inf
        self.solved: list[int] = []
        self.completed: list[int] = []

    def cells_on(self, arrays: Ints, sl: Ints) -> torch.Tensor:
        return self.cells[torch.from_numpy(arrays)][..., torch.from_numpy(sl)]

    def conducting_at(self, flat: torch.Tensor) -> torch.Tensor:
        return self.cells.view(-1)[flat]

    def solve(self, cells: torch.Tensor, arrays: Ints, sl: Ints) -> torch.Tensor:
        self.solved += arrays.tolist()
        return effective_matrices(cells, [self.lines[array] for array in arrays], sl, N_SL)

    def factors(self, cells: torch.Tensor, array: int, sl: Ints) -> LineFactors:
        self.solved.append(array)
        return LineFactors(cells, [self.lines[array]], sl, N_SL)

    def complete(self, arrays: Ints, sl: Ints, cells: torch.Tensor, effective: torch.Tensor) -> Matrices:
        self.completed.append(cells.numel())
        torch.testing.assert_close(cells, self.cells_on(arrays, sl), rtol=0.0, atol=0.0)
        return Matrices(
            arrays=arrays,
            effective=effective.clone(),
            variance=effective.square(),
            shielding=effective.sum(dim=1).square(),
            offset=effective.sum(dim=1),
            held_until=self.held_until,
        )

    def write(self, cache: MatrixCache, array: int, cells: list[tuple[int, int]], conductance: float = 33e-6) -> None:
        """Give cells of an array a new conductance, as a transaction does."""
        flat = torch.tensor([array * CELLS + bl * N_SL + sl for bl, sl in cells])
        moves = (self.cells.view(-1)[flat] - conductance).abs()
        self.cells.view(-1)[flat] = conductance
        cache.note_moves(flat, moves)

    def expected(self) -> torch.Tensor:
        return effective_matrices(self.cells_on(ALL, BANK), self.lines, BANK, N_SL)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(source: Source) -> MatrixCache:
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    cache.get(ALL, BANK, 0.0)
    source.solved.clear()
    return cache


def assert_up_to_date(held: Matrices, source: Source) -> None:
    expected = source.expected()
    torch.testing.assert_close(held.effective, expected, rtol=1e-9, atol=0.0)
    torch.testing.assert_close(held.variance, expected.square(), rtol=1e-9, atol=0.0)
    torch.testing.assert_close(held.shielding, expected.sum(dim=1).square(), rtol=1e-9, atol=0.0)
    torch.testing.assert_close(held.offset, expected.sum(dim=1), rtol=1e-9, atol=0.0)


def test_unmoved_cells_cost_nothing(source: Source, cache: MatrixCache) -> None:
    assert cache.get(ALL, BANK, 1.0) is cache.get(ALL, BANK, 2.0)
    assert source.solved == []


def test_few_changed_cells_are_followed_without_solving(source: Source, cache: MatrixCache) -> None:
    before = cache.get(ALL, BANK, 0.0)
    for write in range(3):
        source.write(cache, 1, [(0, 1), (write, 5), (3, 7)], conductance=(write + 1) * 20e-6)
        source.write(cache, 2, [(5, 2)], conductance=(write + 1) * 10e-6)
        held = cache.get(ALL, BANK, 0.0)
        assert held is not before
        assert_up_to_date(held, source)
    assert source.solved == []


def test_many_changed_cells_solve_their_array_alone(source: Source, cache: MatrixCache) -> None:
    source.write(cache, 1, [(bl, sl) for bl in range(N_BL) for sl in BANK.tolist()])
    source.write(cache, 0, [(2, 2)], conductance=70e-6)
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    assert source.solved == [1]


def test_few_changes_at_a_time_add_up_to_many(source: Source, cache: MatrixCache) -> None:
    for bl in range(N_BL):
        source.write(cache, 2, [(bl, 1), (bl, 2)])
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    assert source.solved == [2]


def test_cells_of_other_source_lines_do_not_matter(source: Source, cache: MatrixCache) -> None:
    before = cache.get(ALL, BANK, 0.0).effective.clone()
    source.write(cache, 0, [(2, 3)])
    torch.testing.assert_close(cache.get(ALL, BANK, 0.0).effective, before, rtol=0.0, atol=0.0)
    assert source.solved == []


def test_moves_too_small_to_matter_add_up(source: Source, cache: MatrixCache) -> None:
    tiny = torch.tensor([0.4e-12], dtype=torch.float64)
    for moves in range(2):
        cache.note_moves(torch.tensor([CELLS + moves]), tiny)
        cache.get(ALL, BANK, 0.0)
    assert source.solved == []
    cache.note_moves(torch.tensor([CELLS]), tiny)
    cache.get(ALL, BANK, 0.0)
    assert source.solved == [1]


def test_matrices_that_have_drifted_are_solved_anew(source: Source) -> None:
    source.held_until = 5.0
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    held = cache.get(ALL, BANK, 0.0)
    assert cache.get(ALL, BANK, 5.0) is held
    assert cache.get(ALL, BANK, 5.1) is not held


def test_an_update_never_makes_matrices_last_longer(source: Source, cache: MatrixCache) -> None:
    source.held_until = 3.0
    source.write(cache, 0, [(0, 1)])
    assert cache.get(ALL, BANK, 0.0).held_until == 3.0
    source.held_until = 9.0
    source.write(cache, 0, [(0, 2)])
    assert cache.get(ALL, BANK, 0.0).held_until == 3.0


def test_without_room_for_networks_changed_arrays_are_solved_alone(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "_FACTOR_BYTES", 0)
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    cache.get(ALL, BANK, 0.0)
    source.solved.clear()
    source.write(cache, 2, [(1, 1)])
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    assert source.solved == [2]


def test_the_networks_of_the_oldest_matrices_give_way(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    one = LineFactors(source.cells[:1], source.lines[:1], np.arange(N_SL), N_SL).bytes_held
    monkeypatch.setattr(matrices, "_FACTOR_BYTES_A_CELL", 1)
    monkeypatch.setattr(matrices, "_FACTOR_BYTES", 2 * one)
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    every = np.arange(N_SL)
    for array in range(N_ARRAYS):
        cache.get(np.array([array]), every, 0.0)
    source.solved.clear()
    for array in (0, 2):
        source.write(cache, array, [(1, 1)])
        cache.get(np.array([array]), every, 0.0)
    assert source.solved == [0]  # solved without its network; that of array 2 was updated


def test_networks_are_handed_out_up_to_date(source: Source, cache: MatrixCache) -> None:
    source.write(cache, 1, [(4, 5)])
    for array, network in enumerate(cache.networks(ALL, BANK, 0.0)):
        torch.testing.assert_close(network.conductance, source.cells_on(np.array([array]), BANK), rtol=0.0, atol=0.0)
        torch.testing.assert_close(network.effective[0], source.expected()[array], rtol=1e-9, atol=0.0)
    assert source.solved == []


@pytest.mark.parametrize("interrupted", [1, 2, 3])
def test_an_interrupted_update_is_made_good(
    source: Source, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    """Ctrl-C between two of the blocks that a changed cell changes: of the first array, or of a later one."""
    change, calls = _Step.change, []

    def interrupted_change(self: _Step, number: int, probe: _Probe, step: float) -> _Probe:
        calls.append(number)
        if len(calls) == interrupted:
            raise KeyboardInterrupt
        return change(self, number, probe, step)

    source.write(cache, 0, [(2, 1)])
    source.write(cache, 1, [(3, 5)])
    source.write(cache, 2, [(5, 7)])
    monkeypatch.setattr(_Step, "change", interrupted_change)
    with pytest.raises(KeyboardInterrupt):
        cache.get(ALL, BANK, 0.0)
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    assert source.solved == ALL[:interrupted].tolist()  # those not yet begun are updated after all
    for array, network in enumerate(cache.networks(ALL, BANK, 0.0)):
        torch.testing.assert_close(network.effective[0], source.expected()[array], rtol=1e-9, atol=0.0)


def test_moves_may_be_noted_while_another_thread_asks_for_matrices(source: Source, cache: MatrixCache) -> None:
    failures: list[BaseException] = []
    done = False

    def write() -> None:
        try:
            while not done:
                cache.note_moves(torch.tensor([CELLS + 9]), torch.tensor([1e-6], dtype=torch.float64))
        except RuntimeError as error:
            failures.append(error)

    thread = Thread(target=write)
    thread.start()
    for bank in range(1, 200):
        chosen = np.flatnonzero([bank >> line & 1 for line in range(N_SL)])
        cache.get(ALL[:1], chosen, 0.0)
    done = True
    thread.join()
    assert not failures


def test_no_matrix_is_made_of_cells_that_are_about_to_be_stored(source: Source, cache: MatrixCache) -> None:
    cell = torch.tensor([CELLS + 9])  # array 1, BL 1, SL 1
    with cache.moving(cell, torch.tensor([1e-6], dtype=torch.float64)):
        thread = Thread(target=cache.get, args=(ALL, BANK, 0.0))
        thread.start()
        thread.join(timeout=0.1)
        assert thread.is_alive()
        source.cells.view(-1)[cell] = 70e-6
    thread.join()
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)


def test_large_chips_are_solved_some_arrays_at_a_time(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "_FACTOR_BYTES", 0)
    source.cells_at_once = 2 * N_BL * BANK.size
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    for array in range(N_ARRAYS):
        source.write(cache, array, [(1, 1)], conductance=70e-6)
    assert_up_to_date(cache.get(ALL, BANK, 0.0), source)
    assert max(source.completed) == source.cells_at_once
    assert sum(source.completed) == 2 * N_ARRAYS * N_BL * BANK.size


def test_the_oldest_matrices_are_let_go_before_too_many_cells_are_held(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chip once, here."""
    monkeypatch.setattr(matrices, "_CELLS_HELD", 0)
    cache = MatrixCache(source, N_ARRAYS, N_SL, CELLS)
    halves = np.arange(4), np.arange(4, 8)
    of_halves = [weakref.ref(cache.get(ALL, half, 0.0)) for half in halves]
    gc.collect()
    assert all(one() is not None for one in of_halves)
    cache.get(ALL[:2], BANK, 0.0)
    assert [one() is not None for one in of_halves] == [False, True]


def test_what_was_forgotten_is_solved_anew(source: Source, cache: MatrixCache) -> None:
    held = cache.get(ALL, BANK, 0.0)
    cache.forget()
    assert cache.get(ALL, BANK, 0.0) is not held
    assert source.solved == ALL.tolist()
