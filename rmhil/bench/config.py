"""The bench as one TOML file: instruments, channels, array, limits, lock and folders.

The twin hands out the same thing, so everything that reads it serves both.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rmhil.backend import Limits
from rmhil.bench.board_map import VECTOR_LINES as BANK_LINES
from rmhil.bench.boards import BOARDS
from rmhil.bench.flex.facts import PULSE_PERIOD, PULSE_WIDTH
from rmhil.bench.limits import AnalyserWiring
from rmhil.bench.link import BAUD, LINK_TIMEOUT
from rmhil.bench.messages import KEY_BYTES_MAX, KEY_BYTES_MIN, LINK_TIMEOUT_MAX, LINK_TIMEOUT_MIN
from rmhil.bench.session import ANSWER_WAIT
from rmhil.bench.wire import DEFAULT_LIBRARY
from rmhil.errors import ConfigError
from rmhil.units import Amperes, Seconds, Siemens, Volts
from rmhil.validation_errors import problems_of_file
from rmhil.wiring import Wiring

LINE_VOLTAGE_MAX: Final[Volts] = 20.0
"""V: a line goes through a CD4051B, which stands 20 V between its supplies (TI SCHS047M, absolute maximum ratings)."""

LINE_CURRENT_MAX: Final[Amperes] = 10e-3
"""A: through one channel of a CD4051B (TI SCHS047M, absolute maximum ratings)."""

_CHIP_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SLOTS: Final = 10
"""Of a B1500A's mainframe; the SMU in slot n is channel n (B1500A Programming Guide, page 4-173)."""


class ArrayPreset(NamedTuple):
    """Geometry and window of an array that was published."""

    n_bl: int
    n_sl: int
    conductance_min: Siemens
    conductance_max: Siemens


PRESETS: Final = {"taox180": ArrayPreset(128, 128, 10e-6, 80e-6)}
"""Arrays by name: 1T1R cells of TiN/Ta2O5/TaOx/TiN, 180 nm (arXiv 2601.10037)."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Channels(_Table):
    """SMU channels on the board's analyser lines.

    Attributes:
        bl, sl, wl: of the selected cell's lines.
        inhibit: of the line that unselected bit lines are held with while a RESET raises the source line; None leaves
            them open.
    """

    bl: int = Field(default=1, ge=1, le=SLOTS)
    sl: int = Field(default=2, ge=1, le=SLOTS)
    wl: int = Field(default=3, ge=1, le=SLOTS)
    inhibit: int | None = Field(default=None, ge=1, le=SLOTS)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        named = self.by_line
        if len(set(named.values())) < len(named):
            listed = ", ".join(f"{line} = {channel}" for line, channel in named.items())
            raise ValueError(f"{listed}: each line needs a channel of its own")
        return self

    @property
    def by_line(self) -> dict[str, int]:
        """Channel of each line that has one."""
        lines = {"bl": self.bl, "sl": self.sl, "wl": self.wl, "inhibit": self.inhibit}
        return {line: channel for line, channel in lines.items() if channel is not None}


class AnalyserTable(_Table):
    """The B1500A.

    Attributes:
        resource: VISA name.
        library: VISA library: `@py`, `@ivi` for the vendor's, or a path.
        patience_s: s for an answer to a query.
        serial: from its label, since its `*IDN?` says 0; part of the provenance.
        channels: of its SMUs.
    """

    resource: str = Field(min_length=1)
    library: str = DEFAULT_LIBRARY
    patience_s: Seconds = Field(default=ANSWER_WAIT, gt=0, le=60)
    serial: str = ""
    channels: Channels = Field(default_factory=Channels)


class BoardTable(_Table):
    """The ZC706 with the converters.

    Attributes:
        url: of its daemon: `/dev/ttyUSB0`, a pseudo-terminal, or `socket://host:port`.
        baud: 1/s, of a device.
        key_file: file with the key that the daemon shares; needed where it is another machine.
        description: name of the board description that its overlay was built from.
        link_timeout_s: s of silence after which the daemon switches the outputs off.
        serial: from its label; part of the provenance.
    """

    url: str = Field(min_length=1)
    baud: int = Field(default=BAUD, ge=1200, le=4_000_000)
    key_file: Path | None = None
    description: str = "adc64"
    link_timeout_s: Seconds = Field(default=LINK_TIMEOUT, ge=LINK_TIMEOUT_MIN, le=LINK_TIMEOUT_MAX)
    serial: str = ""

    @field_validator("description")
    @classmethod
    def _known_board(cls, name: str) -> str:
        if name not in BOARDS:
            raise ValueError(f"no such board description; known: {', '.join(sorted(BOARDS))}")
        return name

    def key(self) -> bytes | None:
        """The shared key; None where no file is named.

        Raises:
            ConfigError: the file cannot be read, or is no key.
        """
        if self.key_file is None:
            return None
        path = self.key_file.expanduser()
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"board.key_file = {path}: cannot be read: {error.strerror}") from error
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            text = f"holds a key of {len(key)} bytes, allowed {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes"
            raise ConfigError(f"board.key_file = {path}: {text}")
        return key


class ArrayTable(_Table):
    """The chip.

    Attributes:
        chip: what it is called; its wear is kept in `paths.chips` under this name.
        preset: name of an array in `PRESETS`, for what is not given below.
        n_bl, n_sl: lines that are bonded to the board.
        conductance_min_siemens, conductance_max_siemens: S, window of targets.
        pulse_width_s: s, width that policies use.
        read_voltage_v: V, of a verify read.
        read_gate_voltage_v: V on the WL in a verify read, and the board's rail in an MVM.
    """

    chip: str
    preset: str | None = None
    n_bl: int = Field(ge=1, le=256)
    n_sl: int = Field(ge=1, le=256)
    conductance_min_siemens: Siemens = Field(gt=0, le=1e-2)
    conductance_max_siemens: Siemens = Field(gt=0, le=1e-2)
    pulse_width_s: Seconds = Field(default=1e-3, ge=PULSE_WIDTH[0], le=PULSE_WIDTH[1])
    read_voltage_v: Volts = Field(default=0.2, gt=0, le=1.0)
    read_gate_voltage_v: Volts = Field(default=5.0, gt=0, le=LINE_VOLTAGE_MAX)

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(given, Mapping) or not isinstance(given.get("preset"), str):
            return given
        if given["preset"] not in PRESETS:
            raise ValueError(f"preset = {given['preset']!r} is unknown; known: {', '.join(sorted(PRESETS))}")
        preset = PRESETS[given["preset"]]
        filled = {
            "n_bl": preset.n_bl, "n_sl": preset.n_sl,
            "conductance_min_siemens": preset.conductance_min, "conductance_max_siemens": preset.conductance_max,
        }  # fmt: skip
        return filled | dict(given)

    @field_validator("chip")
    @classmethod
    def _name_of_a_file(cls, name: str) -> str:
        if not _CHIP_NAME.fullmatch(name):
            raise ValueError("names no file; allowed 1 to 64 letters, digits, and . _ - after the first")
        return name

    @model_validator(mode="after")
    def _window(self) -> Self:
        low, high = self.conductance_min_siemens, self.conductance_max_siemens
        if not low < high:
            raise ValueError(f"conductance_min_siemens = {low:g} S, allowed below conductance_max_siemens = {high:g} S")
        return self


class LimitTable(_Table):
    """What is never exceeded at the array's lines; `rmhil.backend.Limits` with units in the names."""

    read_voltage_v: Volts = Field(default=Limits().read_voltage, gt=0, le=1.0)
    set_voltage_v: Volts = Field(default=Limits().set_voltage, gt=0, le=LINE_VOLTAGE_MAX)
    reset_voltage_v: Volts = Field(default=Limits().reset_voltage, gt=0, le=LINE_VOLTAGE_MAX)
    form_voltage_v: Volts = Field(default=Limits().form_voltage, gt=0, le=LINE_VOLTAGE_MAX)
    gate_voltage_v: Volts = Field(default=Limits().gate_voltage, gt=0, le=LINE_VOLTAGE_MAX)
    current_a: Amperes = Field(default=Limits().current, gt=0, le=LINE_CURRENT_MAX)
    pulse_width_min_s: Seconds = Field(default=Limits().pulse_width_min, ge=PULSE_WIDTH[0], le=PULSE_WIDTH[1])
    pulse_width_max_s: Seconds = Field(default=Limits().pulse_width_max, ge=PULSE_WIDTH[0], le=PULSE_WIDTH[1])
    pulse_period_min_s: Seconds = Field(default=Limits().pulse_period_min, ge=PULSE_PERIOD[0], le=PULSE_PERIOD[1])

    @model_validator(mode="after")
    def _widths(self) -> Self:
        low, high = self.pulse_width_min_s, self.pulse_width_max_s
        if not low <= high:
            raise ValueError(f"pulse_width_min_s = {low:g} s, allowed up to pulse_width_max_s = {high:g} s")
        return self

    @property
    def limits(self) -> Limits:
        """As the seam has them."""
        return Limits(
            read_voltage=self.read_voltage_v, set_voltage=self.set_voltage_v, reset_voltage=self.reset_voltage_v,
            form_voltage=self.form_voltage_v, gate_voltage=self.gate_voltage_v, current=self.current_a,
            pulse_width_min=self.pulse_width_min_s, pulse_width_max=self.pulse_width_max_s,
            pulse_period_min=self.pulse_period_min_s,
        )  # fmt: skip


class LockTable(_Table):
    """Who owns the bench.

    Attributes:
        file: that says so; None: one in the system's folder for temporary files, named after the analyser.
    """

    file: Path | None = None


class PathTable(_Table):
    """Folders; relative ones begin where the command is given.

    Attributes:
        chips: of chip files, which keep the wear of each cell.
    """

    chips: Path = Path("chips")


class TwinTable(_Table):
    """What a twin says of itself; a bench has no such table.

    Attributes:
        identity: of its array, as the provenance of all results names it.
        url: of its server, for what no bench can do, such as saving the array.
    """

    identity: str = Field(min_length=1)
    url: str = Field(min_length=1)


class BenchConfig(_Table):
    """A bench, or a twin; see `docs/reference/bench-configuration.md`."""

    analyser: AnalyserTable
    board: BoardTable
    array: ArrayTable
    wiring: Wiring = Field(default_factory=Wiring)
    limits: LimitTable = Field(default_factory=LimitTable)
    lock: LockTable = Field(default_factory=LockTable)
    paths: PathTable = Field(default_factory=PathTable)
    twin: TwinTable | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if wrong := [*self._beyond_limits(), *self._beyond_board()]:
            raise ValueError("; ".join(wrong))
        BOARDS[self.board.description].check_wiring(self.wiring)
        return self

    def _beyond_limits(self) -> list[str]:
        array, limits = self.array, self.limits
        pairs = {
            "array.read_voltage_v": (array.read_voltage_v, "limits.read_voltage_v", limits.read_voltage_v, "V"),
            "array.read_gate_voltage_v": (
                array.read_gate_voltage_v, "limits.gate_voltage_v", limits.gate_voltage_v, "V",
            ),
            "array.pulse_width_s": (array.pulse_width_s, "limits.pulse_width_max_s", limits.pulse_width_max_s, "s"),
            "limits.pulse_width_min_s": (
                limits.pulse_width_min_s, "array.pulse_width_s", array.pulse_width_s, "s",
            ),
        }  # fmt: skip
        return [
            f"{name} = {value:g} {unit}, allowed up to {other} = {limit:g} {unit}"
            for name, (value, other, limit, unit) in pairs.items()
            if value > limit
        ]

    def _beyond_board(self) -> list[str]:
        board = BOARDS[self.board.description]
        found = []
        for line in ("bl", "sl"):
            lines, channels = getattr(self.array, f"n_{line}"), getattr(self.wiring, f"{line}_channels")
            banks = -(-lines // channels)
            most = getattr(board, f"n_{line}") // BANK_LINES
            if channels > BANK_LINES:
                found.append(f"wiring.{line}_channels = {channels}, allowed 1 to {BANK_LINES} lines of a bank")
            elif banks > most:
                found.append(f"array.n_{line} = {lines}, allowed 1 to {most * channels} lines on board {board.name}")
        if self.limits.read_voltage_v > board.read_limit:
            read = self.limits.read_voltage_v
            found.append(f"limits.read_voltage_v = {read:g} V, allowed 0 to {board.read_limit:g} V by {board.name}")
        return found

    @property
    def analyser_wiring(self) -> AnalyserWiring:
        """What each channel may do."""
        return AnalyserWiring.of_lines(self.analyser.channels.by_line, self.limits.limits)


def load_bench_config(path: str | Path) -> BenchConfig:
    """The bench that a file describes.

    Raises:
        ConfigError: it cannot be read, or a setting is unknown, missing or out of its range; the message names each
            with its line, value, limit and unit.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from error
    return _validated(content, str(file), text)


def bench_config(content: Mapping[str, Any]) -> BenchConfig:
    """The bench that tables describe, as a twin hands them out.

    Raises:
        ConfigError: as `load_bench_config`.
    """
    return _validated(content, "bench configuration", "")


def _validated(content: Mapping[str, Any], name: str, text: str) -> BenchConfig:
    try:
        return BenchConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(problems_of_file(error, BenchConfig, name, text))) from error
