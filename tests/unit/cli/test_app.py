"""Help, information, and how the command ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from typer.testing import CliRunner

import rmhil
from rmhil.cli.app import app
from rmhil.cli.lazy import OWN, sources
from rmhil.store import Run
from tests.held_sim import started_command
from tests.unit.cli.conftest import CommandLine

HEAVY = ("torch", "scipy", "xarray", "matplotlib", "h5netcdf", "sklearn", "pandas")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rmhil.cli import main\nsys.argv = ['rmhil', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in sources():
        assert name in done.stdout


@pytest.mark.parametrize("name", list(OWN))
def test_every_command_explains_itself(command_line: CommandLine, name: str) -> None:
    shown = command_line(name, "--help")
    assert OWN[name].short_help().split()[0] in shown
    assert "not found" not in OWN[name].short_help()


def test_the_help_lists_every_exit_code(command_line: CommandLine) -> None:
    shown = command_line("--help")
    for text in ("0 done", "1 unexpected error", "2 refused", "130 stopped", "143 by SIGTERM"):
        assert text in " ".join(shown.split()), text


def test_an_unknown_command_suggests_the_nearest(command_line: CommandLine) -> None:
    assert "program" in command_line("progam", code=2)


def test_version(command_line: CommandLine) -> None:
    assert command_line("--version").strip() == f"rmhil {rmhil.__version__}"


def test_info_lists_what_is_installed(command_line: CommandLine) -> None:
    found = command_line.json("info")
    assert "sim" in found["backends"]
    assert {"program", "report", "demo"} <= set(found["commands"])
    assert found["versions"]["rmhil"] == rmhil.__version__
    assert "backends" in command_line("info")


def test_info_describes_a_backend(command_line: CommandLine) -> None:
    spec = command_line.json("info", "--backend", "sim", "--config", command_line.config)
    assert (spec["n_bl"], spec["n_sl"]) == (8, 8)
    shown = command_line("info", "--backend", "sim")
    assert "10 to 80 uS" in shown
    assert "up to 0.2 V" in shown


def test_info_describes_a_run(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    found = command_line.json("info", *command_line.again)
    assert found["status"] == "complete"
    assert found["maps"] == ["program"]
    assert "complete" in command_line("info", *command_line.again)


def test_settings_of_no_backend_are_refused(command_line: CommandLine) -> None:
    assert "--backend" in command_line("info", "--seed", 3, code=2)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EROFS, "Read-only file system", "x.npz"), "error: x.npz: Read-only file system"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
    ],
)
def test_what_the_file_system_refuses_is_one_line(
    command_line: CommandLine, target: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    monkeypatch.setattr(Run, "create", Mock(side_effect=error))
    assert said in command_line("program", target, *command_line.small, code=2)


def test_debug_shows_where_an_error_came_from(command_line: CommandLine) -> None:
    assert "Traceback" in command_line("--debug", "info", "--backend", "dream", code=2)


def test_logs_go_to_stderr_and_only_when_asked_for(command_line: CommandLine, target: Path) -> None:
    loud = ["-v", "program", str(target), *map(str, command_line.small), "--json"]
    started_command(command_line.folder, loud).join()
    assert json.loads((command_line.folder / "stdout").read_text())["cells"] == 64
    assert "INFO" in (command_line.folder / "stderr").read_text()
    quiet = CliRunner().invoke(app, ["program", str(target), *map(str, command_line.small), "--json"])
    assert quiet.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_that_was_dropped_ends_the_work_at_the_next_progress() -> None:
    code = (
        "import os, signal\nfrom rmhil.cli import signals\nfrom rmhil.cli.console import progress_bar\n"
        "class Dropping:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "signals.install()\nDropping()\n"  # the interrupt comes up in a finaliser, where Python drops it
        "with progress_bar(shown=False) as report:\n    print('still here')\n"
        "    try:\n        report(1, 2, '')\n    except KeyboardInterrupt:\n        print('stopped')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["still here", "stopped"]


LATE = """
import atexit, os, signal, sys, typer.core
from rmhil.cli import app, console
ctrl_c = lambda: os.kill(os.getpid(), signal.SIGINT)
class Late:
    def print(self, text):
        ctrl_c()
        sys.stderr.write(text)
def work(group, ctx):
    {work}
console.error_console, typer.core.TyperGroup.invoke, sys.argv = Late, work, ["rmhil", "info"]
atexit.register(ctrl_c)
app.run()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("work", "said", "code"), [("raise KeyboardInterrupt", "[bold red]interrupted[/]", 130), ("pass", "", 0)]
)
def test_a_signal_after_the_work_changes_nothing(work: str, said: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", LATE.format(work=work)], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == (said, code)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_safely_and_the_run_says_so(command_line: CommandLine, sent: signal.Signals, code: int) -> None:
    target = command_line.save("big.npy", np.random.default_rng(0).uniform(10e-6, 80e-6, (128, 128)))
    (command_line.folder / "slow.toml").write_text("cells_at_once = 1\n")  # minutes of work
    root = command_line.folder / "runs"
    arguments = ["program", str(target), "--config", "slow.toml", "--out", str(root), "--tolerance", "1e-6"]
    process = started_command(command_line.folder, arguments)
    try:
        deadline = time.monotonic() + 60
        while not list(root.glob("*/run.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert process.pid is not None
        os.kill(process.pid, sent)
        process.join(60)
    finally:
        process.kill()
    said = (command_line.folder / "stderr").read_text()
    assert process.exitcode == code, said
    assert "interrupted" in said
    assert "Traceback" not in said
    run = Run.open("latest", root)
    assert run.status == "interrupted"
    kept = run.load_map("program")
    meanings = kept["outcome"].attrs["flag_meanings"].split()
    assert (kept["outcome"].values == meanings.index("unfinished")).any()
    assert run.ledger() is not None
    assert (run.path / "chip-state.npz").is_file()
