"""Promises of a call that is cut short: the backend is safe, and the report says what was done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.crossbar import Outcome, ProgramInterruptedError
from rmhil.errors import BackendUnavailableError
from sim_backend import SimBackend
from tests.arrays import random_target
from tests.recording import Recording

Opener = Callable[..., SimBackend]


@pytest.mark.parametrize("fail_at", [1, 2, 20, 35])
def test_ctrl_c_leaves_the_backend_safe_and_reports_what_was_done(open_sim: Opener, fail_at: int) -> None:
    backend = Recording(open_sim(n_bl=4, n_sl=3, cells_at_once=1), fail_at)
    crossbar = Crossbar(backend)
    with pytest.raises(ProgramInterruptedError) as caught:
        crossbar.program(random_target((4, 3)))
    report = caught.value.report
    assert backend.safe_calls == 1
    assert crossbar.last_report is report
    assert report.count(Outcome.UNFINISHED) > 0
    assert crossbar.ledger.counts.pulses == sum(int(counts.sum()) for counts in report.pulses.values())


def test_a_cell_whose_transaction_broke_off_may_have_been_pulsed_and_is_unknown(open_sim: Opener) -> None:
    backend = Recording(open_sim(n_bl=4, n_sl=3, cells_at_once=1), fail_at=2)
    crossbar = Crossbar(backend)
    with pytest.raises(ProgramInterruptedError) as caught:
        crossbar.program(random_target((4, 3)))
    assert np.argwhere(caught.value.report.maybe_pulsed).tolist() == [[0, 0]]
    assert np.isnan(caught.value.report.achieved[0, 0])
    assert np.isnan(crossbar.conductance[0, 0])


def test_a_lost_backend_is_made_safe_and_its_error_passed_on(open_sim: Opener) -> None:
    backend = Recording(open_sim(), fail_at=5, error=BackendUnavailableError)
    crossbar = Crossbar(backend)
    with pytest.raises(BackendUnavailableError):
        crossbar.program(random_target((16, 12)))
    assert backend.safe_calls == 1
    assert crossbar.last_report is not None


def test_an_interrupted_program_can_be_taken_up_again(open_sim: Opener) -> None:
    backend = open_sim(n_bl=4, n_sl=3, off=("stuck-cells",))
    target = random_target((4, 3))
    with pytest.raises(ProgramInterruptedError):
        Crossbar(Recording(backend, fail_at=12)).program(target)
    assert Crossbar(backend).program(target).converged_fraction() == 1.0


@pytest.mark.parametrize("error", [KeyboardInterrupt, BackendUnavailableError])
def test_cells_that_rest_when_the_call_is_cut_short_are_unfinished(
    open_sim: Opener, error: type[BaseException]
) -> None:
    """Nothing has shown yet that they hold; what they were last read at, and believed to hold, is in the report."""
    crossbar = Crossbar(Recording(open_sim(off=("stuck-cells",)), error=error, fail_in_wait=True))
    said: list[tuple[int, str]] = []
    with pytest.raises((ProgramInterruptedError, BackendUnavailableError)):
        crossbar.program(random_target((16, 12)), progress=lambda done, _, text: said.append((done, text)))
    report = crossbar.last_report
    assert report is not None
    resting = report.outcome == Outcome.UNFINISHED
    assert set(report.outcome.flat) <= {Outcome.UNFINISHED, Outcome.CONVERGED}
    assert resting.sum() > 150
    assert f"{resting.sum()} unfinished" in str(report)
    assert np.all(np.abs(report.error[resting]) < 1.1 * report.tolerance)  # some are expected to drift into it
    assert not np.isnan(report.believed[resting]).any()
    assert said[-1] == (192, f"programming, {resting.sum()} resting")


def test_cells_that_rested_when_the_next_round_broke_off_are_unfinished(open_sim: Opener) -> None:
    """All cells are in tolerance after the first round; the first reading after the pause gets lost."""
    backend = Recording(open_sim(ideal=True, n_bl=4, n_sl=3))
    Crossbar(backend).program(np.full((4, 3), 40e-6))
    rounds = len(backend.applied)
    backend = Recording(open_sim(ideal=True, n_bl=4, n_sl=3), fail_at=rounds)
    with pytest.raises(ProgramInterruptedError) as caught:
        Crossbar(backend).program(np.full((4, 3), 40e-6))
    assert caught.value.report.count(Outcome.UNFINISHED) == 12
