from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rmhil import adapt
from rmhil.adapt.checkpoint import FORMAT
from rmhil.errors import CheckpointError, ConfigError, DivergedError, OutOfRangeError, ShapeError, UnknownNameError
from rmhil.ledger import Ledger
from rmhil.nn import SramBank, adapter_parameters, add_adapter, freeze_adapter

CLASSES = 4


def blobs(per_class: int = 30, seed: int = 0) -> adapt.Data:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat_interleave(per_class)
    centres = 3 * torch.eye(CLASSES, 6)
    return adapt.Data(centres[y] + 0.5 * torch.randn(len(y), 6, generator=generator), y)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, CLASSES))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_training_learns(optimizer: str, batch_size: int | None) -> None:
    model = network()
    history = adapt.train(model, blobs(), steps=120, lr=0.03, optimizer=optimizer, batch_size=batch_size)  # type: ignore[arg-type]
    assert adapt.evaluate(model, blobs(seed=1)).accuracy > 0.9
    assert history.steps == len(history.losses) == 120
    assert history.parameters == sum(each.numel() for each in model.parameters())


def test_the_same_seed_trains_the_same_model() -> None:
    models = [network(), network()]
    for model in models:
        adapt.train(model, blobs(), steps=20, batch_size=16, seed=5)
    assert same(*models)


def test_another_seed_draws_other_batches() -> None:
    models = [network(), network()]
    for seed, model in enumerate(models):
        adapt.train(model, blobs(), steps=20, batch_size=16, seed=seed)
    assert not same(*models)


def test_an_epoch_sees_every_sample_once() -> None:
    seen: list[torch.Tensor] = []
    model = nn.Linear(1, 2)
    model.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach().clone()))
    x = torch.arange(20.0)[:, None]
    adapt.train(model, (x, torch.zeros(20, dtype=torch.int64)), epochs=2, batch_size=5)
    drawn = torch.cat(seen)[:, 0]
    for epoch in (drawn[:20], drawn[20:]):
        assert torch.equal(epoch.sort().values, x[:, 0])


def test_the_best_checkpoint_is_kept() -> None:
    model = network()
    history = adapt.train(
        model, blobs(), steps=60, lr=0.3, batch_size=8, validation=blobs(seed=1), evaluate_every=3, guard=None
    )
    losses = [evaluation.of("validation").loss for evaluation in history.evaluations]
    assert history.best == losses.index(min(losses))
    assert adapt.evaluate(model, blobs(seed=1)).loss == pytest.approx(min(losses), rel=1e-5)
    assert history.best_step == history.evaluations[history.best].step


def test_a_training_never_ends_worse_than_it_began() -> None:
    model = network()
    adapt.train(model, blobs(), steps=100, lr=0.03)
    before = adapt.evaluate(model, blobs(seed=1)).loss
    wrong = adapt.Data(blobs().x, (blobs().y + 1) % CLASSES)
    history = adapt.train(model, wrong, steps=10, validation=blobs(seed=1))
    assert history.best_step == 0
    assert adapt.evaluate(model, blobs(seed=1)).loss == pytest.approx(before, rel=1e-5)


def test_patience_ends_a_training_that_gets_no_better() -> None:
    model = network()
    wrong = adapt.Data(blobs().x, (blobs().y + 1) % CLASSES)
    history = adapt.train(model, wrong, steps=50, validation=blobs(), stop=adapt.Patience(3), lr=0.05)
    assert history.reason == "no better for 3 evaluations"
    assert history.steps == history.best_step + 3


def test_the_running_statistics_go_back_with_the_parameters() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    wrong = adapt.Data(blobs().x, (blobs().y + 1) % CLASSES)
    before = adapt.evaluate(model, blobs()).loss
    history = adapt.train(model, wrong, steps=5, lr=0.1, validation=blobs())
    assert history.best_step == 0
    assert adapt.evaluate(model, blobs()).loss == pytest.approx(before, rel=1e-6)


def test_only_the_named_adapter_changes_and_no_other_parameter_gets_gradients() -> None:
    model, bank = network(), SramBank(4096)
    add_adapter(model, "first", rank=2, alpha=4.0, bank=bank, seed=0)
    add_adapter(model, "second", rank=2, alpha=4.0, bank=bank, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    history = adapt.train(model, blobs(), steps=5, adapter="second", lr=0.03)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if ".second." in name}
    assert history.parameters == sum(each.numel() for each in adapter_parameters(model, "second"))
    assert all(each.requires_grad for each in adapter_parameters(model, "first"))
    assert all(each.grad is None for each in model.parameters())


def test_steps_are_counted_in_the_ledger() -> None:
    ledger, model = Ledger(), network()
    adapt.train(model, blobs(), steps=7, ledger=ledger)
    assert ledger.counts.training_steps == 7
    assert ledger.counts.parameter_updates == 7 * sum(each.numel() for each in model.parameters())


def test_progress_is_told_of_every_step() -> None:
    told: list[tuple[int, int]] = []
    adapt.train(network(), blobs(), steps=4, progress=lambda done, total, text: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


# Divergence -----------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_the_training_with_the_last_good_state() -> None:
    model = network()
    good = {name: value.clone() for name, value in model.state_dict().items()}
    calls = 0

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return outputs.square().sum(1) * (float("nan") if calls == 3 else 1.0)

    with pytest.raises(DivergedError, match="step 3: loss nan is not finite"):
        adapt.train(model, blobs(), steps=9, loss=loss, evaluate_every=10)
    assert all(torch.equal(value, good[name]) for name, value in model.state_dict().items())


def test_a_training_that_blows_up_can_be_told_to_stop_quietly() -> None:
    guard = adapt.DivergenceGuard(factor=3.0, then="stop")
    model = network()
    history = adapt.train(model, blobs(), steps=200, lr=50.0, optimizer="sgd", guard=guard, validation=blobs(seed=1))
    assert "diverged" in history.reason
    assert history.steps < 200
    best = min(evaluation.of("validation").loss for evaluation in history.evaluations)
    assert adapt.evaluate(model, blobs(seed=1)).loss == pytest.approx(best, rel=1e-5)


# Checkpoints ----------------------------------------------------------------------------------


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
    assert FORMAT == 1


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"steps": 3, "epochs": 3}])
def test_either_steps_or_epochs_are_needed(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="either steps or epochs"):
        adapt.train(network(), blobs(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "name"),
    [({"lr": -1.0}, "lr"), ({"lr": float("nan")}, "lr"), ({"batch_size": 0}, "batch_size"),
     ({"evaluate_every": 0}, "evaluate_every"), ({"steps": 0}, "steps")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options: dict[str, float], name: str) -> None:
    with pytest.raises(OutOfRangeError, match=name):
        adapt.train(network(), blobs(), **({"steps": 2} | options))  # type: ignore[arg-type]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown option 'learning_rate'"):
        adapt.train(network(), blobs(), steps=2, learning_rate=0.1)  # type: ignore[call-arg]


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: adam, adamw, sgd"):
        adapt.train(network(), blobs(), steps=2, optimizer="lbfgs")  # type: ignore[arg-type]


def test_an_unknown_validation_group_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: kept"):
        adapt.train(network(), blobs(), steps=2, validation={"kept": blobs()})


def test_samples_without_targets_are_refused() -> None:
    with pytest.raises(ShapeError, match="one target for each"):
        adapt.Data(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(ShapeError, match="at least one sample"):
        adapt.train(network(), blobs()[:0], steps=2)


def test_a_frozen_adapter_is_not_trained() -> None:
    model = network()
    add_adapter(model, "only", rank=2, alpha=4.0, bank=SramBank(4096), seed=0)
    freeze_adapter(model, "only")
    with pytest.raises(ConfigError, match="frozen"):
        adapt.train(model, blobs(), steps=2, adapter="only")
    with pytest.raises(ConfigError, match="nothing to train"):
        adapt.train(model, blobs(), steps=2)
