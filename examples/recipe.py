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
        evaluate_every: steps from one look at the validation samples to the next; the best checkpoint is kept. None
            keeps the last step.
    """

    steps: int
    lr: float = 0.01
    batch_size: int = 128
    evaluate_every: int | None = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The stages.

    Learning rates of adapters, alpha, ranks and lambda are those of arXiv 2601.10037 (face). What differs, and why:

    - mini-batches instead of all samples in each step: an eighth of the work, and no worse on photographs not seen;
    - learning and unlearning end with the checkpoint that is best on validation samples, and unlearning stops there;
    - learning on takes a fixed number of steps, 60 instead of 100: one validation photograph a person says too
      little to choose among checkpoints that differ by a photograph or two;
    - replay is bounded, and adapters are stacked: the forgetting one stays on;
    - full reprogramming forgets by gradient ascent too, with a smaller learning rate: steps of 0.01 on all weights
      destroy what is to be kept (70 % instead of 93 % on kept people).

    Attributes:
        learn: the first classes, all weights.
        restore: after programming, an adapter.
        unlearn: forgetting, an adapter.
        continual: learning the new class, an adapter.
        unlearn_all, continual_all: the same with all weights, for full reprogramming.
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
    restore: Schedule = field(default_factory=lambda: Schedule(steps=40, evaluate_every=10))
    unlearn: Schedule = field(default_factory=lambda: Schedule(steps=16, evaluate_every=1))
    continual: Schedule = field(default_factory=lambda: Schedule(steps=60, evaluate_every=None))
    unlearn_all: Schedule = field(default_factory=lambda: Schedule(steps=16, lr=0.002, evaluate_every=1))
    continual_all: Schedule = field(default_factory=lambda: Schedule(steps=60, lr=0.002, evaluate_every=None))
    restore_rank: int = 8
    unlearn_rank: int = 6
    continual_rank: int = 8
    alpha: float = 4.0
    forgetting: Forgetting = "gradient-ascent"
    forget_weight: float = 0.5
    forgotten_at_most: float = 0.0
    settled: int = 6
    replay: int = 200
    replay_selection: ReplaySelection = "random"
    sram_format: Literal["float32", "float16", "bfloat16", "int8"] = "float32"
    sram_capacity: int = 64 * 1024
    tolerance: Siemens = 1e-6
    policy: Literal["adaptive", "incremental"] = "adaptive"
