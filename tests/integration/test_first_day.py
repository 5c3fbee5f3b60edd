"""The tutorial for the bench, command by command as printed, on a twin of its own.

`rmhil` runs in this process, which saves the import of torch for each command; the emulator and what is stopped on a
terminal run as processes. Ports are free ones in the place of those that the page prints, so that two runs of the tests
do not meet.
"""

from __future__ import annotations

import gc
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from loguru import logger
from typer.testing import CliRunner

from rmhil.cli.app import app
from sim_backend.twin.build import cache_folder, libraries
from tests.console_page import Typed, typed_in
from tests.terminals import PATIENCE, on_a_terminal
from tests.twins import require_twin

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-day-at-the-bench.md"
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pyvisa-py, of a refused connection

PORTS = ("4711", "4880", "5025")
"""Those of the board's daemon and of the analyser, by HiSLIP and as a plain socket."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What a terminal takes for colours and movements of its cursor."""

MAIN = "from rmhil.cli import main; main()"


class Reader:
    """Somebody who types what the page says into a folder of theirs.

    Args:
        folder: of theirs.
        terminals: processes that run on end with it.
    """

    def __init__(self, folder: Path, terminals: ExitStack) -> None:
        self.folder, self._terminals = folder, terminals
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._twin: subprocess.Popen[str] | None = None

    def type(self, typed: Typed) -> None:
        """Do what one command says, and hold what comes out against the page."""
        command = re.sub("|".join(PORTS), lambda found: self._ports[found[0]], typed.command)
        code, shown = self._done(command, typed.how)
        where = f"{PAGE.name}, block at line {typed.line}: {typed.command}\n{shown}"
        expected = re.search(r"exit (\d+)", typed.how)
        assert code == (int(expected[1]) if expected else 0), where
        missing = typed.words - set(re.findall(r"[A-Za-z]{3,}", shown))
        assert not missing, f"{sorted(missing)} not shown by {where}"

    def _done(self, command: str, how: str) -> tuple[int, str]:
        """Exit code and what was shown."""
        program, *arguments = shlex.split(command)
        if how == "first terminal":
            return 0, self._emulator(arguments)
        if how == "first terminal, Ctrl-C":
            return self._stopped()
        if pressed := re.search(r'q at "(.*?)"', how):
            return on_terminal(self.folder, arguments, pressed[1])
        if program == "rmhil":
            result = CliRunner().invoke(app, arguments)
            return result.exit_code, result.output
        found = sys.executable if program == "python" else program
        done = subprocess.run([found, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def _emulator(self, arguments: list[str]) -> str:
        options = ("--tcp", "--hislip", "--socket")
        ports = [part for pair in zip(options, self._ports.values(), strict=True) for part in pair]
        self._twin = self._terminals.enter_context(
            subprocess.Popen([sys.executable, "-c", MAIN, *arguments, *ports], stdout=-1, text=True, cwd=self.folder)
        )
        self._terminals.callback(self._twin.kill)
        assert self._twin.stdout is not None
        shown = ""
        while "attach" not in shown:
            line = self._twin.stdout.readline()
            assert line, f"the twin did not start:\n{shown}"
            shown += line
        return shown

    def _stopped(self) -> tuple[int, str]:
        assert self._twin is not None
        self._twin.send_signal(signal.SIGINT)
        shown, _ = self._twin.communicate(timeout=PATIENCE)
        return self._twin.returncode, shown


def on_terminal(folder: Path, arguments: list[str], awaited: str) -> tuple[int, str]:
    """Press q on a terminal once something is shown."""
    with on_a_terminal(folder, *arguments) as terminal:
        terminal.until(awaited)
        terminal.press(b"q")
        return terminal.end(), _ESCAPE.sub("", terminal.shown)


def free_ports(count: int) -> list[str]:
    """Ports of this machine that nobody serves at this moment."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in opened]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """In a folder of its own, with a list of running twins of its own beside the libraries that are there already."""
    require_twin()
    built = libraries("adc64").board.parents[1]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache_folder().mkdir(parents=True)
    (cache_folder() / built.name).symlink_to(built)
    folder = tmp_path / "day"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with ExitStack() as terminals:
        yield Reader(folder, terminals)
    gc.collect()  # the socket that pyvisa-py has not closed, here where its warning is expected
    logger.remove()
    logger.disable("rmhil")


def test_every_command_of_the_first_day_works_as_printed(reader: Reader) -> None:
    for typed in typed_in(PAGE):
        reader.type(typed)
