"""Promises of the crossbar, on small simulated chips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rmhil import Crossbar, Ledger
from rmhil.backend import Biases, Cells, Pulses, Read, Readings
from rmhil.crossbar import Outcome, ProgramInterruptedError
from rmhil.errors import (
    BackendUnavailableError,
    ConfigError,
    NotFiniteError,
    OutOfRangeError,
    OverRangeError,
    RmhilError,
    ShapeError,
    UnknownNameError,
)
from rmhil.write_verify import Incremental
from rmhil.write_verify.program import ERASE_PULSES
from sim_backend import SimBackend
from tests.arrays import random_target

MICRO = 1e-6
Opener = Callable[..., SimBackend]


class Recording:
    """A backend that keeps what was asked of it, and fails at one `apply` if told to."""

    def __init__(
        self, backend: SimBackend, fail_at: int | None = None, error: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self._backend, self._fail_at, self._error = backend, fail_at, error
        self.applied: list[tuple[Cells, Pulses | None]] = []
        self.safe_calls = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the wrapped backend's attributes are of every type
        return getattr(self._backend, name)

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        self.applied.append((cells, pulses))
        if len(self.applied) == self._fail_at:
            raise self._error("stopped")
        return self._backend.apply(cells, pulses, read)

    def safe(self) -> None:
        self.safe_calls += 1
        self._backend.safe()


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
    order = [int(cells.bl[0] * 2 + cells.sl[0]) for cells, _ in backend.applied]
    again = len(order) - 6
    assert order[:again] == sorted(order[:again])
    assert order[again:] == list(range(6))
    assert all(pulses is None for _, pulses in backend.applied[again:])


def test_the_ledger_counts_what_the_report_says(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    report = crossbar.program(random_target(crossbar.shape))
    counts = crossbar.ledger.counts
    assert counts.form_pulses == report.pulses["form"].sum()
    assert counts.set_pulses == report.pulses["set"].sum()
    assert counts.reset_pulses == report.pulses["reset"].sum()
    assert counts.reads == report.reads.sum()


def test_a_converged_cell_was_read_in_tolerance(open_sim: Opener) -> None:
    report = Crossbar(open_sim()).program(random_target((16, 12)), tolerance=1e-6)
    assert np.all(np.abs(report.error[report.outcome == Outcome.CONVERGED]) <= 1e-6)


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


# ---- cut short -----------------------------------------------------------------------------------------------------


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


# ---- reading -------------------------------------------------------------------------------------------------------


def test_read_agrees_with_the_true_map_within_its_noise(open_sim: Opener) -> None:
    backend = open_sim()
    crossbar = Crossbar(backend)
    crossbar.program(random_target((16, 12)))
    # averaged reads: what is left is the spread between the channels of the multiplexers, some 0.1 % of the cell
    error = crossbar.read(averages=16) / backend.true_conductance[0] - 1.0
    assert np.abs(np.median(error)) < 0.003


def test_the_known_map_follows_reads_and_is_shared_with_regions(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    assert np.isnan(crossbar.conductance).all()
    part = crossbar.region(bl=slice(2, 5), sl=[0, 3])
    reading = part.read()
    np.testing.assert_array_equal(crossbar.conductance[2:5][:, [0, 3]], reading)
    assert np.isnan(crossbar.conductance).sum() == 16 * 12 - 6


def test_all_crossbars_of_a_backend_share_what_is_known_of_its_cells(open_sim: Opener) -> None:
    backend = open_sim(ideal=True, dtype="float64")
    one, two = Crossbar(backend), Crossbar(backend, ledger=Ledger())
    one.program(np.full((16, 12), 40e-6), tolerance=1e-11)
    before = one.matrix()
    two.region(bl=[3], sl=[5]).program([[20e-6]], tolerance=1e-11)
    assert one.conductance[3, 5] == pytest.approx(20e-6, abs=1e-11)
    assert np.argwhere(~np.isclose(one.matrix(), before, rtol=1e-3)).tolist() == [[3, 5]]
    assert np.isnan(Crossbar(open_sim(ideal=True, dtype="float64")).conductance).all()


def test_every_call_that_pulses_cells_of_a_source_line_is_counted_once(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(n_arrays=2))
    part = crossbar.region(bl=slice(2, 5), sl=[1, 4], arrays=[1])
    crossbar.read()
    part.verify(np.full((3, 2), 40e-6))
    assert (crossbar.writes, crossbar.line_writes().sum()) == (0, 0)
    part.program(np.full((3, 2), 40e-6))
    part.sweep(0, 1, Biases.of([0.0, 0.1], 0.0, 3.0, 1e-3, 1e-3))
    assert part.line_writes().tolist() == [[1, 2]]
    assert crossbar.line_writes(sl=[1, 3, 4], arrays=[1]).tolist() == [[1, 0, 2]]
    assert crossbar.line_writes(arrays=[0]).sum() == 0
    assert part.counted_in(Ledger()).writes == crossbar.writes == 2


def test_a_write_that_broke_off_is_counted_and_makes_its_cell_unknown(
    open_sim: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_sim(n_bl=4, n_sl=3)
    crossbar = Crossbar(backend)
    crossbar.read()

    def lost(*args: object) -> None:
        raise BackendUnavailableError("no answer")

    with pytest.raises(OutOfRangeError):
        crossbar.sweep(1, 2, Biases.of([9.0], 0.0, 3.0, 1e-3, 1e-3))
    assert crossbar.writes == 0
    monkeypatch.setattr(backend, "sweep", lost)
    with pytest.raises(BackendUnavailableError):
        crossbar.sweep(1, 2, Biases.of([0.0, 0.1], 0.0, 3.0, 1e-3, 1e-3))
    assert np.argwhere(np.isnan(crossbar.conductance)).tolist() == [[1, 2]]
    assert crossbar.line_writes().tolist() == [[0, 0, 1]]
    broken = Crossbar(Recording(backend, fail_at=2))  # the first `apply` reads, the second one pulses
    with pytest.raises(ProgramInterruptedError):
        broken.program(np.full((4, 3), 40e-6))
    assert broken.line_writes().tolist() == [[1, 1, 1]]


def test_a_region_programs_only_its_own_cells(open_sim: Opener) -> None:
    backend = open_sim()
    before = backend.true_conductance[0]
    part = Crossbar(backend).region(bl=[1, 4], sl=slice(2, 4))
    report = part.program(np.full((2, 2), 40e-6))
    assert report.achieved.shape == part.shape == (2, 2)
    changed = np.argwhere(backend.true_conductance[0] != before).tolist()
    assert changed == [[1, 2], [1, 3], [4, 2], [4, 3]]


def test_several_arrays_are_one_map_with_a_leading_axis(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(n_arrays=3), arrays=[0, 2])
    assert crossbar.shape == (2, 16, 12)
    report = crossbar.program(random_target((2, 16, 12)))
    assert report.achieved.shape == (2, 16, 12)
    assert report.converged_fraction() > 0.98


def test_verify_reads_only_and_says_how_far_off(open_sim: Opener) -> None:
    backend = Recording(open_sim())
    crossbar = Crossbar(backend)
    target = random_target((16, 12))
    target[0, 0] = np.nan
    crossbar.program(target)
    pulses = crossbar.ledger.counts.pulses
    report = crossbar.verify(target, tolerance=2e-6)
    assert crossbar.ledger.counts.pulses == pulses
    assert np.isnan(report.achieved[0, 0])
    assert report.converged_fraction() > 0.97


def test_a_reading_at_compliance_raises_or_is_carried_as_nan(open_sim: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_sim(n_bl=2, n_sl=2)
    apply = backend.apply

    def limited(cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        readings = apply(cells, pulses, read)
        readings.status[0] = 1
        return readings

    monkeypatch.setattr(backend, "apply", limited)
    crossbar = Crossbar(backend)
    with pytest.raises(OverRangeError, match="1 of 4 verify reads"):
        crossbar.read()
    assert np.isnan(crossbar.read(on_status="carry")).tolist() == [[True, False], [False, False]]
    assert np.isnan(crossbar.conductance[0, 0])


def test_a_sweep_makes_its_cell_unknown(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    crossbar.read()
    trace = crossbar.region(bl=slice(4, None)).sweep(1, 2, Biases.of([0.0, 0.1, 0.2], 0.0, 3.0, 1e-3, 1e-3))
    assert len(trace.current) == 3
    assert np.argwhere(np.isnan(crossbar.conductance)).tolist() == [[5, 2]]
    assert crossbar.ledger.counts.sweep_steps == 3
