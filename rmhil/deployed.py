"""A workload's network on its arrays, kept in a run and taken up again: what `rmhil infer` stands on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmhil.errors import RunDirectoryError, UnknownNameError
from rmhil.plain import plain
from rmhil.reopen import keep_state
from rmhil.validation_errors import damage
from rmhil.workload import Task, find_workload

if TYPE_CHECKING:
    import torch

    from rmhil.backend import Backend
    from rmhil.crossbar import Crossbar
    from rmhil.nn import SramBank
    from rmhil.store import Run

_FOLDER, _RECORD_NAME, _CHIP, _ADAPTERS = "deployment", "deployment.json", "chip", "adapters"


class DeploymentRecord(BaseModel):
    """What `deployment/deployment.json` holds.

    Attributes:
        workload: name of the workload.
        options, seed: what it was loaded with.
        stages: adapters that are enabled after each stage, in order.
        sram_format, sram_capacity: of the bank that holds the adapters; bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    workload: str
    options: dict[str, Any] = Field(default_factory=dict)
    seed: int
    stages: dict[str, tuple[str, ...]]
    sram_format: Literal["float32", "float16", "bfloat16", "int8"]
    sram_capacity: int = Field(gt=0)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A network on its arrays, with the data it was made for.

    Attributes:
        task: data and names of the classes.
        chip: the model, as `rmhil.nn.convert` returns it, with the adapters of the stage enabled.
        stage: the stage.
        adapters: names of the enabled adapters.
    """

    task: Task
    chip: torch.nn.Module
    stage: str
    adapters: tuple[str, ...]


def keep_deployment(
    run: Run,
    chip: torch.nn.Module,
    backend: Backend,
    *,
    workload: str,
    seed: int,
    stages: Mapping[str, Sequence[str]],
    bank: SramBank,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Keep a converted model, its adapters and the state of its cells in a run.

    Args:
        run: where.
        chip: what `rmhil.nn.convert` returned, with all adapters of all stages.
        backend: what holds its arrays.
        workload: name of the workload whose `load(seed, **options).model()` has the layers of the chip.
        seed: of the workload.
        stages: names of the adapters that are enabled after each stage, in order.
        bank: of the adapters.
        options: of the workload.

    Raises:
        ConfigError, UnknownNameError: as `rmhil.nn.save_chip` and `rmhil.nn.save_adapter`.
    """
    from rmhil.nn import save_adapter
    from rmhil.nn.chip_file import save_chip

    record = DeploymentRecord(
        workload=workload,
        options=plain(dict(options or {})),
        seed=seed,
        stages={stage: tuple(names) for stage, names in stages.items()},
        sram_format=bank.format.name,
        sram_capacity=bank.capacity,
    )
    folder = run.directory(_FOLDER)
    save_chip(chip, folder / _CHIP)
    for name in {name: None for names in stages.values() for name in names}:
        save_adapter(chip, name, folder / _ADAPTERS / name)
    (folder / _RECORD_NAME).write_text(record.model_dump_json(indent=2), encoding="utf-8")
    keep_state(run, backend)


def reopen_deployment(run: Run, arrays: Sequence[Crossbar], stage: str | None = None) -> Deployed:
    """Take up the model of a run: cells are read, and none is pulsed.

    Args:
        run: a run of `keep_deployment`.
        arrays: its arrays, e.g. of the backend that `rmhil.reopen.reopen` opened.
        stage: enables the adapters of this stage; None: of the last one.

    Raises:
        RunDirectoryError: the run keeps no model, or its record is damaged.
        UnknownNameError: no such stage or workload.
        InputFileError, AdapterFileError: the model or an adapter is damaged.
    """
    from rmhil.nn import SramBank, load_adapter
    from rmhil.nn.chip_file import open_chip

    folder = run.path / _FOLDER
    record = _read(folder / _RECORD_NAME)
    chosen = stage or list(record.stages)[-1]
    if chosen not in record.stages:
        raise UnknownNameError("stage", chosen, list(record.stages))
    task = _load(record, folder / _RECORD_NAME)
    chip = open_chip(task.model(), arrays, folder / _CHIP)
    bank = SramBank(record.sram_capacity, record.sram_format, ledger=arrays[0].ledger)
    for name in record.stages[chosen]:
        load_adapter(chip, folder / _ADAPTERS / name, bank=bank, name=name)
    return Deployed(task, chip, chosen, record.stages[chosen])


def _load(record: DeploymentRecord, path: Path) -> Task:
    workload = find_workload(record.workload)
    try:
        return workload.load(record.seed, **record.options)
    except (TypeError, ValueError) as error:
        raise RunDirectoryError(f"{path}: {record.workload!r} cannot be loaded with its options: {error}") from error


def _read(path: Path) -> DeploymentRecord:
    try:
        record = DeploymentRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RunDirectoryError(f"{path.parent.parent}: keeps no model; `rmhil demo` makes a run that does") from error
    except ValidationError as error:
        raise RunDirectoryError(f"{path}: {damage(error)}") from error
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path}: not readable: {error}") from error
    if not record.stages:
        raise RunDirectoryError(f"{path}: names no stage")
    return record
