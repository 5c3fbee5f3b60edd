from __future__ import annotations

import copy
from types import MappingProxyType

import pytest
import torch
from torch import nn

from rmhil import adapt
from rmhil.nn import SramBank, adapters_off, add_adapter, freeze_adapter

from .test_training import blobs, network

CHANCE = 0.25


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    model = network()
    adapt.train(model, blobs(), steps=200, lr=0.03)
    return model


def accuracy(model: nn.Module, classes: list[int]) -> float:
    return adapt.evaluate(model, blobs(seed=1).of(classes)).accuracy or 0.0


def with_adapter(model: nn.Module, name: str, seed: int) -> nn.Module:
    add_adapter(model, name, rank=3, alpha=4.0, bank=SramBank(4096), seed=seed)
    return model


@pytest.mark.parametrize("method", ["gradient-ascent", "label-obfuscation"])
@pytest.mark.parametrize("where", ["adapter", "all weights"])
def test_unlearning_forgets_one_class_and_keeps_the_others(trained: nn.Module, method: str, where: str) -> None:
    model = copy.deepcopy(trained)
    data, held_out = blobs(), blobs(seed=2)
    adapter = "forget" if where == "adapter" else None
    if adapter:
        with_adapter(model, adapter, 0)
    history = adapt.unlearn(
        model, data.of(2), data.of([0, 1, 3]), method, adapter=adapter, steps=100, lr=0.01,  # type: ignore[arg-type]
        validation={"forgotten": held_out.of(2), "kept": held_out.of([0, 1, 3])},
        select=adapt.ForgottenThenKept(at_most=0.05),
        stop=adapt.WhenForgotten(at_most=0.05, kept_at_least=0.9, in_a_row=4),
    )  # fmt: skip
    assert accuracy(model, [2]) <= CHANCE
    assert accuracy(model, [0, 1, 3]) > 0.9
    assert history.reason.startswith("forgotten")
    if adapter:
        with adapters_off(model):
            assert accuracy(model, [2]) > 0.9  # what an adapter forgets, the backbone still knows


def test_a_new_class_is_learnt_on_top_of_an_unlearnt_one_which_stays_forgotten() -> None:
    model, data = network(), blobs(per_class=60)
    adapt.train(model, data.of([0, 1, 2]), steps=200, lr=0.03)
    with_adapter(model, "forget", 0)
    adapt.unlearn(model, data.of(2), data.of([0, 1]), adapter="forget", steps=16, lr=0.02)
    freeze_adapter(model, "forget")
    with_adapter(model, "new", 1)
    buffer = adapt.ReplayBuffer(data.of([0, 1]), size=20)
    adapt.learn(model, data.of(3), buffer, adapter="new", steps=60, lr=0.02)
    assert accuracy(model, [3]) > 0.9
    assert accuracy(model, [0, 1]) > 0.85
    assert accuracy(model, [2]) <= CHANCE


@pytest.mark.parametrize("taught", [True, False])
def test_restoring_makes_up_for_disturbed_weights(trained: nn.Module, taught: bool) -> None:
    model = copy.deepcopy(trained)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.6 * torch.randn(parameter.shape, generator=generator)
    broken = adapt.evaluate(model, blobs(seed=1)).loss
    with_adapter(model, "restore", 0)
    adapt.restore(
        model, blobs(), trained if taught else None, adapter="restore", steps=100, lr=0.02, validation=blobs(seed=2)
    )
    assert adapt.evaluate(model, blobs(seed=1)).loss < 0.5 * broken


def test_a_teacher_is_imitated_whatever_the_labels_say(trained: nn.Module) -> None:
    model = network(seed=4)
    nonsense = adapt.Data(blobs().x, torch.zeros_like(blobs().y))
    adapt.restore(model, nonsense, trained, steps=200, lr=0.03)
    assert accuracy(model, [0, 1, 2, 3]) > 0.9


def test_validation_groups_of_any_mapping_are_compared_with_the_teacher(trained: nn.Module) -> None:
    groups = {"validation": blobs(seed=2), "others": blobs(seed=1)}
    histories = [
        adapt.restore(network(seed=4), blobs(), trained, steps=3, validation=given)
        for given in (groups, MappingProxyType(groups))
    ]
    assert histories[0] == histories[1]
    assert histories[0].evaluations[0].groups["others"].accuracy is None


def test_the_defaults_are_enough_to_start(trained: nn.Module) -> None:
    model = copy.deepcopy(trained)
    assert adapt.unlearn(model, blobs().of(2), blobs().of([0, 1, 3])).steps == 16
    assert adapt.learn(model, (blobs().of(2).x, blobs().of(2).y)).steps == 100
