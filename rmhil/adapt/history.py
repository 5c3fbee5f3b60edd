"""What happened in a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rmhil.adapt.evaluation import Evaluation


@dataclass(slots=True)
class History:
    """The course of a training.

    Attributes:
        losses: objective of each optimiser step, in order.
        evaluations: validation metrics, oldest first; step 0 is the model as it was given.
        best: index in `evaluations` of the checkpoint that was kept; None without validation.
        reason: why it ended.
        parameters: values that each step trained.
    """

    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    best: int | None = None
    reason: str = ""
    parameters: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps taken."""
        return len(self.losses)

    @property
    def best_step(self) -> int:
        """Steps that led to what the model holds now: those of the checkpoint that was kept, or all."""
        return self.steps if self.best is None else self.evaluations[self.best].step

    def __str__(self) -> str:
        kept = "" if self.best is None else f", step {self.best_step} kept"
        return f"{self.steps} steps on {self.parameters:,} parameters{kept}: {self.reason}"

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "steps": self.steps,
            "best_step": self.best_step,
            "best": self.best,
            "parameters": self.parameters,
            "reason": self.reason,
            "losses": list(self.losses),
            "evaluations": [evaluation.to_dict() for evaluation in self.evaluations],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The history that `to_dict` wrote."""
        return cls(
            losses=list(data["losses"]),
            evaluations=[Evaluation.from_dict(each) for each in data["evaluations"]],
            best=data["best"],
            reason=data["reason"],
            parameters=data["parameters"],
        )
