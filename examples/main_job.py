"""The main job: learn, program, verify, infer, restore, unlearn, learn on; and the ways it is compared with.

One array serves all methods, one after the other, so that it runs on a bench as well: first the adapters, which never
write it, then full reprogramming, which does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from loguru import logger
from torch import nn

from rmhil import adapt
from rmhil.crossbar import Crossbar
from rmhil.ledger import DEPLOYMENT, Ledger
from rmhil.mapping import Mapping
from rmhil.nn import (
    SramBank,
    adapter_names,
    adapters_off,
    add_adapter,
    analog_layers,
    convert,
    freeze_adapter,
    get_adapter,
    reprogram,
)
from rmhil.nn.convert import placed as placed_model
from rmhil.nn.deployment import Placement
from rmhil.nn.tiles import MapSource
from rmhil.program_report import ProgramReport, VerifyReport

from .job_record import ADAPTERS, BARE, FLOAT, REWRITE, SKIP, STAGES, UNRESTORED, JobRecord, Stage
from .mixer import Mixer, adapter_targets
from .stages import Bars, Stages, no_bar, seed_of
from .task import StagedTask

Note: TypeAlias = Callable[..., object]
"""Called as `note(kind, **details)` when a step is done: `Run.step`, for instance."""

PICTURES_AT_ONCE = 4
"""Test pictures between two looks at the progress bar, on instruments."""

VERIFY_AVERAGES = 4
"""Readings averaged in the verification after programming, as many as the measured map is made of."""


def placed(task: StagedTask, arrays: Sequence[Crossbar], mapping: Mapping | None = None) -> Placement:
    """Where the network will lie on the arrays: of the untrained one, as places depend on shapes only.

    Nothing is driven.

    Args:
        task: what is to be placed.
        arrays: where.
        mapping: of weights to cells; None takes pairs.

    Raises:
        ConfigError: two crossbars share cells, or there is none.
        PlacementError: the network does not fit.
    """
    return placed_model(task.model(), arrays, mapping=mapping)


class MainJob:
    """One main job on one set of arrays: `learn`, `deploy`, then `use_adapters` and what else is wanted.

    Args:
        task: samples, network and recipe.
        arrays: where the network goes.
        bars: for progress.
        note: told of each step.
        array_steps: of each training of an adapter, steps that drive the arrays, as in `rmhil.adapt.TrainOptions`.
        mapping: of weights to cells; None takes pairs.
        measured_from: as in `rmhil.nn.convert`.

    Attributes:
        record: what was measured so far.
        model: the float model of the learn stage.
        chip: the same on arrays.
        reports: of the first programming, one a crossbar.
        verified: what was read back afterwards, one a crossbar.
    """

    def __init__(
        self,
        task: StagedTask,
        arrays: Sequence[Crossbar],
        bars: Bars = no_bar,
        note: Note | None = None,
        array_steps: int | None = None,
        mapping: Mapping | None = None,
        measured_from: MapSource = "verify reads",
    ) -> None:
        self.task, self.arrays, self.bars = task, list(arrays), bars
        self.stages = Stages(task, bars, array_steps)
        self.mapping, self.measured_from = mapping, measured_from
        self.record = JobRecord(task)
        self.host = Ledger()
        self.model: Mixer = task.model()
        self.chip: nn.Module = self.model
        self.reports: list[ProgramReport] = []
        self.verified: list[VerifyReport] = []
        self._note = note or (lambda kind, **details: None)

    @property
    def array_ledger(self) -> Ledger:
        """What the arrays count in."""
        return self.arrays[0].ledger

    def learn(self) -> None:
        """Train the float model on the first classes; refused at once where it would not fit the arrays.

        Raises:
            ConfigError, PlacementError: as `placed`.
        """
        logger.info("to be programmed: {}", placed(self.task, self.arrays, self.mapping))
        with self.record.counted(f"{FLOAT}/learn", self.host):
            self.model, history = self.stages.learn(self.host)
        self.record.parameters["backbone"] = sum(each.numel() for each in self.model.parameters())
        self._trained(f"{FLOAT}/learn", history)
        self._assess(FLOAT, "learn", _counting_macs(copy.deepcopy(self.model), self.host), self.host)

    def deploy(self) -> None:
        """Program the float model, verify, and infer on the bare array."""
        recipe = self.task.recipe
        with self.record.counted(f"{BARE}/learn", self.array_ledger), self.bars("array: program") as progress:
            self.chip = convert(
                self.model, self.arrays, mapping=self.mapping, tolerance=recipe.tolerance, policy=recipe.policy,
                measured_from=self.measured_from, progress=progress,
            )  # fmt: skip
        self.reports = _reports(self.chip)
        for report, crossbar in zip(self.reports, self.arrays, strict=True):
            with self.bars("array: verify") as progress:
                self.verified.append(crossbar.verify(report.target, recipe.tolerance, VERIFY_AVERAGES, progress))
        self.array_ledger.mark(DEPLOYMENT)
        self.record.programming["first"] = "; ".join(map(str, self.reports))
        self._note("program", report=self.record.programming["first"])
        self._note("verify", report="; ".join(map(str, self.verified)))
        self._assess(BARE, "learn", self.chip, self.array_ledger)

    def float_reference(self) -> None:
        """Unlearn and learn on with adapters on the float model: the same recipe, without an array."""
        self._adapters(_counting_macs(copy.deepcopy(self.model), self.host), FLOAT, self.host)

    def use_adapters(self, *, restored: bool = True) -> nn.Module:
        """Restore (if asked for), unlearn and learn on with adapters beside the array.

        Returns:
            The model on arrays with its adapters.
        """
        method = ADAPTERS if restored else UNRESTORED
        chip = copy.deepcopy(self.chip)
        if restored:
            self._restore(chip, method)
        elif method not in self.record.predictions:
            self.record.predictions[method] = {"learn": self.record.predictions[BARE]["learn"]}  # nothing was done yet
        self._adapters(chip, method, self.array_ledger)
        self.record.pulses_after_deployment = self.array_ledger.pulses_since_deployment
        return chip

    def full_reprogramming(self) -> None:
        """Train all weights of the float model instead, and write them: skipping cells in tolerance, and every cell.

        The array then holds other weights, so that this comes last.
        """
        trained = self._train_all_weights()
        for method, rewrite in ((SKIP, False), (REWRITE, True)):
            self.record.predictions[method] = {"learn": self.record.predictions[BARE]["learn"]}  # as first programmed
            for stage, model in trained.items():
                key = f"{method}/{stage}"
                self.record.counts[key] = self.record.counts[f"all weights/{stage}"]
                with self.record.counted(key, self.array_ledger), self.bars(f"array: {method}, {stage}") as progress:
                    reports = reprogram(self.chip, model, rewrite=rewrite, progress=progress)
                self.record.programming[key] = "; ".join(map(str, reports))
                self._note("reprogram", method=method, stage=stage, report=self.record.programming[key])
                self._assess(method, stage, self.chip, self.array_ledger)
        for stage in trained:
            del self.record.counts[f"all weights/{stage}"]

    def write_back(self) -> None:
        """Program the first weights again, so that the array is left with the network that the adapters belong to."""
        with self.bars("array: write back") as progress:
            reports = reprogram(self.chip, self.model, rewrite=False, progress=progress)
        self._note("reprogram", method="write back", report="; ".join(map(str, reports)))

    # ------------------------------------------------------------------------------------------

    def _restore(self, chip: nn.Module, method: str) -> None:
        key = f"{method}/learn"
        with self.record.counted(key, self.array_ledger):
            self._add(chip, "restore", "restore", self.task.recipe.restore_rank)
            history = self.stages.restore(chip, self.model, "restore")
            freeze_adapter(chip, "restore")
        self._trained(key, history)
        self._assess(method, "learn", chip, self.array_ledger)
        self._embed(chip, "learn")

    def _adapters(self, model: nn.Module, method: str, ledger: Ledger) -> None:
        """Unlearn with one adapter, freeze it, learn on with another one on top."""
        where = "float model" if method == FLOAT else "array"
        recipe = self.task.recipe
        work: tuple[tuple[Stage, int, Callable[..., adapt.History]], ...] = (
            ("unlearn", recipe.unlearn_rank, self.stages.unlearn),
            ("continual", recipe.continual_rank, self.stages.continual),
        )
        for stage, rank, train in work:
            key = f"{method}/{stage}"
            with self.record.counted(key, ledger):
                self._add(model, stage, stage, rank)
                history = train(model, where, adapter=stage, ledger=ledger)
                freeze_adapter(model, stage)
            self._trained(key, history)
            self._assess(method, stage, model, ledger)
            if method == ADAPTERS:
                self._embed(model, stage)
                with adapters_off(model):
                    self._assess(BARE, stage, model, ledger)

    def _add(self, model: nn.Module, name: str, stage: str, rank: int) -> None:
        recipe = self.task.recipe
        banks = [bank_of(model)] if adapter_names(model) else []
        bank = banks[0] if banks else SramBank(recipe.sram_capacity, recipe.sram_format)
        adapter = add_adapter(
            model, name, rank=rank, alpha=recipe.alpha, bank=bank, targets=adapter_targets(model),
            seed=seed_of(stage, self.task.seed, adapter=True),
        )  # fmt: skip
        self.record.parameters[f"adapter {name}"] = adapter.n_parameters

    def _train_all_weights(self) -> dict[Stage, Mixer]:
        model = copy.deepcopy(self.model)
        trained: dict[Stage, Mixer] = {}
        work: tuple[tuple[Stage, Callable[..., adapt.History]], ...] = (
            ("unlearn", self.stages.unlearn),
            ("continual", self.stages.continual),
        )
        for stage, train in work:
            key = f"all weights/{stage}"
            with self.record.counted(key, self.host):
                history = train(model, "all weights", ledger=self.host)
            self._trained(key, history)
            trained[stage] = copy.deepcopy(model)
        return trained

    def _assess(self, method: str, stage: Stage, model: nn.Module, ledger: Ledger) -> None:
        with self.record.counted(f"{method}/{stage}/inference", ledger):
            predicted = self._predicted(f"{method}, {stage}: infer", model)
        self.record.predictions.setdefault(method, {})[stage] = predicted.cpu().numpy()
        accuracy = self.record.accuracy(method, stage)
        logger.info("{} after {}: {:.1%} overall", method, stage, accuracy["overall"])
        self._note(
            "infer", method=method, stage=stage, **{name: accuracy[name] for name in ("kept", "forgotten", "new")}
        )

    def _predicted(self, title: str, model: nn.Module) -> torch.Tensor:
        """Predicted classes of the test samples; with a bar where that takes its time."""
        x = self.task.test.x
        if self.arrays[0].spec.cells_at_once is None or not analog_layers(model):
            return adapt.predict(model, x)
        parts = torch.split(x, PICTURES_AT_ONCE)
        with self.bars(title) as progress:
            found: list[torch.Tensor] = []
            for part in parts:
                progress(len(found), len(parts), "")
                found.append(adapt.predict(model, part))
            progress(len(parts), len(parts), "")
        return torch.cat(found)

    def _embed(self, model: nn.Module, stage: Stage) -> None:
        assert isinstance(model, Mixer)
        with torch.no_grad():
            self.record.embeddings[stage] = model.features(self.task.shown.x).cpu().numpy().astype(np.float64)

    def _trained(self, key: str, history: adapt.History) -> None:
        self.record.histories[key] = history
        self._note("train", what=key, history=str(history))


def run_main_job(
    task: StagedTask,
    arrays: Sequence[Crossbar],
    bars: Bars = no_bar,
    note: Note | None = None,
    *,
    also_unrestored: bool = False,
) -> JobRecord:
    """The whole job: all stages, all methods.

    Args:
        task: samples, network and recipe.
        arrays: where the network goes.
        bars: for progress.
        note: told of each step.
        also_unrestored: adapt without the restore adapter too.

    Returns:
        What was measured; for every stage of `STAGES` and every method.
    """
    job = MainJob(task, arrays, bars, note)
    job.learn()
    job.deploy()
    job.float_reference()
    job.use_adapters()
    if also_unrestored:
        job.use_adapters(restored=False)
    job.full_reprogramming()
    assert all(list(job.record.predictions[method]) == list(STAGES) for method in job.record.methods)
    return job.record


def _reports(chip: nn.Module) -> list[ProgramReport]:
    found: Any = chip.report
    return list(found)


def bank_of(model: nn.Module) -> SramBank:
    """The bank of the adapters that are there already."""
    return next(iter(get_adapter(model, adapter_names(model)[0]).branches.values())).bank


class _Macs:
    """A forward hook: the MACs of a digital layer go to a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, layer: nn.Linear, inputs: object, output: torch.Tensor) -> None:
        self._ledger.count_macs(output.numel() * layer.in_features, "digital")


def _counting_macs(model: nn.Module, ledger: Ledger) -> nn.Module:
    """The model, with the MACs of its layers counted from now on, and its adapters in the same ledger."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(_Macs(ledger))
    return model
