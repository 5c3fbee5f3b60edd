"""The generators of the noise of MVMs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from scipy import stats

from rmhil.errors import ConfigError
from sim_backend.noise import Noise

CPU = torch.device("cpu")
MANY = 300_001
"""Draws: more than a block for every generator, and no multiple of a block."""


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts back the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def draw(noise: Noise, count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    tensor = torch.full((count,), torch.nan, dtype=dtype)
    noise.fill(noise.blocks(tensor))
    return tensor


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_do_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    found = []
    for count in (1, 2, 3, 8):
        torch.set_num_threads(count)
        noise = Noise(7, CPU)
        found.append(torch.cat([draw(noise, MANY, dtype), draw(noise, 5, dtype), draw(noise, MANY, dtype)]))
    assert all(torch.equal(one, other) for one, other in pairwise(found))


def test_draws_repeat_by_seed_and_order_of_calls() -> None:
    first, second = Noise(7, CPU), Noise(7, CPU)
    sizes = (3, 70_000, 1, 40_000)
    calls = [draw(first, size) for size in sizes]
    assert all(torch.equal(draw(second, size), one) for size, one in zip(sizes, calls, strict=True))
    assert not torch.equal(draw(first, 3), calls[0])
    assert not torch.equal(draw(Noise(8, CPU), 3), calls[0])


def test_every_element_is_drawn() -> None:
    for count in (1, 2**15, 2**15 + 1, MANY):
        assert not draw(Noise(0, CPU), count).isnan().any()


def test_draws_are_standard_normal_and_generators_unlike() -> None:
    drawn = draw(Noise(3, CPU), 2**18).double()
    assert stats.kstest(drawn.numpy(), "norm").pvalue > 0.01
    blocks = drawn.view(8, -1)  # each from a generator of its own
    correlation = torch.corrcoef(blocks) - torch.eye(8)
    assert correlation.abs().max() < 5 / blocks.shape[1] ** 0.5
    later = drawn.view(-1)
    for lag in (1, 2, 8, 16):
        assert abs(float((later[lag:] * later[:-lag]).mean())) < 5 / drawn.numel() ** 0.5


def test_noise_goes_on_from_a_saved_state() -> None:
    noise = Noise(7, CPU)
    draw(noise, 70_000)
    state = noise.state
    expected = [draw(noise, 70_000), draw(noise, 9)]
    other = Noise(1, CPU)
    other.restore(state)
    assert all(torch.equal(draw(other, one.numel()), one) for one in expected)


def test_a_state_of_another_kind_is_refused() -> None:
    noise = Noise(7, CPU)
    with pytest.raises(ConfigError, match="expected 5056 for each of 8 generators"):
        noise.restore(torch.Generator().get_state())


def test_an_error_of_a_thread_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """No generator, no noise: silence would leave old numbers in the buffer."""
    noise = Noise(7, CPU)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    blocks = noise.blocks(torch.empty(MANY))
    blocks[1] = [None]  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        noise.fill(blocks)
