"""A workload loaded for one seed: samples, network and recipe of a main job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from rmhil.adapt import Data
from rmhil.errors import OutOfRangeError

from .mixer import Mixer
from .recipe import Recipe

CLASSES = 6
"""Outputs of the network: five classes learnt first, one learnt later (arXiv 2601.10037)."""

FIRST, FORGET, NEW = (0, 1, 2, 3, 4), 2, 5
"""Classes that are learnt first, the one to forget, the one learnt last (arXiv 2601.10037)."""

KEPT = tuple(each for each in FIRST if each != FORGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedTask:
    """Samples, network and recipe of learn, unlearn and learn on.

    No photograph (or digit) has views in two of `train`, `validation` and `test`.

    Attributes:
        workload: name.
        class_names: by output.
        train, validation, test: samples of all classes.
        test_names: what each test sample is, e.g. which photograph; the same for every seed.
        shown: samples for pictures of the embedding: further views of the test samples, if there are any.
        make_network: an untrained network; its weights come from torch's generator.
        seed: of everything random.
        options: that it was loaded with, beside the seed.
        recipe: how the stages are done.
    """

    workload: str
    class_names: Sequence[str]
    train: Data
    validation: Data
    test: Data
    test_names: Sequence[str]
    shown: Data
    make_network: Callable[[], Mixer]
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)

    def with_pictures(self, count: int) -> StagedTask:
        """The same task with fewer test samples, and as many to be shown: nearly the same number of each class.

        Args:
            count: samples, at least one a class; more than there are means all.

        Raises:
            OutOfRangeError: fewer than there are classes.
        """
        if count < CLASSES:
            raise OutOfRangeError("pictures", count, CLASSES, len(self.test), "")
        test, shown = _evenly(self.test.y, count), _evenly(self.shown.y, count)
        names = [self.test_names[number] for number in test.tolist()]
        return replace(self, test=self.test[test], test_names=names, shown=self.shown[shown])

    def model(self) -> Mixer:
        """A new, untrained network; its initial weights depend on the seed only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.make_network()


def _evenly(y: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of so many samples, dealt to the classes in turn, in their order."""
    turns = torch.zeros_like(y)
    for each in range(CLASSES):
        own = (y == each).nonzero()[:, 0]
        turns[own] = torch.arange(len(own))
    dealt: torch.Tensor = (turns * CLASSES + y).argsort()[:count].sort().values
    return dealt
