"""Commands on a real pseudo-terminal, as somebody sits at it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
