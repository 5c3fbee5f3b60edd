"""A workload loaded for one seed: samples, network and recipe of a main job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from rmhil.adapt import Data

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
        shown: samples for pictures of the embedding: further views of the test samples, if there are any.
        make_network: an untrained network; its weights come from torch's generator.
        seed: of everything random.
        recipe: how the stages are done.
    """

    workload: str
    class_names: Sequence[str]
    train: Data
    validation: Data
    test: Data
    shown: Data
    make_network: Callable[[], Mixer]
    seed: int
    recipe: Recipe = field(default_factory=Recipe)

    def model(self) -> Mixer:
        """A new, untrained network; its initial weights depend on the seed only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.make_network()
