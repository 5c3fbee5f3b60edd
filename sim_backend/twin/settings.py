"""What a twin is made of: settings that travel to its process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rmhil.bench.boards import BOARDS
from rmhil.bench.config import BoardTable
from rmhil.bench.messages import KEY_BYTES_MIN
from rmhil.errors import ConfigError, UnknownNameError
from rmhil.validation_errors import problems

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
        board_host: address of this machine that its TCP port is on, in numbers.
        key_file: with the key that the board shares with its hosts; needed where other machines reach that address.
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
    board_host: str = LOOPBACK
    key_file: Path | None = None
    board_port: int = Field(default=0, ge=0, le=65535)
    socket_port: int | None = Field(default=0, ge=0, le=65535)
    hislip_port: int | None = Field(default=0, ge=0, le=65535)
    control_port: int = Field(default=0, ge=0, le=65535)
    waves: bool = False
    wave_file: Path | None = None
    tied: bool = False

    @model_validator(mode="after")
    def _strangers_need_a_key(self) -> Self:
        if not ip_address(self.board_host).is_loopback and self.key_file is None:
            raise ValueError(
                f"other machines reach {self.board_host}: a key_file is needed, {KEY_BYTES_MIN} bytes or more"
            )
        return self

    @property
    def key(self) -> bytes:
        """Shared with the board's hosts; empty where there is none.

        Raises:
            ConfigError: the file cannot be read, or is no key.
        """
        return BoardTable(url=self.board_host, key_file=self.key_file).key() or b""

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
        raise ConfigError(f"twin settings: {problems(error, TwinSettings)}") from error
    _ = settings.key
    if settings.topology not in BOARDS:
        raise UnknownNameError("board description", settings.topology, tuple(BOARDS))
    return settings


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a setting may be
    """A setting as JSON takes it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value.absolute()) if isinstance(value, Path) else value
