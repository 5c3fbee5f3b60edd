"""Six people at a time, split by photograph before any view is made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmhil.errors import ConfigError, OutOfRangeError

if TYPE_CHECKING:
    import torch

    from rmhil.adapt import Data

    from ..recipe import Recipe
    from ..task import StagedTask

SIDE = 16
"""Pixels on a side that the network sees (arXiv 2601.10037)."""

REPLAY = 400
"""Views of the four kept people that are remembered, of 840; half of that costs some accuracy on them, with adapters
on the float model as on an array."""

GROUPS = 6
"""Disjoint groups of six people: 0 to 5, 6 to 11, ... 30 to 35. Group 0 is that of arXiv 2601.10037."""

FOLDS = 5
"""Two of the ten photographs of each person are for testing."""

VALIDATION = 1
"""Photographs of each person for validation; the other seven are for training (estimate, range 1 to 2)."""

VIEWS = 30
"""Views of each photograph for training: itself and 29 others (arXiv 2601.10037)."""

VALIDATION_VIEWS = 10
"""Views of each photograph for validation (estimate, range 5 to 30: more take longer on an array)."""

SPLIT_SEED = 0
"""Of the order in which photographs are dealt to the folds; the same for every seed of a run."""


class FaceWorkload:
    """Learn the persons 0 to 4 of a group, forget person 2, learn person 5."""

    name = "face"
    title = "MLP-Mixer on the Olivetti photographs: learn persons 0 to 4, forget 2, learn 5"

    def load(self, seed: int, *, group: int = 0, fold: int = 0, **unknown: Any) -> StagedTask:  # noqa: ANN401
        """Load the photographs of a group, split them, and make views of those for training and validation.

        Test samples are the photographs themselves.

        Args:
            seed: of views, network, batches and adapters; the split does not depend on it.
            group: 0 to 5.
            fold: which two photographs of each person are for testing, 0 to 4.
            **unknown: refused.

        Raises:
            ConfigError: an unknown option.
            OutOfRangeError: no such group or fold.
            DataMissingError: the photographs are not on this machine.
        """
        if unknown:
            raise ConfigError(f"the workload face has no option {', '.join(unknown)}; known: group, fold")
        if not 0 <= group < GROUPS:
            raise OutOfRangeError("group", group, 0, GROUPS - 1, "")
        import torch

        from ..mixer import Mixer
        from ..splits import folds
        from ..task import CLASSES, StagedTask
        from .olivetti import PHOTOGRAPHS, load_photographs

        people = slice(group * CLASSES, (group + 1) * CLASSES)
        photographs = torch.from_numpy(load_photographs()[people])
        y = torch.arange(CLASSES).repeat_interleave(PHOTOGRAPHS)
        split = folds(y, range(CLASSES), FOLDS, fold, VALIDATION, SPLIT_SEED + group)
        generator = torch.Generator().manual_seed(seed)

        def made(part: torch.Tensor, count: int) -> Data:
            return _views(photographs.flatten(0, 1)[part], y[part], count, generator)

        return StagedTask(
            workload=self.name,
            class_names=[f"person {each}" for each in range(people.start, people.stop)],
            train=made(split.train, VIEWS),
            validation=made(split.validation, VALIDATION_VIEWS),
            test=made(split.test, 1),
            test_names=[
                f"photograph {number % PHOTOGRAPHS} of person {people.start + number // PHOTOGRAPHS}"
                for number in split.test.tolist()
            ],
            shown=made(split.test, VIEWS),
            make_network=lambda: Mixer(side=SIDE, classes=CLASSES),
            seed=seed,
            options={"group": group, "fold": fold},
            recipe=self.recipe(),
        )

    def recipe(self) -> Recipe:
        """How the stages are done, whatever the people and the seed; needs no photographs."""
        from ..recipe import Recipe

        return Recipe(replay=REPLAY)


def _views(photographs: torch.Tensor, y: torch.Tensor, count: int, generator: torch.Generator) -> Data:
    """Views of photographs as samples of the network."""
    from rmhil.adapt import Data

    from ..augment import views

    return Data(views(photographs, count, SIDE, generator).flatten(0, 1), y.repeat_interleave(count))


WORKLOAD = FaceWorkload()
