"""Promises of learning what a kind of cell is like on pilot cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.errors import ConfigError, OutOfRangeError, PopulationError, ShapeError
from rmhil.write_verify import Adaptive
from rmhil.write_verify.pilot import CELLS_MIN, pilot_order
from sim_backend import SimBackend
from sim_backend.presets import TAOX_180

Opener = Callable[..., SimBackend]


def test_what_is_learnt_is_that_of_the_chip(open_sim: Opener) -> None:
    """Against the simulator's own numbers, which the learning cannot see: five standard errors of 192 cells."""
    population = Crossbar(open_sim()).learn_population(192)
    assert population.set_line.slope == pytest.approx(TAOX_180.compliance_slope, rel=5 * 0.05 / 192**0.5)
    assert population.set_line.scatter == pytest.approx(TAOX_180.cycle_level, rel=0.2)
    assert population.set_line.slope_spread == pytest.approx(0.05 * TAOX_180.compliance_slope, rel=0.3)
    softness = TAOX_180.reset_slope * TAOX_180.reset_voltage_scale
    assert population.reset_softness == pytest.approx(softness, rel=0.3)
    assert population.read_share == pytest.approx(TAOX_180.read_noise, rel=0.2)
    assert -0.01 < population.drift_share < 0


def test_only_the_pilot_cells_are_pulsed_and_the_count_is_theirs(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    mask = np.zeros(crossbar.shape, dtype=bool)
    mask[4:12] = True
    population = crossbar.learn_population(20, mask)
    known = ~np.isnan(crossbar.conductance)
    among = np.flatnonzero(mask)
    assert np.flatnonzero(known).tolist() == sorted(among[pilot_order(len(among))[:20]])
    counts = crossbar.ledger.counts
    assert population.pilot_cells == 20
    assert population.pilot_pulses == counts.set_pulses + counts.reset_pulses
    assert population.pilot_reads == counts.reads - counts.pulses


def test_the_same_chip_teaches_the_same_twice_and_a_few_cells_at_a_time(open_sim: Opener) -> None:
    """But for what depends on the time between two pulses of a cell."""
    timeless = ("retention", "telegraph")
    one, two, alone = (
        Crossbar(open_sim(off=timeless, cells_at_once=size)).learn_population(CELLS_MIN) for size in (None, None, 5)
    )
    assert one == two
    assert one == alone.model_copy(update={"provenance": one.provenance})


def test_exact_cells_are_learnt_as_exact_ones(open_sim: Opener) -> None:
    """And can be programmed with that: what is not there is not divided by."""
    crossbar = Crossbar(open_sim(ideal=True))
    population = crossbar.learn_population(CELLS_MIN)
    assert population.set_line.scatter < 0.02e-6
    assert population.read_share == pytest.approx(0.0, abs=1e-6)
    report = crossbar.program(np.full((16, 12), 40e-6), tolerance=1e-6, policy=Adaptive(population=population))
    assert report.converged_fraction() == 1.0
    assert report.pulses_per_cell() < 2.5


@pytest.mark.parametrize(
    ("request_", "error", "named"),
    [
        ({"cells": CELLS_MIN - 1}, OutOfRangeError, "pilot cells"),
        ({"cells": 193}, OutOfRangeError, "pilot cells"),
        ({"cells": 16.5}, ConfigError, "cells"),
        ({"mask": np.ones((3, 3), dtype=bool)}, ShapeError, "mask"),
        ({"mask": np.zeros((16, 12), dtype=bool)}, OutOfRangeError, "pilot cells"),
    ],
)
def test_a_bad_request_is_refused_with_nothing_driven(
    open_sim: Opener, request_: dict[str, object], error: type[Exception], named: str
) -> None:
    crossbar = Crossbar(open_sim())
    with pytest.raises(error, match=named):
        crossbar.learn_population(**request_)  # type: ignore[arg-type]
    assert crossbar.ledger.counts.reads == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [({"stuck_share": 1.0}, "pilot cells"), ({"set_voltage": 2.9}, "do not cross the window")],
)
def test_cells_that_show_nothing_are_no_population(open_sim: Opener, change: dict[str, float], named: str) -> None:
    preset = TAOX_180.model_copy(update={"name": "dead"} | change)
    with pytest.raises(PopulationError, match=named):
        Crossbar(open_sim(preset=preset)).learn_population(CELLS_MIN)


def test_a_pilot_that_breaks_off_leaves_the_outputs_safe_and_what_was_read_known(open_sim: Opener) -> None:
    backend = open_sim()
    crossbar = Crossbar(backend)
    calls = 0

    def press_ctrl_c(done: int, total: int, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crossbar.learn_population(CELLS_MIN, progress=press_ctrl_c)
    assert np.count_nonzero(~np.isnan(crossbar.conductance)) == CELLS_MIN
