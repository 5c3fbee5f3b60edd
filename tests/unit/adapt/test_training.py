from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rmhil import Crossbar, adapt, open_backend
from rmhil.errors import (
    ConfigError,
    DivergedError,
    NotFiniteError,
    OutOfRangeError,
    ShapeError,
    UnknownNameError,
)
from rmhil.ledger import Ledger
from rmhil.nn import SramBank, adapter_parameters, add_adapter, convert, freeze_adapter

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


class WithoutNumbers:
    """Cross-entropy, but NaN in some of the evaluations on samples of this number."""

    def __init__(self, samples: int, calls: set[int]) -> None:
        self.samples, self.calls, self.seen = samples, calls, 0

    def __call__(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        each = adapt.cross_entropy(outputs, y)
        if len(y) == self.samples:
            self.seen += 1
            return each * float("nan") if self.seen in self.calls else each
        return each


def test_an_evaluation_without_numbers_is_worse_than_any_other() -> None:
    model, held_out = network(), blobs(per_class=7, seed=1)
    loss = WithoutNumbers(len(held_out), calls={1, 4})
    history = adapt.train(model, blobs(), steps=60, lr=0.03, validation=held_out, evaluate_every=10, loss=loss)
    assert history.best_step == 60
    assert adapt.evaluate(model, blobs(seed=2)).accuracy == 1


@pytest.mark.parametrize("guard", [None, adapt.DivergenceGuard(), adapt.DivergenceGuard(then="stop")])
def test_a_training_that_cannot_choose_says_so(guard: adapt.DivergenceGuard | None) -> None:
    model, held_out = network(), blobs(per_class=7, seed=1)
    loss = WithoutNumbers(len(held_out), calls=set(range(99)))
    options: dict[str, Any] = {"steps": 5, "validation": held_out, "loss": loss, "guard": guard}
    if guard is not None and guard.then == "stop":
        assert "NaN in every evaluation" in adapt.train(model, blobs(), **options).reason
    else:
        with pytest.raises(DivergedError, match="NaN in every evaluation"):
            adapt.train(model, blobs(), **options)
    assert same(model, network())


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


@pytest.mark.parametrize("part", ["x", "y"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["data", "validation"])
def test_samples_that_are_not_finite_are_refused(part: str, value: float, where: str) -> None:
    fine = adapt.Data(torch.zeros(5, 6), torch.zeros(5, CLASSES))
    broken = adapt.Data(fine.x.clone(), fine.y.clone())
    getattr(broken, part)[3, 1] = value
    given: dict[str, Any] = {"data": fine, "validation": fine} | {where: broken}
    model = network()
    with pytest.raises(NotFiniteError, match=rf"{part} of {where} holds 1 value"):
        adapt.train(model, steps=2, loss=adapt.squared_error, **given)
    assert same(model, network())


@pytest.mark.parametrize("loss", [adapt.cross_entropy, adapt.squared_error])
@pytest.mark.parametrize("label", [CLASSES, -1, -100])
def test_a_class_that_the_model_has_no_output_for_is_refused(loss: Any, label: int) -> None:  # noqa: ANN401
    wrong = adapt.Data(blobs().x, torch.where(blobs().y == 2, label, blobs().y))
    message = f"class number {label}, but the model has 4 outputs"
    for train in (
        lambda: adapt.train(network(), wrong, steps=2, loss=loss),
        lambda: adapt.train(network(), blobs(), steps=2, loss=loss, validation=wrong),
        lambda: adapt.unlearn(network(), wrong, blobs(), "label-obfuscation", steps=2, loss=loss),
    ):
        with pytest.raises(ConfigError, match=message):
            train()


@pytest.mark.parametrize(
    ("name", "rule"), [("stop", adapt.Patience(2)), ("stop", [adapt.Patience(2)]), ("select", adapt.LowestLoss())]
)
@pytest.mark.parametrize("validation", [{}, {"validation": None}, {"validation": {}}])
def test_a_rule_without_validation_samples_is_refused(name: str, rule: Any, validation: dict[str, Any]) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=f"{name} judges validation samples"):
        adapt.train(network(), blobs(), steps=2, **{name: rule}, **validation)


@pytest.mark.parametrize(
    "rules",
    [{"stop": adapt.WhenForgotten(at_most=0.1)}, {"select": adapt.ForgottenThenKept(at_most=0.1)}],
    ids=["stop", "select"],
)
def test_outputs_of_a_teacher_are_never_taken_for_forgotten(rules: dict[str, Any]) -> None:
    groups = {name: (blobs().x, torch.rand(len(blobs()), CLASSES)) for name in ("forgotten", "kept", "validation")}
    with pytest.raises(ConfigError, match="'forgotten' has no accuracy"):
        adapt.train(network(), groups["kept"], steps=2, loss=adapt.squared_error, validation=groups, **rules)


def test_a_frozen_adapter_is_not_trained() -> None:
    model = network()
    add_adapter(model, "only", rank=2, alpha=4.0, bank=SramBank(4096), seed=0)
    freeze_adapter(model, "only")
    with pytest.raises(ConfigError, match="frozen"):
        adapt.train(model, blobs(), steps=2, adapter="only")
    with pytest.raises(ConfigError, match="nothing to train"):
        adapt.train(model, blobs(), steps=2)


def test_only_the_first_array_steps_drive_the_array() -> None:
    counts = {}
    for steps in (None, 0, 2):
        with open_backend("sim", seed=2, n_bl=16, n_sl=16) as backend:
            crossbar = Crossbar(backend)
            chip: Any = convert(nn.Sequential(nn.Linear(6, CLASSES, bias=False)), [crossbar], tolerance=4e-6)
            add_adapter(chip, "learnt", rank=2, alpha=4.0, bank=SramBank(4096))
            before = crossbar.ledger.counts
            adapt.train(
                chip, blobs(), steps=5, adapter="learnt", validation=blobs(seed=1), batch_size=8, array_steps=steps
            )
            counts[steps] = (crossbar.ledger.counts - before).mvms
    assert counts[0] == 0
    assert counts[2] == 2 * 8
    assert counts[None] == 5 * 8 + 6 * len(blobs())
    with pytest.raises(OutOfRangeError, match="array_steps = -1"):
        adapt.train(network(), blobs(), steps=1, array_steps=-1)
