"""`rmhil emulate board` and `rmhil emulate twin`, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rmhil
from rmhil.backend import Cells, Read
from rmhil.bench.link import Link
from rmhil.bench.link_errors import BoardKeyError
from rmhil.errors import ConfigError
from sim_backend.backend import open_backend
from sim_backend.twin import attach_twin
from sim_backend.twin.build import libraries
from sim_backend.twin.command import board, twin
from sim_backend.twin.server import serving
from sim_backend.twin.settings import twin_settings
from tests.twins import board_of, require_twin

COMMAND = (str(Path(sys.executable).with_name("rmhil")), "emulate")
LONG = {"COLUMNS": "160"}


def started(*options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """The process, and what it says of itself."""
    require_twin()
    process = subprocess.Popen([*COMMAND, *options], stdout=-1, stderr=-1, text=True, env=os.environ | LONG)
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().partition(" ")
        found[name] = value.strip()
        if name == "attach":
            break
    return process, found


def test_an_emulated_board_serves_a_line_until_ctrl_c_and_keeps_its_array(tmp_path: Path) -> None:
    state = tmp_path / "chip.npz"
    process, said = started("board", "--pty", "--seed", "5", "--save", str(state))
    with attach_twin(said["attach"]) as found, board_of(found) as host:
        assert found.board_url == said["board"]
        host.arm()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "stopped" in out
    assert open_backend(state=state).config.seed == 5


def test_a_board_with_a_key_proves_that_it_has_it(tmp_path: Path) -> None:
    require_twin()
    key = b"sixteen bytes at least"
    (tmp_path / "key").write_bytes(key)
    settings = twin_settings({"board_host": "0.0.0.0", "key_file": tmp_path / "key", "n_bl": 4, "n_sl": 4})
    with serving(settings, libraries("adc64")) as served:
        url = served.bench.room.board_url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(BoardKeyError):
            Link(url, key=key[::-1])
        with Link(url, key=key) as link:
            assert link.welcome.vector_bytes == 128


def test_an_emulated_bench_describes_itself_to_commands_and_ends_with_sigterm(tmp_path: Path) -> None:
    bench = tmp_path / "twin.toml"
    ports = ("--tcp", "0", "--hislip", "0", "--socket", "0")
    process, said = started("twin", *ports, "--topology", "adc8", "--bench", str(bench))
    assert bench.stat().st_mode & 0o077 == 0
    with rmhil.open_backend("twin", bench) as backend:
        assert backend.apply(Cells.of(0, 3, 4), None, Read.default(backend.spec)).conductance[0] < 1e-6
    with attach_twin(said["attach"]) as found:
        assert found.analyser == said["analyser"]
        assert found.topology == "adc8"
        assert found.board_url == said["board"]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert not bench.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tcp": 0, "pty": True}, "one way in"),
        ({"topology": "adc32"}, "adc64"),
        ({"save": Path("/nowhere/chip.npz")}, "/nowhere"),
        ({"wave": Path("/nowhere/board.vcd")}, "/nowhere"),
        ({"load": Path("/nowhere/chip.npz")}, "/nowhere/chip.npz"),
        ({"host": "0.0.0.0"}, "^twin settings: other machines reach .*: a key_file is needed"),
        ({"host": "0.0.0.0", "key_file": Path("/nowhere/key")}, "/nowhere/key"),
        ({"host": "localhost"}, "localhost"),
    ],
)
def test_what_cannot_be_served_is_refused(options: dict[str, Any], says: str) -> None:
    require_twin()
    for command in (board,) if "host" in options else (board, twin):
        with pytest.raises(ConfigError, match=says):
            command(**({"tcp": 0} | options))
