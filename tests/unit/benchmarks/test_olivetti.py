"""Which runs the Olivetti benchmark takes for its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import olivetti
import pytest

from .test_olivetti_summary import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs of group 0, as they are made now."""
    out = tmp_path / "runs"
    out.mkdir()
    for fold in range(3):
        made = run(0, fold, 0, {}) | olivetti.made_as_now()
        (out / olivetti.Case(0, fold, 0).file_name).write_text(json.dumps(made))
    return out


def change(path: Path, **changes: Any) -> None:  # noqa: ANN401
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def summary(folder: Path, *arguments: str) -> dict[str, Any]:
    results = folder.parent / "results.json"
    olivetti.main(["--out", str(folder), "--results", str(results), *arguments])
    return dict(json.loads(results.read_text()))


def test_only_the_runs_asked_for_are_summarised(folder: Path) -> None:
    assert summary(folder, "--summary-only")["folds"] == [0, 1, 2]
    assert summary(folder, "--summary-only", "--folds", "1", "2")["folds"] == [1, 2]
    assert summary(folder, "--summary-only", "--folds", "1", "4")["folds"] == [1]
    with pytest.raises(SystemExit):
        summary(folder, "--summary-only", "--groups", "5")


def test_runs_that_are_there_are_not_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olivetti, "ProcessPoolExecutor", None)
    asked = ("--groups", "0", "--folds", "0", "2", "--seeds", "0")
    assert summary(folder, *asked)["runs"] == 2


@pytest.mark.parametrize("arguments", [["--summary-only"], []], ids=["summary", "run"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 0}, "format 0, now 1"),
        ({"format": None}, "format None, now 1"),
        ({"seed": 2}, "seed 2, now 0"),
        ({"versions": {"torch": "1.0"}}, "versions torch '1.0', now '"),
        ({"recipe": {"learn": {"steps": 7}}}, "recipe learn steps 7, now 300"),
    ],
)
def test_runs_made_otherwise_are_refused_before_any_is_made(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(olivetti, "run_missing", lambda *given: pytest.fail("it went on"))
    name = olivetti.Case(0, 1, 0).file_name
    change(folder / name, **changes)
    with pytest.raises(SystemExit) as ended:
        summary(folder, *arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert name in told
    assert message in told
    assert not (folder.parent / "results.json").exists()
    assert summary(folder, "--summary-only", "--folds", "0", "2")["runs"] == 2


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_run_is_named(folder: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    name = olivetti.Case(0, 2, 0).file_name
    (folder / name).write_text(content)
    with pytest.raises(SystemExit):
        summary(folder, "--summary-only")
    assert name in capsys.readouterr().err
