"""The digits 0 to 5 of scikit-learn's own data set; needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmhil.errors import ConfigError, DataMissingError

if TYPE_CHECKING:
    from ..task import StagedTask

SIDE, PATCH = 8, 2
"""Pixels on a side of a picture and of a patch: 16 tokens, as many as in the face workload."""

LARGEST_PIXEL = 16.0
"""Pixels are whole numbers from 0 to this (scikit-learn's description of the set)."""

FOLDS = 5
"""A fifth of each digit is for testing (estimate, range 3 to 10)."""

VALIDATION = 36
"""Samples of each digit for validation: as many as are tested (about 36 of 180)."""

SPLIT_SEED = 0
"""Of the order in which samples are dealt to the folds; the same for every seed of a run."""


class DigitsWorkload:
    """Learn the digits 0 to 4, forget 2, learn 5."""

    name = "digits"
    title = "MLP-Mixer on 8 x 8 handwritten digits: learn 0 to 4, forget 2, learn 5"

    def load(self, seed: int, *, fold: int = 0, **unknown: Any) -> StagedTask:  # noqa: ANN401
        """Load and split the digits.

        Args:
            seed: of the network, of batches and adapters.
            fold: which fifth of the samples is for testing, 0 to 4.
            **unknown: refused.

        Raises:
            ConfigError: an unknown option.
            OutOfRangeError: no such fold.
            DataMissingError: scikit-learn is not installed.
        """
        if unknown:
            raise ConfigError(f"the workload digits has no option {', '.join(unknown)}; known: fold")
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataMissingError("the digits come with scikit-learn: pip install 'rmhil[examples]'") from error
        import torch

        from rmhil.adapt import Data

        from ..mixer import Mixer
        from ..splits import folds
        from ..task import CLASSES, StagedTask

        found = load_digits()
        x = torch.tensor(found.images, dtype=torch.float32)[:, None] / LARGEST_PIXEL
        samples = Data(x, torch.tensor(found.target, dtype=torch.int64))
        split = folds(samples.y, range(CLASSES), FOLDS, fold, VALIDATION, SPLIT_SEED)
        train, validation, test = (samples[part] for part in split)
        return StagedTask(
            workload=self.name,
            class_names=[f"digit {each}" for each in range(CLASSES)],
            train=train,
            validation=validation,
            test=test,
            test_names=[f"sample {number} of the set" for number in split.test.tolist()],
            shown=test,
            make_network=lambda: Mixer(side=SIDE, patch=PATCH, classes=CLASSES),
            seed=seed,
            options={"fold": fold},
        )


WORKLOAD = DigitsWorkload()
