"""The file that a broken training goes on from: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import nn

from rmhil.adapt.objectives import Objective
from rmhil.adapt.options import Settings
from rmhil.errors import CheckpointError

FORMAT: Final = 1
"""Version of the layout; another one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a checkpoint must agree with, so that going on means the same as never having stopped.

    Attributes:
        format: version of the layout.
        parameters: names and shapes of what is trained.
        samples: how many there are.
        objective: what is minimised.
        steps, lr, optimizer, batch_size, evaluate_every, seed: as in `TrainOptions`.
    """

    format: int
    parameters: dict[str, list[int]]
    samples: int
    objective: str
    steps: int
    lr: float
    optimizer: str
    batch_size: int | None
    evaluate_every: int
    seed: int

    @classmethod
    def of(cls, parameters: Mapping[str, nn.Parameter], samples: int, objective: Objective, settings: Settings) -> Self:
        """The fingerprint of a training."""
        return cls(
            format=FORMAT,
            parameters={name: list(parameter.shape) for name, parameter in parameters.items()},
            samples=samples,
            objective=f"{type(objective).__name__} of {_name(settings.loss)}",
            steps=settings.steps,
            lr=settings.lr,
            optimizer=settings.optimizer,
            batch_size=settings.batch_size,
            evaluate_every=settings.evaluate_every,
            seed=settings.seed,
        )


def write_checkpoint(path: Path, fingerprint: Fingerprint, state: Mapping[str, Any]) -> None:
    """Replace the file by the present state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save({"fingerprint": asdict(fingerprint), **state}, unfinished)
    unfinished.replace(path)


def read_checkpoint(path: Path, fingerprint: Fingerprint) -> dict[str, Any] | None:
    """The state in a file; None when there is no such file.

    Raises:
        CheckpointError: it is damaged, or of another training; the message says what differs.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content.pop("fingerprint")
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    wanted = asdict(fingerprint)
    different = [name for name, value in wanted.items() if found.get(name) != value]
    if different:
        listed = "; ".join(f"{name} {found.get(name)!r}, now {wanted[name]!r}" for name in different)
        raise CheckpointError(f"{path} belongs to another training: {listed}")
    return dict(content)


def _name(loss: object) -> str:
    return str(getattr(loss, "__qualname__", type(loss).__name__))
