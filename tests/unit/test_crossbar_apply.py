"""`Crossbar.apply`: the step that measurements are made of; reading some of the cells; when cells were written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Cells, Pulses
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError
from rmhil.measure.pulsing import reset_pulses, set_pulses
from rmhil.program_report import Outcome
from rmhil.write_verify.cell_run import CellRun
from sim_backend import SimBackend

Opener = Callable[..., SimBackend]


@pytest.mark.parametrize("cells_at_once", [None, 1, 2])
def test_cells_come_back_in_the_order_in_which_they_were_named(open_sim: Opener, cells_at_once: int | None) -> None:
    array = Crossbar(open_sim(n_bl=4, n_sl=4, cells_at_once=cells_at_once))
    array.form()
    cells = Cells.of(0, [3, 0, 2], [1, 1, 0])
    gates = np.array([1.5, 2.0, 2.5])
    array.apply(cells, reset_pulses(array.spec, 3))
    readings = array.apply(cells, set_pulses(array.spec, 3, gates))
    assert (np.diff(readings.conductance) > 5e-6).all(), "the higher the gate voltage, the higher the level"
    np.testing.assert_array_equal(array.conductance[cells.bl, cells.sl], readings.conductance)


def test_a_region_counts_its_own_lines_and_everything_is_counted_and_remembered(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=4, n_sl=4))
    array.form()
    before, writes = array.ledger.counts, array.writes
    part = array.region(slice(2, 4), slice(1, 4))
    readings = part.apply(Cells.of(0, [0, 1], [0, 2]), set_pulses(array.spec, 2, 2.0), averages=3)
    counted = array.ledger.counts - before
    assert (counted.set_pulses, counted.reads) == (2, 6)
    assert array.writes == writes + 1
    np.testing.assert_array_equal(array.conductance[[2, 3], [1, 3]], readings.conductance)
    np.testing.assert_array_equal(array.written_at[[2, 3], [1, 3]], readings.time)
    assert array.written_at[0, 0] < readings.time.min(), "when it was formed"


def test_readings_alone_write_nothing(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=2, n_sl=2))
    array.apply(Cells.of(0, [0, 1], 0), None)
    assert array.ledger.counts.pulses == 0
    assert np.isnan(array.written_at).all()
    assert np.isfinite(array.conductance[:, 0]).all()


def refused() -> dict[str, tuple[Cells, int | None, type[Exception]]]:
    return {
        "no cell": (Cells.of([], [], []), None, ShapeError),
        "too few pulses": (Cells.of(0, [0, 1], 0), 1, ShapeError),
        "no such line": (Cells.of(0, [0, 2], 0), None, OutOfRangeError),
        "below the first": (Cells.of(0, -1, 0), None, OutOfRangeError),
        "no such array": (Cells.of(1, 0, 0), None, OutOfRangeError),
        "twice": (Cells.of(0, [1, 1], 0), None, OutOfRangeError),
    }


@pytest.mark.parametrize("case", list(refused()))
def test_cells_that_are_not_of_the_crossbar_are_refused(open_sim: Opener, case: str) -> None:
    part = Crossbar(open_sim(n_bl=4, n_sl=4)).region(slice(0, 2), slice(0, 2))
    cells, pulses, error = refused()[case]
    given: Pulses | None = None if pulses is None else set_pulses(part.spec, pulses, 2.0)
    with pytest.raises(error):
        part.apply(cells, given)
    assert part.ledger.counts.reads == 0


def test_only_the_cells_of_a_mask_are_read(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=3, n_sl=4, cells_at_once=1))
    mask = np.eye(3, 4, dtype=bool)
    told = []
    conductance = array.read(mask=mask, progress=lambda done, total, text: told.append((done, total, text)))
    np.testing.assert_array_equal(np.isfinite(conductance), mask)
    assert array.ledger.counts.reads == 3
    assert told[-1][:2] == (3, 3)
    assert told[-1][2].startswith("reading")
    assert sorted({done for done, _, _ in told}) == [1, 2, 3]
    with pytest.raises(ShapeError):
        array.read(mask=np.ones((2, 2), dtype=bool))
    with pytest.raises(ConfigError):
        array.read(mask=np.ones((3, 4)))


def test_who_watches_sees_the_record_of_every_cell(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=2, n_sl=2, cells_at_once=1))
    seen: list[tuple[int, int]] = []

    def watch(run: CellRun) -> None:
        seen.append((int(run.pulses.sum()), int(np.count_nonzero(run.outcome == Outcome.CONVERGED))))

    report = array.program(np.full((2, 2), 40e-6), policy="incremental", watch=watch)
    assert seen[-1] == (sum(int(each.sum()) for each in report.pulses.values()), 4)
    pulses = [pulses for pulses, _ in seen]
    assert (np.diff(pulses) >= 0).all()
    assert np.diff(pulses).max() == 1, "it is shown after each pulse"
