"""Counter-based draws: their law, and that nothing but the key matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from sim_backend.rng import Stream, keys, normal, stream_seed, uniform

COUNT = 200_000

PINNED_UNIFORM = 0.2835426785983336
PINNED_SEED = 8879979150477065128


def cells(count: int, seed: int = 1) -> torch.Tensor:
    number = torch.arange(count)
    return keys(seed, torch.zeros_like(number), number // 512, number % 512)


def test_uniform_draws_are_uniform() -> None:
    drawn = uniform(cells(COUNT), Stream.STUCK).numpy()
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3


def test_normal_draws_are_normal() -> None:
    assert stats.kstest(normal(cells(COUNT), Stream.READ).numpy(), "norm").pvalue > 1e-3


def test_draws_of_one_cell_over_its_events_are_normal() -> None:
    one = cells(1).expand(COUNT)
    assert stats.kstest(normal(one, Stream.READ, torch.arange(COUNT)).numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, Stream.READ, 1), (1, Stream.READ, 1)),
        ((0, Stream.READ, 1), (0, Stream.CYCLE_LEVEL, 1)),
        ((0, Stream.READ, 1), (0, Stream.READ, 2)),
    ],
    ids=["neighbouring events", "streams", "seeds"],
)
def test_draws_of_different_keys_are_independent(
    first: tuple[int, Stream, int], second: tuple[int, Stream, int]
) -> None:
    a, b = (normal(cells(COUNT, seed), stream, event).numpy() for event, stream, seed in (first, second))
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / COUNT**0.5


def test_draws_of_neighbouring_cells_are_independent() -> None:
    drawn = normal(cells(COUNT), Stream.READ).numpy()
    for step in (1, 2, 512):
        assert abs(np.corrcoef(drawn[:-step], drawn[step:])[0, 1]) < 5 / COUNT**0.5


def test_a_draw_does_not_depend_on_the_company_or_the_order() -> None:
    every, event = cells(1000), torch.arange(1000) * 3
    whole = normal(every, Stream.READ, event)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(2))
    assert torch.equal(normal(every[order], Stream.READ, event[order]), whole[order])
    for one in range(len(every)):
        assert torch.equal(normal(every[one : one + 1], Stream.READ, event[one : one + 1]), whole[one : one + 1])
        assert torch.equal(normal(every[one : one + 1], Stream.READ, int(event[one])), whole[one : one + 1])


def test_one_event_number_for_all_is_the_same_as_one_for_each() -> None:
    assert torch.equal(uniform(cells(50), Stream.READ, 9), uniform(cells(50), Stream.READ, torch.full((50,), 9)))


def test_keys_of_all_cells_of_a_large_chip_differ() -> None:
    array, bl, sl = torch.meshgrid(torch.arange(8), torch.arange(300), torch.arange(300), indexing="ij")
    assert keys(3, array, bl, sl).unique().numel() == array.numel()


def test_the_numbers_of_a_seed_never_change() -> None:
    """A saved chip must find its own cells again, in every later release."""
    drawn = uniform(keys(7, *(torch.tensor([n]) for n in (1, 2, 3))), Stream.SET_VOLTAGE, 4)
    assert float(drawn) == pytest.approx(PINNED_UNIFORM, abs=1e-15)
    assert stream_seed(7, Stream.MVM) == PINNED_SEED
