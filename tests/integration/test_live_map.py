"""The live map and the abort key, on a real pseudo-terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rmhil.store import Run

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

import termios

from tests.terminals import on_a_terminal


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
