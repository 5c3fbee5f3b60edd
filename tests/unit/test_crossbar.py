"""Promises of the crossbar, on small simulated chips."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from loguru import logger

from rmhil import Crossbar
from rmhil.crossbar import Outcome
from rmhil.errors import (
    ConfigError,
    NotFiniteError,
    OutOfRangeError,
    PopulationError,
    RmhilError,
    ShapeError,
    UnknownNameError,
)
from rmhil.write_verify import Adaptive, Incremental, Population
from rmhil.write_verify.program import ERASE_PULSES
from sim_backend import SimBackend
from tests.arrays import random_target
from tests.recording import Recording

MICRO = 1e-6
Opener = Callable[..., SimBackend]


# ---- refusals ------------------------------------------------------------------------------------------------------

BAD_REQUESTS: list[tuple[dict[str, Any], type[RmhilError], str]] = [
    ({"target": np.full((12, 16), 40e-6)}, ShapeError, "target"),
    ({"target": np.full((16, 12), np.inf)}, NotFiniteError, "target"),
    ({"target": np.full((16, 12), 9e-6)}, OutOfRangeError, "target"),
    ({"target": np.full((16, 12), 81e-6)}, OutOfRangeError, "target"),
    ({"target": "forty"}, ConfigError, "target"),
    ({"tolerance": 0.0}, OutOfRangeError, "tolerance"),
    ({"tolerance": -1e-6}, OutOfRangeError, "tolerance"),
    ({"tolerance": np.nan}, OutOfRangeError, "tolerance"),
    ({"tolerance": 2.0}, OutOfRangeError, "tolerance = 2 S, allowed above 0 to 8e-05 S"),
    ({"max_pulses": 0}, OutOfRangeError, "max_pulses"),
    ({"max_pulses": 2.5}, ConfigError, "max_pulses"),
    ({"averages": 0}, OutOfRangeError, "averages"),
    ({"averages": 2.0}, ConfigError, "averages"),
    ({"averages": np.nan}, ConfigError, "averages"),
    ({"target": np.full((16, 12), 40e-6 + 1e-6j)}, ConfigError, "target"),
    ({"policy": "greedy"}, UnknownNameError, "greedy"),
]


@pytest.mark.parametrize(("request_", "error", "named"), BAD_REQUESTS)
def test_a_bad_request_to_program_is_refused_with_nothing_driven(
    open_sim: Opener, request_: dict[str, Any], error: type[RmhilError], named: str
) -> None:
    backend = Recording(open_sim())
    with pytest.raises(error, match=named):
        Crossbar(backend).program(**({"target": np.full((16, 12), 40e-6)} | request_))
    assert backend.applied == []


@pytest.mark.parametrize(
    ("request_", "error", "named"),
    [
        ({"mask": np.ones((3, 3), dtype=bool)}, ShapeError, "mask"),
        ({"mask": np.where(np.eye(16, 12, dtype=bool), 40e-6, np.nan)}, ConfigError, "mask"),
        ({"max_pulses": 1.5}, ConfigError, "max_pulses"),
        ({"averages": 1.5}, ConfigError, "averages"),
    ],
)
def test_a_bad_request_to_form_is_refused_with_nothing_driven(
    open_sim: Opener, request_: dict[str, Any], error: type[RmhilError], named: str
) -> None:
    backend = Recording(open_sim())
    with pytest.raises(error, match=named):
        Crossbar(backend).form(**request_)
    assert backend.applied == []


@pytest.mark.parametrize("word", ["Raise", "Carry", "ignore", ""])
def test_a_word_for_problems_that_does_not_exist_is_refused_with_nothing_driven(open_sim: Opener, word: Any) -> None:  # noqa: ANN401
    backend = Recording(open_sim())
    crossbar = Crossbar(backend)
    with pytest.raises(UnknownNameError, match=f"on_status '{word}'; known: carry, raise"):
        crossbar.read(on_status=word)
    with pytest.raises(UnknownNameError, match=f"on_over_range '{word}'; known: carry, raise"):
        crossbar.mvm(np.zeros(16), on_over_range=word)
    assert backend.applied == []
    assert crossbar.ledger.counts.mvms == 0


@pytest.mark.parametrize("lines", [[0.9, 1.7], np.array([False, True])])
def test_lines_that_are_not_whole_numbers_are_refused_and_not_counted(open_sim: Opener, lines: Any) -> None:  # noqa: ANN401
    crossbar = Crossbar(open_sim())
    with pytest.raises(ConfigError, match="bl lines"):
        crossbar.mvm(np.zeros(2), bl=lines)
    with pytest.raises(ConfigError, match="sl lines"):
        crossbar.region(sl=lines)
    assert crossbar.ledger.counts.mvms == 0


@pytest.mark.parametrize(
    ("voltages", "error"),
    [
        (np.zeros((2, 15)), ShapeError),
        (np.zeros((1, 1, 1, 16)), ShapeError),
        (np.full(16, np.nan), NotFiniteError),
        (np.full(16, 0.21), OutOfRangeError),
    ],
)
def test_bad_voltages_are_refused_and_not_counted(
    open_sim: Opener, voltages: np.ndarray, error: type[RmhilError]
) -> None:
    crossbar = Crossbar(open_sim())
    with pytest.raises(error):
        crossbar.mvm(voltages)
    assert crossbar.ledger.counts.mvms == 0


# ---- programming ---------------------------------------------------------------------------------------------------


def test_virgin_cells_are_formed_then_programmed(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    report = crossbar.program(random_target((16, 12)), tolerance=1e-6)
    assert report.converged_fraction() > 0.98
    assert np.all(report.pulses["form"][report.outcome == Outcome.CONVERGED] > 0)


def test_cells_left_alone_are_neither_read_nor_pulsed(open_sim: Opener) -> None:
    backend = open_sim()
    before = backend.true_conductance
    target = np.full((16, 12), np.nan)
    target[3, 4] = 40e-6
    report = Crossbar(backend).program(target)
    changed = np.argwhere(backend.true_conductance[0] != before[0])
    assert changed.tolist() == [[3, 4]]
    assert report.count(Outcome.LEFT_ALONE) == 16 * 12 - 1
    assert report.reads.sum() == report.reads[3, 4]


def test_nothing_happens_for_a_target_of_nan(open_sim: Opener) -> None:
    backend = Recording(open_sim())
    report = Crossbar(backend).program(np.full((16, 12), np.nan))
    assert backend.applied == []
    assert report.seconds == 0.0


def test_cells_in_tolerance_are_not_pulsed(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(off=("read-noise", "telegraph", "retention", "stuck-cells")))
    target = random_target(crossbar.shape)
    crossbar.program(target)
    again = crossbar.program(target)
    assert sum(int(counts.sum()) for counts in again.pulses.values()) == 0
    assert again.converged_fraction() == 1.0


def test_a_rewrite_resets_every_named_cell(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(off=("stuck-cells",)))
    target = random_target(crossbar.shape).clip(20e-6)  # an erased cell may be within 2 uS of the lowest targets
    crossbar.program(target)
    again = crossbar.program(target, rewrite=True)
    assert np.all(again.pulses["reset"] >= 1)
    assert np.all(again.pulses["set"] >= 1)
    assert again.converged_fraction() > 0.99


def test_erasing_for_a_rewrite_takes_pulses_beyond_the_allowed_ones(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    crossbar.program(random_target(crossbar.shape))
    report = crossbar.program(random_target(crossbar.shape, seed=1), rewrite=True, max_pulses=1)
    given = report.pulses["set"] + report.pulses["reset"]
    assert given.max() > 1
    assert np.all(given <= 1 + ERASE_PULSES)
    assert f"up to {ERASE_PULSES} further pulses" in str(Crossbar.program.__doc__)


@pytest.mark.parametrize("policy", ["adaptive", "incremental"])
def test_one_cell_at_a_time_gives_every_cell_the_same_pulses(open_sim: Opener, policy: str) -> None:
    """But for what depends on the time between two pulses of a cell."""
    target, timeless = random_target((3, 2)), ("retention", "telegraph")
    together, alone, by_four = (
        Crossbar(open_sim(n_bl=3, n_sl=2, off=timeless, cells_at_once=size)).program(target, policy=policy)
        for size in (None, 1, 4)
    )
    for other in (alone, by_four):
        np.testing.assert_array_equal(other.achieved, together.achieved)
        np.testing.assert_array_equal(other.outcome, together.outcome)
        for kind, counts in together.pulses.items():
            np.testing.assert_array_equal(other.pulses[kind], counts)


def test_one_cell_is_finished_before_the_next_is_touched(open_sim: Opener) -> None:
    """And those that rested are read again in the same order, once the clock has passed the pause."""
    backend = Recording(open_sim(n_bl=3, n_sl=2, cells_at_once=1, ideal=True))
    Crossbar(backend).program(np.full((3, 2), 40e-6))
    order = [(int(cells.bl[0]), int(cells.sl[0])) for cells, _ in backend.applied]
    visits = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)]
    again = len(order) - 6
    assert [cell for cell, _ in groupby(order[:again])] == visits
    assert order[again:] == visits
    assert all(pulses is None for _, pulses in backend.applied[again:])


def test_the_ledger_counts_what_the_report_says(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    report = crossbar.program(random_target(crossbar.shape))
    counts = crossbar.ledger.counts
    assert counts.form_pulses == report.pulses["form"].sum()
    assert counts.set_pulses == report.pulses["set"].sum()
    assert counts.reset_pulses == report.pulses["reset"].sum()
    assert counts.reads == report.reads.sum()


def test_a_converged_cell_is_believed_to_be_in_tolerance(open_sim: Opener) -> None:
    report = Crossbar(open_sim()).program(random_target((16, 12)), tolerance=1e-6)
    assert np.all(np.abs(report.believed - report.target)[report.outcome == Outcome.CONVERGED] <= 1e-6)
    assert not report.beyond_readings


@pytest.mark.parametrize(("tolerance", "warned"), [(0.15e-6, True), (1e-6, False)])
def test_a_tolerance_finer_than_one_reading_can_tell_is_warned_of(
    open_sim: Opener, tolerance: float, warned: bool
) -> None:
    messages: list[str] = []
    logger.enable("rmhil")
    sink = logger.add(messages.append, level="WARNING", format="{message}")
    try:
        report = Crossbar(open_sim()).program(random_target((16, 12)), tolerance=tolerance)
    finally:
        logger.remove(sink)
        logger.disable("rmhil")
    assert report.beyond_readings == warned
    said = f"{report.converged_outside():,} converged cells read outside the tolerance of {tolerance:g} S"
    assert any(said in message for message in messages) == warned


def test_a_policy_is_told_how_many_readings_are_averaged(open_sim: Opener) -> None:
    """With finer readings, cells need fewer of them (each average counted once)."""
    reads = []
    for averages in (1, 16):
        report = Crossbar(open_sim()).program(random_target((16, 12)), tolerance=1e-6, averages=averages)
        reads.append(report.reads.sum() / averages)
    assert reads[1] < 0.95 * reads[0]


def test_a_population_of_another_window_is_refused_with_nothing_driven(open_sim: Opener) -> None:
    backend = Recording(open_sim())
    other = Population.estimate(backend.spec).model_copy(update={"conductance_min": 5e-6})
    with pytest.raises(PopulationError, match=r"conductance_min = 5e-06 S, but 1e-05 S on sim"):
        Crossbar(backend).program(np.full((16, 12), 40e-6), policy=Adaptive(population=other))
    assert backend.applied == []


def test_confirming_reads_keep_out_cells_that_were_in_tolerance_by_chance(open_sim: Opener) -> None:
    target = random_target((48, 48))
    misses = []
    for confirm_reads in (0, 3):
        backend = open_sim(n_bl=48, n_sl=48)
        policy = Incremental(gate_step=0.06, confirm_reads=confirm_reads)
        report = Crossbar(backend).program(target, tolerance=1e-6, policy=policy)
        truly = np.abs(backend.true_conductance[0] - target) <= 1e-6
        misses.append(int(np.count_nonzero((report.outcome == Outcome.CONVERGED) & ~truly)))
    assert misses[1] < misses[0] / 3


def test_a_stuck_cell_is_told_apart_after_few_pulses(open_sim: Opener) -> None:
    backend = open_sim(n_bl=48, n_sl=48)
    target = random_target((48, 48))
    report = Crossbar(backend).program(target)
    missed = report.asked_for & (report.outcome != Outcome.CONVERGED)
    assert 0 < missed.sum() <= 0.01 * target.size
    assert set(report.outcome[missed]) <= {Outcome.STUCK, Outcome.FORM_FAILED}
    assert np.all(report.pulses["set"][missed] + report.pulses["reset"][missed] < 20)


def test_cells_run_out_of_pulses_when_few_are_allowed(open_sim: Opener) -> None:
    report = Crossbar(open_sim()).program(random_target((16, 12)), policy="incremental", max_pulses=3)
    assert report.count(Outcome.OUT_OF_PULSES) > 0
    assert np.all(report.pulses["set"] + report.pulses["reset"] <= 3)


def test_progress_ends_with_all_cells_done(open_sim: Opener) -> None:
    calls: list[tuple[int, int, str]] = []
    Crossbar(open_sim()).program(random_target((16, 12)), progress=lambda *call: calls.append(call))
    assert calls[-1] == (192, 192, "programming")
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


def test_same_seed_same_report(open_sim: Opener) -> None:
    one, two = (Crossbar(open_sim(seed=4)).program(random_target((16, 12))) for _ in range(2))
    np.testing.assert_array_equal(one.achieved, two.achieved)
    assert str(one) == str(two)


def test_forming_pulses_only_virgin_cells_of_the_mask(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(off=("stuck-cells",)))
    mask = np.zeros(crossbar.shape, dtype=bool)
    mask[:4] = True
    first, second = crossbar.form(mask), crossbar.form()
    assert np.all(first.pulses["form"][:4] > 0)
    assert not first.pulses["form"][4:].any()
    assert not second.pulses["form"][:4].any()
    assert second.converged_fraction() == 1.0
