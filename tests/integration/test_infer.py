"""A workload's network is kept in a run and run again by `rmhil infer`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from rmhil import nn
from rmhil.adapt.evaluation import predict
from rmhil.cli.app import app
from rmhil.crossbar import Crossbar
from rmhil.deployed import keep_deployment, reopen_deployment
from rmhil.errors import RunDirectoryError
from rmhil.reopen import SECTION, BackendChoice
from rmhil.store import Run
from rmhil.workload import Samples, find_workload

SEED = 3
NOISE = 0.05
"""Share of test samples whose class may change from one run of a noisy array to the next; they lie near a border."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A run of the digits with one adapter, and the accuracy of each stage."""
    root = tmp_path_factory.mktemp("runs")
    task = find_workload("digits").load(SEED)
    model = task.model()
    train(model, list(model.parameters()), task.train)  # type: ignore[attr-defined]
    choice = BackendChoice(options={"seed": SEED})
    with choice.open() as backend:
        spec = backend.spec
        with Run.create(root, command="test", backend_spec=spec, seed=SEED, config={SECTION: choice.entry()}) as run:
            chip = nn.convert(model, [Crossbar(backend)])
            plain = accuracy(chip, task.test)
            bank = nn.SramBank(64 * 1024)
            # an adapter that changes the outcome: the head is turned round
            nn.add_adapter(chip, "turned", rank=6, alpha=6.0, bank=bank, targets=["head"], scaling="alpha/rank")
            head = chip.get_submodule("head")
            with torch.no_grad():
                up, down = nn.adapter_parameters(chip, "turned")
                up.copy_(torch.eye(6, 20))
                down.copy_(-6 * head.weight[:, :6])
            stages = {"learn": [], "turn": ["turned"]}
            turned = accuracy(chip, task.test)
            keep_deployment(run, chip, backend, workload="digits", seed=SEED, stages=stages, bank=bank)
    return root, {"learn": plain, "turn": turned}


def train(model: torch.nn.Module, parameters: list[torch.nn.Parameter], data: Samples) -> None:
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(data.x), data.y).backward()
        optimiser.step()


def accuracy(chip: torch.nn.Module, data: Samples) -> float:
    return float((predict(chip, data.x) == data.y).double().mean())


def command(root: Path, *arguments: object, code: int = 0) -> Any:  # noqa: ANN401
    words = ["infer", *(str(part) for part in arguments), "--run", "latest", "--out", str(root), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else result.stderr


@pytest.mark.parametrize("stage", ["learn", "turn"])
def test_infer_repeats_what_the_run_found(kept: tuple[Path, dict[str, float]], stage: str) -> None:
    root, found = kept
    again = command(root, "--stage", stage)
    assert np.mean(list(again["accuracy_per_class"].values())) == pytest.approx(found[stage], abs=NOISE)
    assert "accuracy" not in again  # of all classes, whatever the stage knows of them
    assert again["pulses"] == 0
    assert again["adapters"] == (["turned"] if stage == "turn" else [])
    assert len(again["accuracy_per_class"]) == 6


def test_the_stages_differ(kept: tuple[Path, dict[str, float]]) -> None:
    found = kept[1]
    assert found["learn"] > 0.8
    assert found["learn"] - found["turn"] > 2 * NOISE


def test_the_last_stage_is_the_default(kept: tuple[Path, dict[str, float]]) -> None:
    assert command(kept[0])["stage"] == "turn"


def test_inputs_of_ones_own_get_classes(kept: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    task = find_workload("digits").load(SEED)
    np.save(tmp_path / "x.npy", task.test.x[:7].numpy())
    found = command(kept[0], tmp_path / "x.npy", "--stage", "learn", "--to", tmp_path / "classes.npy")
    numbers = np.load(tmp_path / "classes.npy")
    assert [task.class_names[number] for number in numbers] == found["classes"]


def test_a_deployment_with_options_of_a_wrong_type_is_named(
    kept: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    run = shutil.copytree(Run.open("latest", kept[0]).path, tmp_path / "run")
    record = run / "deployment" / "deployment.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"options": {"fold": "first"}}))
    with pytest.raises(RunDirectoryError, match=r"deployment\.json"):
        reopen_deployment(Run.open(run), [])


def test_bad_requests_are_refused(kept: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    root = kept[0]
    assert "unknown stage 'relearn'" in command(root, "--stage", "relearn", code=2)
    np.save(tmp_path / "bad.npy", np.zeros((2, 3)))
    assert "inputs has shape (2, 3)" in command(root, tmp_path / "bad.npy", code=2)
    np.save(tmp_path / "nan.npy", np.full((1, 1, 8, 8), np.nan))
    assert "NaN" in command(root, tmp_path / "nan.npy", code=2)


def test_a_run_that_keeps_no_model_is_refused(tmp_path: Path) -> None:
    choice = BackendChoice(options={"seed": SEED, "n_bl": 4, "n_sl": 4})
    np.save(tmp_path / "target.npy", np.full((4, 4), 4e-5))
    with (
        choice.open() as backend,
        Run.create(tmp_path, command="test", backend_spec=backend.spec, config={SECTION: choice.entry()}) as run,
    ):
        backend.save_state(run.path / "chip-state.npz")  # type: ignore[attr-defined]
    assert "keeps no model" in command(tmp_path, code=2)
