"""Promises of the search for the best incremental policy, and of the populations it is made on."""

from __future__ import annotations

import cell_populations as populations
import incremental_search as search
import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Limits
from rmhil.write_verify import Incremental
from sim_backend import open_backend
from sim_backend.presets import TAOX_180, DevicePreset


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


def test_as_few_confirming_reads_are_taken_as_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    truly = {1: 0.93, 2: 0.97, 3: 0.985, 4: 0.996}

    def confirming(policy: Incremental, cells: DevicePreset, tolerance: float) -> object:
        return search.Confirming(policy.confirm_reads, 10.0 + policy.confirm_reads, truly[policy.confirm_reads])

    monkeypatch.setattr(search, "confirming", confirming)
    best, tried = search.confirmed(Incremental(gate_step=0.1), TAOX_180, 1e-6)
    assert best == Incremental(gate_step=0.1, confirm_reads=4)
    assert [one.confirm_reads for one in tried] == [1, 2, 3, 4]


def test_where_no_number_of_confirming_reads_suffices_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "confirming", lambda policy, *_: search.Confirming(policy.confirm_reads, 9.0, 0.99))
    best, tried = search.confirmed(Incremental(), TAOX_180, 1e-6)
    assert best is None
    assert [one.confirm_reads for one in tried] == list(search.CONFIRM_READS)


def test_cells_whose_telegraph_step_exceeds_the_tolerance_are_told_apart() -> None:
    """The step is relative: the larger the target, the more cells fluctuate, and none without telegraph noise."""
    with open_backend(n_bl=32, n_sl=32, seed=3) as backend:
        counts = [
            int(populations.fluctuating(backend, np.full((32, 32), target), 0.5e-6).sum()) for target in (20e-6, 80e-6)
        ]
    assert 0 < counts[0] < counts[1] < 0.05 * 32**2
    quiet = TAOX_180.model_copy(update={"name": "quiet", "telegraph_share": 0.0})
    with open_backend(preset=quiet, n_bl=32, n_sl=32, seed=3) as backend:
        assert not populations.fluctuating(backend, np.full((32, 32), 80e-6), 0.5e-6).any()


def test_what_is_watched_is_the_state_after_each_cells_last_reading() -> None:
    with open_backend(n_bl=4, n_sl=3, seed=3) as backend:
        watched = populations.Watched(backend)
        part = Crossbar(watched).region(bl=[1])
        part.program(np.full((1, 3), 40e-6))
        seen = watched.seen.copy()
        assert np.isnan(seen[0, [0, 2, 3]]).all()
        np.testing.assert_allclose(seen[0, 1], backend.true_conductance[0, 1])
        backend.wait(1e6)
        np.testing.assert_array_equal(watched.seen, seen)
        assert np.abs(backend.true_conductance[0, 1] - seen[0, 1]).max() > 0
