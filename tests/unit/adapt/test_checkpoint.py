"""Trainings that are broken off and gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rmhil import adapt
from rmhil.adapt.checkpoint import FORMAT, STATE, described
from rmhil.errors import CheckpointError
from rmhil.ledger import Ledger

from .test_training import blobs, network, same


class KilledError(Exception):
    pass


@pytest.mark.parametrize("validation", [None, blobs(seed=1)])
def test_a_broken_training_goes_on_as_if_it_had_never_stopped(tmp_path: Path, validation: adapt.Data | None) -> None:
    def run(model: nn.Module, checkpoint: Path | None, killed_at: int) -> adapt.History:
        def progress(done: int, total: int, text: str) -> None:
            if done == killed_at:
                raise KilledError

        return adapt.train(
            model, blobs(), steps=30, batch_size=16, seed=3, checkpoint=checkpoint, checkpoint_every=4,
            progress=progress, validation=validation,
        )  # fmt: skip

    whole, broken = network(), network()
    expected = run(whole, None, killed_at=-1)
    path = tmp_path / "training.pt"
    with pytest.raises(KilledError):
        run(broken, path, killed_at=18)
    fresh = network(seed=9)
    assert run(fresh, path, killed_at=-1) == expected
    assert same(fresh, whole)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    path, model, again = tmp_path / "training.pt", network(), network(seed=1)
    adapt.train(model, blobs(), steps=5, checkpoint=path)
    ledger = Ledger()
    adapt.train(again, blobs(), steps=5, checkpoint=path, ledger=ledger)
    assert same(model, again)
    assert ledger.counts.training_steps == 0


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "training.pt", network()
    adapt.train(network(), blobs(), steps=5, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"lr 0.01, now 0.02"):
        adapt.train(model, blobs(), steps=5, checkpoint=path, lr=0.02)
    assert same(model, network())


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path, model = tmp_path / "training.pt", network()
    adapt.train(network(), blobs(), steps=5, checkpoint=path)
    path.write_bytes(path.read_bytes()[:300] if damage is None else damage)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        adapt.train(model, blobs(), steps=5, checkpoint=path)
    assert same(model, network())
    assert FORMAT == 3


@pytest.mark.parametrize("key", [*STATE, "good.buffers", "history.losses"])
def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path: Path, key: str) -> None:
    path, model = tmp_path / "training.pt", network(seed=2)
    adapt.train(network(), blobs(), steps=5, checkpoint=path)
    content = torch.load(path, weights_only=True)
    *inside, last = key.split(".")
    part = content
    for name in inside:
        part = part[name]
    del part[last]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=last):
        adapt.train(model, blobs(), steps=5, checkpoint=path)
    assert same(model, network(seed=2))


def halved(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return adapt.cross_entropy(outputs, y) / 2


FORGETTING: dict[str, Any] = {
    "forget": blobs().of(2),
    "retain": blobs().of([0, 1]),
    "validation": {"forgotten": blobs(seed=1).of(2), "kept": blobs(seed=1).of([0, 1])},
    "select": adapt.ForgottenThenKept(at_most=0.1),
    "stop": adapt.WhenForgotten(at_most=0.0, in_a_row=9),
    "guard": adapt.DivergenceGuard(factor=20),
}


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"forget_weight": 0.6}, "objective"),
        ({"method": "label-obfuscation"}, "objective"),
        ({"loss": halved}, "objective"),
        ({"forget": adapt.Data(blobs().of(2).x + 1e-3, blobs().of(2).y)}, "samples"),
        ({"forget": blobs().of(3), "retain": blobs().of([0, 1])}, "samples"),
        ({"forget": blobs().of(2)[:20], "retain": blobs().of(2)[20:] + blobs().of([0, 1])}, "samples"),
        ({"validation": {"forgotten": blobs(seed=2).of(2), "kept": blobs(seed=1).of([0, 1])}}, "validation"),
        ({"select": adapt.ForgottenThenKept(at_most=0.2)}, "select"),
        ({"stop": adapt.WhenForgotten(at_most=0.0, in_a_row=8)}, "stop"),
        ({"guard": adapt.DivergenceGuard(factor=30)}, "guard"),
    ],
)
def test_a_checkpoint_of_other_samples_or_rules_is_refused(tmp_path: Path, other: dict[str, Any], differs: str) -> None:
    path = tmp_path / "training.pt"
    adapt.unlearn(network(), **FORGETTING, steps=3, checkpoint=path)
    model = network(seed=1)
    with pytest.raises(CheckpointError, match=f"another training: {differs} "):
        adapt.unlearn(model, **(FORGETTING | other), steps=3, checkpoint=path)
    assert same(model, network(seed=1))
    again = adapt.unlearn(model, **FORGETTING, steps=3, checkpoint=path)
    assert again.steps == 3


class Rule:
    def __call__(self, evaluations: Sequence[adapt.Evaluation], best: int) -> str | None:
        return None


def test_rules_are_described_alike_in_every_process() -> None:
    for rule in (adapt.Fit(), Rule(), (adapt.Patience(3), Rule()), partial(halved, y=Rule())):
        assert " at 0x" not in described(rule)
    assert described(adapt.GradientAscent(0.25)) == "GradientAscent(forget_weight=0.25, loss=cross_entropy)"
