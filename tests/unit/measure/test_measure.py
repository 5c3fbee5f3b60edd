"""Sweeps, endurance, retention and yield: what they measure, what they keep when broken off, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Cells
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, RmhilError, RunDirectoryError
from rmhil.measure.cell_yield import Yield, YieldTest
from rmhil.measure.endurance import Endurance, EnduranceTest, read_cycles
from rmhil.measure.labelled import keep_measurement, load_measurement, measurement_names
from rmhil.measure.pictures import measurement_picture
from rmhil.measure.retention import Retention, RetentionTest, spread_levels
from rmhil.measure.sweeps import SweepPlan, Sweeps, SweepTest
from rmhil.program_report import CellState
from rmhil.report.canvas import style
from rmhil.store import Run
from sim_backend import SimBackend

Opener = Callable[..., SimBackend]

CELLS = Cells.of(0, [0, 1, 2], [1, 0, 2])

COARSE = SweepPlan(step=0.2)


def quiet(done: int, total: int, text: str) -> None:
    """Progress that nobody looks at."""


class Stopping:
    """Progress that stops the work after so many reports, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, done: int, total: int, text: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def formed(open_sim: Opener) -> Crossbar:
    array = Crossbar(open_sim(n_bl=4, n_sl=4))
    array.form()
    return array


def test_sweeps_keep_each_trace_of_each_cell(formed: Crossbar) -> None:
    part = formed.region(slice(1, 4), slice(0, 4))
    test = SweepTest(part, CELLS, sweeps=2, plan=COARSE)
    assert test.measured() is None
    test.run(quiet)
    found = test.measured()
    assert isinstance(found, Sweeps)
    assert found.cells.bl.tolist() == [1, 2, 3], "by their numbers in the backend"
    assert found.current.shape == (3, 2, len(found.voltage))
    assert found.voltage.max() == pytest.approx(1.6)
    assert found.voltage.min() == pytest.approx(-2.4)
    assert (found.low_resistance() > 3 * found.high_resistance()).all()
    assert formed.ledger.counts.sweep_steps == (2 + 1) * 3 * len(found.voltage), "each cell is swept once before"


def test_a_sweep_of_cells_as_they_are_pulses_nothing_before(formed: Crossbar) -> None:
    before = formed.ledger.counts.pulses
    SweepTest(formed, CELLS, sweeps=1, plan=COARSE, as_is=True).run(quiet)
    assert formed.ledger.counts.pulses == before
    assert formed.ledger.counts.sweep_steps == 3 * len(COARSE.biases(formed.spec))


def test_a_virgin_cell_is_swept_as_it_is_and_shows_no_window(open_sim: Opener) -> None:
    test = SweepTest(Crossbar(open_sim(n_bl=2, n_sl=2)), Cells.of(0, 0, 0), sweeps=1, plan=COARSE, as_is=True)
    test.run(quiet)
    found = test.measured()
    assert found is not None
    assert np.abs(found.current).max() < 1e-6
    assert set(found.summary()) > {"set_v_mean", "lrs_siemens_mean"}


@pytest.mark.parametrize("test", [SweepTest, EnduranceTest])
def test_virgin_cells_are_refused_before_a_pulse(open_sim: Opener, test: Callable[..., Any]) -> None:
    array = Crossbar(open_sim(n_bl=4, n_sl=4))
    with pytest.raises(ConfigError, match=r"3 of 3 cells are virgin \(array/BL/SL 0/0/1, 0/1/0, 0/2/2\)"):
        test(array, CELLS, 2).run(quiet)
    assert array.ledger.counts.pulses == 0


def refused() -> dict[str, tuple[Callable[[Crossbar], object], type[RmhilError], str]]:
    return {
        "set_stop": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(set_stop=9.0)), OutOfRangeError, "set_stop = 9 V"),
        "reset_stop": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(reset_stop=-1)), OutOfRangeError, "reset_stop"),
        "gate": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(gate=6.0)), OutOfRangeError, "wl"),
        "step": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(step=3.0)), OutOfRangeError, "step = 3 V"),
        "no step": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(step=float("nan"))), OutOfRangeError, "step = nan"),
        "dwell": (lambda x: SweepTest(x, CELLS, plan=SweepPlan(dwell=0.0)), OutOfRangeError, "dwell"),
        "sweeps": (lambda x: SweepTest(x, CELLS, sweeps=0), OutOfRangeError, "sweeps = 0"),
        "cycles": (lambda x: EnduranceTest(x, CELLS, cycles=0), OutOfRangeError, "cycles = 0"),
        "SET gate": (lambda x: EnduranceTest(x, CELLS, gate=5.5), OutOfRangeError, "gate_voltage = 5.5 V"),
        "RESET": (lambda x: EnduranceTest(x, CELLS, amplitude=3.5), OutOfRangeError, "RESET amplitude = 3.5 V"),
        "duration": (lambda x: RetentionTest(x, CELLS, duration=0.5), OutOfRangeError, "duration = 0.5 s"),
        "averages": (lambda x: RetentionTest(x, CELLS, averages=0), OutOfRangeError, "averages"),
        "levels": (lambda x: spread_levels(x, 3, 4), OutOfRangeError, "levels = 4"),
        "low": (lambda x: YieldTest(x, everything(x), low=1e-6), OutOfRangeError, "target"),
        "order": (lambda x: YieldTest(x, everything(x), low=60e-6, high=20e-6), OutOfRangeError, "low level"),
        "level": (lambda x: YieldTest(x, everything(x), high=np.inf), NotFiniteError, "target"),
    }


def everything(array: Crossbar) -> np.ndarray:
    return np.ones(array.shape, dtype=bool)


@pytest.mark.parametrize("case", list(refused()))
def test_settings_beyond_the_limits_are_refused_before_anything_is_driven(open_sim: Opener, case: str) -> None:
    array = Crossbar(open_sim(n_bl=4, n_sl=4))
    make, error, message = refused()[case]
    with pytest.raises(error, match=message):
        make(array)
    assert array.ledger.counts.reads == 0


def test_endurance_keeps_both_states_and_counts_its_pulses(formed: Crossbar) -> None:
    before = formed.ledger.counts
    test = EnduranceTest(formed, CELLS, cycles=10)
    test.run(quiet)
    found = test.measured()
    assert isinstance(found, Endurance)
    assert found.cycle[[0, -1]].tolist() == [1, 10]
    assert found.low.shape == (len(found.cycle), 3)
    assert (found.window() > 3).all()
    counted = formed.ledger.counts - before
    assert counted.set_pulses == 30
    assert 33 <= counted.reset_pulses <= 42, "one to four before the first cycle"


@pytest.mark.parametrize("cycles", [2, 10, 30_000])
def test_cycles_are_read_from_the_first_to_the_last(cycles: int) -> None:
    chosen = read_cycles(cycles)
    assert chosen[0] == 1
    assert chosen[-1] == cycles
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) < 100


def test_retention_counts_time_from_the_last_write(formed: Crossbar) -> None:
    test = RetentionTest(formed, CELLS, duration=100.0)
    test.write(spread_levels(formed, 3, 3), quiet)
    test.read_on(quiet)
    found = test.measured()
    assert isinstance(found, Retention)
    np.testing.assert_allclose(found.levels, np.linspace(10e-6, 80e-6, 3))
    assert (found.time[0] > 0).all()
    assert found.time[-1].min() >= 100.0
    assert (np.diff(found.time, axis=0) > 0).all()
    np.testing.assert_allclose(found.conductance, np.broadcast_to(found.target, found.conductance.shape), atol=3e-6)
    assert found.summary()["smallest_gap_siemens"] > 30e-6


def test_retention_of_cells_as_they_are_found_pulses_nothing(formed: Crossbar) -> None:
    again = Crossbar(formed.backend)
    test = RetentionTest(again, CELLS, duration=10.0)
    test.read_on(quiet)
    found = test.measured()
    assert found is not None
    assert again.ledger.counts.pulses == 0
    assert np.isnan(found.target).all()
    assert len(found.levels) == 0
    assert "smallest_gap_siemens" not in found.summary()


def test_yield_finds_exactly_the_cells_that_are_stuck(open_sim: Opener) -> None:
    preset = {"stuck_share": 0.1}
    backend = open_sim(n_bl=12, n_sl=12, preset=_preset(preset))
    array = Crossbar(backend)
    test = YieldTest(array, everything(array))
    test.run(_Silent())
    found = test.measured()
    assert isinstance(found, Yield)
    stuck = backend.stuck_cells[0]
    assert 4 <= stuck.sum() <= 30
    np.testing.assert_array_equal(found.state != CellState.WORKING, stuck)
    assert found.share() == pytest.approx(1 - stuck.mean())
    assert found.count(CellState.STUCK_LOW) + found.count(CellState.NOT_FORMED) > 0
    assert found.count(CellState.STUCK_HIGH) > 0


def _preset(changes: dict[str, Any]) -> dict[str, Any]:
    from sim_backend.presets import TAOX_180

    return TAOX_180.model_copy(update={"name": "changed", **changes}).model_dump()


class _Silent:
    """A display that shows nothing."""

    def __init__(self, stop_after: int = 0) -> None:
        self.progress = Stopping(stop_after) if stop_after else quiet
        self.stages: list[str] = []

    def watch(self, run: object) -> None: ...

    def aim(self, what: str, target: object, tolerance: float) -> None:
        self.stages.append(what)


def made_up(state: np.ndarray) -> Yield:
    nothing = np.zeros(state.shape)
    return Yield(
        state=state.astype(np.int8),
        low=nothing,
        high=nothing,
        pulses={kind: nothing.astype(np.int64) for kind in ("form", "set", "reset")},
        bl=np.arange(state.shape[0]) + 10,
        sl=np.arange(state.shape[1]),
        provenance="made up",
    )


def test_a_broken_line_is_named_and_scattered_failures_are_not() -> None:
    state = np.full((32, 32), CellState.WORKING)
    state[[2, 9, 20, 31], [5, 17, 23, 8]] = CellState.STUCK_LOW
    assert made_up(state).suspects("bl").size == made_up(state).suspects("sl").size == 0
    state[7] = CellState.NOT_FORMED
    found = made_up(state)
    assert found.suspects("bl").tolist() == [17], "by its number in the backend"
    assert found.suspects("sl").size == 0
    assert found.line_failures("bl")[0][7] == 32
    assert found.summary()["not_formed"] == 32


def test_cells_that_were_not_asked_for_or_not_finished_count_neither_way() -> None:
    state = np.full((2, 2), CellState.WORKING)
    state[0] = CellState.LEFT_ALONE, CellState.UNFINISHED
    assert made_up(state).share() == 1.0
    assert made_up(state).summary()["cells"] == 3
    assert np.isnan(made_up(np.full((1, 1), CellState.UNFINISHED)).share())


def test_what_was_measured_before_an_interrupt_is_there(formed: Crossbar) -> None:
    sweeps = SweepTest(formed, CELLS, sweeps=2, plan=COARSE)
    endurance = EnduranceTest(formed, CELLS, cycles=100)
    retention = RetentionTest(formed, CELLS, duration=1000.0)
    for work in (sweeps.run, endurance.run, retention.read_on):
        with pytest.raises(KeyboardInterrupt):
            work(Stopping(after=3))
    traces, cycles, readings = sweeps.measured(), endurance.measured(), retention.measured()
    assert traces is not None
    assert len(traces.traces()) == 3
    assert np.isfinite(traces.summary()["lrs_siemens_mean"])
    assert cycles is not None
    assert cycles.cycle.tolist() == [1, 2, 3]
    assert readings is not None
    assert readings.time.shape == (3, 3)


def test_a_yield_that_is_broken_off_says_which_cells_are_open(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=2, n_sl=3, cells_at_once=1))
    test, display = YieldTest(array, everything(array)), _Silent(stop_after=40)
    with pytest.raises(KeyboardInterrupt):
        test.run(display)
    found = test.measured()
    assert found is not None
    assert found.count(CellState.UNFINISHED) > 0
    assert display.stages[0] == "forming"


def test_measurements_come_back_from_a_run_as_they_were_and_are_drawn(formed: Crossbar, tmp_path: Path) -> None:
    sweeps, endurance = SweepTest(formed, CELLS, 1, COARSE), EnduranceTest(formed, CELLS, cycles=3)
    retention = RetentionTest(formed, CELLS, duration=10.0)
    for work in (sweeps.run, endurance.run, retention.read_on):
        work(quiet)
    kinds: dict[str, type[Any]] = {"sweeps": Sweeps, "endurance": Endurance, "retention": Retention}
    tests = {"sweeps": sweeps, "endurance": endurance, "retention": retention}
    with Run.create(tmp_path, command="test") as run:
        for name, test in tests.items():
            measured = test.measured()
            assert measured is not None
            keep_measurement(run, name, measured.dataset())
            kept = load_measurement(run, name)
            again = kinds[name].of(kept)
            for field in measured.__dataclass_fields__:
                before, after = getattr(measured, field), getattr(again, field)
                if field == "cells":
                    assert before.names.tolist() == after.names.tolist()
                else:
                    np.testing.assert_array_equal(before, after)
            assert kept.attrs["provenance"] == "sim(taox180, seed=7)"
            with style():
                drawn = measurement_picture(name, kept)
            assert drawn is not None
            assert drawn.png.startswith(b"\x89PNG")
        assert measurement_names(run) == list(tests)
        with pytest.raises(RunDirectoryError, match="there are: sweeps, endurance, retention"):
            load_measurement(run, "yield")
        (run.path / "measurements" / "sweeps.nc").write_bytes(b"nothing")
        with pytest.raises(RunDirectoryError, match="not a readable measurement"):
            load_measurement(run, "sweeps")
