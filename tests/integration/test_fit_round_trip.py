"""Fitting what was simulated from known parameters gives them back, within the stated errors.

The plan is that of a bench, through the seam. The simulated cells differ clearly from the preset that the fit starts
from.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rmhil.backend import Cells
from rmhil.errors import ConfigError
from rmhil.ledger import Ledger
from sim_backend import open_backend
from sim_backend.fit import FitPlan, FitReport, Measured, fit_cell, measure_for_fit
from sim_backend.presets import TAOX_180, DevicePreset

CELLS = 64

TRUTH = TAOX_180.model_copy(
    update={
        "name": "truth", "compliance_slope": 37e-6, "gate_threshold": 0.85, "set_stop_voltage": 1.0,
        "set_voltage": 1.22, "set_voltage_scale": 0.024, "reset_voltage": 1.12, "reset_voltage_scale": 0.025,
        "reset_slope": 100e-6, "reset_floor": 2.6e-6, "form_voltage": 2.6, "form_voltage_scale": 0.13,
        "virgin_conductance": 7e-9, "gate_threshold_spread": 0.045, "compliance_slope_spread": 0.07,
        "set_voltage_spread": 0.035, "reset_voltage_spread": 0.065, "reset_slope_spread": 0.14,
        "reset_floor_spread": 0.2, "form_voltage_spread": 0.22, "virgin_spread": 0.5, "cycle_level": 0.9e-6,
        "cycle_set_voltage": 0.018, "cycle_reset_voltage": 0.009, "read_noise": 0.006, "telegraph_share": 0.12,
        "telegraph_depth": 0.025, "relaxation": 0.12e-6, "drift": -0.0035, "drift_spread": 0.002,
    }
)  # fmt: skip

MEANS = {
    "compliance_slope": 0.03, "gate_threshold": 0.03, "set_stop_voltage": 0.03, "set_voltage": 0.03,
    "set_voltage_scale": 0.08, "reset_voltage": 0.03, "reset_voltage_scale": 0.08, "reset_slope": 0.06,
    "reset_floor": 0.10, "form_voltage": 0.05, "virgin_conductance": 0.25, "cycle_level": 0.06,
    "cycle_set_voltage": 0.15, "cycle_reset_voltage": 0.15, "read_noise": 0.04,
}  # fmt: skip
"""Relative error that 64 cells allow, about three standard errors."""

SPREADS = (
    "gate_threshold_spread", "compliance_slope_spread", "set_voltage_spread", "reset_voltage_spread",
    "reset_slope_spread", "reset_floor_spread", "form_voltage_spread", "relaxation", "drift_spread",
)  # fmt: skip
SPREAD_ERROR = 0.35
"""1: relative; 64 cells know a standard deviation to 9 %, those of small effects to less."""


@pytest.fixture(scope="module")
def measured() -> Measured:
    torch.set_num_threads(1)
    chosen = np.random.default_rng(7).choice(256, CELLS, replace=False)
    with open_backend(n_bl=16, n_sl=16, seed=7, preset=TRUTH.model_dump(), off=("leakage",)) as backend:
        return measure_for_fit(backend, Cells.of(0, chosen // 16, chosen % 16))


@pytest.fixture(scope="module")
def report(measured: Measured) -> FitReport:
    torch.set_num_threads(1)
    return fit_cell(measured.pulses, measured.sweeps, measured.retention, measured.reads, name="again")


@pytest.mark.parametrize("name", list(MEANS))
def test_a_mean_comes_back(report: FitReport, name: str) -> None:
    assert report[name].value == pytest.approx(getattr(TRUTH, name), rel=MEANS[name])


@pytest.mark.parametrize("name", SPREADS)
def test_a_spread_comes_back(report: FitReport, name: str) -> None:
    assert report[name].value == pytest.approx(getattr(TRUTH, name), rel=SPREAD_ERROR)


def test_the_drift_comes_back(report: FitReport) -> None:
    assert report["drift"].value == pytest.approx(TRUTH.drift, abs=0.0008)


def test_intervals_hold_the_truth_nearly_as_often_as_they_say(report: FitReport) -> None:
    held = [one.low <= getattr(TRUTH, name) <= one.high for name, one in report.estimates.items()]
    missed = [name for name, good in zip(report.estimates, held, strict=True) if not good]
    # 29 intervals of 95 %: five misses or more have a chance of 1.5 %.
    assert len(held) >= 25
    assert len(missed) <= 5, missed


def test_no_estimate_is_far_outside_its_interval(report: FitReport) -> None:
    for name, one in report.estimates.items():
        half = (one.high - one.low) / 2
        assert one.low - 2 * half <= getattr(TRUTH, name) <= one.high + 2 * half, name


def test_every_field_is_either_determined_or_reported_as_kept(report: FitReport) -> None:
    fields = set(DevicePreset.model_fields) - {"name"}
    assert set(report.estimates) | set(report.undetermined) == fields
    assert not set(report.estimates) & set(report.undetermined)
    for name in report.undetermined:
        assert getattr(report.preset, name) == getattr(TAOX_180, name), name
    for name, one in report.estimates.items():
        assert getattr(report.preset, name) == one.value, name


def test_the_model_explains_what_was_measured(report: FitReport) -> None:
    parts = {one.part: one.scaled_rms for one in report.residuals}
    assert set(parts) == {"repeated reads", "sweep plateaus", "FORM", "SET levels", "SET", "RESET", "retention"}
    assert all(0.4 < size < 1.5 for size in parts.values()), parts


def test_a_part_of_the_tables_determines_its_own_parameters_only(measured: Measured) -> None:
    report = fit_cell(reads=measured.reads, sweeps=measured.sweeps)
    assert {"read_noise", "set_stop_voltage"} <= set(report.estimates)
    assert report.undetermined["set_voltage"] == "no table of pulses, retention"
    assert report.preset.set_voltage == TAOX_180.set_voltage


def test_set_levels_alone_say_nothing_of_rates(measured: Measured) -> None:
    assert measured.pulses is not None
    strongest = measured.pulses["amplitude_v"] >= 0.999 * 1.95
    report = fit_cell(measured.pulses.rows(strongest & (measured.pulses["operation"] == 1)))
    assert report["compliance_slope"].value == pytest.approx(TRUTH.compliance_slope, rel=0.03)
    assert "set_voltage" in report.undetermined
    assert "reset_voltage" in report.undetermined
    assert "form_voltage" in report.undetermined


def test_the_plan_counts_what_it_spends_and_keeps_to_the_limits() -> None:
    ledger = Ledger()
    with open_backend(n_bl=4, n_sl=4, seed=1, cells_at_once=8) as backend:
        plan = replace(FitPlan.of(backend.spec), reads=3, retention_times=(1.0, 10.0), sweep_cells=1)
        measured = measure_for_fit(backend, Cells.of(0, np.arange(12) // 4, np.arange(12) % 4), plan, ledger=ledger)
        limits = backend.spec.limits
    assert measured.pulses is not None
    assert measured.retention is not None
    assert ledger.counts.pulses == len(measured.pulses)
    assert 300 < ledger.counts.pulses / 12 < 600
    assert len(measured.retention) == 2 * 2 * 12
    for code, highest in enumerate((limits.form_voltage, limits.set_voltage, limits.reset_voltage)):
        assert measured.pulses["amplitude_v"][measured.pulses["operation"] == code].max() <= highest
    assert math.isclose(measured.pulses["gate_voltage_v"].max(), limits.gate_voltage)


def test_too_few_cells_are_refused_before_anything_is_driven() -> None:
    with open_backend(n_bl=4, n_sl=4, seed=1) as backend:
        with pytest.raises(ConfigError, match="at least 8"):
            measure_for_fit(backend, Cells.of(0, 0, np.arange(4)))
        assert backend.clock == 0.0


@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=pytest.mark.long)])
def test_a_random_cell_comes_back(seed: int) -> None:
    torch.set_num_threads(1)
    generator = np.random.default_rng(seed)
    drawn = {name: float(generator.uniform(*ends)) for name, ends in RANGES.items()}
    truth = TAOX_180.model_copy(update=drawn | {"name": "drawn"})
    chosen = generator.choice(256, 28, replace=False)
    with open_backend(n_bl=16, n_sl=16, seed=seed, preset=truth.model_dump(), off=("leakage",)) as backend:
        plan = replace(FitPlan.of(backend.spec), reads=30, retention_times=(), repeats=1, sweep_cells=0)
        measured = measure_for_fit(backend, Cells.of(0, chosen // 16, chosen % 16), plan)
    report = fit_cell(measured.pulses, reads=measured.reads)
    assert set(RANGES) <= set(report.estimates)
    for name, value in drawn.items():
        assert report[name].value == pytest.approx(value, rel=0.5 if name.endswith("_spread") else 0.2), name
        assert abs(report[name].value - value) < 2 * (report[name].high - report[name].low), name


RANGES = {
    "compliance_slope": (24e-6, 38e-6), "gate_threshold": (0.55, 0.9), "set_voltage": (1.05, 1.25),
    "set_voltage_scale": (0.02, 0.033), "reset_voltage": (0.95, 1.15), "reset_voltage_scale": (0.02, 0.033),
    "reset_slope": (65e-6, 115e-6), "reset_floor": (2.5e-6, 6e-6), "form_voltage": (2.5, 3.2),
    "compliance_slope_spread": (0.04, 0.08), "set_voltage_spread": (0.03, 0.05), "reset_voltage_spread": (0.03, 0.06),
    "cycle_level": (0.4e-6, 1e-6), "cycle_set_voltage": (0.015, 0.04), "cycle_reset_voltage": (0.01, 0.025),
    "read_noise": (0.002, 0.008),
}  # fmt: skip
"""Ranges of cells that a board can select: no half-selected cell switches."""
