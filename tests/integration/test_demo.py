"""`rmhil demo` from the command line, with a short recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rmhil_examples.commands import TOTAL_LEDGER
from rmhil_examples.digits.workload import DigitsWorkload
from rmhil_examples.main_job import MainJob, placed
from rmhil_examples.recipe import Recipe, Schedule
from rmhil_examples.stages import Stages
from typer.testing import CliRunner

from rmhil import Crossbar, open_backend
from rmhil.backend import Cells, Pulses, Read, Readings
from rmhil.cli.app import app
from rmhil.errors import PlacementError
from rmhil.ledger import Counts, Ledger
from rmhil.nn import convert
from rmhil.store import Run
from sim_backend.backend import SimBackend

SHORT = Recipe(
    learn=Schedule(steps=40),
    restore=Schedule(steps=5, evaluate_every=5),
    continual=Schedule(steps=10, evaluate_every=None),
    continual_all=Schedule(steps=10, evaluate_every=None),
    tolerance=2e-6,
)
SEED = 3

GIVEN: list[int] = []
"""Pulses that the array was given in each call, counted at the array itself."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Run]:
    root = tmp_path_factory.mktemp("runs")
    load = DigitsWorkload.load
    apply = SimBackend.apply

    def counted(self: SimBackend, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        GIVEN.append(0 if pulses is None else len(pulses))
        return apply(self, cells, pulses, read)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimBackend, "apply", counted)
        patch.setattr(
            DigitsWorkload, "load", lambda self, seed, **options: replace(load(self, seed, **options), recipe=SHORT)
        )
        result = CliRunner().invoke(app, ["demo", "--seed", str(SEED), "--out", str(root), "--no-report", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), Run.open("latest", root)


def test_the_run_is_complete_and_says_how_it_was_made(demo: tuple[dict[str, Any], Run]) -> None:
    printed, run = demo
    assert run.status == "complete"
    assert printed["run"] == str(run.path)
    assert run.record.seed == SEED
    assert run.record.config["recipe"]["learn"]["steps"] == 40
    assert run.record.config["workload"] == "digits"


def test_results_and_journal_are_kept(demo: tuple[dict[str, Any], Run]) -> None:
    printed, run = demo
    results = run.results()
    assert results is not None
    assert results["accuracy"] == printed["accuracy"]
    assert results["pulses_after_deployment"] == 0
    assert {(point["policy"], point["tolerance_siemens"]) for point in results["pulses_against_tolerance"]} == {
        (policy, tolerance) for policy in ("adaptive", "incremental") for tolerance in (4e-6, 2e-6, 1e-6, 0.5e-6)
    }
    kinds = [step.kind for step in run.steps()]
    run.close()
    assert kinds[:5] == ["train", "infer", "program", "verify", "infer"]
    assert kinds.count("reprogram") == 4


def test_the_kept_ledger_ends_before_the_baselines(demo: tuple[dict[str, Any], Run]) -> None:
    ledger = demo[1].ledger()
    assert ledger is not None
    assert ledger.pulses_since_deployment == 0
    assert ledger.counts.form_pulses > 0


def test_every_pulse_that_the_array_was_given_is_in_the_total_ledger(demo: tuple[dict[str, Any], Run]) -> None:
    run = demo[1]
    total = Ledger.from_dict(json.loads((run.path / TOTAL_LEDGER).read_text()))
    assert total.counts.pulses == sum(GIVEN)
    kept, results = run.ledger(), run.results()
    assert kept is not None
    assert results is not None
    rewritten = sum(
        sum(counts[f"{kind}_pulses"] for kind in ("form", "set", "reset"))
        for key, counts in results["counts"].items()
        if key in {f"full {how}/{stage}" for how in ("skip", "rewrite") for stage in ("unlearn", "continual")}
    )
    assert rewritten > 0
    assert total.counts.pulses > kept.counts.pulses + rewritten  # the rest is the sweep


def test_maps_and_embeddings_are_kept(demo: tuple[dict[str, Any], Run]) -> None:
    run = demo[1]
    assert run.map_names() == ["program", "verify"]
    embeddings = run.arrays("embeddings")
    assert set(embeddings) == {"labels", "learn", "unlearn", "continual"}
    assert all(len(each) == len(embeddings["labels"]) for each in embeddings.values())


def test_the_network_can_be_run_again_without_a_pulse(demo: tuple[dict[str, Any], Run]) -> None:
    printed, run = demo
    again = CliRunner().invoke(app, ["infer", "--run", str(run.path), "--stage", "unlearn", "--json"])
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["pulses"] == 0
    then = printed["accuracy"]["RM-DLoRA"]["unlearn"]["per_class"]
    assert np.allclose([found["accuracy_per_class"][name] for name in then], list(then.values()), atol=0.15)


def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stages, "learn", lambda *given: pytest.fail("it was trained"))
    config, out = tmp_path / "small.toml", tmp_path / "runs"
    config.write_text("n_bl = 16\nn_sl = 16\n")
    result = CliRunner().invoke(app, ["demo", "--config", str(config), "--out", str(out)])
    assert result.exit_code not in (0, 1)
    assert "9,360 cells, or at least 37 array(s), are missing" in " ".join(result.stderr.split())
    assert not list(out.glob("*"))
    task = DigitsWorkload().load(SEED)
    with open_backend("sim", n_bl=16, n_sl=16) as backend, pytest.raises(PlacementError):
        MainJob(task, [Crossbar(backend)]).learn()


def test_a_network_is_placed_as_it_will_be_programmed() -> None:
    task = DigitsWorkload().load(SEED)
    with open_backend("sim", seed=SEED) as backend:
        crossbar = Crossbar(backend)
        foreseen = placed(task, [crossbar])
        assert crossbar.ledger.counts == Counts()
        chip: Any = convert(task.model(), [crossbar], tolerance=4e-6)
        assert foreseen.sites == chip.placement.sites


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "letters"], "known: digits, face"),
        (["--group", "1"], "known: fold"),
        (["--fold", "9"], "fold = 9"),
    ],
)
def test_wrong_options_are_refused_before_a_run_is_made(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["demo", *arguments, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert not list(tmp_path.iterdir())
