"""Promises of `apply`, `sweep` and `wait`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rmhil.backend import Backend, Biases, Cells, Floats, Operation, Pulses, Read, Status
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, RmhilError, ShapeError
from tests.arrays import all_cells, pulse, read, transact
from tests.contract.conftest import Filled

READ_TOLERANCE = 0.05
"""1: far above the noise of an averaged read (0.1 %), far below what a strong pulse does."""


def some_cells(backend: Backend) -> Cells:
    """Two cells, or one where the backend takes no more at once."""
    return Cells.of(0, [0, 1], 0)[: backend.spec.cells_at_once or 2]


def good_pulses(backend: Backend, count: int) -> Pulses:
    return Pulses.of(count, Operation.SET, 1.8, backend.spec.pulse_width, 2.0, 1e-3)


BAD_PULSES: dict[str, tuple[Callable[[Pulses], Pulses], type[RmhilError], str]] = {
    "amplitude over the SET limit": (lambda p: replace(p, amplitude=p.amplitude + 10), OutOfRangeError, "amplitude"),
    "negative amplitude": (lambda p: replace(p, amplitude=-p.amplitude), OutOfRangeError, "amplitude"),
    "NaN amplitude": (lambda p: replace(p, amplitude=p.amplitude * math.nan), NotFiniteError, "amplitude"),
    "gate over its limit": (lambda p: replace(p, gate_voltage=p.gate_voltage + 10), OutOfRangeError, "gate_voltage"),
    "infinite width": (lambda p: replace(p, width=p.width * math.inf), NotFiniteError, "width"),
    "width below the shortest": (lambda p: replace(p, width=p.width * 1e-6), OutOfRangeError, "width"),
    "compliance over the limit": (lambda p: replace(p, compliance=p.compliance * 1e3), OutOfRangeError, "compliance"),
    "unknown operation": (lambda p: replace(p, operation=p.operation + 7), OutOfRangeError, "operation"),
    "half an operation": (lambda p: replace(p, operation=p.operation + 0.5), ConfigError, "operation"),
    "too few pulses": (lambda p: p[:-1], ShapeError, "pulses"),
}

BAD_CELLS: dict[str, tuple[Cells, type[RmhilError], str]] = {
    "no such array": (Cells.of(99, 0, [0, 1]), OutOfRangeError, "cells.array"),
    "no such BL": (Cells.of(0, [9999, 0], 0), OutOfRangeError, "cells.bl"),
    "negative SL": (Cells.of(0, 0, [-1, 0]), OutOfRangeError, "cells.sl"),
}

BAD_READS: dict[str, tuple[dict[str, float], type[RmhilError], str]] = {
    "disturbing voltage": ({"voltage": 1.0}, OutOfRangeError, "read voltage"),
    "no voltage": ({"voltage": 0.0}, OutOfRangeError, "read voltage"),
    "NaN voltage": ({"voltage": math.nan}, NotFiniteError, "read voltage"),
    "gate over its limit": ({"gate_voltage": 50.0}, OutOfRangeError, "gate_voltage"),
    "nothing to average": ({"averages": 0}, OutOfRangeError, "averages"),
    "half a reading": ({"averages": 1.5}, ConfigError, "averages"),
    "NaN readings": ({"averages": math.nan}, ConfigError, "averages"),
}


def assert_untouched(backend: Backend, never_asked: Floats) -> None:
    """After a refusal, the chip goes on exactly as its like that was never asked."""
    np.testing.assert_array_equal(read(backend, first_cells(backend)).current, never_asked)


def first_cells(backend: Backend) -> Cells:
    """Those that the refused requests named, and more."""
    return all_cells(backend)[:12]


@pytest.fixture
def never_asked(simulated: str, references: dict[str, Floats], reopen: Callable[..., Backend]) -> Floats:
    """A: what a chip of the same seed reads that has done nothing yet."""
    if simulated not in references:
        backend = reopen()
        references[simulated] = read(backend, first_cells(backend)).current
    return references[simulated]


@pytest.fixture(scope="module")
def references() -> dict[str, Floats]:
    return {}


@pytest.mark.parametrize("case", BAD_PULSES)
def test_a_pulse_outside_the_limits_is_refused_and_nothing_is_driven(
    backend: Backend, never_asked: Floats, case: str
) -> None:
    spoil, error, name = BAD_PULSES[case]
    cells = some_cells(backend)
    with pytest.raises(error, match=name):
        backend.apply(cells, spoil(good_pulses(backend, len(cells))), Read.default(backend.spec))
    assert_untouched(backend, never_asked)


@pytest.mark.parametrize("case", BAD_CELLS)
def test_a_cell_that_is_not_there_is_refused_and_nothing_is_driven(
    backend: Backend, never_asked: Floats, case: str
) -> None:
    cells, error, name = BAD_CELLS[case]
    cells = cells[: backend.spec.cells_at_once or 2]
    with pytest.raises(error, match=name):
        backend.apply(cells, good_pulses(backend, len(cells)), Read.default(backend.spec))
    assert_untouched(backend, never_asked)


def test_a_cell_is_not_pulsed_twice_in_one_transaction(backend: Backend, never_asked: Floats) -> None:
    with pytest.raises((OutOfRangeError, ShapeError), match=r"twice|at most 1 cell"):
        backend.apply(Cells.of(0, [3, 3], 1), good_pulses(backend, 2), Read.default(backend.spec))
    assert_untouched(backend, never_asked)


@pytest.mark.parametrize("case", BAD_READS)
def test_a_read_that_disturbs_is_refused_and_no_pulse_is_given(
    backend: Backend, never_asked: Floats, case: str
) -> None:
    change, error, name = BAD_READS[case]
    cells = some_cells(backend)
    with pytest.raises(error, match=name):
        backend.apply(cells, good_pulses(backend, len(cells)), replace(Read.default(backend.spec), **change))
    assert_untouched(backend, never_asked)


def test_limits_of_one_operation_do_not_loosen_those_of_another(backend: Backend) -> None:
    limits = backend.spec.limits
    assert limits.form_voltage > limits.set_voltage
    with pytest.raises(OutOfRangeError, match="SET amplitude"):
        pulse(backend, Operation.SET, limits.form_voltage, 2.0, Cells.of(0, 0, 0))
    pulse(backend, Operation.FORM, limits.form_voltage, 2.0, Cells.of(0, 0, 0))


def test_set_raises_and_reset_lowers_the_conductance(filled: Filled) -> None:
    backend, start = filled.backend, np.median(filled.conductance)
    cells = all_cells(backend)[:20]
    low = np.median(pulse(backend, Operation.RESET, 2.0, 5.0, cells).conductance)
    high = np.median(pulse(backend, Operation.SET, 2.0, 3.0, cells).conductance)
    low_again = np.median(pulse(backend, Operation.RESET, 2.0, 5.0, cells).conductance)
    assert low < 0.6 * start
    assert high > 2 * low
    assert low_again < 0.6 * high


def test_only_the_named_cells_are_pulsed(filled: Filled) -> None:
    backend, before = filled
    chosen = np.zeros(backend.spec.shape, dtype=bool)
    chosen[0, 2, :] = chosen[-1, :, 3] = True
    pulse(backend, Operation.RESET, 2.2, 5.0, Cells.from_mask(chosen))
    after = read(backend, averages=16).conductance.reshape(backend.spec.shape)
    np.testing.assert_allclose(after[~chosen], before[~chosen], rtol=READ_TOLERANCE, atol=1e-8)
    assert np.median(after[chosen]) < 0.5 * np.median(before[chosen])


def test_reading_does_not_disturb(filled: Filled) -> None:
    backend = filled.backend
    cells = all_cells(backend)[:: len(all_cells(backend)) // 8]
    before = read(backend, cells, averages=16).conductance
    for _ in range(20):
        read(backend, cells, averages=4)
    after = read(backend, cells, averages=16).conductance
    np.testing.assert_allclose(after, before, rtol=READ_TOLERANCE, atol=1e-8)
    assert abs(after.mean() / before.mean() - 1) < 5e-3


def test_readings_have_one_element_a_cell_in_the_order_of_the_cells(filled: Filled) -> None:
    backend, everything = filled
    cells = Cells.of([backend.spec.n_arrays - 1, 0, 0], [5, 2, backend.spec.n_bl - 1], [1, 1, 4])
    readings = read(backend, cells, averages=16)
    np.testing.assert_allclose(readings.conductance, everything[cells.index], rtol=READ_TOLERANCE)
    for values in (readings.current, readings.status, readings.pulse_status, readings.pulse_current, readings.time):
        assert values.shape == (3,)


def test_without_a_pulse_there_is_no_pulse_current(backend: Backend) -> None:
    assert np.isnan(read(backend).pulse_current).all()


def test_the_current_of_a_pulse_is_positive_from_bit_line_to_source_line(filled: Filled) -> None:
    backend = filled.backend
    assert np.median(pulse(backend, Operation.SET, 1.8, 2.0, Cells.of(0, [0, 1, 2], 0)).pulse_current) > 0.0
    assert np.median(pulse(backend, Operation.RESET, 2.0, 5.0, Cells.of(0, [0, 1, 2], 0)).pulse_current) < 0.0


def test_no_cells_is_an_empty_transaction(backend: Backend) -> None:
    none = Cells.of([], [], [])
    assert read(backend, none).conductance.shape == (0,)
    assert pulse(backend, Operation.SET, 1.8, 2.0, none).conductance.shape == (0,)


def test_conductance_is_the_cells_own_without_the_routing(filled: Filled) -> None:
    backend = filled.backend
    readings = read(backend, averages=16)
    with_routing = readings.current / backend.spec.read_voltage
    # Two multiplexers and the wires hide some percent of a conducting cell.
    conducting = readings.conductance > 20e-6
    assert np.all(readings.conductance[conducting] > with_routing[conducting])


def test_a_set_that_reaches_its_compliance_says_so(filled: Filled) -> None:
    backend = filled.backend
    pulse(backend, Operation.RESET, 2.2, 5.0)
    cells, limit = all_cells(backend), 20e-6
    pulses = Pulses.of(len(cells), Operation.SET, 2.0, 1e-3, 4.0, limit)
    readings = transact(backend, cells, pulses, Read.default(backend.spec))
    limited = readings.pulse_status == Status.COMPLIANCE
    assert limited.mean() > 0.8
    np.testing.assert_allclose(readings.pulse_current[limited], limit, rtol=0.01)
    assert np.all(readings.status == Status.NORMAL)


def test_the_clock_runs_on_with_every_transaction(backend: Backend) -> None:
    times = np.concatenate([read(backend).time, pulse(backend, Operation.SET, 1.8, 2.0).time, read(backend).time])
    assert np.all(np.diff(times) > 0)


def test_wait_moves_the_clock(backend: Backend) -> None:
    cell = Cells.of(0, 0, 0)
    before = read(backend, cell).time[0]
    backend.wait(0.25)
    assert read(backend, cell).time[0] >= before + 0.25


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_wait_refuses_what_is_not_a_time(backend: Backend, seconds: float) -> None:
    with pytest.raises(OutOfRangeError, match="seconds"):
        backend.wait(seconds)


def test_a_sweep_forms_and_then_switches_a_cell(backend: Backend) -> None:
    cell = Cells.of(0, 1, 1)
    up = np.linspace(0.0, 4.0, 81)
    trace = backend.sweep(cell, Biases.of(np.r_[up, up[::-1]], 0.0, 1.5, dwell=1e-3, compliance=1e-3))
    assert trace.current.shape == trace.status.shape == trace.time.shape == (162,)
    assert np.all(np.diff(trace.time) > 0)
    half_volt = 10
    assert trace.current[161 - half_volt] > 100 * abs(trace.current[half_volt])
    down = Biases.of(0.0, np.linspace(0.0, 2.2, 45), 5.0, dwell=1e-3, compliance=1e-3)
    before = read(backend, cell).conductance[0]
    assert np.all(backend.sweep(cell, down).current[5:] < 0)
    assert read(backend, cell).conductance[0] < 0.6 * before


def bad_biases() -> dict[str, tuple[Biases, type[RmhilError], str]]:
    def of(bl: float = 1.0, sl: float = 0.0, wl: float = 2.0, dwell: float = 1e-3, limit: float = 1e-3) -> Biases:
        return Biases.of([bl], sl, wl, dwell, limit)

    return {
        "BL over every limit": (of(bl=9.0), OutOfRangeError, "biases.bl"),
        "SL over the RESET limit": (of(bl=0.0, sl=9.0), OutOfRangeError, "biases.sl"),
        "both lines high": (of(bl=1.0, sl=1.0), OutOfRangeError, "lower of"),
        "WL over its limit": (of(wl=9.0), OutOfRangeError, "biases.wl"),
        "NaN": (of(bl=math.nan), NotFiniteError, "biases.bl"),
        "no dwell": (of(dwell=0.0), OutOfRangeError, "dwell"),
        "compliance over its limit": (of(limit=1.0), OutOfRangeError, "compliance"),
        "no step": (Biases.of([], [], [], 1e-3, 1e-3), ShapeError, "biases"),
    }


@pytest.mark.parametrize("case", bad_biases())
def test_a_sweep_outside_the_limits_is_refused_and_nothing_is_driven(
    backend: Backend, never_asked: Floats, case: str
) -> None:
    biases, error, name = bad_biases()[case]
    with pytest.raises(error, match=name):
        backend.sweep(Cells.of(0, 0, 0), biases)
    assert_untouched(backend, never_asked)


def test_a_sweep_takes_one_cell(backend: Backend) -> None:
    with pytest.raises(ShapeError, match="one cell"):
        backend.sweep(Cells.of(0, [0, 1], 0), Biases.of([0.1], 0.0, 1.0, 1e-3, 1e-3))
