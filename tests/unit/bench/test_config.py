"""The configuration of a bench: what it refuses, in which words, and how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rmhil.backend import Limits
from rmhil.bench.config import BenchConfig, bench_config, load_bench_config
from rmhil.bench.config_text import _KEYS, _TABLES, config_text
from rmhil.errors import ConfigError
from rmhil.validation_errors import model_of

MINIMAL: dict[str, Any] = {
    "analyser": {"resource": "GPIB0::17::INSTR"},
    "board": {"url": "socket://192.168.2.99:4711"},
    "array": {"chip": "die-7", "preset": "taox180"},
}

FILE = """\
[analyser]
resource = "GPIB0::17::INSTR"

[analyser.channels]
bl = 11

[board]
url = "/dev/ttyUSB0"

[array]
chip = "die-7"
preset = "taox180"

[limits]
set_voltage_v = 30
forming_v = 3
"""


def changed(table: str, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    return MINIMAL | {table: MINIMAL.get(table, {}) | values}


def test_what_is_not_said_is_the_usual() -> None:
    config = bench_config(MINIMAL)
    assert (config.array.n_bl, config.array.n_sl) == (128, 128)
    assert config.limits.limits == Limits()
    assert config.analyser.channels.by_line == {"bl": 1, "sl": 2, "wl": 3}


def test_everything_wrong_in_a_file_is_named_with_line_value_limit_and_unit(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(FILE)
    with pytest.raises(ConfigError) as caught:
        load_bench_config(file)
    told = str(caught.value)
    assert f"{file}:5: analyser.channels.bl = 11, allowed 1 to 10" in told
    assert f"{file}:15: limits.set_voltage_v = 30 V, allowed above 0 to 20 V" in told
    assert f"{file}:16: limits.forming_v is unknown; known here: read_voltage_v" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (changed("analyser", channels={"bl": 2}), "bl = 2, sl = 2, wl = 3: each line needs a channel of its own"),
        (changed("board", description="adc9"), "known: adc64, adc8"),
        (changed("board", link_timeout_s=0.01), "board.link_timeout_s = 0.01 s, allowed 0.05 to 60 s"),
        (changed("array", n_bl=129), "array.n_bl = 129, allowed 1 to 128 lines on board adc64"),
        (changed("array", preset="pcm"), "preset = 'pcm' is unknown; known: taox180"),
        (changed("array", chip="die 7"), "chip = 'die 7': names no file"),
        (changed("array", conductance_min_siemens=1e-4), "allowed below conductance_max_siemens = 8e-05 S"),
        (changed("array", pulse_width_s=1e-4), "array.pulse_width_s = 0.0001 s, allowed 0.0005 to 2 s"),
        (changed("wiring", bl_channels=65), "wiring.bl_channels = 65, allowed 1 to 64"),
        (changed("wiring", adc_count=8), "adc_count = 8, not 64"),
        (
            changed("limits", read_voltage_v=0.1),
            "array.read_voltage_v = 0.2 V, allowed up to limits.read_voltage_v = 0.1 V",
        ),
        (changed("limits", read_voltage_v=0.3), "limits.read_voltage_v = 0.3 V, allowed 0 to 0.2 V by adc64"),
        (changed("limits", set_voltage_v=float("nan")), "limits.set_voltage_v"),
        ({"analyser": {}, "board": {}, "array": {}}, "analyser.resource is missing"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(content: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bench_config(content)
    assert told in str(caught.value)


def test_a_small_chip_takes_the_first_channels_of_each_bank() -> None:
    config = bench_config(changed("array", n_bl=12, n_sl=8) | {"wiring": {"bl_channels": 8, "sl_channels": 4}})
    assert config.array.n_bl == 12
    with pytest.raises(ConfigError, match=r"array.n_sl = 10, allowed 1 to 8 lines on board adc64"):
        bench_config(changed("array", n_bl=12, n_sl=10) | {"wiring": {"bl_channels": 8, "sl_channels": 4}})


@pytest.mark.parametrize("content", [MINIMAL, changed("analyser", channels={"inhibit": 4}), changed("lock", file="/l")])
def test_a_written_file_says_the_same(content: dict[str, Any], tmp_path: Path) -> None:
    config = bench_config(content)
    file = tmp_path / "bench.toml"
    file.write_text(config_text(config))
    assert load_bench_config(file) == config


def test_every_comment_of_the_written_file_is_on_a_key_that_exists() -> None:
    def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            inner = model_of(field.annotation)
            found |= {f"{prefix}{name}"} | (keys(inner, f"{prefix}{name}.") if inner else set())
        return found

    assert set(_KEYS) | set(_TABLES) <= keys(BenchConfig)


def test_a_key_is_read_from_its_file_and_refused_where_it_is_none(tmp_path: Path) -> None:
    file = tmp_path / "key"
    board = bench_config(changed("board", key_file=str(file))).board
    with pytest.raises(ConfigError, match="cannot be read"):
        board.key()
    file.write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes, allowed 16 to 256 bytes"):
        board.key()
    file.write_bytes(b"0123456789abcdef\n")
    assert board.key() == b"0123456789abcdef"


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_bench_config(tmp_path / "none.toml")
    file = tmp_path / "bad.toml"
    file.write_text("[analyser")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_bench_config(file)
