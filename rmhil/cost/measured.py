"""Preset `measured`: the ratios of one run, from what its ledger counted.

A run's results name their `workload` and hold `counts`, a dictionary of `Counts.to_dict()` under keys:

- `<method>/<stage>`: the adaptation of one stage, i.e. everything that was trained, programmed and verified;
- `<method>/<stage>/inference`: one evaluation after it, of the same inputs for every method.

Used are the methods `RM-DLoRA` (adapters beside the array), `full rewrite` and `full skip` (full reprogramming, every
cell or only cells out of tolerance) and, for inference only, `digital float` (the same network, all digital).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rmhil.cost.energy import (
    DEFAULT_CONSTANTS,
    EnergyConstants,
    inference_energy,
    rm_write_energy,
    sram_write_energy,
)
from rmhil.cost.table import STAGES, CostEntry, CostTable, Stage
from rmhil.errors import ConfigError, RunDirectoryError
from rmhil.ledger import Counts

ADAPTERS: Final = "RM-DLoRA"
REWRITE: Final = "full rewrite"
SKIP: Final = "full skip"
DIGITAL: Final = "digital float"

SKIP_VARIANT: Final = "cells in tolerance skipped"
"""Variant of the write ratio whose baseline does not pulse cells that are already in tolerance."""


def stage_key(method: str, stage: Stage, *, inference: bool = False) -> str:
    """The key under which a run's results hold the counts of one method and stage."""
    return f"{method}/{stage}/inference" if inference else f"{method}/{stage}"


def table(results: Mapping[str, Any], constants: EnergyConstants = DEFAULT_CONSTANTS) -> CostTable:
    """The table of one run.

    Args:
        results: the run's results.
        constants: energies of the events whose energy was not measured.

    Raises:
        RunDirectoryError: the results hold no counts of the main job, or damaged ones.
    """
    workload = results.get("workload")
    if not isinstance(workload, str) or not isinstance(results.get("counts"), Mapping):
        raise RunDirectoryError("the run's results hold no counts: cost needs a run of the main job, e.g. `rmhil demo`")
    run = _RunCounts(workload, _read_counts(results["counts"]), constants)
    entries = (*run.training(), *run.write(), *run.inference())
    if not entries:
        raise RunDirectoryError(
            f"the run's counts compare nothing: they hold {', '.join(run.counts) or 'no stage'}, and a ratio needs "
            f"{stage_key(ADAPTERS, 'unlearn')} beside {stage_key(REWRITE, 'unlearn')}"
        )
    return CostTable(
        preset="measured",
        title=f"Ratios measured in a run of the workload {workload!r}",
        entries=entries,
        notes=(*_NOTES, *(f"{name.replace('_', ' ')}: {constant}" for name, constant in constants._asdict().items())),
    )


_NOTES = (
    "Pulses, verify reads and cells in an MVM: V x I x t at the array's terminals. The analyser, the host and idle "
    "channels are left out; so is the memory traffic of the digital baseline.",
    "Adapters are charged one SRAM write after each training step, full reprogramming only its last weights.",
    "Inference compares a 45 nm digital unit with a board whose converters take tens of microseconds a pass; the ratio "
    "without converters is given beside it.",
)


class _RunCounts:
    def __init__(self, workload: str, counts: Mapping[str, Counts], constants: EnergyConstants) -> None:
        self.workload, self.counts, self.constants = workload, counts, constants

    def training(self) -> list[CostEntry]:
        entries = []
        for stage, full, lora in self._pairs(REWRITE):
            if not lora.trained_parameters:
                continue
            source = (
                f"{full.trained_parameters:,.0f} / {lora.trained_parameters:,.0f} trained parameters, counted "
                f"(x {full.training_steps} and {lora.training_steps} steps: {full.parameter_updates:,} / "
                f"{lora.parameter_updates:,} updates)"
            )
            ratio = full.trained_parameters / lora.trained_parameters
            entries.append(
                CostEntry(workload=self.workload, quantity="training", stage=stage, ratio=ratio, source=source)
            )
        return entries

    def write(self) -> list[CostEntry]:
        main = [self._written(*pair) for pair in self._pairs(REWRITE) if pair[2].sram_bits_written]
        skipped = [
            replace(self._written(*pair), variant=SKIP_VARIANT)
            for pair in self._pairs(SKIP)
            if pair[2].sram_bits_written
        ]
        return [*main, *skipped]

    def _written(self, stage: Stage, full: Counts, lora: Counts) -> CostEntry:
        analogue, sram = rm_write_energy(full), sram_write_energy(lora, self.constants)
        return CostEntry(
            workload=self.workload,
            quantity="write",
            stage=stage,
            ratio=analogue / sram,
            source=f"{analogue:.3g} J in {full.pulses:,} pulses and {full.reads:,} reads / {sram:.3g} J in "
            f"{lora.sram_bits_written:,} SRAM bits ({lora.training_steps} steps)",
        )

    def inference(self) -> list[CostEntry]:
        entries = []
        for stage in STAGES:
            digital = self.counts.get(stage_key(DIGITAL, stage, inference=True))
            hybrid = self.counts.get(stage_key(ADAPTERS, stage, inference=True))
            if digital is None or hybrid is None or not hybrid.mvms:
                continue
            energy, baseline = inference_energy(hybrid, self.constants), digital.digital_macs * self.constants.mac
            without = energy.total - energy.converters
            bare = f"; {baseline / without:.3g} without converters" if without > 0 else ""
            source = (
                f"{baseline:.3g} J in {digital.digital_macs:,} digital MACs / ({energy.array:.3g} J cells + "
                f"{energy.converters:.3g} J converters + {energy.lora:.3g} J LoRA + {energy.digital:.3g} J digital)"
                f"{bare}"
            )
            ratio = baseline / energy.total
            entries.append(
                CostEntry(workload=self.workload, quantity="inference", stage=stage, ratio=ratio, source=source)
            )
        return entries

    def _pairs(self, method: str) -> list[tuple[Stage, Counts, Counts]]:
        """Full reprogramming by one method and adapters, for each later stage that has both."""
        stages: tuple[Stage, ...] = ("unlearn", "continual")
        return [
            (stage, self.counts[stage_key(method, stage)], self.counts[stage_key(ADAPTERS, stage)])
            for stage in stages
            if stage_key(method, stage) in self.counts and stage_key(ADAPTERS, stage) in self.counts
        ]


def _read_counts(data: Mapping[str, Any]) -> dict[str, Counts]:
    try:
        return {key: Counts.from_dict(value) for key, value in data.items()}
    except (ConfigError, TypeError) as error:
        raise RunDirectoryError(f"the run's counts are damaged: {error}") from error
