"""The live map and the abort key, on a real pseudo-terminal."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rmhil.store import Run

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

import fcntl
import termios

PATIENCE = 90.0
"""s for a loaded machine; usually it takes three."""

HOLD_TERMINAL = (
    "import os, sys, fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from rmhil.cli import main; main()"
)
"""The command in the foreground of the terminal that is its stdin, as a shell starts it."""


class Terminal:
    """A command that runs on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, slave: int) -> None:
        self.process, self.slave = process, slave
        self._master, self._shown = master, b""

    @property
    def shown(self) -> str:
        return self._shown.decode("utf-8", errors="replace")

    def until(self, pattern: str) -> None:
        """Read what is shown until it holds this."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, self.shown[-2000:]
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += os.read(self._master, 65536)

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def end(self) -> int:
        """The exit code, once the command has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.shown[-2000:]
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += os.read(self._master, 65536)
        while select.select([self._master], [], [], 0.1)[0]:
            self._shown += os.read(self._master, 65536)
        return self.process.returncode


@contextmanager
def on_a_terminal(folder: Path, *arguments: str) -> Iterator[Terminal]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_TERMINAL, *arguments],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        yield Terminal(process, master, slave)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder with the settings of an array whose cells are written one at a time: a minute of work."""
    (tmp_path / "slow.toml").write_text("n_bl = 48\nn_sl = 48\ncells_at_once = 1\n")
    return tmp_path


PROGRAM = ("program", "40e-6", "--config", "slow.toml", "--seed", "7")


def test_the_abort_key_stops_after_a_step_and_leaves_the_terminal_as_it_was(slow: Path) -> None:
    with on_a_terminal(slow, *PROGRAM) as terminal:
        before = termios.tcgetattr(terminal.slave)
        terminal.until(r"\d good")
        assert not termios.tcgetattr(terminal.slave)[3] & termios.ECHO, "keys are read one by one"
        terminal.press(b"xq")
        assert terminal.end() == 130, terminal.shown[-2000:]
        assert termios.tcgetattr(terminal.slave) == before
    assert "▀" in terminal.shown
    assert "q or Ctrl-C: stop after this step" in terminal.shown
    assert "of 2,304;" in terminal.shown
    assert "Traceback" not in terminal.shown
    run = Run.open("latest", slow / "runs")
    assert run.status == "interrupted"
    kept = run.load_map("program")
    assert int(kept["reads"].sum()) > 0
    assert not kept["maybe_pulsed"].any(), "the step was finished"


@pytest.mark.long
def test_ctrl_c_on_a_terminal_stops_after_a_step(slow: Path) -> None:
    with on_a_terminal(slow, *PROGRAM, "--no-live") as terminal:
        terminal.until(r"programming")
        terminal.press(b"\x03")
        assert terminal.end() == 130, terminal.shown[-2000:]
    assert "▀" not in terminal.shown
    assert not Run.open("latest", slow / "runs").load_map("program")["maybe_pulsed"].any()
