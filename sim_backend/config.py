"""Settings of the simulator: one frozen model, from a TOML file, from options, or both."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rmhil.errors import ConfigError, UnknownNameError
from rmhil.wiring import Wiring
from sim_backend.presets import DevicePreset, device_preset
from sim_backend.state import IDENTITY, SavedState

NON_IDEALITIES: Final = (
    "device-spread",
    "cycle-spread",
    "read-noise",
    "telegraph",
    "stuck-cells",
    "lines",
    "mux-spread",
    "converters",
    "adc-noise",
    "tia-offset",
)
"""What can be switched off, each alone. `lines` is wire, routing and its spread; without
`converters` voltages and currents are exact and there is no range."""


class SimConfig(BaseModel):
    """What a simulated backend is.

    Attributes:
        n_arrays, n_bl, n_sl: geometry.
        seed: of everything that is drawn; one seed is one chip.
        preset: name of the device preset.
        device: torch device that computes, e.g. `cpu` or `cuda`.
        dtype: type of the data plane; cells are always float64.
        cells_at_once: cells that one `apply` takes; None means any number.
        wiring: routing and converters.
        off: non-idealities that are switched off.
        ideal: all of them off.
        state: file of `save_state` to go on from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_arrays: int = Field(default=1, gt=0)
    n_bl: int = Field(default=128, gt=0)
    n_sl: int = Field(default=128, gt=0)
    seed: int = Field(default=0, ge=0)
    preset: str = "taox180"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    cells_at_once: int | None = Field(default=None, gt=0)
    wiring: Wiring = Field(default_factory=Wiring)
    off: tuple[str, ...] = ()
    ideal: bool = False
    state: Path | None = None

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str) -> str:
        return device_preset(name).name

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
            if name not in NON_IDEALITIES:
                raise UnknownNameError("non-ideality", name, NON_IDEALITIES)
        return tuple(name for name in NON_IDEALITIES if name in names)

    def has(self, name: str) -> bool:
        """Whether a non-ideality is on."""
        if name not in NON_IDEALITIES:
            raise UnknownNameError("non-ideality", name, NON_IDEALITIES)
        return not self.ideal and name not in self.off

    @property
    def device_preset(self) -> DevicePreset:
        """Parameters of the cells."""
        return device_preset(self.preset)

    @property
    def effective_wiring(self) -> Wiring:
        """The wiring with the resistances of `lines` at zero if that is switched off."""
        if self.has("lines"):
            return self.wiring
        return self.wiring.model_copy(
            update={
                "bl_routing_resistance": 0.0,
                "sl_routing_resistance": 0.0,
                "bl_wire_resistance": 0.0,
                "sl_wire_resistance": 0.0,
            }
        )

    @property
    def provenance(self) -> str:
        """Identity for `ArraySpec.provenance`: preset, seed and every setting that is not the default."""
        parts = [self.preset, f"seed={self.seed}"]
        for name in ("device", "dtype", "cells_at_once", "ideal", "off"):
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
        details = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'sim'}: {one['msg']}" for one in error.errors()
        )
        raise ConfigError(f"simulator settings: {details}") from error


def _settings_of_state(given: dict[str, Any]) -> dict[str, Any]:
    """What the saved state says of its chip, checked against what was asked for by name."""
    path = Path(given["state"])
    saved = SavedState.load(path).settings
    for name in IDENTITY:
        if name in given and given[name] != saved[name]:
            raise ConfigError(f"{path} was saved with {name} = {saved[name]!r}, not {given[name]!r}")
    return {name: saved[name] for name in IDENTITY}


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"simulator settings: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"simulator settings: {path} is not TOML: {error}") from error
