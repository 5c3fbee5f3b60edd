"""What the report needs of `results.json`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmhil.errors import RunDirectoryError
from rmhil.validation_errors import damage


class StageAccuracy(BaseModel):
    """Accuracies of one method after one stage, 0 to 1; None where there is nothing to measure.

    Attributes:
        kept: on the classes learned first and not forgotten.
        forgotten: on the class to forget.
        new: on the class learned last.
        overall: on all classes known at this stage.
        per_class: by name of the class.
    """

    model_config = ConfigDict(frozen=True)

    kept: float | None = None
    forgotten: float | None = None
    new: float | None = None
    overall: float | None = None
    per_class: dict[str, float | None] = Field(default_factory=dict)


class SweepPoint(BaseModel):
    """Pulses that a programming to one tolerance took.

    Attributes:
        policy: name.
        tolerance_siemens: S.
        pulses_per_cell: SET and RESET pulses, mean.
        converged_fraction: cells within tolerance among those asked for.
    """

    model_config = ConfigDict(frozen=True)

    policy: str
    tolerance_siemens: float = Field(gt=0)
    pulses_per_cell: float = Field(ge=0)
    converged_fraction: float = Field(ge=0, le=1)


class JobResults(BaseModel):
    """Results of a main job.

    Attributes:
        workload: its name.
        stages: in order.
        methods: in the order of tables and legends.
        class_names: in the order of the network's outputs.
        accuracy: method -> stage -> accuracies.
        parameters: what was trained, as counts.
        pulses_after_deployment: RM pulses after the first programming; None if not counted.
        seconds: durations on the host, s.
        pulses_against_tolerance: what write-verify took on spare cells.
    """

    model_config = ConfigDict(frozen=True)

    workload: str
    stages: list[str]
    methods: list[str]
    class_names: list[str] = Field(default_factory=list)
    accuracy: dict[str, dict[str, StageAccuracy]]
    parameters: dict[str, Any] = Field(default_factory=dict)
    pulses_after_deployment: int | None = None
    seconds: dict[str, Any] = Field(default_factory=dict)
    pulses_against_tolerance: list[SweepPoint] = Field(default_factory=list)

    def of(self, method: str, stage: str) -> StageAccuracy:
        """Accuracies of a method after a stage; empty where it was not measured."""
        return self.accuracy.get(method, {}).get(stage, StageAccuracy())


def job_results(results: Mapping[str, Any] | None) -> JobResults | None:
    """The results of a main job; None where a run has none.

    Raises:
        RunDirectoryError: they are damaged; the message says where.
    """
    if results is None or "accuracy" not in results:
        return None
    try:
        return JobResults.model_validate(results)
    except ValidationError as error:
        raise RunDirectoryError(f"results.json: {damage(error)}") from error
