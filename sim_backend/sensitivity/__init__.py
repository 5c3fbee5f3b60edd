"""What costs accuracy: one network on chips that lack one cause of errors, or have nothing but one."""

from __future__ import annotations

from sim_backend.sensitivity.causes import LOW_SUPPLY, PASSES, PROGRAMMING, Cause, Plan, Setting, plan_of
from sim_backend.sensitivity.chips import Recipe, measure
from sim_backend.sensitivity.study import Effect, Outcome, Study, Summary

__all__ = [
    "LOW_SUPPLY",
    "PASSES",
    "PROGRAMMING",
    "Cause",
    "Effect",
    "Outcome",
    "Plan",
    "Recipe",
    "Setting",
    "Study",
    "Summary",
    "measure",
    "plan_of",
]
