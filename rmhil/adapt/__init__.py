"""Adapting a network without rewriting its weights: forget, learn on, restore."""

from __future__ import annotations

from rmhil.adapt.data import Data
from rmhil.adapt.evaluation import Evaluation, Metrics, evaluate, outputs_of, predict
from rmhil.adapt.history import History
from rmhil.adapt.objectives import Fit, GradientAscent, LabelObfuscation, cross_entropy, squared_error
from rmhil.adapt.options import TrainOptions
from rmhil.adapt.replay import ReplayBuffer
from rmhil.adapt.rules import DivergenceGuard, ForgottenThenKept, LowestLoss, Patience, WhenForgotten
from rmhil.adapt.stages import learn, restore, unlearn
from rmhil.adapt.training import train

__all__ = [
    "Data",
    "DivergenceGuard",
    "Evaluation",
    "Fit",
    "ForgottenThenKept",
    "GradientAscent",
    "History",
    "LabelObfuscation",
    "LowestLoss",
    "Metrics",
    "Patience",
    "ReplayBuffer",
    "TrainOptions",
    "WhenForgotten",
    "cross_entropy",
    "evaluate",
    "learn",
    "outputs_of",
    "predict",
    "restore",
    "squared_error",
    "train",
    "unlearn",
]
