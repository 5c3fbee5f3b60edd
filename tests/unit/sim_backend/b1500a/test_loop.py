from __future__ import annotations

import math

import pytest

from sim_backend.b1500a import Source
from sim_backend.b1500a.dut.loop import GROUND, OPEN, solve_loop
from sim_backend.b1500a.dut.resistor import Resistor

LOAD = Resistor(1e3)


def volts(value: float, limit: float = 0.1) -> Source:
    return Source(kind="V", value=value, limit=limit)


def amperes(value: float, limit: float = 10.0) -> Source:
    return Source(kind="I", value=value, limit=limit)


def test_two_voltages_drive_ohms_law() -> None:
    found = solve_loop(LOAD, volts(3.0), volts(1.0))
    assert (found.high.current, found.low.current) == (pytest.approx(2e-3), pytest.approx(-2e-3))
    assert (found.high.voltage, found.low.voltage) == (3.0, 1.0)
    assert not found.high.limited
    assert not found.low.limited


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_source_with_the_smaller_limit_gives_way(sign: float) -> None:
    found = solve_loop(LOAD, volts(5.0 * sign, 1e-3), volts(0.0, 1e-2))
    assert found.high.limited
    assert not found.low.limited
    assert found.high.current == pytest.approx(1e-3 * sign)
    assert found.high.voltage == pytest.approx(1.0 * sign)
    other = solve_loop(LOAD, volts(5.0 * sign, 1e-2), volts(0.0, 1e-3))
    assert other.low.limited
    assert not other.high.limited
    assert other.low.voltage == pytest.approx(4.0 * sign)
    assert other.drive.limit == pytest.approx(1e-3)


def test_a_current_source_reaches_its_current_or_its_voltage() -> None:
    within = solve_loop(LOAD, amperes(2e-3), GROUND)
    assert within.high.current == pytest.approx(2e-3)
    assert within.high.voltage == pytest.approx(2.0)
    assert not within.high.limited
    beyond = solve_loop(LOAD, amperes(2e-3, limit=1.0), GROUND)
    assert beyond.high.limited
    assert beyond.high.voltage == pytest.approx(1.0)
    assert beyond.high.current == pytest.approx(1e-3)


def test_a_current_of_zero_follows_the_other_end() -> None:
    found = solve_loop(LOAD, amperes(0.0), volts(0.7))
    assert found.high.current == 0.0
    assert found.high.voltage == pytest.approx(0.7)


def test_an_open_end_carries_nothing() -> None:
    found = solve_loop(LOAD, volts(2.0), OPEN)
    assert found.high.current == 0.0
    assert found.high.voltage == 2.0


def test_series_resistance_counts() -> None:
    found = solve_loop(LOAD, Source(kind="V", value=1.0, limit=0.1, series=1e6), GROUND)
    assert found.high.current == pytest.approx(1.0 / 1.001e6)


class Saturating:
    """Ohmic up to a current that it cannot exceed, as a cell behind its transistor."""

    def current(self, drive: float, series: float) -> float:
        return math.copysign(min(abs(drive) / (1e4 + series), 50e-6), drive)

    def voltage(self, current: float) -> float:
        return current * 1e4


def test_saturation_below_the_limit_is_no_compliance() -> None:
    found = solve_loop(Saturating(), volts(3.0, 1e-3), volts(0.0))
    assert found.high.current == pytest.approx(50e-6)
    assert not found.high.limited
