"""The target `twin`: the bench stack on a whole emulated bench gives what the simulator gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import rmhil
from rmhil.backend import Cells, ChipNaming, Operation, Pulses, Read, StateSaving
from rmhil.bench.backend import BenchBackend
from rmhil.bench.config import bench_config
from rmhil.bench.config_text import config_text
from rmhil.bench.lights import Light
from rmhil.bench.preflight import preflight
from rmhil.errors import ConfigError
from sim_backend.twin import StartedTwin, start_twin
from sim_backend.twin.backend import StartedTwinBackend, twin_config
from tests.arrays import random_target

SMALL: Final[dict[str, Any]] = {"n_bl": 4, "n_sl": 3, "seed": 7}

QUIET: Final = ("read-noise", "telegraph", "retention", "leakage")
"""Noise and what depends on the time between two pulses. The analyser's converters are ideal without `read-noise`."""

ROUNDING: Final = 1e-9
"""S: a datum of the analyser has seven digits. The adaptive policy makes its next gate voltage of it, and so on."""


@pytest.mark.parametrize("policy", ["incremental", "adaptive"])
def test_a_map_takes_the_same_pulses_as_on_the_simulator_in_the_same_order(policy: str) -> None:
    target = random_target((4, 3))
    with rmhil.open_backend("twin", **SMALL, off=QUIET) as twin:
        here = rmhil.Crossbar(twin).program(target, policy=policy)
        assert isinstance(twin, StartedTwinBackend)
        given, records = twin.twin.pulse_counts(), twin.twin.records()
    with rmhil.open_backend("sim", **SMALL, off=QUIET, cells_at_once=1, dtype="float64") as sim:
        there = rmhil.Crossbar(sim).program(target, policy=policy)
    for kind, counts in there.pulses.items():
        np.testing.assert_array_equal(here.pulses[kind], counts)
    np.testing.assert_array_equal(here.outcome, there.outcome)
    np.testing.assert_allclose(here.achieved, there.achieved, rtol=0, atol=ROUNDING)
    told = sum(here.pulses.values())
    np.testing.assert_array_equal(given, told)
    assert records.violations == ()


@pytest.fixture(scope="module")
def running() -> Iterator[StartedTwin]:
    with start_twin(tied=True, **SMALL) as twin:
        yield twin


def test_a_twin_that_runs_is_opened_by_its_url_and_by_its_file_and_goes_on(
    running: StartedTwin, tmp_path: Path
) -> None:
    file = tmp_path / "twin.toml"
    file.write_text(config_text(twin_config(running)))
    with rmhil.open_backend("twin", twin=running.url) as first:
        spec = first.spec
        pulses = Pulses.of(1, Operation.FORM, 4.5, 1e-3, 1.5, 1e-3)
        formed = first.apply(Cells.of(0, 1, 2), pulses, Read.default(spec)).conductance[0]
        assert not isinstance(first, StateSaving), "its cells are not lost with this process"
        assert isinstance(first, ChipNaming)
        chip = first.chip_id
    assert running.records().outputs_off
    with rmhil.open_backend("twin", config=file) as second:
        assert second.spec == spec
        assert isinstance(second, ChipNaming)
        assert second.chip_id == chip
        again = second.apply(Cells.of(0, 1, 2), None, Read.default(spec)).conductance[0]
    assert again == pytest.approx(formed, rel=0.1)


def test_the_twin_is_the_bench_class_itself(running: StartedTwin) -> None:
    with rmhil.open_backend("bench", config=twin_config(running)) as backend:  # type: ignore[arg-type]
        assert isinstance(backend, BenchBackend)
        assert backend.spec.provenance == running.provenance


def test_a_new_array_is_another_chip(running: StartedTwin) -> None:
    before = twin_config(running).array.chip
    running.renew(**SMALL)
    assert twin_config(running).array.chip != before


def test_a_twin_passes_the_preflight(running: StartedTwin, tmp_path: Path) -> None:
    file = tmp_path / "twin.toml"
    file.write_text(config_text(twin_config(running)))
    assert {finding.light for finding in preflight(file)} <= {Light.GREEN, Light.AMBER}
    assert running.records().outputs_off


def test_a_file_without_a_twin_and_options_for_one_that_runs_are_refused(running: StartedTwin) -> None:
    tables = twin_config(running).model_dump(exclude={"twin"})
    with pytest.raises(ConfigError, match=r"no table \[twin\]"):
        rmhil.open_backend("twin", config=bench_config(tables))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="seed cannot be given for a twin that runs"):
        rmhil.open_backend("twin", twin=running.url, seed=3)
    with pytest.raises(ConfigError, match="cells_at_once = 4, allowed 1"):
        rmhil.open_backend("twin", cells_at_once=4)
