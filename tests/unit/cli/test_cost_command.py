from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rmhil.cli.cost_command import cost
from rmhil.errors import ConfigError, RunDirectoryError
from rmhil.ledger import Counts
from rmhil.store import Run

app = typer.Typer()
app.command()(cost)


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"}, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def save_run(root: Path) -> Run:
    counts = {
        "RM-DLoRA/unlearn": Counts(training_steps=2, parameter_updates=20, sram_bits_written=640),
        "full rewrite/unlearn": Counts(training_steps=2, parameter_updates=100, set_pulses=9, pulse_energy=1e-6),
    }
    with Run.create(root, command="test") as run:
        run.save_results({"workload": "digits", "counts": {key: value.to_dict() for key, value in counts.items()}})
    return run


def test_json_is_workload_quantity_stage_ratio_and_nothing_else() -> None:
    ratios = json.loads(call("--preset", "paper-fit", "--json"))
    assert list(ratios) == ["face", "speaker", "image"]
    for quantities in ratios.values():
        assert list(quantities) == ["training", "write", "inference"]
        assert list(quantities["training"]) == list(quantities["write"]) == ["unlearn", "continual"]
        assert list(quantities["inference"]) == ["learn", "unlearn", "continual"]
    assert f"{ratios['image']['write']['unlearn']:.2f}" == "387.95"
    assert ratios["speaker"]["training"]["unlearn"] == ratios["speaker"]["training"]["continual"]


def test_the_table_shows_each_ratio_with_its_origin_and_the_published_one() -> None:
    lines = call("--preset", "exact").splitlines()
    row = next(line for line in lines if "face" in line and "training" in line and "unlearn" in line)
    assert "3.667" in row
    assert "36.68" in row
    assert "5,148 / 1,404" in row


def test_stages_with_one_number_share_a_row() -> None:
    lines = call("--preset", "paper-fit").splitlines()
    number = next(number for number, line in enumerate(lines) if "speaker" in line and "training" in line)
    assert "unlearn," in lines[number]
    assert "25.16" in lines[number]
    assert lines[number + 1].split()[0] == "continual"


def test_exact_counts_are_the_default() -> None:
    assert call() == call("--preset", "exact")


@pytest.mark.parametrize("which", ["latest", "name", "path"])
def test_measured_reads_a_run_by_name_path_or_latest(tmp_path: Path, which: str) -> None:
    run = save_run(tmp_path)
    named = {"latest": "latest", "name": run.name, "path": str(run.path)}[which]
    ratios = json.loads(call("--preset", "measured", "--run", named, "--out", str(tmp_path), "--json"))
    assert ratios["digits"]["training"] == {"unlearn": 5.0}
    text = call("--preset", "measured", "--run", named, "--out", str(tmp_path))
    assert "digits" in text
    assert "SLASEL1D" in text


def test_measured_without_a_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="--run"):
        call("--preset", "measured")


def test_a_run_without_results_is_refused(tmp_path: Path) -> None:
    with Run.create(tmp_path, command="test"):
        pass
    with pytest.raises(RunDirectoryError, match="no results"):
        call("--preset", "measured", "--run", "latest", "--out", str(tmp_path))
