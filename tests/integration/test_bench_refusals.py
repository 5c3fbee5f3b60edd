"""What is wrong with a bench, as whoever types `rmhil program` hears of it: each thing in words of its own.

Nothing is pulsed in any of these cases, the outputs are off, and no run is left behind.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rmhil.bench import board_identity
from rmhil.bench.config import bench_config
from rmhil.bench.config_text import config_text
from rmhil.cli.app import app
from rmhil.registry import open_backend
from sim_backend.b1500a import Fault, FaultKind
from sim_backend.twin import Twin
from sim_backend.twin.backend import twin_config
from tests.held_sim import started_command
from tests.twins import fresh_twin

N_BL, N_SL = 3, 2


@dataclass
class Reader:
    """Somebody with a file of a bench, at a command line."""

    twin: Twin
    folder: Path

    def file(self, **changes: dict[str, Any]) -> Path:
        """The file of the twin, with something else in it."""
        tables = twin_config(self.twin).model_dump(mode="json", exclude_none=True)
        tables |= {"lock": {"file": str(self.folder / "bench.lock")}, "paths": {"chips": str(self.folder / "chips")}}
        tables["analyser"]["patience_s"] = 1.0
        for name, change in changes.items():
            tables[name] |= change
        path = self.folder / "bench.toml"
        path.write_text(config_text(bench_config(tables)))
        return path

    def arguments(self, file: Path, *further: str) -> list[str]:
        np.save(self.folder / "target.npy", np.full((N_BL, N_SL), 40e-6))
        target, runs = str(self.folder / "target.npy"), str(self.folder / "runs")
        return ["program", target, "--backend", "twin", "--config", str(file), "--out", runs, "--json", *further]

    def refused(self, file: Path, *further: str) -> str:
        """Type it; what is said, in one line, to somebody to whom nothing was done."""
        typed = CliRunner().invoke(app, self.arguments(file, *further))
        assert typed.exit_code == 2, typed.output
        assert "Traceback" not in typed.output
        assert self.twin.records().pulses == 0
        assert self.twin.records().outputs_off
        assert not list(self.folder.glob("runs/*"))
        said = [line for line in typed.output.splitlines() if line.startswith("error: ")]
        assert len(said) == 1, typed.output
        return said[0]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(fresh_twin(seed=7, n_bl=N_BL, n_sl=N_SL), tmp_path)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


WRONG: dict[str, tuple[Callable[[], dict[str, dict[str, Any]]], str]] = {
    "resource": (
        lambda: {"analyser": {"resource": f"TCPIP0::127.0.0.1::{free_port()}::SOCKET"}},
        "::SOCKET: not found (",
    ),
    "module": (
        lambda: {"analyser": {"channels": {"bl": 5, "sl": 2, "wl": 3}}},
        "channel 5 of the wiring is no SMU of this mainframe; modules: 1: B1517A, 2: B1517A",
    ),
    "empty slot": (
        lambda: {"analyser": {"channels": {"bl": 9, "sl": 2, "wl": 3}}},
        "channel 9 of the wiring is no SMU",
    ),
    "daemon": (lambda: {"board": {"url": f"socket://127.0.0.1:{free_port()}"}}, ": no board found ("),
    "description": (
        lambda: {"board": {"description": "adc8"}, "wiring": {"adc_count": 8}},
        "the board is not made from description adc8: description hash 0x",
    ),
}
"""What the file says, and what is said of it."""


@pytest.mark.parametrize("what", WRONG)
def test_a_bench_that_is_not_as_its_file_says_is_refused_in_words_of_its_own(reader: Reader, what: str) -> None:
    changes, words = WRONG[what]
    assert words in reader.refused(reader.file(**changes()))


def test_a_board_with_another_register_map_is_refused(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_identity, "MAP_HASH", 0x1234_5678)
    said = reader.refused(reader.file())
    assert "the board has another register map than this rmhil; update the older: 0x" in said
    assert "there, 0x12345678 here" in said


def test_an_array_that_is_larger_than_the_board_is_refused_with_the_line_of_the_file(reader: Reader) -> None:
    path = reader.file()
    lines = path.read_text().splitlines()
    wrong = next(number for number, line in enumerate(lines, 1) if line.startswith("n_bl"))
    path.write_text(path.read_text().replace(f"n_bl = {N_BL}", "n_bl = 200"))
    assert f"bench.toml:{wrong}: array.n_bl = 200, allowed 1 to 128 lines on board adc64" in reader.refused(path)


def test_a_target_of_another_size_than_the_array_is_refused(reader: Reader) -> None:
    file = reader.file(array={"n_bl": N_BL + 1})
    assert f"has shape ({N_BL}, {N_SL})" in reader.refused(file)


def test_a_misspelt_key_is_refused_with_its_line(reader: Reader) -> None:
    path = reader.file()
    path.write_text(path.read_text().replace("patience_s", "patience"))
    assert "patience" in reader.refused(path)


def test_a_bench_that_another_process_works_on_is_refused_with_its_owner(reader: Reader) -> None:
    """From a process of its own, as the second one of two people at a bench is."""
    file = reader.file()
    with open_backend("twin", config=file):
        second = started_command(reader.folder, reader.arguments(file))
        second.join()
        said = (reader.folder / "stderr").read_text()
    assert second.exitcode == 2
    assert f": process {os.getpid()} of {getpass.getuser()} on {os.uname().nodename} owns this bench since " in said
    assert reader.twin.records().pulses == 0
    assert not list(reader.folder.glob("runs/*"))


def test_a_board_that_others_hold_under_another_lock_says_so(reader: Reader) -> None:
    """Lock files do not know of each other; the board does."""
    with open_backend("twin", config=reader.file()) as first:
        first.instruments.analyser.close()  # type: ignore[attr-defined]
        said = reader.refused(reader.file(lock={"file": str(reader.folder / "another.lock")}))
    assert ": the board is held by another connection" in said


def test_an_interlock_that_opens_stops_the_job_and_is_named(reader: Reader) -> None:
    """In the middle of the work: what was done so far is kept, and gone on with once the lid is closed."""
    reader.twin.inject(Fault(kind=FaultKind.INTERLOCK, after=6, header="DO"))
    file = reader.file()
    typed = CliRunner().invoke(app, reader.arguments(file))
    assert typed.exit_code == 2
    assert "interlock" in typed.output.lower()
    assert reader.twin.records().outputs_off
    assert reader.twin.records().pulses > 0
    reader.twin.set_interlock(closed=True)
    resumed = CliRunner().invoke(app, ["program", "--resume", "latest", "--out", str(reader.folder / "runs"), "--json"])
    assert resumed.exit_code == 0, resumed.output
    assert '"converged_fraction": 1.0' in resumed.output
