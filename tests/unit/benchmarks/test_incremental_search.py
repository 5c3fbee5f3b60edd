"""Promises of the search for the best incremental policy, and of the populations it is made on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rmhil.backend import Limits
from rmhil.write_verify import Incremental
from sim_backend.presets import TAOX_180, DevicePreset

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


search = loaded("incremental_search")
populations = loaded("cell_populations")


def answered_by(monkeypatch: pytest.MonkeyPatch, verified: float) -> list[Incremental]:
    """Replaces the chips by a bowl with its lowest point off the grid; returns what was tried."""
    tried: list[Incremental] = []

    def attempt(policy: Incremental, cells: DevicePreset, tolerance: float) -> object:
        tried.append(policy)
        pulses = (
            10 + abs(policy.gate_step - 0.1) * 100 + abs(policy.reset_step - 0.05) * 100 + abs(policy.gate_start - 1.3)
        )
        pulses += policy.reset_start + (2.0 if policy.step_back is None else abs(policy.step_back - 2.0))
        return search.Candidate(policy, pulses, verified if policy.gate_step < 0.1 else 1.0)

    monkeypatch.setattr(search, "attempt", attempt)
    return tried


def test_the_fewest_pulses_win_and_no_candidate_is_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = answered_by(monkeypatch, verified=1.0)
    best, record = search.search(TAOX_180, 1e-6)
    assert len(tried) == len(set(tried)) == len(record)
    assert min(record, key=lambda one: one["pulses"])["gate_step"] == best.gate_step
    assert (best.step_back, best.gate_start, best.reset_start) == (2.0, 1.3, 0.8)
    assert best.gate_step == pytest.approx(0.08 * 1.3)


def test_candidates_that_leave_too_many_cells_out_do_not_win(monkeypatch: pytest.MonkeyPatch) -> None:
    answered_by(monkeypatch, verified=0.98)
    best, _ = search.search(TAOX_180, 1e-6)
    assert best.gate_step >= 0.1


def test_a_search_without_a_good_candidate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "attempt", lambda policy, *_: search.Candidate(policy, 5.0, 0.5))
    with pytest.raises(ValueError, match="taox180"):
        search.search(TAOX_180, 1e-6)


def test_there_are_at_least_six_populations_beside_the_preset_and_each_can_be_written() -> None:
    """The top of the window within the gate's limit, also for a cell three standard deviations in both away."""
    cases = populations.CASES
    assert cases[0].cells == TAOX_180
    assert len(cases) >= 7
    assert len({case.cells.name for case in cases}) == len(cases)
    for case in cases:
        cells = case.cells
        DevicePreset.model_validate(cells.model_dump())
        slope = cells.compliance_slope * (1 - 3 * cells.compliance_slope_spread)
        gate = cells.gate_threshold + 3 * cells.gate_threshold_spread + cells.conductance_max / slope
        assert gate < Limits().gate_voltage
