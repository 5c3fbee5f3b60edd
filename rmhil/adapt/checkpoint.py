"""The file that a broken training goes on from: written whole or not at all, read without running code."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import nn

from rmhil.adapt.data import Data
from rmhil.adapt.objectives import Objective
from rmhil.adapt.options import Settings
from rmhil.errors import CheckpointError
from rmhil.whole_files import replacing, writing

FORMAT: Final = 3
"""Version of the layout; another one is refused."""


STATE: Final = ("history", "lowest", "good", "now", "optimizer", "batches", "generator")
"""What a file holds besides the fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a checkpoint must agree with, so that going on means the same as never having stopped.

    Attributes:
        format: version of the layout.
        parameters: names and shapes of what is trained.
        samples: a digest of inputs, targets and which of them are to be forgotten.
        validation: a digest of the validation samples of each group.
        objective: what is minimised, with its settings.
        select, stop, guard: as in `TrainOptions`, with their settings.
        steps, lr, optimizer, batch_size, evaluate_every, seed, array_steps: as in `TrainOptions`.
    """

    format: int
    parameters: dict[str, list[int]]
    samples: str
    validation: dict[str, str]
    objective: str
    select: str
    stop: str
    guard: str
    steps: int
    lr: float
    optimizer: str
    batch_size: int | None
    evaluate_every: int
    seed: int
    array_steps: int | None

    @classmethod
    def of(
        cls,
        parameters: Mapping[str, nn.Parameter],
        samples: Data,
        forget: torch.Tensor,
        objective: Objective,
        settings: Settings,
    ) -> Self:
        """The fingerprint of a training."""
        return cls(
            format=FORMAT,
            parameters={name: list(parameter.shape) for name, parameter in parameters.items()},
            samples=_digest(samples.x, samples.y, forget),
            validation={name: _digest(data.x, data.y) for name, data in settings.validation.items()},
            objective=f"{described(objective)}, loss {described(settings.loss)}",
            select=described(settings.select),
            stop=described(settings.stop),
            guard=described(settings.guard),
            steps=settings.steps,
            lr=settings.lr,
            optimizer=settings.optimizer,
            batch_size=settings.batch_size,
            evaluate_every=settings.evaluate_every,
            seed=settings.seed,
            array_steps=settings.array_steps,
        )


def write_checkpoint(path: Path, fingerprint: Fingerprint, state: Mapping[str, Any]) -> None:
    """Replace the file by the present state.

    Raises:
        CheckpointError: it cannot be written.
    """
    with writing(path, CheckpointError):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, CheckpointError) as unfinished:
        torch.save({"fingerprint": asdict(fingerprint), **state}, unfinished)


def read_checkpoint(path: Path, fingerprint: Fingerprint) -> dict[str, Any] | None:
    """The state in a file; None when there is no such file.

    Raises:
        CheckpointError: it is damaged, or of another training; the message says what differs.
    """
    if not path.is_file():
        return None
    try:
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        found = dict(content.pop("fingerprint"))
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
    missing = [name for name in STATE if name not in content]
    if missing:
        raise CheckpointError(f"{path} is not a whole checkpoint: it lacks {', '.join(missing)}")
    return content


def described(value: object) -> str:
    """A rule or function with its settings as text that is the same in every process, unlike the `repr` of a function.

    Objects of other classes than dataclasses are told apart by their `repr` where they have one of their own, else by
    the name of their class.
    """
    if is_dataclass(value) and not isinstance(value, type):
        settings = (f"{each.name}={described(getattr(value, each.name))}" for each in fields(value))
        return f"{type(value).__qualname__}({', '.join(settings)})"
    if isinstance(value, partial):
        named = [f"{name}={described(each)}" for name, each in value.keywords.items()]
        return f"partial({', '.join([described(value.func), *map(described, value.args), *named])})"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(described, value))})"
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return name
    return type(value).__qualname__ if type(value).__repr__ is object.__repr__ else repr(value)


def _digest(*tensors: torch.Tensor) -> str:
    """A short SHA-256 of values, types and shapes."""
    whole = hashlib.sha256()
    for each in tensors:
        whole.update(f"{each.dtype} {tuple(each.shape)}".encode())
        whole.update(each.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]
