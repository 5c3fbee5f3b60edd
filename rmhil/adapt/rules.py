"""Rules of a training: which checkpoint is kept, when to stop, and when it has gone wrong.

Selection and stopping see validation metrics only; test samples are no business of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rmhil.adapt.evaluation import Evaluation
from rmhil.errors import OutOfRangeError

VALIDATION = "validation"
"""Group that unnamed validation samples belong to."""

KEPT, FORGOTTEN = "kept", "forgotten"
"""Groups of what a network shall keep, and shall forget."""


class Selection(Protocol):
    """Ranks checkpoints; the first of the best is kept."""

    def rank(self, evaluation: Evaluation) -> tuple[float, ...]:
        """Larger is better; compared element by element."""


@dataclass(frozen=True, slots=True)
class LowestLoss:
    """Keep the checkpoint of the lowest loss on one group."""

    group: str = VALIDATION

    def rank(self, evaluation: Evaluation) -> tuple[float, ...]:
        """Minus the loss."""
        return (-evaluation.of(self.group).loss,)


@dataclass(frozen=True, slots=True)
class ForgottenThenKept:
    """Keep the checkpoint that has forgotten, and among those the one that keeps best.

    While none has forgotten, the one that remembers least is kept.

    Attributes:
        at_most: accuracy on the forgotten group that counts as forgotten, e.g. chance.
        forgotten, kept: names of the groups.
    """

    at_most: float
    forgotten: str = FORGOTTEN
    kept: str = KEPT

    def __post_init__(self) -> None:
        _check_share("at_most", self.at_most)

    def rank(self, evaluation: Evaluation) -> tuple[float, ...]:
        """Has it forgotten; if not, minus what it remembers; then minus the loss on what is kept."""
        remembered = evaluation.accuracy(self.forgotten)
        done = remembered <= self.at_most
        return (float(done), 0.0 if done else -remembered, -evaluation.of(self.kept).loss)


class StopRule(Protocol):
    """Says after each evaluation whether to stop."""

    def __call__(self, evaluations: Sequence[Evaluation], best: int) -> str | None:
        """The reason to stop, or None.

        Args:
            evaluations: all so far, oldest first.
            best: index of the one that the selection keeps.
        """


@dataclass(frozen=True, slots=True)
class Patience:
    """Stop when so many evaluations in a row were no better than the best one."""

    evaluations: int

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise OutOfRangeError("evaluations", self.evaluations, 1, math.inf, "")

    def __call__(self, evaluations: Sequence[Evaluation], best: int) -> str | None:
        """The reason to stop, or None."""
        since = len(evaluations) - 1 - best
        return f"no better for {since} evaluations" if since >= self.evaluations else None


@dataclass(frozen=True, slots=True)
class WhenForgotten:
    """Stop as soon as the network has forgotten enough and kept enough.

    Attributes:
        at_most: accuracy on the forgotten group, e.g. chance.
        kept_at_least: accuracy on the kept group.
        in_a_row: evaluations in a row for which this must hold.
        forgotten, kept: names of the groups.
    """

    at_most: float
    kept_at_least: float = 0.0
    in_a_row: int = 1
    forgotten: str = FORGOTTEN
    kept: str = KEPT

    def __post_init__(self) -> None:
        _check_share("at_most", self.at_most)
        _check_share("kept_at_least", self.kept_at_least)
        if self.in_a_row < 1:
            raise OutOfRangeError("in_a_row", self.in_a_row, 1, math.inf, "")

    def __call__(self, evaluations: Sequence[Evaluation], best: int) -> str | None:
        """The reason to stop, or None."""
        recent = evaluations[-self.in_a_row :]
        if len(recent) < self.in_a_row or not all(self._holds(each) for each in recent):
            return None
        last = recent[-1]
        return f"forgotten: {last.accuracy(self.forgotten):.1%}, kept: {last.accuracy(self.kept):.1%}"

    def _holds(self, evaluation: Evaluation) -> bool:
        return (
            evaluation.accuracy(self.forgotten) <= self.at_most and evaluation.accuracy(self.kept) >= self.kept_at_least
        )


@dataclass(frozen=True, slots=True)
class DivergenceGuard:
    """Notices a training that runs away; the last good state is then restored.

    What is watched is the loss of a batch on the samples that are *not* to be forgotten: the objective itself
    falls without bound under gradient ascent.

    Attributes:
        factor: diverged when the watched loss exceeds this times the lowest so far (no unit; estimate, range 3
            to 100).
        floor: a lowest loss below this counts as this, in units of the loss, so that batches of a nearly
            perfect network raise no alarm (estimate, range 0.1 to 1 for cross-entropy in nats).
        then: `raise` a `DivergedError`, or `stop` and go on with the last good state.
    """

    factor: float = 10.0
    floor: float = 0.5
    then: Literal["raise", "stop"] = "raise"

    def __post_init__(self) -> None:
        if not 1 < self.factor < math.inf:
            raise OutOfRangeError("factor", self.factor, 1, math.inf, "", above=True)
        if not 0 < self.floor < math.inf:
            raise OutOfRangeError("floor", self.floor, 0, math.inf, "", above=True)

    def verdict(self, loss: float, watched: float | None, lowest: float) -> str | None:
        """Why a step has diverged, or None.

        Args:
            loss: the objective of the step.
            watched: its watched loss; None where the batch had nothing to watch.
            lowest: lowest watched loss of the steps before; infinite at first.
        """
        if not math.isfinite(loss) or (watched is not None and not math.isfinite(watched)):
            return f"loss {loss:g} is not finite"
        limit = self.factor * max(lowest, self.floor)
        if watched is not None and watched > limit:
            return f"loss {watched:.3g} on samples to keep, limit {limit:.3g}"
        return None


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OutOfRangeError(name, value, 0, 1, "")
