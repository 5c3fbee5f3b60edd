"""Promises of a population: it is frozen, goes through a file unchanged, and damaged files are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rmhil.backend import ArraySpec
from rmhil.errors import ConfigError
from rmhil.write_verify import Adaptive, Population

SPEC = ArraySpec(provenance="none", n_arrays=1, n_bl=4, n_sl=4, conductance_min=10e-6, conductance_max=80e-6)


def test_a_population_comes_back_from_its_file_to_the_last_bit(tmp_path: Path) -> None:
    population = Population.estimate(SPEC).model_copy(update={"read_share": 0.1 + 0.2, "pilot_cells": 64})
    population.save(tmp_path / "population.json")
    assert Population.load(tmp_path / "population.json") == population


def test_the_keys_of_the_file_carry_their_units() -> None:
    content = json.loads(Population.estimate(SPEC).to_json())
    assert {"conductance_min_siemens", "conductance_max_siemens", "pulse_width_s"} <= set(content)
    assert {"reset_softness_siemens", "read_floor_siemens", "pause_s", "drift_spread_siemens"} <= set(content)
    assert {"origin_v", "level_siemens", "slope_siemens_per_v", "scatter_siemens"} <= set(content["set_line"])


def test_a_population_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Population.estimate(SPEC).read_share = 0.5


def test_the_estimate_goes_with_the_window() -> None:
    wide = Population.estimate(ArraySpec(**{**_fields(SPEC), "conductance_min": 20e-6, "conductance_max": 160e-6}))
    usual = Population.estimate(SPEC)
    assert wide.set_line.slope == pytest.approx(2 * usual.set_line.slope)
    assert wide.reset_line.level == pytest.approx(2 * usual.reset_line.level)


def _fields(spec: ArraySpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in ("provenance", "n_arrays", "n_bl", "n_sl")}


def test_the_policy_waits_as_long_as_its_population_was_watched() -> None:
    watched = Population.estimate(SPEC).model_copy(update={"pause": 7.0})
    assert Adaptive(population=watched).pause == 7.0
    assert Adaptive().pause == Population.estimate(SPEC).pause


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": "rmhil-population-9"}, "format"),
        ({"read_share": -0.1}, "read_share"),
        ({"reset_softness_siemens": 0.0}, "reset_softness"),
        ({"surprise": 1.0}, "surprise"),
        ({"drift_share": "Infinity"}, "drift_share"),
        ({"set_line": {"origin_v": 2.0}}, "set_line"),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    path = tmp_path / "population.json"
    path.write_text(json.dumps(json.loads(Population.estimate(SPEC).to_json()) | change))
    with pytest.raises(ConfigError, match=named):
        Population.load(path)


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        Population.load(tmp_path / "nowhere.json")
    (tmp_path / "picture.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"picture\.json"):
        Population.load(tmp_path / "picture.json")
