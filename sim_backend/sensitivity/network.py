"""The network of a workload, trained in floating point."""

from __future__ import annotations

from typing import Final

import torch

from rmhil.adapt import Data, learn
from rmhil.crossbar import Crossbar
from rmhil.line_solver import one_thread
from rmhil.nn.convert import placed
from rmhil.program_report import Progress
from rmhil.workload import Task, find_workload
from sim_backend.backend import SimBackend
from sim_backend.config import SimConfig

STEPS: Final = 300
"""Optimiser steps of Adam, as in the first stage of arXiv 2601.10037 (face)."""

BATCH: Final = 128
"""Samples in a step."""

RATE: Final = 0.01
"""Learning rate (arXiv 2601.10037, face)."""


def load(workload: str, seed: int) -> Task:
    """The workload's network and data.

    Raises:
        UnknownNameError: no such workload.
        DataMissingError: its data are not on this machine.
    """
    return find_workload(workload).load(seed)


def check_fits(task: Task, config: SimConfig) -> None:
    """Refuse a network that the arrays do not hold before it is trained; nothing is driven.

    Raises:
        PlacementError: it does not fit; the message says what is missing.
    """
    with SimBackend(config) as backend:
        placed(task.model(), [Crossbar(backend)])


def trained(task: Task, seed: int, progress: Progress | None = None) -> torch.nn.Module:
    """The task's network, taught all classes."""
    model = task.model()
    with one_thread():
        learn(model, (task.train.x, task.train.y), steps=STEPS, batch_size=BATCH, lr=RATE, seed=seed, progress=progress)
    return model


def test_samples(task: Task, samples: int) -> Data:
    """At most so many test samples: evenly over all of them in the order of their classes.

    So each class has its share, however the test set is sorted, and none is left out that has one sample in
    `len(test) / samples` or more.
    """
    test = Data(task.test.x, task.test.y)
    count = min(samples, len(test))
    by_class = torch.argsort(test.y, stable=True)
    return test[by_class[torch.arange(count) * len(test) // count]]
