"""Promises of the reports on programming and verifying."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rmhil.backend import Status
from rmhil.program_report import Outcome, ProgramInterruptedError, ProgramReport, VerifyReport


def report(outcome: list[Outcome], sets: list[int], forms: int = 0, tolerance: float = 1e-6) -> ProgramReport:
    n = len(outcome)
    zero = np.zeros(n, dtype=np.int64)
    return ProgramReport(
        target=np.full(n, 40e-6),
        tolerance=tolerance,
        achieved=np.full(n, 40.5e-6),
        believed=np.full(n, 40.4e-6),
        pulses={"form": zero + forms, "set": np.array(sets), "reset": zero},
        reads=zero + 2,
        outcome=np.array(outcome, dtype=np.int8),
        maybe_pulsed=zero.astype(bool),
        policy="adaptive",
        provenance="sim(seed=7)",
        seconds=1.0,
    )


def test_cells_left_alone_count_nowhere() -> None:
    made = report([Outcome.CONVERGED, Outcome.CONVERGED, Outcome.LEFT_ALONE], [3, 5, 0])
    assert made.converged_fraction() == 1.0
    assert made.pulses_per_cell() == 4.0


def test_the_summary_gives_cells_share_pulses_and_what_went_wrong() -> None:
    made = report([Outcome.CONVERGED] * 3 + [Outcome.STUCK], [2, 2, 3, 5])
    assert str(made) == "4 cells: 75.0 % within 1 uS, 3.0 pulses a cell, 1 stuck"


def test_a_summary_never_rounds_up_to_all() -> None:
    made = report([Outcome.CONVERGED] * 9999 + [Outcome.OUT_OF_PULSES], [1] * 10000)
    assert "99.9 % within" in str(made)


def test_the_summary_of_forming_speaks_of_forming() -> None:
    made = report([Outcome.CONVERGED, Outcome.FORM_FAILED], [0, 0], forms=4, tolerance=np.nan)
    assert str(made) == "2 cells: 50.0 % formed, 4.0 FORM pulses a cell, 1 not formed"


def test_the_working_share_leaves_out_cells_that_answer_nothing() -> None:
    made = report([Outcome.CONVERGED] * 2 + [Outcome.STUCK, Outcome.FORM_FAILED, Outcome.OUT_OF_PULSES], [0] * 5)
    assert made.working_converged_fraction() == pytest.approx(2 / 3)


def test_of_an_empty_request_no_share_is_said() -> None:
    made = report([Outcome.LEFT_ALONE], [0])
    assert np.isnan(made.converged_fraction())
    assert np.isnan(made.working_converged_fraction())
    assert str(made) == "no cells to program"
    nothing = np.full(2, np.nan)
    verified = VerifyReport(
        target=nothing, tolerance=1e-6, achieved=nothing, status=np.zeros(2, np.int8), provenance="sim", seconds=0.0
    )
    assert np.isnan(verified.converged_fraction())
    assert str(verified) == "no cells to verify"
    assert made.pulses_per_cell() == 0.0


def test_converged_cells_with_the_last_read_outside_are_counted_and_said() -> None:
    made = report([Outcome.CONVERGED] * 2 + [Outcome.STUCK], [1, 1, 1], tolerance=0.4e-6)
    assert made.converged_outside() == 2
    assert made.beyond_readings
    assert "2 converged with the last read outside" in str(made)
    inside = report([Outcome.CONVERGED] * 2, [1, 1])
    assert inside.converged_outside() == 0
    assert not inside.beyond_readings


def test_a_few_reads_outside_are_no_reason_for_a_warning() -> None:
    made = report([Outcome.CONVERGED] * 200, [1] * 200)
    made.achieved[:2] = 41.1e-6
    assert made.converged_outside() == 2
    assert not made.beyond_readings


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        report([Outcome.CONVERGED], [1]).policy = "other"  # type: ignore[misc]


def test_an_interruption_is_ctrl_c_and_holds_the_report() -> None:
    made = report([Outcome.UNFINISHED], [1])
    error = ProgramInterruptedError(made)
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception)
    assert error.report is made
    assert "1 unfinished" in str(error)


def test_a_verified_cell_at_compliance_is_not_within() -> None:
    made = VerifyReport(
        target=np.array([40e-6, 40e-6, np.nan]),
        tolerance=1e-6,
        achieved=np.array([40e-6, 40e-6, np.nan]),
        status=np.array([Status.NORMAL, Status.COMPLIANCE, Status.NORMAL], dtype=np.int8),
        provenance="sim(seed=7)",
        seconds=0.0,
    )
    assert made.within.tolist() == [True, False, False]
    assert made.converged_fraction() == 0.5
    assert str(made).startswith("2 cells: 50.0 % within 1 uS, error +0.000")
