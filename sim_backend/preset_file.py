"""Presets in files: TOML with the fields of `DevicePreset`, in SI units.

    # Cells of wafer 7, fitted on 2026-03-01.
    name = "wafer-7"
    set_voltage = 1.08
    telegraph_dwell = [0.001, 10.0]

A field that is left out has the value of `taox180`; an unknown one is refused. Names, units and meaning are those of
`sim_backend.presets.DevicePreset`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rmhil.errors import ConfigError, UnknownNameError
from rmhil.validation_errors import problems
from rmhil.whole_files import whole
from sim_backend.presets import DEVICE_PRESETS, DevicePreset


def find_preset(given: str | Path | DevicePreset | Mapping[str, Any]) -> DevicePreset:
    """A preset by its name, from its file (a path that ends in `.toml`), from its fields, or as it is.

    Raises:
        UnknownNameError: there is none of that name; the message lists those there are.
        ConfigError: the file or the fields are no preset.
    """
    if isinstance(given, DevicePreset):
        return given
    if isinstance(given, Mapping):
        return _checked("preset", given)
    if str(given).endswith(".toml"):
        return load_preset(Path(given))
    if given not in DEVICE_PRESETS:
        raise UnknownNameError("preset", str(given), list(DEVICE_PRESETS), "A path that ends in .toml is a file.")
    return DEVICE_PRESETS[str(given)]


def load_preset(path: Path) -> DevicePreset:
    """The preset in a TOML file.

    Raises:
        ConfigError: it cannot be read, is no TOML, or has a field that is unknown, missing or out of its range.
    """
    try:
        with path.open("rb") as file:
            return _checked(str(path), tomllib.load(file))
    except OSError as error:
        raise ConfigError(f"preset: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"preset: {path} is not TOML: {error}") from error


def write_preset(preset: DevicePreset, path: Path, remarks: Sequence[str] = ()) -> None:
    """Write a preset to a TOML file that `load_preset` gives back exactly.

    Args:
        preset: every field of it is written.
        path: of the file; one that is there is replaced.
        remarks: lines of comment at its head: where the values come from.
    """
    lines = [f"# {remark}".rstrip() for remark in remarks]
    lines += [f"{name} = {_toml(value)}" for name, value in preset.model_dump(mode="json").items()]
    with whole(path) as unfinished:
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_known(preset: DevicePreset) -> bool:
    """Whether it is one of those that have a name here."""
    return DEVICE_PRESETS.get(preset.name) == preset


def label(preset: DevicePreset) -> str:
    """What identifies a preset: its name, with a hash of its fields unless it is one of those known by name."""
    if is_known(preset):
        return preset.name
    fields = json.dumps(preset.model_dump(mode="json"), sort_keys=True)
    return f"{preset.name}#{hashlib.sha256(fields.encode()).hexdigest()[:8]}"


def _checked(source: str, fields: Mapping[str, Any]) -> DevicePreset:
    try:
        return DevicePreset.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{source}: {problems(error, DevicePreset)}") from error


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value)  # a JSON string is a TOML basic string
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return repr(value)
