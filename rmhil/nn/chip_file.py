"""A converted model to and from files, so that a later process takes it up again without a pulse.

`weights.safetensors` holds its parameters (those on the arrays too: they are what was asked for), `chip.json`
how they were put there. The cells themselves stay where they are; adapters are saved by `save_adapter`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rmhil.crossbar import Crossbar
from rmhil.errors import (
    ConfigError,
    InputFileError,
    NotFiniteError,
    NotProgrammedError,
    OutOfRangeError,
    PlacementError,
    ShapeError,
)
from rmhil.mapping import DifferentialPair, OffsetColumn
from rmhil.nn.convert import attach
from rmhil.nn.deployment import Deployment, Recipe
from rmhil.nn.layers import InputRange, analog_layers
from rmhil.nn.lora import AdapterStack
from rmhil.nn.tiles import MapSource
from rmhil.units import Siemens
from rmhil.validation_errors import damage

_SETTINGS_NAME, _WEIGHTS_NAME = "chip.json", "weights.safetensors"

_MAPPINGS: Final = {"DifferentialPair": DifferentialPair, "OffsetColumn": OffsetColumn}


class _ChipSettings(BaseModel):
    """What `chip.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    mapping: Literal["DifferentialPair", "OffsetColumn"]
    mapping_settings: dict[str, Siemens | None]
    tolerance_siemens: Siemens = Field(gt=0)
    policy: str
    max_pulses: int = Field(gt=0)
    measured_from: MapSource
    averages: int = Field(gt=0)
    correct_lines: bool
    compensate: bool
    digital: tuple[str, ...]
    input_range: InputRange
    weight_max: dict[str, tuple[float, ...]]
    shapes: tuple[tuple[int, ...], ...]


def save_chip(chip: nn.Module, path: str | Path) -> Path:
    """Save a converted model, without its adapters.

    Args:
        chip: what `convert` returned.
        path: a directory; made if it is missing.

    Returns:
        The directory.

    Raises:
        NotProgrammedError: the model is on no array.
        ConfigError: it was made with a mapping or a policy of the user's own, or its layers differ in input range.
    """
    deployment = getattr(chip, "deployment", None)
    if not isinstance(deployment, Deployment):
        raise NotProgrammedError("this model is on no array; program it with nn.convert")
    settings = _settings(chip, deployment)
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    save_file(_own_state(chip), directory / _WEIGHTS_NAME)
    (directory / _SETTINGS_NAME).write_text(settings.model_dump_json(indent=2), encoding="utf-8")
    return directory


def open_chip(model: nn.Module, arrays: Sequence[Crossbar], path: str | Path) -> nn.Module:
    """Take up a saved model on the arrays that still hold its weights: cells are read, and none is pulsed.

    Args:
        model: of the same layers; it is changed itself, and its parameters are replaced.
        arrays: the same as when it was programmed.
        path: the directory.

    Returns:
        The model, as `convert` returns it, but with no reports.

    Raises:
        InputFileError: the files are missing or damaged, or were made for another model or other arrays;
            nothing was driven.
        OverRangeError, BackendUnavailableError: from reading the cells.

        With all of them, the model is unchanged.
    """
    directory = Path(path)
    settings, weights = _read_settings(directory / _SETTINGS_NAME), _read_weights(directory / _WEIGHTS_NAME)
    shapes = tuple(crossbar.shape for crossbar in arrays)
    if shapes != settings.shapes:
        raise InputFileError(f"{directory}: programmed on arrays of {settings.shapes} cells, these have {shapes}")
    try:
        recipe = _recipe(settings)
    except (TypeError, ConfigError) as error:
        raise InputFileError(f"{directory / _SETTINGS_NAME}: damaged: {error}") from error
    with _unchanged_unless_done(model):
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise InputFileError(f"{directory}: made for another model: {error}") from error
        try:
            return attach(
                model,
                arrays,
                recipe,
                digital=settings.digital,
                input_range=settings.input_range,
                weight_max=settings.weight_max,
            )
        except (ConfigError, ShapeError, OutOfRangeError, NotFiniteError, PlacementError) as error:
            raise InputFileError(f"{directory}: damaged, or made for another model: {error}") from error


@contextmanager
def _unchanged_unless_done(model: nn.Module) -> Iterator[None]:
    """Give a model its parameters back if what it is meant for breaks off."""
    before = copy.deepcopy(model.state_dict())
    try:
        yield
    except BaseException:
        model.load_state_dict(before)
        raise


def _recipe(settings: _ChipSettings) -> Recipe:
    mapping: type[DifferentialPair] | type[OffsetColumn] = _MAPPINGS[settings.mapping]
    return Recipe(
        mapping=mapping(**settings.mapping_settings),
        tolerance=settings.tolerance_siemens,
        policy=settings.policy,
        max_pulses=settings.max_pulses,
        source=settings.measured_from,
        averages=settings.averages,
        correct_lines=settings.correct_lines,
        compensate=settings.compensate,
    )


def _settings(chip: nn.Module, deployment: Deployment) -> _ChipSettings:
    recipe, layers = deployment.recipe, analog_layers(chip)
    mapping = type(recipe.mapping).__name__
    if _MAPPINGS.get(mapping) is not type(recipe.mapping):
        raise ConfigError(f"a chip with the mapping {mapping} of your own cannot be saved")
    if not isinstance(recipe.policy, str):
        raise ConfigError("a chip with a policy of your own cannot be saved; name one that comes with rmhil")
    ranges = {layer.input_range for layer in layers.values()}
    if len(ranges) != 1:
        raise ConfigError("a chip whose layers differ in input_range cannot be saved")
    return _ChipSettings(
        mapping=mapping,
        mapping_settings=dataclasses.asdict(recipe.mapping),  # type: ignore[call-overload]  # both are dataclasses
        tolerance_siemens=recipe.tolerance,
        policy=recipe.policy,
        max_pulses=recipe.max_pulses,
        measured_from=recipe.source,
        averages=recipe.averages,
        correct_lines=recipe.correct_lines,
        compensate=recipe.compensate,
        digital=tuple(
            name
            for name, module in chip.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and name not in layers
        ),
        input_range=ranges.pop(),
        weight_max={name: tuple(tile.weight_max for tile in each.tiles) for name, each in deployment.matrices.items()},
        shapes=tuple(crossbar.shape for crossbar in deployment.crossbars),
    )


def _own_state(chip: nn.Module) -> dict[str, torch.Tensor]:
    stacks = tuple(f"{name}." for name, module in chip.named_modules() if isinstance(module, AdapterStack))
    state = chip.state_dict()
    return {
        name: value.detach().cpu().contiguous().clone() for name, value in state.items() if not name.startswith(stacks)
    }


def _read_settings(path: Path) -> _ChipSettings:
    try:
        return _ChipSettings.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputFileError(f"no saved chip in {path.parent}: {path.name} is missing") from error
    except ValidationError as error:
        raise InputFileError(f"{path}: {damage(error)}") from error
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: not readable: {error}") from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputFileError(f"{path}: not readable: {error}") from error
