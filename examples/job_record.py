"""What a main job measured, and the form in which it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rmhil.adapt import History
from rmhil.ledger import Counts, Ledger

from .task import FIRST, FORGET, KEPT, NEW, StagedTask

Stage: TypeAlias = Literal["learn", "unlearn", "continual"]

STAGES: Final[tuple[Stage, ...]] = ("learn", "unlearn", "continual")

FLOAT: Final = "digital float"
BARE: Final = "array before LoRA"
ADAPTERS: Final = "RM-DLoRA"
UNRESTORED: Final = "RM-DLoRA without restore"
REWRITE: Final = "full rewrite"
SKIP: Final = "full skip"

KNOWN: Final[Mapping[Stage, tuple[int, ...]]] = {"learn": FIRST, "unlearn": KEPT, "continual": (*KEPT, NEW)}
"""Classes that a network should know after each stage."""


@dataclass(slots=True)
class JobRecord:
    """Measurements of one main job.

    Attributes:
        task: what it was about.
        predictions: method -> stage -> predicted class of each test sample.
        counts: `<method>/<stage>` and `<method>/<stage>/inference` -> what was counted.
        histories: `<method>/<stage>` -> course of a training; `<method>/restore` too.
        seconds: what -> s on the host.
        embeddings: stage -> features of `task.shown`.
        parameters: what was trained, as counts.
        programming: name -> one line about a programming.
        pulses_after_deployment: RM pulses while adapters were trained and used.
    """

    task: StagedTask
    predictions: dict[str, dict[Stage, NDArray[np.int64]]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    embeddings: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    programming: dict[str, str] = field(default_factory=dict)
    pulses_after_deployment: int | None = None

    @contextmanager
    def counted(self, key: str, *ledgers: Ledger) -> Iterator[None]:
        """Count and time what happens meanwhile under a key, on top of what stands there."""
        before, start = [ledger.counts for ledger in ledgers], perf_counter()
        try:
            yield
        finally:
            self.seconds[key] = self.seconds.get(key, 0.0) + perf_counter() - start
            for ledger, counts in zip(ledgers, before, strict=True):
                self.counts[key] = self.counts.get(key, Counts()) + (ledger.counts - counts)

    @property
    def methods(self) -> list[str]:
        """In the order of tables."""
        return [name for name in (FLOAT, BARE, UNRESTORED, ADAPTERS, REWRITE, SKIP) if name in self.predictions]

    def accuracy(self, method: str, stage: Stage) -> dict[str, Any]:
        """Accuracies of a method after a stage on test samples, 0 to 1: of groups and of classes."""
        predicted = self.predictions[method][stage]
        y = self.task.test.y.numpy()

        def share(classes: Sequence[int]) -> float:
            chosen = np.isin(y, classes)
            return float(np.mean(predicted[chosen] == y[chosen]))

        return {
            "kept": share(KEPT),
            "forgotten": share([FORGET]),
            "new": share([NEW]) if stage == "continual" else None,
            "overall": share(KNOWN[stage]),
            "per_class": {name: share([number]) for number, name in enumerate(self.task.class_names)},
        }

    def results(self) -> dict[str, Any]:
        """Everything but arrays, as plain data (the `results.json` of a run)."""
        return {
            "workload": self.task.workload,
            "stages": list(STAGES),
            "methods": self.methods,
            "class_names": list(self.task.class_names),
            "accuracy": {
                method: {stage: self.accuracy(method, stage) for stage in self.predictions[method]}
                for method in self.methods
            },
            "test_samples": len(self.task.test),
            "counts": {key: counts.to_dict() for key, counts in self.counts.items()},
            "parameters": self.parameters,
            "programming": self.programming,
            "pulses_after_deployment": self.pulses_after_deployment,
            "seconds": {key: round(seconds, 3) for key, seconds in self.seconds.items()},
            "trainings": {
                key: {"steps": each.steps, "best_step": each.best_step, "reason": each.reason}
                for key, each in self.histories.items()
            },
        }
