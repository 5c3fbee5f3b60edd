"""The training loop that learning, unlearning, restoring and the full-reprogramming baseline share.

It does not ask whether the model is digital or on arrays; `array_steps` means nothing to a digital one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Unpack

import torch
from loguru import logger
from torch import nn

from rmhil.adapt.checkpoint import Fingerprint, read_checkpoint, write_checkpoint
from rmhil.adapt.data import Data, DataLike, as_data
from rmhil.adapt.evaluation import Evaluation, evaluate_groups
from rmhil.adapt.history import History
from rmhil.adapt.objectives import Fit, Objective
from rmhil.adapt.options import Settings, TrainOptions, settings_of
from rmhil.adapt.snapshot import Batches, Snapshot
from rmhil.errors import CheckpointError, ConfigError, DivergedError
from rmhil.ledger import Ledger
from rmhil.nn import adapter_parameters, off_the_arrays


def train(model: nn.Module, data: DataLike, **options: Unpack[TrainOptions]) -> History:
    """Train a model, or one of its adapters, on samples.

    With validation samples, the model ends as the best of its checkpoints, the start included. Parameters that
    are not trained require no gradients meanwhile. The model is trained in the mode (train or eval) it is in.

    Args:
        model: digital or on arrays; changed in place.
        data: what to fit.
        **options: see `TrainOptions`; `steps` or `epochs` is needed.

    Returns:
        What happened.

    Raises:
        ConfigError: an option is unknown, missing or contradicts another one; there is nothing to train.
        DivergedError: the guard rose, or no evaluation gave numbers to choose by; the last good state was restored.
        NotFiniteError: a sample holds NaN or infinity.
        CheckpointError: the checkpoint is damaged, or of another training.
    """
    samples = as_data("data", data)
    forget = torch.zeros(len(samples), dtype=torch.bool)
    settings = settings_of(options, len(samples))
    return run_training(model, samples, forget, Fit(settings.loss), settings, options)


def run_training(
    model: nn.Module,
    samples: Data,
    forget: torch.Tensor,
    objective: Objective,
    settings: Settings,
    options: TrainOptions,
) -> History:
    """Train with any objective; `forget` marks the samples to forget."""
    parameters = _parameters(model, options)
    ledger = options.get("ledger") or getattr(model, "ledger", None)
    with _only_trainable(model, parameters):
        loop = _Loop(model, samples, forget.to(samples.y.device), objective, settings, parameters, ledger)
        history = loop.run()
    logger.info("training: {}", history)
    return history


class _Loop:
    """One training: everything that changes while it goes on."""

    def __init__(
        self,
        model: nn.Module,
        samples: Data,
        forget: torch.Tensor,
        objective: Objective,
        settings: Settings,
        parameters: dict[str, nn.Parameter],
        ledger: Ledger | None,
    ) -> None:
        self.model, self.samples, self.forget = model, samples, forget
        self.objective, self.settings, self.ledger = objective, settings, ledger
        self.parameters = list(parameters.values())
        self.count = sum(parameter.numel() for parameter in self.parameters)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.batches = Batches(len(samples), settings.batch_size, self.generator)
        self.optimizer = settings.make_optimizer(self.parameters, settings.lr)
        self.history = History(parameters=self.count)
        self.lowest = math.inf
        self.good = Snapshot.of(model, self.parameters)
        self.fingerprint = (
            Fingerprint.of(parameters, samples, forget, objective, settings) if settings.checkpoint else None
        )

    def run(self) -> History:
        """Train to the end, from the checkpoint if there is one."""
        if not self._resume():
            self._evaluate()
        while not self.history.reason:
            self._step()
            self._after_step()
        if self.settings.validation:
            self.good.restore(self.model, self.parameters)
            self._check_chosen()
        return self.history

    def _step(self) -> None:
        chosen = self.batches.draw()
        y = self.samples.y[chosen]
        with self._computing(self.history.steps):
            outputs = self.model(self.samples.x[chosen])
        loss, watched = self.objective(outputs, y, self.forget[chosen], self.generator)
        value, seen = float(loss.detach()), None if watched is None else float(watched)
        problem = self.settings.guard and self.settings.guard.verdict(value, seen, self.lowest)
        if problem:
            self._diverged(problem)
            return
        self.lowest = min(self.lowest, math.inf if seen is None else seen)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        self.optimizer.step()
        self.history.losses.append(value)
        if self.ledger is not None:
            self.ledger.count_training(self.count, 1)

    def _after_step(self) -> None:
        settings, step = self.settings, self.history.steps
        last = step >= settings.steps
        if not self.history.reason:
            if step % settings.evaluate_every == 0 or last:
                self._evaluate()
            if not self.history.reason and last:
                self.history.reason = "all steps taken"
        if settings.checkpoint and (self.history.reason or step % settings.checkpoint_every == 0):
            self._write_checkpoint(settings)
        if settings.progress is not None:
            done = settings.steps if self.history.reason else step
            settings.progress(done, settings.steps, f"loss {self.history.losses[-1] if step else math.nan:.3f}")

    def _evaluate(self) -> None:
        history, settings = self.history, self.settings
        if not settings.validation:
            self.good = Snapshot.of(self.model, self.parameters)
            return
        with self._computing():
            now = evaluate_groups(self.model, settings.validation, settings.loss, history.steps)
        history.evaluations.append(now)
        best = None if history.best is None else self._rank(history.evaluations[history.best])
        if best is None or self._rank(now) > best:
            history.best = len(history.evaluations) - 1
            self.good = Snapshot.of(self.model, self.parameters)
        assert history.best is not None
        reasons = [rule(history.evaluations, history.best) for rule in settings.stop] if history.steps else []
        history.reason = next((reason for reason in reasons if reason), "")

    def _computing(self, step: int | None = None) -> AbstractContextManager[None]:
        """Where the model computes in a step (None: in an evaluation): on its arrays, or on the host."""
        on_arrays = self.settings.array_steps
        if on_arrays is None or (step is not None and step < on_arrays):
            return nullcontext()
        return off_the_arrays(self.model)

    def _rank(self, evaluation: Evaluation) -> tuple[float, ...]:
        """What the selection says; NaN, which compares with nothing, is worse than any number."""
        rank = self.settings.select.rank(evaluation)
        return () if any(map(math.isnan, rank)) else rank

    def _check_chosen(self) -> None:
        """Say so where no checkpoint could be chosen: the model is then the one that was given."""
        assert self.history.best is not None
        if self._rank(self.history.evaluations[self.history.best]):
            return
        problem = "the validation metrics were NaN in every evaluation"
        if self.settings.guard is None or self.settings.guard.then == "raise":
            raise DivergedError(f"training came to nothing: {problem}; the model is as it was given")
        logger.warning("training came to nothing: {}; the model is as it was given", problem)
        self.history.reason = f"{self.history.reason}; {problem}"

    def _diverged(self, problem: str) -> None:
        assert self.settings.guard is not None
        self.good.restore(self.model, self.parameters)
        message = f"training diverged at step {self.history.steps + 1}: {problem}"
        if self.settings.guard.then == "raise":
            raise DivergedError(f"{message}; the last good state was restored")
        logger.warning("{}; it ends here, with the last good state", message)
        self.history.reason = message

    def _resume(self) -> bool:
        path = self.settings.checkpoint
        state = None if path is None or self.fingerprint is None else read_checkpoint(path, self.fingerprint)
        if state is None:
            return False
        start = self.good
        try:
            self._go_on_from(state)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            start.restore(self.model, self.parameters)
            raise CheckpointError(f"{path} does not hold the state of a training: {error!r}") from error
        logger.info("resumed at step {} from {}", self.history.steps, path)
        return True

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        self.history = History.from_dict(state["history"])
        self.lowest = state["lowest"]
        self.good = Snapshot(**state["good"])
        Snapshot(**state["now"]).restore(self.model, self.parameters)
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.load_state(state["batches"])
        self.generator.set_state(state["generator"])

    def _write_checkpoint(self, settings: Settings) -> None:
        assert settings.checkpoint is not None
        assert self.fingerprint is not None
        state = {
            "history": self.history.to_dict(),
            "lowest": self.lowest,
            "good": self.good.to_dict(),
            "now": Snapshot.of(self.model, self.parameters).to_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state(),
            "generator": self.generator.get_state(),
        }
        write_checkpoint(settings.checkpoint, self.fingerprint, state)


def _parameters(model: nn.Module, options: TrainOptions) -> dict[str, nn.Parameter]:
    """What is trained, by name in the model (or by number, where the model has none for it)."""
    adapter, given = options.get("adapter"), options.get("parameters")
    if adapter is not None and given is not None:
        raise ConfigError("give an adapter or parameters, not both")
    if adapter is not None:
        given = adapter_parameters(model, adapter)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    if given is None:
        chosen = {name: each for name, each in model.named_parameters() if each.requires_grad}
    else:
        chosen = {names.get(id(each), f"parameter {number}"): each for number, each in enumerate(given)}
    frozen = [name for name, parameter in chosen.items() if not parameter.requires_grad]
    if frozen:
        raise ConfigError(f"frozen parameters cannot be trained: {', '.join(frozen)}")
    if not chosen:
        raise ConfigError("there is nothing to train: no parameter of the model requires gradients")
    return chosen


@contextmanager
def _only_trainable(model: nn.Module, parameters: dict[str, nn.Parameter]) -> Iterator[None]:
    """Let no other parameter require gradients meanwhile, and forget the gradients afterwards."""
    ours = {id(parameter) for parameter in parameters.values()}
    others = [each for each in model.parameters() if each.requires_grad and id(each) not in ours]
    for each in others:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in others:
            each.requires_grad_(True)
        for each in parameters.values():
            each.grad = None
