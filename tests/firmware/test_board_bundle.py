"""The archive for the board has everything that its systemd unit starts."""

from __future__ import annotations

import configparser
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE
from tests.firmware.overlay import rehearse

BOARD = FIRMWARE / "board"


def bundled(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    daemon = folder / "rmhild-mmap"
    daemon.write_text("daemon")
    command = ["make", "-C", str(BOARD), f"OUT={folder / 'out'}", f"DAEMON={daemon}", *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tarfile.TarFile]:
    rehearse("adc8", tmp_path / "overlay")
    done = bundled(tmp_path, f"BITSTREAM={tmp_path / 'overlay' / 'rmhil_adc8.bit'}")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "out" / "rmhil-board.tar.gz") as opened:
        yield opened


def test_it_holds_program_overlay_and_daemon(archive: tarfile.TarFile) -> None:
    names = set(archive.getnames())
    program = {f"usr/local/lib/rmhil/rmhil_board/{path.name}" for path in (BOARD / "rmhil_board").glob("*.py")}
    overlay = {f"usr/local/lib/rmhil/overlay/rmhil_adc8.{suffix}" for suffix in ("bit", "hwh", "json")}
    assert names >= {"usr/local/sbin/rmhild", *program, *overlay}
    assert archive.getmember("usr/local/sbin/rmhild").mode == 0o755
    assert {member.uid for member in archive.getmembers()} == {0}


def test_the_unit_starts_what_is_in_it(archive: tarfile.TarFile, tmp_path: Path) -> None:
    text = (tmp_path / "out" / "root" / "etc" / "systemd" / "system" / "rmhild.service").read_text()
    unit = configparser.RawConfigParser(strict=False)  # Environment stands more than once
    unit.read_string(text)
    python, *words = unit["Service"]["ExecStart"].split()
    assert python.startswith("/usr/local/share/pynq-venv/")
    assert words[:3] == ["-m", "rmhil_board", "run"]
    assert words[3].removeprefix("/") in archive.getnames()
    assert "PYTHONPATH=/usr/local/lib/rmhil" in text
    assert "usr/local/lib/rmhil/rmhil_board/__main__.py" in archive.getnames()


def test_without_a_bitstream_it_says_what_is_missing(tmp_path: Path) -> None:
    done = bundled(tmp_path)
    assert done.returncode != 0
    assert "BITSTREAM=FILE.bit is missing" in done.stderr
