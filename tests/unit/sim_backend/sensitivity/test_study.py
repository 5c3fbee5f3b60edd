"""Effects of causes, from outcomes that are given."""

from __future__ import annotations

import json
import math

import pytest

from rmhil.plain import plain
from sim_backend.config import SimConfig
from sim_backend.sensitivity import PROGRAMMING, Outcome, Plan, Setting, Study, Summary, plan_of
from sim_backend.sensitivity.chips import Recipe
from sim_backend.sensitivity.text import HEAD, notes, ppm, rows


def study(plan: Plan, errors: list[dict[Setting, float]]) -> Study:
    """Outcomes of these errors, one mapping a chip; settings that are not named have an error of zero."""
    needed = [plan.as_it_is, plan.ideal]
    pairs = [pair for cause in plan.causes for pair in (cause.gain, *cause.cost)]
    needed += [setting for pair in pairs for setting in (pair.more, pair.less)]
    chips = tuple(
        {each: Outcome(error=given.get(each, 0.0), accuracy=0.9 - given.get(each, 0.0), pulses=3.0) for each in needed}
        for given in errors
    )
    return Study(plan=plan, seeds=tuple(range(len(errors))), outcomes=chips, float_accuracy=0.9, samples=100)


def test_a_gain_is_the_mean_of_the_differences_on_the_same_chip() -> None:
    plan = plan_of(SimConfig(), ["wire"])
    (wire,) = plan.causes
    done = study(plan, [{plan.as_it_is: 0.5, wire.gain.less: 0.4}, {plan.as_it_is: 0.3, wire.gain.less: 0.18}])
    (effect,) = done.effects
    assert effect.gain.mean == pytest.approx(0.11)
    assert effect.gain.deviation == pytest.approx(0.01)  # that of the errors themselves is ten times as large
    assert effect.gain_accuracy.mean == pytest.approx(0.11)


def test_a_cost_is_that_of_the_first_pair_that_differs() -> None:
    plan = plan_of(SimConfig(), ["cycle-spread", "read-noise"])
    spread, noise = plan.causes
    one = {spread.cost[1].more: 0.2, noise.cost[0].more: 0.1, noise.cost[1].more: 0.7}
    costs = {effect.name: effect.cost.mean for effect in study(plan, [one]).effects}
    assert costs == {"cycle-spread": 0.2, "read-noise": 0.1}


def test_effects_are_sorted_by_gain_and_what_ifs_come_last() -> None:
    plan = plan_of(SimConfig(), ["lines", PROGRAMMING, "mux at 5 V"])
    gains = {"routing": 0.1, "wire": 0.3, "mux-spread": -0.2, PROGRAMMING: 0.2, "mux at 5 V": 0.9}
    errors = {cause.gain.less: 1.0 - gains[cause.name] for cause in plan.causes} | {plan.as_it_is: 1.0}
    found = [effect.name for effect in study(plan, [errors]).effects]
    assert found == ["wire", PROGRAMMING, "routing", "mux-spread", "mux at 5 V"]


def test_a_cause_that_changes_nothing_says_why() -> None:
    plan = plan_of(SimConfig(), ["wear", "wire"])
    done = study(plan, [{plan.causes[0].gain.less: 0.0}, {plan.causes[1].gain.less: 0.2}])
    nothing = {effect.name: effect.is_nothing for effect in done.effects}
    assert nothing == {"wear": True, "wire": False}
    assert any(note.startswith("wear changed no output: a new chip") for note in notes(done, Recipe()))


def test_one_chip_has_no_spread() -> None:
    assert math.isnan(Summary.of([1.0]).deviation)
    assert Summary.of([1.0]).is_clear
    assert not Summary.of([0.0]).is_clear
    assert not Summary.of([1.0, -0.9]).is_clear


def test_the_table_has_a_row_for_each_cause() -> None:
    plan = plan_of(SimConfig())
    lines = rows(study(plan, [{plan.as_it_is: 1e-3}, {plan.as_it_is: 2e-3}]))
    assert len(lines) == len(plan.causes)
    assert all(len(line) == len(HEAD) for line in lines)


def test_results_are_plain_enough_for_json() -> None:
    plan = plan_of(SimConfig(), ["wire"])
    content = json.loads(json.dumps(plain(study(plan, [{plan.as_it_is: 1e-3}]).to_dict())))
    assert content["effects"][0]["name"] == "wire"
    assert content["effects"][0]["gain"] == {"mean": 1e-3, "deviation": None}
    assert set(content["chips"]["wire"][0]) == {"changed", "alone", "beside"}


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0"), (1e-9, "<0.01"), (2.34e-6, "2.3"), (-5e-3, "-5,000"), (1.6e-3, "1,600")]
)
def test_shares_are_written_in_ppm(share: float, text: str) -> None:
    assert ppm(share) == text
