"""Splitting samples class by class, before anything is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from rmhil.errors import OutOfRangeError


class Split(NamedTuple):
    """Indices of the samples of each part."""

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor


def folds(y: torch.Tensor, classes: Sequence[int], count: int, fold: int, validation: int, seed: int) -> Split:
    """One of several ways to split, so that over all folds each sample is tested once.

    Args:
        y: class numbers.
        classes: which classes; the samples of others are left out.
        count: folds.
        fold: 0 to count - 1.
        validation: of each class, samples for validation; the rest is for training.
        seed: of the order in which the samples of a class are dealt to the folds; it must not depend on the fold.

    Raises:
        OutOfRangeError: no such fold, or nothing is left for training.
    """
    if not 0 <= fold < count:
        raise OutOfRangeError("fold", fold, 0, count - 1, "")
    parts: list[Split] = []
    generator = torch.Generator().manual_seed(seed)
    for each in classes:
        own = (y == each).nonzero()[:, 0]
        own = own[torch.randperm(len(own), generator=generator)]
        start, end = len(own) * fold // count, len(own) * (fold + 1) // count
        rest = torch.cat((own[end:], own[:start]))
        if not 0 < validation < len(rest):
            raise OutOfRangeError("validation samples of a class", validation, 1, len(rest) - 1, "")
        parts.append(Split(rest[validation:], rest[:validation], own[start:end]))
    return Split(*(torch.cat(each) for each in zip(*parts, strict=True)))
