"""Settings of the simulator: one frozen model, from a TOML file, from options, or both."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rmhil.errors import ConfigError, UnknownNameError
from rmhil.units import Kelvins
from rmhil.validation_errors import problems
from rmhil.wiring import Wiring
from sim_backend.preset_file import find_preset, is_known, label
from sim_backend.presets import DevicePreset
from sim_backend.state import IDENTITY, SavedState
from sim_backend.thermal import REFERENCE_TEMPERATURE, conductance_factor

NON_IDEALITIES: Final = (
    "device-spread",
    "cycle-spread",
    "read-noise",
    "telegraph",
    "retention",
    "wear",
    "stuck-cells",
    "routing",
    "wire",
    "mux-spread",
    "leakage",
    "tia-offset",
    "dac-quantisation",
    "adc-quantisation",
    "adc-range",
    "adc-noise",
)
"""What can be switched off, each alone."""

MVM_ONLY: Final = ("tia-offset", "dac-quantisation", "adc-quantisation", "adc-range", "adc-noise")
"""Those of them that act in MVMs only: pulses and reads of cells are the same with and without."""

GROUPS: Final = {
    "lines": ("routing", "wire", "mux-spread"),
    "converters": ("dac-quantisation", "adc-quantisation", "adc-range"),
}
"""Names that stand for several of them: lines without resistance, converters without codes and range."""


class SimConfig(BaseModel):
    """What a simulated backend is.

    Attributes:
        preset: of the cells: a name, the path of a TOML file (`sim_backend.preset_file`), or the preset itself.
        n_arrays, n_bl, n_sl: geometry; the lines are those of the preset unless told otherwise.
        seed: of everything that is drawn; one seed is one chip.
        temperature: K, of the whole chip.
        device: torch device that computes, e.g. `cpu` or `cuda`.
        dtype: type of the data plane. Cells are computed in float64 and kept in float32.
        cells_at_once: cells that one `apply` takes; None means any number.
        wiring: routing and converters.
        off: non-idealities that are switched off.
        ideal: all of them off.
        nonlinear: cells follow `sim_backend.nonlinear.CellCurve` below the read voltage, not Ohm's law. An MVM then
            takes some hundred times as long.
        state: file of `save_state` to go on from.
        storage: folder in which the state of the cells is mapped to scratch files, for chips that are larger than
            the memory; None keeps it there. What is to outlive the process goes through `save_state`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | Path | DevicePreset = Field(default="taox180", validate_default=True)
    n_arrays: int = Field(default=1, gt=0)
    n_bl: int = Field(default_factory=lambda given: given["preset"].n_bl, gt=0)
    n_sl: int = Field(default_factory=lambda given: given["preset"].n_sl, gt=0)
    seed: int = Field(default=0, ge=0)
    temperature: Kelvins = Field(default=REFERENCE_TEMPERATURE, ge=200.0, le=500.0)
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    cells_at_once: int | None = Field(default=None, gt=0)
    wiring: Wiring = Field(default_factory=Wiring)
    off: tuple[str, ...] = ()
    ideal: bool = False
    nonlinear: bool = False
    state: Path | None = None
    storage: Path | None = None

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, given: str | Path | DevicePreset) -> DevicePreset:
        return find_preset(given)

    @field_validator("device")
    @classmethod
    def _usable_device(cls, name: str) -> str:
        try:
            torch.zeros(1, dtype=torch.float64, device=name).cpu()
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            # torch uses all of them: no such device, not built for it, without data, without float64
            raise ValueError(f"torch has no device {name!r} here: {str(error).splitlines()[0]}") from error
        return name

    @field_validator("off")
    @classmethod
    def _known_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in NON_IDEALITIES and name not in GROUPS:
                raise UnknownNameError("non-ideality", name, (*NON_IDEALITIES, *GROUPS))
        single = {one for name in names for one in GROUPS.get(name, (name,))}
        return tuple(name for name in NON_IDEALITIES if name in single)

    @model_validator(mode="after")
    def _only_memory_is_mapped(self) -> Self:
        if self.storage is not None and torch.device(self.device).type != "cpu":
            raise ValueError(f"storage is for cells on the CPU, not on {self.device!r}")
        return self

    @model_validator(mode="after")
    def _cells_conduct(self) -> Self:
        factor = conductance_factor(self.device_preset, self.temperature)
        if not factor > 0.0:
            change, warmer = self.device_preset.conductance_temperature, self.temperature - REFERENCE_TEMPERATURE
            side = "above" if warmer > 0 else "below"
            raise ValueError(
                f"conductance_temperature = {change:g} 1/K leaves no conductance at temperature = "
                f"{self.temperature:g} K: there it must be {side} {-1.0 / warmer:g} 1/K"
            )
        return self

    def has(self, name: str) -> bool:
        """Whether a non-ideality is on."""
        if name not in NON_IDEALITIES:
            raise UnknownNameError("non-ideality", name, NON_IDEALITIES)
        return not self.ideal and name not in self.off

    @property
    def device_preset(self) -> DevicePreset:
        """Parameters of the cells, at the reference temperature."""
        assert isinstance(self.preset, DevicePreset)  # the validator sees to it
        return self.preset

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that make the chip, as JSON takes them: a known preset by its name, another one in full."""
        preset = self.device_preset
        named = preset.name if is_known(preset) else preset.model_dump(mode="json")
        return {name: getattr(self, name) for name in IDENTITY} | {"preset": named}

    @property
    def effective_wiring(self) -> Wiring:
        """The wiring with the resistances that are switched off at zero."""
        parts = {"routing": "routing_resistance", "wire": "wire_resistance"}
        gone = [part for name, part in parts.items() if not self.has(name)]
        return self.wiring.model_copy(update={f"{line}_{part}": 0.0 for part in gone for line in ("bl", "sl")})

    @property
    def provenance(self) -> str:
        """Identity for `ArraySpec.provenance`: preset, seed and every setting that is not the default."""
        parts = [label(self.device_preset), f"seed={self.seed}"]
        for name in ("temperature", "device", "dtype", "cells_at_once", "ideal", "nonlinear", "off"):
            value = getattr(self, name)
            if value != type(self).model_fields[name].get_default():
                parts.append(f"{name}={'+'.join(value) if name == 'off' else value}")
        changed = self.wiring.model_dump()
        parts += [f"{name}={value}" for name, value in changed.items() if value != getattr(Wiring(), name)]
        return f"sim({', '.join(parts)})"


def load_config(config: str | Path | None, options: dict[str, Any]) -> SimConfig:
    """Settings from a TOML file (None: defaults), options on top; a `wiring` option adds to the file's.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown or out of its range.
        UnknownNameError: no such preset or non-ideality; the message lists them.
    """
    settings = _read(Path(config)) if config is not None else {}
    if options.get("state", settings.get("state")) is not None:
        settings = _settings_of_state(settings | options) | settings
    wiring = options.get("wiring")
    if isinstance(wiring, Wiring):
        options = options | {"wiring": wiring.model_dump()}
    elif isinstance(wiring, dict) and isinstance(settings.get("wiring"), dict):
        options = options | {"wiring": settings["wiring"] | wiring}
    try:
        return SimConfig.model_validate(settings | options)
    except ValidationError as error:
        for one in error.errors():
            cause = one.get("ctx", {}).get("error")
            if isinstance(cause, UnknownNameError):
                raise cause from error
        raise ConfigError(f"simulator settings: {problems(error, SimConfig)}") from error


def _settings_of_state(given: dict[str, Any]) -> dict[str, Any]:
    """What the saved state says of its chip, checked against what was asked for by name."""
    path = Path(given["state"])
    saved = SavedState.load(path).settings
    check_same_chip(path, saved, given)
    return {name: saved[name] for name in IDENTITY}


def check_same_chip(path: Path, saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse a saved state for another chip than its own.

    Args:
        path: of the state.
        saved: the settings in it.
        given: settings asked for; what is not among them may be anything.

    Raises:
        ConfigError: one of those in `IDENTITY` is another.
    """
    for name in IDENTITY:
        if name not in given:
            continue
        asked, kept = given[name], saved[name]
        if name == "preset":
            asked, kept = (label(find_preset(one)) for one in (asked, kept))
        if asked != kept:
            raise ConfigError(f"{path} was saved with {name} = {kept!r}, not {asked!r}")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"simulator settings: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"simulator settings: {path} is not TOML: {error}") from error
    if {"analyser", "board"} <= settings.keys():
        raise ConfigError(f"simulator settings: {path} describes a bench; open it as `bench`, or as `twin`")
    return settings
