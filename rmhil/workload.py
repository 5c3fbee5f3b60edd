"""Workloads: a network with its data, found by name in the entry point group `rmhil.workloads`.

A workload is an object that is cheap to import; data and network are made by `load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from rmhil.errors import UnknownNameError

if TYPE_CHECKING:
    import torch

GROUP = "rmhil.workloads"


class Samples(Protocol):
    """Inputs and their classes.

    Attributes:
        x: inputs, samples first.
        y: int64 class numbers, one a sample.
    """

    @property
    def x(self) -> torch.Tensor:
        """Inputs, samples first."""

    @property
    def y(self) -> torch.Tensor:
        """int64 class numbers, one a sample."""


class Task(Protocol):
    """A workload loaded for one seed: its network and its data."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes, in the order of the network's outputs."""

    @property
    def train(self) -> Samples:
        """Samples of every class to learn from."""

    @property
    def test(self) -> Samples:
        """Samples of every class that no training and no selection has seen."""

    def model(self) -> torch.nn.Module:
        """A new, untrained network; its initial weights depend on the seed only."""


class Workload(Protocol):
    """What an entry point of the group `rmhil.workloads` names."""

    @property
    def name(self) -> str:
        """Short name, as typed on the command line."""

    @property
    def title(self) -> str:
        """One line that says what it is."""

    def load(self, seed: int, **options: Any) -> Task:  # noqa: ANN401
        """Load the data, split it and fix every random choice by the seed.

        Raises:
            DataMissingError: the data set is not on this machine; the message says where it was looked for.
            ConfigError: an option is unknown or out of range.
        """


def workload_names() -> list[str]:
    """Names of the installed workloads, in alphabetical order."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find_workload(name: str) -> Workload:
    """The workload of that name.

    Raises:
        UnknownNameError: no such workload; the message lists what is installed.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UnknownNameError("workload", name, list(found))
    return cast("Workload", found[name].load())
