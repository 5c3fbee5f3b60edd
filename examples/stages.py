"""The stages of the main job, the same for the float model, for arrays and for all weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from torch import nn

from rmhil import adapt
from rmhil.adapt.options import Validation
from rmhil.ledger import Ledger
from rmhil.program_report import Progress

from .mixer import Mixer
from .recipe import Schedule
from .task import FIRST, FORGET, KEPT, NEW, StagedTask

Bars: TypeAlias = Callable[[str], AbstractContextManager[Progress]]
"""Makes a progress bar with a title."""


@contextmanager
def no_bar(title: str) -> Iterator[Progress]:
    """A bar that shows nothing."""
    yield lambda done, total, text: None


class _Options(TypedDict):
    """Those of the options of a training that a schedule fixes."""

    steps: int
    lr: float
    batch_size: int
    seed: int
    progress: Progress
    guard: adapt.DivergenceGuard
    array_steps: int | None


class _Choice(TypedDict, total=False):
    """Those that say which checkpoint is kept; none of them keeps the last step."""

    validation: Validation
    evaluate_every: int
    select: adapt.ForgottenThenKept
    stop: adapt.WhenForgotten


_PLACES = {"learn": 0, "restore": 1, "unlearn": 2, "continual": 3}
_SEEDS_OF_A_RUN = 2 * len(_PLACES)


def seed_of(stage: str, run_seed: int, *, adapter: bool = False) -> int:
    """Seed of a stage's batches, or of its adapter.

    No two agree, neither within a run nor between runs of different seeds. Runs of one seed on other people or folds
    share them: they differ by their samples and by their chip.
    """
    return run_seed * _SEEDS_OF_A_RUN + 2 * _PLACES[stage] + int(adapter)


@dataclass(frozen=True, slots=True)
class Stages:
    """Trainings of one task.

    Attributes:
        task: samples, network and recipe.
        bars: for progress.
        array_steps: as in `rmhil.adapt.TrainOptions`.
    """

    task: StagedTask
    bars: Bars = no_bar
    array_steps: int | None = None

    def learn(self, ledger: Ledger) -> tuple[Mixer, adapt.History]:
        """The first classes, on a new float model."""
        model, schedule = self.task.model(), self.task.recipe.learn
        with self._options("learn", "float model: learn", schedule) as options:
            history = adapt.train(
                model, self.task.train.of(FIRST), ledger=ledger, **options, **self._best_on(FIRST, schedule)
            )
        return model, history

    def restore(self, chip: nn.Module, teacher: nn.Module, adapter: str) -> adapt.History:
        """What the float model said, on the array that it was programmed to."""
        schedule = self.task.recipe.restore
        with self._options("restore", "array: restore", schedule) as options:
            return adapt.restore(
                chip, self.task.train.of(FIRST), teacher, adapter=adapter,
                **options, **self._best_on(FIRST, schedule),
            )  # fmt: skip

    def unlearn(
        self, model: nn.Module, where: str, adapter: str | None = None, ledger: Ledger | None = None
    ) -> adapt.History:
        """Forget one class with an adapter, or with all weights."""
        recipe, train = self.task.recipe, self.task.train
        schedule = recipe.unlearn_all if adapter is None else recipe.unlearn
        with self._options("unlearn", f"{where}: unlearn", schedule) as options:
            return adapt.unlearn(
                model, train.of(FORGET), train.of(KEPT), recipe.forgetting, recipe.forget_weight,
                adapter=adapter, ledger=ledger, **options, **self._forgotten(schedule),
            )  # fmt: skip

    def continual(
        self, model: nn.Module, where: str, adapter: str | None = None, ledger: Ledger | None = None
    ) -> adapt.History:
        """Learn the new class beside a bounded number of old samples; the forgotten class is not among them."""
        recipe = self.task.recipe
        schedule = recipe.continual_all if adapter is None else recipe.continual
        replay = adapt.ReplayBuffer(
            self.task.train.of(KEPT), recipe.replay, recipe.replay_selection, seed=seed_of("continual", self.task.seed)
        )
        with self._options("continual", f"{where}: learn on", schedule) as options:
            return adapt.learn(
                model, self.task.train.of(NEW), replay, adapter=adapter, ledger=ledger,
                **options, **self._best_on((*KEPT, NEW), schedule),
            )  # fmt: skip

    def _best_on(self, classes: Sequence[int], schedule: Schedule) -> _Choice:
        if schedule.evaluate_every is None:
            return {}
        return {"validation": self.task.validation.of(classes), "evaluate_every": schedule.evaluate_every}

    def _forgotten(self, schedule: Schedule) -> _Choice:
        if schedule.evaluate_every is None:
            return {}
        recipe, validation = self.task.recipe, self.task.validation
        return {
            "validation": {"forgotten": validation.of(FORGET), "kept": validation.of(KEPT)},
            "evaluate_every": schedule.evaluate_every,
            "select": adapt.ForgottenThenKept(recipe.forgotten_at_most),
            "stop": adapt.WhenForgotten(recipe.forgotten_at_most, in_a_row=recipe.settled),
        }

    @contextmanager
    def _options(self, stage: str, title: str, schedule: Schedule) -> Iterator[_Options]:
        with self.bars(title) as progress:
            yield {
                "steps": schedule.steps,
                "lr": schedule.lr,
                "batch_size": schedule.batch_size,
                "seed": seed_of(stage, self.task.seed),
                "progress": progress,
                "guard": adapt.DivergenceGuard(then="stop"),
                "array_steps": self.array_steps,
            }
