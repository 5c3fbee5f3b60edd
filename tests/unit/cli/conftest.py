from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger
from numpy.typing import ArrayLike
from typer.testing import CliRunner

from rmhil.cli.app import app

SIZE = 8
"""BLs and SLs of the array in these tests."""


class CommandLine:
    """Runs commands in one folder, on a small simulated array."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "small.toml"
        self.config.write_text(f"n_bl = {SIZE}\nn_sl = {SIZE}\n")

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """stdout of a command that must end with this exit code; a refused one says why on stderr, in one line."""
        result = CliRunner().invoke(app, [str(part) for part in arguments])
        assert result.exit_code == code, result.output
        if code == 2 and "error:" in result.stderr and "--debug" not in arguments:
            assert len(result.stderr.strip().splitlines()) == 1
            assert "Traceback" not in result.output
            return result.stderr
        return result.stdout if code == 0 else result.output

    def json(self, *arguments: object) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self(*arguments, "--json"))
        return loaded

    def save(self, name: str, values: ArrayLike) -> Path:
        path = self.folder / name
        np.save(path, np.asarray(values))
        return path

    @property
    def small(self) -> tuple[object, ...]:
        """Options for a new run on the small array."""
        return ("--config", self.config, "--seed", 7, "--out", self.folder / "runs")

    @property
    def again(self) -> tuple[object, ...]:
        """Options for going on with the newest run."""
        return ("--run", "latest", "--out", self.folder / "runs")

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs").glob("*"))


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.chdir(tmp_path)
    yield CommandLine(tmp_path)
    logger.remove()
    logger.disable("rmhil")


@pytest.fixture
def target(command_line: CommandLine) -> Path:
    rng = np.random.default_rng(0)
    return command_line.save("target.npy", rng.uniform(10e-6, 80e-6, (SIZE, SIZE)))
