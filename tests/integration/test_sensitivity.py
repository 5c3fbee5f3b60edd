"""What costs accuracy: a small network on small chips, and the command."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from click.testing import Result
from torch import nn
from typer.testing import CliRunner

from rmhil.adapt import Data
from rmhil.cli.app import app
from rmhil.store import Run
from sim_backend.config import SimConfig
from sim_backend.sensitivity import PASSES, PROGRAMMING, Plan, Recipe, Study, measure, network, plan_of
from sim_backend.sensitivity import chips as chips_of_a_study

CHIP = SimConfig(n_bl=24, n_sl=24, seed=4)
PAIRED = ("adc-noise", "dac-quantisation", "cycle-spread", "wear", PROGRAMMING)
Command: TypeAlias = Callable[..., Result]

ROUNDING = 1e-9
"""Relative error power of float32 products and of cells within 1 nS of their targets."""


@pytest.fixture(scope="module")
def small() -> tuple[nn.Module, Data]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))
    x = torch.randn(48, 12)
    return model, Data(x, model(x).argmax(1))


def last(small: tuple[nn.Module, Data], plan: Plan, chips: int = 1, age: float = 0.0) -> Study:
    *_, study = measure(*small, plan, Recipe(repeats=1, age=age), chips)
    return study


@pytest.fixture(scope="module")
def study(small: tuple[nn.Module, Data]) -> Study:
    return last(small, plan_of(CHIP, PAIRED), chips=2)


def test_an_ideal_chip_with_exact_cells_is_the_float_network(study: Study) -> None:
    assert study.summary(study.plan.ideal, "error").mean < ROUNDING
    assert study.summary(study.plan.ideal, "accuracy").mean == study.float_accuracy == 1.0


def test_a_cause_without_effect_gives_exactly_zero(study: Study) -> None:
    (wear,) = (effect for effect in study.effects if effect.name == "wear")
    assert wear.is_nothing
    assert (wear.gain.mean, wear.gain.deviation, wear.cost.mean, wear.cost.deviation) == (0.0, 0.0, 0.0, 0.0)


def test_noise_and_tolerance_cost_what_rounding_in_the_dac_does_not(study: Study) -> None:
    cost = {effect.name: effect.cost.mean for effect in study.effects}
    assert cost["adc-noise"] > 100 * cost["dac-quantisation"] > 0.0
    assert cost[PROGRAMMING] > 100 * cost["dac-quantisation"]


def test_the_spread_of_the_cells_acts_through_write_verify(study: Study) -> None:
    (spread,) = (cause for cause in study.plan.causes if cause.name == "cycle-spread")
    for chip in study.outcomes:
        assert chip[spread.cost[0].more] == chip[spread.cost[0].less]
        assert chip[spread.cost[1].more].error != chip[spread.cost[1].less].error


def test_each_chip_is_the_same_whatever_else_is_asked(small: tuple[nn.Module, Data], study: Study) -> None:
    plan = plan_of(CHIP.model_copy(update={"seed": CHIP.seed + 1}), ["adc-noise"])
    (noise,) = plan.causes
    alone = last(small, plan)
    both = next(cause for cause in study.plan.causes if cause.name == "adc-noise")
    assert study.seeds == (4, 5)
    assert alone.outcomes[0][noise.gain.less].error == study.outcomes[1][both.gain.less].error
    assert alone.outcomes[0][plan.as_it_is].error == study.outcomes[1][study.plan.as_it_is].error


def test_cells_on_target_keep_the_stuck_ones(small: tuple[nn.Module, Data]) -> None:
    kind = CHIP.device_preset.model_copy(update={"name": "faulty", "stuck_share": 0.1})
    study = last(small, plan_of(CHIP.model_copy(update={"preset": kind}), ["stuck-cells", PROGRAMMING]))
    gain = {effect.name: effect.gain.mean for effect in study.effects}
    assert gain["stuck-cells"] > 10 * abs(gain[PROGRAMMING])


def test_banks_of_lines_cost_what_is_converted_twice(small: tuple[nn.Module, Data]) -> None:
    wiring = CHIP.wiring.model_copy(update={"bl_channels": 4, "adc_bits": 10})
    (passes,) = last(small, plan_of(CHIP.model_copy(update={"wiring": wiring}), [PASSES])).effects
    assert passes.gain.mean > 0.0
    assert passes.cost.mean < ROUNDING


def test_age_lets_cells_drift(small: tuple[nn.Module, Data]) -> None:
    plan = plan_of(CHIP, ["retention"])
    costs = [last(small, plan, age=age).effects[0].cost.mean for age in (0.0, 1e7)]
    assert costs[1] > costs[0] > 0.0


def test_ctrl_c_leaves_the_chips_that_are_done(small: tuple[nn.Module, Data]) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    chips = measure(*small, plan_of(CHIP, ["adc-noise", "wear"]), Recipe(repeats=1), 2, stop)
    assert len(next(chips).seeds) == 1
    with pytest.raises(KeyboardInterrupt):
        next(chips)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, with little training."""
    monkeypatch.setattr(network, "STEPS", 30)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["sensitivity", *map(str, arguments)])

    return call


@dataclass(frozen=True)
class Small:
    """A task of the small network."""

    train: Data
    test: Data
    network: nn.Module
    class_names: tuple[str, ...] = ("a", "b", "c", "d")

    def model(self) -> nn.Module:
        return copy.deepcopy(self.network)


def test_the_command_makes_a_plot_a_page_and_the_figures(
    command: Command, small: tuple[nn.Module, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = small
    monkeypatch.setattr(network, "load", lambda name, seed: Small(data, data, model))
    config = tmp_path / "small.toml"
    config.write_text("n_bl = 24\nn_sl = 24\n")
    asked = ("--cause", "adc-noise", "--chips", 1, "--samples", 20, "--seed", 3, "--config", config)
    result = command(*asked, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    printed, run = json.loads(result.stdout), Run.open("latest", tmp_path)
    kept = run.results()
    assert kept is not None
    assert kept["effects"] == printed["effects"]
    assert [effect["name"] for effect in kept["effects"]] == ["adc-noise"]
    assert (kept["seeds"], kept["samples"], run.status) == ([3], 20, "complete")
    assert (run.path / "plots" / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
    page = (run.path / "sensitivity.html").read_text()
    assert "adc-noise" in page
    assert "data:image/png" in page


def test_an_interrupt_before_the_first_chip_is_done_leaves_no_run(
    command: Command, small: tuple[nn.Module, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    model, data = small
    monkeypatch.setattr(network, "load", lambda name, seed: Small(data, data, model))
    monkeypatch.setattr(chips_of_a_study, "_Chip", interrupted)
    result = command("--cause", "adc-noise", "--chips", 1, "--out", tmp_path / "runs")
    assert result.exit_code == 130
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("sorted_by_class", [False, True])
def test_some_samples_of_many_are_of_every_class(small: tuple[nn.Module, Data], sorted_by_class: bool) -> None:
    model, _ = small
    y = torch.arange(4).repeat(30)
    test = Data(torch.arange(120.0)[:, None], y.sort().values if sorted_by_class else y)
    chosen = network.test_samples(Small(test, test, model), 20)
    assert torch.bincount(chosen.y).tolist() == [5, 5, 5, 5]
    assert len(network.test_samples(Small(test, test, model), 500)) == 120
    assert len(chosen.x.unique()) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cause", "wyre"), "unknown cause 'wyre'"),
        (("--workload", "letters"), "unknown workload 'letters'"),
        (("--tolerance", "0"), "tolerance = 0 S"),
        (("--policy", "hasty"), "unknown policy 'hasty'"),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_made(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = command(*arguments, "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "learn", lambda *given, **options: pytest.fail("it was trained"))
    config = tmp_path / "small.toml"
    config.write_text("n_bl = 16\nn_sl = 16\n")
    result = command("--config", config, "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert "are missing" in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()
