from __future__ import annotations

import pytest
import torch

from rmhil.adapt import Data, ReplayBuffer
from rmhil.adapt.replay import herd, quotas
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError, UnknownNameError


def samples(counts: list[int], seed: int = 0) -> Data:
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    return Data(torch.randn(len(y), 5, generator=generator), y[torch.randperm(len(y), generator=generator)])


@pytest.mark.parametrize("selection", ["random", "herding"])
def test_the_buffer_is_bounded_and_balanced(selection: str) -> None:
    buffer = ReplayBuffer(samples([40, 30, 50]), 20, selection)  # type: ignore[arg-type]
    counts = torch.bincount(buffer.data.y).tolist()
    assert len(buffer) <= 20
    assert sorted(counts) == [6, 7, 7]
    assert "20 of 120 samples" in str(buffer)


def test_a_class_with_few_samples_leaves_its_share_to_the_others() -> None:
    assert quotas([2, 40, 40], 20) == [2, 9, 9]
    assert quotas([3, 3], 100) == [3, 3]
    assert sum(quotas([5, 7, 9, 11], 17)) == 17


@pytest.mark.parametrize("selection", ["random", "herding"])
def test_a_smaller_buffer_is_the_beginning_of_a_larger_one(selection: str) -> None:
    small = ReplayBuffer(samples([40, 40]), 10, selection, seed=3)  # type: ignore[arg-type]
    large = ReplayBuffer(samples([40, 40]), 30, selection, seed=3)  # type: ignore[arg-type]
    for number in (0, 1):
        torch.testing.assert_close(large.data.of(number).x[:5], small.data.of(number).x)


def test_the_same_seed_keeps_the_same_samples() -> None:
    one, two, other = (ReplayBuffer(samples([40, 40]), 10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.data.x, two.data.x)
    assert not torch.equal(one.data.x, other.data.x)


def test_herding_stays_closer_to_the_mean_than_chance() -> None:
    data = samples([200])
    mean = data.x.mean(0)
    herded = (ReplayBuffer(data, 10, "herding").data.x.mean(0) - mean).norm()
    drawn = [(ReplayBuffer(data, 10, seed=seed).data.x.mean(0) - mean).norm() for seed in range(20)]
    assert herded < min(drawn)


def test_herding_looks_at_the_features_it_is_given() -> None:
    data = samples([30])
    chosen = ReplayBuffer(data, 4, "herding", features=lambda x: x[:, :1])
    expected = data.x[herd(data.x[:, :1], 4)]
    assert torch.equal(chosen.data.x, expected)


def test_new_samples_make_room_without_growing() -> None:
    buffer = ReplayBuffer(samples([40, 40]), 20)
    grown = buffer.with_new(Data(torch.zeros(30, 5), torch.full((30,), 2)))
    assert len(grown) <= 20
    assert grown.data.classes == [0, 1, 2]
    assert min(torch.bincount(grown.data.y).tolist()) >= 6


def test_no_sample_is_kept_twice() -> None:
    data = Data(torch.arange(60.0)[:, None], torch.arange(60) % 2)
    for selection in ("random", "herding"):
        kept = ReplayBuffer(data, 40, selection).data.x[:, 0]  # type: ignore[arg-type]
        assert len(kept.unique()) == 40


def test_a_buffer_smaller_than_the_number_of_classes_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match="size = 2"):
        ReplayBuffer(samples([4, 4, 4]), 2)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="herding"):
        ReplayBuffer(samples([4]), 2, "best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="herding only"):
        ReplayBuffer(samples([4]), 2, features=lambda x: x)
    with pytest.raises(ShapeError, match="class numbers"):
        ReplayBuffer((torch.zeros(3, 2), torch.zeros(3)), 2)
