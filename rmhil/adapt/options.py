"""The options that all trainings share, and what they come to once checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

import torch
from torch import nn

from rmhil.adapt.data import Data, DataLike, as_data
from rmhil.adapt.objectives import SampleLoss, cross_entropy
from rmhil.adapt.rules import VALIDATION, DivergenceGuard, LowestLoss, Selection, StopRule
from rmhil.checks import whole_number
from rmhil.errors import ConfigError, OutOfRangeError, UnknownNameError
from rmhil.ledger import Ledger
from rmhil.program_report import Progress

Validation: TypeAlias = DataLike | Mapping[str, DataLike]
"""Validation samples, in named groups where a rule asks for groups; unnamed ones are the group `validation`."""

OptimizerFactory: TypeAlias = Callable[[list[nn.Parameter], float], torch.optim.Optimizer]

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr),
    "adamw": lambda parameters, lr: torch.optim.AdamW(parameters, lr),
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
}
"""Optimisers by name, with torch's defaults; `sgd` has a momentum of 0.9."""


class TrainOptions(TypedDict, total=False):
    """Keyword arguments of `train`, `learn`, `unlearn` and `restore`.

    Attributes:
        steps: optimiser steps. Give this or `epochs`.
        epochs: passes over the samples.
        lr: learning rate.
        optimizer: `adam`, `adamw`, `sgd`, or a function of parameters and learning rate.
        batch_size: samples in a step, drawn without repeats until all were seen; None means all of them.
        loss: of each sample; cross-entropy unless told otherwise.
        adapter: name of the adapter to train, and nothing else.
        parameters: what to train; None means everything that requires gradients.
        validation: samples for selection and stopping; `select` and `stop` need them.
        select: which checkpoint is kept at the end; the lowest loss of the group `validation` unless told otherwise.
        stop: rules, any of which ends the training.
        evaluate_every: steps from one evaluation to the next.
        guard: against divergence; None for none.
        checkpoint: file to resume from and to write to.
        checkpoint_every: steps from one writing to the next.
        seed: of batches and of all other random choices of the training.
        progress: told how many steps are done.
        ledger: where steps are counted; the model's own (`model.ledger`) unless told otherwise.
        array_steps: optimiser steps, the first ones, that drive the arrays; all others and all evaluations compute with
            the measured weights on the host, which is what an instrument has time for. None drives them always.
    """

    steps: int | None
    epochs: int | None
    lr: float
    optimizer: Literal["adam", "adamw", "sgd"] | OptimizerFactory
    batch_size: int | None
    loss: SampleLoss
    adapter: str | None
    parameters: Sequence[nn.Parameter] | None
    validation: Validation | None
    select: Selection | None
    stop: StopRule | Sequence[StopRule]
    evaluate_every: int
    guard: DivergenceGuard | None
    checkpoint: str | Path | None
    checkpoint_every: int
    seed: int
    progress: Progress | None
    ledger: Ledger | None
    array_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked options of one training on a known number of samples; attributes as in `TrainOptions`."""

    steps: int
    lr: float
    optimizer: str
    make_optimizer: OptimizerFactory
    batch_size: int | None
    loss: SampleLoss
    validation: Mapping[str, Data]
    select: Selection
    stop: tuple[StopRule, ...]
    evaluate_every: int
    guard: DivergenceGuard | None
    checkpoint: Path | None
    checkpoint_every: int
    seed: int
    progress: Progress | None
    array_steps: int | None


def settings_of(options: TrainOptions, samples: int) -> Settings:
    """Check the options of a training.

    Raises:
        ConfigError: `steps` and `epochs` were both given, or neither; `select` or `stop` without `validation`.
        UnknownNameError: no such option or optimiser.
        OutOfRangeError, ShapeError, NotFiniteError: a value is not usable.
    """
    for key in options:
        if key not in TrainOptions.__annotations__:
            raise UnknownNameError("option", key, list(TrainOptions.__annotations__))
    batch_size = options.get("batch_size")
    lr = options.get("lr", 0.01)
    if batch_size is not None:
        whole_number("batch_size", batch_size)
    if not 0 < lr < math.inf:
        raise OutOfRangeError("lr", lr, 0, math.inf, "", above=True)
    for name in ("evaluate_every", "checkpoint_every"):
        whole_number(name, options.get(name, 1))
    name, factory = _optimizer(options.get("optimizer", "adam"))
    select, stop = options.get("select"), options.get("stop", ())
    rules = tuple(stop) if isinstance(stop, Sequence) else (stop,)
    validation = _groups(options.get("validation"))
    if not validation and (select or rules):
        raise ConfigError(f"{'select' if select else 'stop'} judges validation samples; give validation too")
    checkpoint, array_steps = options.get("checkpoint"), options.get("array_steps")
    if array_steps is not None:
        whole_number("array_steps", array_steps, least=0)
    return Settings(
        steps=_steps(options.get("steps"), options.get("epochs"), samples, batch_size),
        lr=lr,
        optimizer=name,
        make_optimizer=factory,
        batch_size=None if batch_size is None or batch_size >= samples else batch_size,
        loss=options.get("loss", cross_entropy),
        validation=validation,
        select=select or LowestLoss(),
        stop=rules,
        evaluate_every=options.get("evaluate_every", 1),
        guard=options.get("guard", DivergenceGuard()),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        checkpoint_every=options.get("checkpoint_every", 10),
        seed=options.get("seed", 0),
        progress=options.get("progress"),
        array_steps=array_steps,
    )


def _steps(steps: int | None, epochs: int | None, samples: int, batch_size: int | None) -> int:
    if (steps is None) == (epochs is None):
        raise ConfigError("give either steps or epochs")
    if steps is not None:
        return whole_number("steps", steps)
    assert epochs is not None
    return whole_number("epochs", epochs) * (1 if batch_size is None else math.ceil(samples / batch_size))


def _optimizer(given: str | OptimizerFactory) -> tuple[str, OptimizerFactory]:
    if not isinstance(given, str):
        return getattr(given, "__qualname__", type(given).__name__), given
    if given not in OPTIMIZERS:
        raise UnknownNameError("optimizer", given, list(OPTIMIZERS))
    return given, OPTIMIZERS[given]


def _groups(given: Validation | None) -> dict[str, Data]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {name: as_data(name, data) for name, data in given.items()}
    return {VALIDATION: as_data(VALIDATION, given)}
