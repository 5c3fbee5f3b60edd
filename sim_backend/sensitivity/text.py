"""What the bars mean, in words: notes on causes, and the table of the command and of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from sim_backend.sensitivity.causes import LOW_SUPPLY, LOW_SUPPLY_RESISTANCE, PASSES, PROGRAMMING
from sim_backend.sensitivity.chips import Recipe
from sim_backend.sensitivity.study import Effect, Study, Summary

PERCENT: Final = 1e2
PPM: Final = 1e6

HEAD: Final = ("cause", "off: error gone", "accuracy won", "alone: error", "accuracy lost", "off: pulses")
"""Columns of the table; errors in ppm of the outputs' variance, accuracies in points of %, pulses a cell."""

_MEANING: Final[Mapping[str, str]] = {
    PROGRAMMING: "write-verify leaves cells within its tolerance, not on their targets. Off: exactly on target",
    PASSES: "an array is driven and sensed bank by bank and the conversions are summed. Off: one pass for all lines",
    LOW_SUPPLY: f"multiplexers at 5 V: {LOW_SUPPLY_RESISTANCE:g} ohm in each line instead of what the wiring says",
}

_WHY_NOTHING: Final[Mapping[str, str]] = {
    "wear": "a new chip has seen some ten pulses a cell, of an endurance of tens of thousands",
    "retention": "nothing drifts in the time between programming and inference; ask with --age",
    "telegraph": "no cell in use has a trap",
    "stuck-cells": "no cell in use is stuck",
    "mux-spread": "alone, there is no routing resistance for it to spread",
    PASSES: "every tile lies within one bank of lines",
}
"""Why a cause may do nothing at all."""


def ppm(share: float) -> str:
    """A share in ppm; what would be written as 0.00 is said to be small."""
    value = PPM * share
    if value and abs(value) < 0.01:
        return "<0.01"
    return f"{value:,.0f}" if abs(value) >= 10 or not value else f"{value:.2g}"


def headline(study: Study) -> str:
    """The chip as it is, beside the float network."""
    plan = study.plan
    error, accuracy = study.summary(plan.as_it_is, "error"), study.summary(plan.as_it_is, "accuracy")
    chips = f"{len(study.seeds)} chip{'s' if len(study.seeds) > 1 else ''}"
    return (
        f"as it is: error {ppm(error.mean)} ppm of the outputs' variance, accuracy {accuracy.mean:.1%}; float network "
        f"{study.float_accuracy:.1%}; {study.samples:,} samples, {chips}"
    )


def rows(study: Study) -> list[tuple[str, ...]]:
    """The table under `HEAD`, one line a cause."""
    return [_row(effect) for effect in study.effects]


def _row(effect: Effect) -> tuple[str, ...]:
    name = f"what if: {effect.name}" if effect.what_if else effect.name
    pulses = effect.pulses.mean
    return (
        name,
        _error(effect.gain),
        _points(effect.gain_accuracy),
        _error(effect.cost),
        _points(effect.cost_accuracy),
        "-" if math.isnan(pulses) else f"{pulses:.1f}",
    )


def notes(study: Study, recipe: Recipe) -> list[str]:
    """Sentences under the table: how to read it, and why some causes do nothing."""
    found = [
        f"Cells are written by write-verify ({recipe.policy}) to {recipe.tolerance:g} S on every chip anew; "
        f"{recipe.age:g} s later the network runs. Every setting is tried on the same chips.",
        "Alone: on an ideal chip with cells exactly on target; causes that then do nothing are asked again with cells "
        "written by write-verify, through which spreads of the cells act.",
    ]
    named = {effect.name for effect in study.effects}
    found += [f"{name}: {text}." for name, text in _MEANING.items() if name in named]
    for effect in study.effects:
        if effect.is_nothing:
            why = _WHY_NOTHING.get(effect.name)
            found.append(f"{effect.name} changed no output" + (f": {why}." if why else " here."))
    return found


def _error(value: Summary) -> str:
    """Mean and spread, without a spread that cannot be seen."""
    spread = PPM * value.deviation
    return ppm(value.mean) if math.isnan(spread) or spread < 0.1 else f"{ppm(value.mean)} +- {ppm(value.deviation)}"


def _points(value: Summary) -> str:
    return f"{PERCENT * value.mean:+.1f}" if round(PERCENT * value.mean, 1) else "0"
