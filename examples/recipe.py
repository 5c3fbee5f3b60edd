"""Hyper-parameters of the main job: one recipe for the float model and for the array."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rmhil.adapt.replay import ReplaySelection
from rmhil.adapt.stages import Forgetting
from rmhil.units import Siemens


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One stage of training, with Adam.

    Attributes:
        steps: optimiser steps at most.
        lr: learning rate.
        batch_size: samples in a step.
        evaluate_every: steps from one look at the validation samples to the next.
    """

    steps: int
    lr: float = 0.01
    batch_size: int = 128
    evaluate_every: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The stages.

    Steps, learning rates, alpha, ranks and lambda are those of arXiv 2601.10037 (face). What differs: mini-batches
    instead of all samples in each step, which take a sixth of the time on an array and generalise no worse; every
    stage ends with the checkpoint that is best on validation samples; replay is bounded; adapters are stacked.

    Attributes:
        learn: the first classes, all weights.
        restore: after programming, an adapter.
        unlearn: forgetting, an adapter (or all weights, for full reprogramming).
        continual: learning the new class, likewise.
        restore_rank, unlearn_rank, continual_rank: of the adapters.
        alpha: scale of an adapter, not divided by its rank.
        forgetting: method.
        forget_weight: lambda of gradient ascent.
        forgotten_at_most: accuracy on validation samples of the forgotten class that counts as forgotten. Chance is
            1/6; none at all leaves a margin for samples not seen.
        settled: evaluations in a row that must say so before unlearning stops.
        replay: samples of kept classes that are remembered, all classes together.
        replay_selection: how they are chosen.
        sram_format, sram_capacity: of the bank that holds the adapters; bytes.
        tolerance: S, of write-verify.
        policy: of write-verify.
    """

    learn: Schedule = field(default_factory=lambda: Schedule(steps=300))
    restore: Schedule = field(default_factory=lambda: Schedule(steps=40))
    unlearn: Schedule = field(default_factory=lambda: Schedule(steps=16, evaluate_every=1))
    continual: Schedule = field(default_factory=lambda: Schedule(steps=100))
    restore_rank: int = 8
    unlearn_rank: int = 6
    continual_rank: int = 8
    alpha: float = 4.0
    forgetting: Forgetting = "gradient-ascent"
    forget_weight: float = 0.5
    forgotten_at_most: float = 0.0
    settled: int = 4
    replay: int = 200
    replay_selection: ReplaySelection = "random"
    sram_format: Literal["float32", "float16", "bfloat16", "int8"] = "float32"
    sram_capacity: int = 64 * 1024
    tolerance: Siemens = 1e-6
    policy: Literal["adaptive", "incremental"] = "adaptive"
