"""Outcomes of a network on many chips, and the effect of each cause; pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from sim_backend.sensitivity.causes import Cause, Pair, Plan, Setting

Quantity: TypeAlias = Literal["error", "accuracy", "pulses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one chip made of the network.

    Attributes:
        error: 1, mean square of the outputs' deviation from those of the float network, relative to the latter's
            variance.
        accuracy: 1, share of samples in the right class.
        pulses: SET and RESET pulses a cell of its write-verify.
    """

    error: float
    accuracy: float
    pulses: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean over chips.

    Attributes:
        mean: of the values.
        deviation: standard error of that mean; NaN with one chip.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The summary of one value a chip."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return cls(float(np.mean(values)), spread / math.sqrt(len(values)))

    @property
    def is_clear(self) -> bool:
        """Whether the mean is further from zero than twice its standard error; with one chip, whether it is not 0."""
        return abs(self.mean) > (0.0 if math.isnan(self.deviation) else 2 * self.deviation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Effect of one cause; differences are taken chip by chip.

    Attributes:
        name: of the cause.
        what_if: a change of the chip, not a part of it.
        gain: error that goes when the cause is switched off, or the what-if comes true.
        gain_accuracy: accuracy that comes with that.
        cost: error that the cause adds to an otherwise ideal chip.
        cost_accuracy: accuracy that it takes there.
        pulses: SET and RESET pulses a cell of the chip so changed.
        is_nothing: no chip's outputs changed, in either view.
    """

    name: str
    what_if: bool
    gain: Summary
    gain_accuracy: Summary
    cost: Summary
    cost_accuracy: Summary
    pulses: Summary
    is_nothing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Outcomes of every setting on every chip.

    Attributes:
        plan: what was asked.
        seeds: of the chips.
        outcomes: by setting, one mapping a chip; of the pairs of a cause's cost, those that were needed.
        float_accuracy: 1, of the float network on the same samples.
        samples: how many.
    """

    plan: Plan
    seeds: tuple[int, ...]
    outcomes: tuple[Mapping[Setting, Outcome], ...]
    float_accuracy: float
    samples: int

    def summary(self, setting: Setting, quantity: Quantity) -> Summary:
        """One quantity of a setting over the chips."""
        return Summary.of([getattr(chip[setting], quantity) for chip in self.outcomes])

    @property
    def effects(self) -> list[Effect]:
        """One a cause: parts of the chip by what switching them off gains, largest first, then what-ifs."""
        found = [self._effect(cause) for cause in self.plan.causes]
        return sorted(found, key=lambda effect: (effect.what_if, -effect.gain.mean))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the effects, and what they were made of, chip by chip."""
        plan = self.plan
        return {
            "seeds": self.seeds,
            "samples": self.samples,
            "float_accuracy": self.float_accuracy,
            "as_it_is": [chip[plan.as_it_is] for chip in self.outcomes],
            "ideal": [chip[plan.ideal] for chip in self.outcomes],
            "effects": self.effects,
            "chips": {cause.name: [self._of_chip(cause, chip) for chip in self.outcomes] for cause in plan.causes},
        }

    @staticmethod
    def _of_chip(cause: Cause, chip: Mapping[Setting, Outcome]) -> dict[str, Outcome]:
        decisive = _decisive(cause, chip)
        settings = {"changed": cause.gain.less, "alone": decisive.more, "beside": decisive.less}
        return {name: chip[setting] for name, setting in settings.items()}

    def _effect(self, cause: Cause) -> Effect:
        gains = [(chip[cause.gain.more], chip[cause.gain.less]) for chip in self.outcomes]
        costs = [(chip[pair.more], chip[pair.less]) for chip in self.outcomes for pair in [_decisive(cause, chip)]]
        return Effect(
            name=cause.name,
            what_if=cause.what_if,
            gain=Summary.of([more.error - less.error for more, less in gains]),
            gain_accuracy=Summary.of([less.accuracy - more.accuracy for more, less in gains]),
            cost=Summary.of([more.error - less.error for more, less in costs]),
            cost_accuracy=Summary.of([less.accuracy - more.accuracy for more, less in costs]),
            pulses=self.summary(cause.gain.less, "pulses"),
            is_nothing=all(more.error == less.error for more, less in (*gains, *costs)),
        )


def _decisive(cause: Cause, chip: Mapping[Setting, Outcome]) -> Pair:
    """The pair that tells what a cause costs alone: the first whose outcomes differ, else the last."""
    for pair in cause.cost:
        if chip[pair.more].error != chip[pair.less].error:
            return pair
    return cause.cost[-1]
