"""Making the chips of a study, and running the network on each of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import nn

from rmhil.adapt import Data, outputs_of
from rmhil.adapt.data import DataLike, as_data
from rmhil.checks import whole_number
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.line_solver import one_thread
from rmhil.nn.convert import attach
from rmhil.nn.deployment import Deployment
from rmhil.nn.deployment import Recipe as WritingRecipe
from rmhil.nn.layers import matrices_of
from rmhil.program_report import Progress
from rmhil.units import Seconds, Siemens
from rmhil.write_verify import find_policy
from sim_backend.backend import SimBackend
from sim_backend.config import SimConfig
from sim_backend.sensitivity.causes import Cause, Pair, Plan, Setting, Writing
from sim_backend.sensitivity.study import Outcome, Study

EXACT: Final[Siemens] = 1e-9
"""S: tolerance of cells that are to lie exactly on their targets: a thousandth of a usual one, so a millionth of its
error power. Without spreads and noise, write-verify gets there as quickly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How every chip is programmed and used.

    Attributes:
        tolerance: S, of the write-verify.
        policy: of the write-verify.
        age: s from programming to inference.
        repeats: times that the samples are run, each with noise of its own.
    """

    tolerance: Siemens = 1e-6
    policy: str = "adaptive"
    age: Seconds = 0.0
    repeats: int = 4

    def __post_init__(self) -> None:
        find_policy(self.policy)
        if not 0 < self.tolerance < math.inf:  # written this way, NaN fails too
            raise OutOfRangeError("tolerance", self.tolerance, 0, math.inf, "S", above=True)
        if not 0 <= self.age < math.inf:
            raise OutOfRangeError("age", self.age, 0, math.inf, "s")
        whole_number("repeats", self.repeats)


def measure(
    model: nn.Module,
    samples: DataLike,
    plan: Plan,
    recipe: Recipe | None = None,
    chips: int = 3,
    progress: Progress | None = None,
) -> Iterator[Study]:
    """Run a network on every chip of a plan.

    Args:
        model: the float network; not changed.
        samples: inputs and int64 class numbers.
        plan: the settings.
        recipe: how chips are programmed and used.
        chips: how many; their seeds count up from that of the plan. The same seeds serve every setting, so that
            differences are those of the setting.
        progress: told how many causes are done.

    Yields:
        The study so far, after each chip.

    Raises:
        OutOfRangeError, ShapeError, NotFiniteError, PlacementError: nothing was driven.
        ProgramInterruptedError: Ctrl-C.
    """
    network = _Network(model, as_data("samples", samples))
    count, first = whole_number("chips", chips), plan.as_it_is.config.seed
    done: list[Mapping[Setting, Outcome]] = []
    for seed in range(first, first + count):
        before = len(done) * len(plan.causes)
        with TemporaryDirectory(prefix="rmhil-") as folder:
            chip = _Chip(network, recipe or Recipe(), seed, Path(folder))
            chip.run(plan.as_it_is)
            chip.run(plan.ideal)
            for number, cause in enumerate(plan.causes):
                if progress is not None:
                    progress(before + number, count * len(plan.causes), f"chip {seed}, {cause.name}")
                chip.ask(cause)
            done.append(chip.outcomes)
        if progress is not None:
            progress(before + len(plan.causes), count * len(plan.causes), f"chip {seed}")
        seeds = tuple(range(first, seed + 1))
        yield Study(
            plan=plan, seeds=seeds, outcomes=tuple(done),
            float_accuracy=network.float_accuracy, samples=len(network.data),
        )  # fmt: skip


class _Network:
    """The float network, and what its outputs are compared by."""

    def __init__(self, model: nn.Module, data: Data) -> None:
        self.model, self.data = model, data
        layers = {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear | nn.Conv2d)}
        self.weights = {name: matrices_of(layer) for name, layer in layers.items()}
        self._outputs = outputs_of(model, data.x).double()
        self._variance = float(self._outputs.var())
        if not 0 < self._variance < math.inf:
            raise ConfigError(f"the float network's outputs have a variance of {self._variance:g} on these samples")
        self.float_accuracy = self._accuracy(self._outputs)

    def outcome(self, chip: nn.Module, repeats: int, pulses: float) -> Outcome:
        """Run a copy of it that is on arrays."""
        outputs = [outputs_of(chip, self.data.x).double() for _ in range(repeats)]
        error = fmean(float((one - self._outputs).square().mean()) for one in outputs) / self._variance
        return Outcome(error=error, accuracy=fmean(map(self._accuracy, outputs)), pulses=pulses)

    def _accuracy(self, outputs: torch.Tensor) -> float:
        return float((outputs.argmax(1) == self.data.y).double().mean())


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells that were written, in a file, and how."""

    state: Path
    deployment: Deployment
    pulses: float


class _Chip:
    """All settings of one seed. What was written once serves every setting that asks for the same cells."""

    def __init__(self, network: _Network, recipe: Recipe, seed: int, folder: Path) -> None:
        self._network, self._recipe, self._seed, self._folder = network, recipe, seed, folder
        self._cells: dict[Writing, _Cells] = {}
        self.outcomes: dict[Setting, Outcome] = {}

    def ask(self, cause: Cause) -> None:
        """Run every setting that tells what a cause does."""
        self._differ(cause.gain)
        for pair in cause.cost:
            if self._differ(pair):
                return

    def _differ(self, pair: Pair) -> bool:
        return self.run(pair.more).error != self.run(pair.less).error

    def run(self, setting: Setting) -> Outcome:
        """The outcome of a setting; it is run once."""
        if setting not in self.outcomes:
            # The operations of small networks take microseconds; a second thread only gets in their way.
            with one_thread():
                self.outcomes[setting] = self._used(setting, self._written(setting.cells))
        return self.outcomes[setting]

    def _written(self, writing: Writing) -> _Cells:
        if writing not in self._cells:
            state = self._folder / f"cells-{len(self._cells)}"
            tolerance = EXACT if writing.exact else self._recipe.tolerance
            recipe = WritingRecipe(tolerance=tolerance, policy=self._recipe.policy)
            with self._opened(writing.config) as backend:
                deployment = Deployment([Crossbar(backend)], recipe, self._network.weights)
                (report,) = deployment.program(self._network.weights, rewrite=False, progress=None)
                backend.save_state(state)
            self._cells[writing] = _Cells(state, deployment, report.pulses_per_cell())
        return self._cells[writing]

    def _used(self, setting: Setting, cells: _Cells) -> Outcome:
        deployment, model = cells.deployment, copy.deepcopy(self._network.model)
        with self._opened(setting.config, state=cells.state) as backend:
            chip = attach(model, [Crossbar(backend)], deployment.recipe, tiles=deployment.placement.tiles)
            if self._recipe.age:
                backend.wait(self._recipe.age)
            pulses = math.nan if setting.cells.exact else cells.pulses
            return self._network.outcome(chip, self._recipe.repeats, pulses)

    def _opened(self, config: SimConfig, **changes: Any) -> SimBackend:  # noqa: ANN401
        return SimBackend(config.model_copy(update={"seed": self._seed, **changes}))
