"""What a twin is made of: settings that travel to its process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmhil.bench.boards import BOARDS
from rmhil.errors import ConfigError, UnknownNameError

LOOPBACK: Final = "127.0.0.1"

CHANNELS: Final = {"bl": 1, "sl": 2, "wl": 3, "inhibit": 4}
"""Channels of the analyser at the board's lines for it."""

ARRAY_OPTIONS: Final = ("preset", "n_bl", "n_sl", "seed", "temperature", "wiring", "off", "ideal", "nonlinear", "state")
"""Settings of `sim_backend.config.SimConfig` that a twin takes as they are. It has one array, computed in float64."""


class TwinSettings(BaseModel):
    """What one twin process serves.

    Attributes:
        topology: name of the board description.
        array: those of `ARRAY_OPTIONS` that are given.
        analyser_ideal: whether the analyser's converters show what is; None: where the array's readings have no noise.
        board: how hosts reach the board.
        board_port, socket_port, hislip_port, control_port: 0 takes a free one; None (not for the board): none.
        waves: whether the board can write wave dumps.
        wave_file: dump that begins at once and ends with the process; None: none.
        tied: whether the process ends with the one that started it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: str = "adc64"
    array: Mapping[str, Any] = Field(default_factory=dict)
    analyser_ideal: bool | None = None
    board: Literal["tcp", "pty"] = "tcp"
    board_port: int = Field(default=0, ge=0, le=65535)
    socket_port: int | None = Field(default=0, ge=0, le=65535)
    hislip_port: int | None = Field(default=0, ge=0, le=65535)
    control_port: int = Field(default=0, ge=0, le=65535)
    waves: bool = False
    wave_file: Path | None = None
    tied: bool = False

    @property
    def with_waves(self) -> bool:
        """Whether the library that can dump waves is needed."""
        return self.waves or self.wave_file is not None


def twin_settings(options: Mapping[str, Any]) -> TwinSettings:
    """Settings from options by name, those of the array among them.

    Raises:
        ConfigError: an option is unknown or out of its range.
        UnknownNameError: no such board description.
    """
    own = {name: value for name, value in options.items() if name not in ARRAY_OPTIONS}
    array = {name: _plain(value) for name, value in options.items() if name in ARRAY_OPTIONS and value is not None}
    try:
        settings = TwinSettings.model_validate(own | ({"array": array} if array else {}))
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"twin settings: {details}") from error
    if settings.topology not in BOARDS:
        raise UnknownNameError("board description", settings.topology, tuple(BOARDS))
    return settings


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a setting may be
    """A setting as JSON takes it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value.absolute()) if isinstance(value, Path) else value
