"""The stages of an adaptation: forget a class, learn a new one, restore what programming cost.

Each works the same on a digital model, on a model on arrays, on one adapter (`adapter=...`) and on all weights: full
reprogramming is one of these on a digital copy, followed by `rmhil.nn.reprogram`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, Unpack

import torch
from torch import nn

from rmhil.adapt.data import Data, DataLike, as_data
from rmhil.adapt.evaluation import outputs_of
from rmhil.adapt.history import History
from rmhil.adapt.objectives import forgetting_objective, squared_error
from rmhil.adapt.options import TrainOptions, settings_of
from rmhil.adapt.replay import ReplayBuffer
from rmhil.adapt.training import run_training, train

Forgetting: TypeAlias = Literal["gradient-ascent", "label-obfuscation"]

STEPS = {"unlearn": 16, "learn": 100, "restore": 40}
"""Optimiser steps of each stage unless told otherwise; the first two are those of arXiv 2601.10037 (face)."""


def unlearn(
    model: nn.Module,
    forget: DataLike,
    retain: DataLike,
    method: Forgetting = "gradient-ascent",
    forget_weight: float = 0.5,
    **options: Unpack[TrainOptions],
) -> History:
    """Make a model forget some samples and keep others.

    Forgetting that lives in an adapter is not erasure: with the adapter off, the model remembers.

    Args:
        model: digital or on arrays; changed in place.
        forget: samples to forget.
        retain: samples to keep.
        method: `gradient-ascent` (eq. 6 of arXiv 2601.10037) or `label-obfuscation` (eq. 7: a fresh random wrong
            class for each sample to forget, in every step).
        forget_weight: lambda of eq. 6.
        **options: see `TrainOptions`; 16 steps unless told otherwise.

    Returns:
        What happened.

    Raises: as `train`.
    """
    out, keep = as_data("forget", forget), as_data("retain", retain)
    mark = torch.cat((torch.ones(len(out), dtype=torch.bool), torch.zeros(len(keep), dtype=torch.bool)))
    settings = settings_of(_with_steps(options, "unlearn"), len(mark))
    objective = forgetting_objective(method, forget_weight, settings.loss)
    return run_training(model, out + keep, mark, objective, settings, options)


def learn(
    model: nn.Module, new: DataLike, replay: ReplayBuffer | DataLike | None = None, **options: Unpack[TrainOptions]
) -> History:
    """Teach a model new samples, beside a bounded number of old ones.

    Args:
        model: digital or on arrays; changed in place.
        new: samples to learn.
        replay: old samples that are learnt along; None for none.
        **options: see `TrainOptions`; 100 steps unless told otherwise.

    Returns:
        What happened.

    Raises: as `train`.
    """
    samples = as_data("new", new)
    if replay is not None:
        samples = samples + (replay.data if isinstance(replay, ReplayBuffer) else as_data("replay", replay))
    return train(model, samples, **_with_steps(options, "learn"))


def restore(
    model: nn.Module,
    data: DataLike,
    teacher: nn.Module | None = None,
    **options: Unpack[TrainOptions],
) -> History:
    """Win back what programming cost: after `nn.convert`, usually with an adapter of its own.

    Args:
        model: on arrays; changed in place.
        data: samples of what it should do.
        teacher: the model it was programmed from: its outputs are then what is learnt, by their mean squared error,
            and the targets of `data` are not looked at. None learns the targets.
        **options: see `TrainOptions`; 40 steps unless told otherwise. With a teacher, `loss` is the squared error, and
            validation samples are compared with the teacher as well.

    Returns:
        What happened.

    Raises: as `train`.
    """
    options = _with_steps(options, "restore")
    if teacher is None:
        return train(model, data, **options)
    options["loss"] = squared_error
    validation = options.get("validation")
    if isinstance(validation, Mapping):
        options["validation"] = {name: _taught(teacher, each) for name, each in validation.items()}
    elif validation is not None:
        options["validation"] = _taught(teacher, validation)
    return train(model, _taught(teacher, data), **options)


def _taught(teacher: nn.Module, given: DataLike) -> Data:
    x = as_data("data", given).x
    return Data(x, outputs_of(teacher, x))


def _with_steps(options: TrainOptions, stage: str) -> TrainOptions:
    """The options, with the usual number of steps where none was given."""
    if options.get("steps") is None and options.get("epochs") is None:
        return {**options, "steps": STEPS[stage]}
    return options
