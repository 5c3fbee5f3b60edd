"""Promises that every policy keeps, and those of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rmhil.backend import ArraySpec, Floats, Limits, Operation, Pulses, Status
from rmhil.errors import UnknownNameError
from rmhil.write_verify import Adaptive, AnyPolicy, Incremental, find_policy, policy_names

SPEC = ArraySpec(
    provenance="none", n_arrays=1, n_bl=4, n_sl=4, conductance_min=10e-6, conductance_max=80e-6, pulse_width=2e-3
)
MICRO = 1e-6


@pytest.fixture(params=["adaptive", "incremental"])
def policy(request: pytest.FixtureRequest) -> AnyPolicy:
    return find_policy(request.param)


def first_pulses(policy: AnyPolicy, target: list[float], reading: list[float], spec: ArraySpec = SPEC) -> Pulses:
    g = np.array(reading) * MICRO
    state = policy.start(spec, np.array(target) * MICRO, 1e-6, g)
    return policy.step(state, g, np.zeros(len(g), dtype=np.int64))[1]


def walk(policy: AnyPolicy, target: Floats, readings: list[Floats], spec: ArraySpec = SPEC) -> tuple[Any, list[Pulses]]:
    """The pulses chosen when each is answered by the next of the readings."""
    state = policy.start(spec, target, 1e-6, readings[0])
    pulses = []
    for reading in readings:
        state, chosen = policy.step(state, reading, np.zeros(len(reading), dtype=np.int64))
        pulses.append(chosen)
    return state, pulses


def test_cells_below_target_are_set_and_cells_above_are_reset(policy: AnyPolicy) -> None:
    pulses = first_pulses(policy, [40, 40], [20, 60])
    assert pulses.operation.tolist() == [Operation.SET, Operation.RESET]


def test_pulses_take_their_width_from_the_spec(policy: AnyPolicy) -> None:
    assert first_pulses(policy, [40], [20]).width.tolist() == [SPEC.pulse_width]


def test_pulses_keep_to_the_limits_of_the_spec(policy: AnyPolicy) -> None:
    limits = Limits(set_voltage=1.2, reset_voltage=1.1, gate_voltage=1.5, current=2e-4)
    spec = ArraySpec(
        provenance="none", n_arrays=1, n_bl=4, n_sl=4, conductance_min=10e-6, conductance_max=80e-6, limits=limits
    )
    generator = np.random.default_rng(1)
    readings = [generator.uniform(1e-6, 100e-6, 50) for _ in range(120)]
    for pulses in walk(policy, np.full(50, 45e-6), readings, spec)[1]:
        is_set = pulses.operation == Operation.SET
        assert np.all(pulses.amplitude[is_set] <= limits.set_voltage)
        assert np.all(pulses.amplitude[~is_set] <= limits.reset_voltage)
        assert np.all((pulses.gate_voltage >= 0) & (pulses.gate_voltage <= limits.gate_voltage))
        assert np.all((pulses.amplitude >= 0) & (pulses.compliance <= limits.current))


def test_a_cell_is_pulsed_alike_alone_and_among_others(policy: AnyPolicy) -> None:
    generator = np.random.default_rng(2)
    target, readings = generator.uniform(10e-6, 80e-6, 30), [generator.uniform(5e-6, 90e-6, 30) for _ in range(12)]
    together = walk(policy, target, readings)[1]
    for cell in (0, 7, 29):
        alone = walk(policy, target[[cell]], [reading[[cell]] for reading in readings])[1]
        for one, many in zip(alone, together, strict=True):
            assert one.amplitude[0] == many.amplitude[cell]
            assert one.gate_voltage[0] == many.gate_voltage[cell]


def test_a_step_changes_neither_its_state_nor_its_readings(policy: AnyPolicy) -> None:
    target, reading = np.array([40e-6, 30e-6]), np.array([20e-6, 50e-6])
    state = policy.start(SPEC, target, 1e-6, reading)
    first = policy.step(state, reading, np.zeros(2, dtype=np.int64))[1]
    second = policy.step(state, reading, np.zeros(2, dtype=np.int64))[1]
    np.testing.assert_array_equal(first.gate_voltage, second.gate_voltage)
    assert reading.tolist() == [20e-6, 50e-6]


@pytest.mark.parametrize("target", [15e-6, 75e-6])
def test_a_cell_that_answers_nothing_is_called_stuck(policy: AnyPolicy, target: float) -> None:
    state, _ = walk(policy, np.array([target]), [np.array([45e-6])] * 200)
    assert state.stuck.tolist() == [True]


def test_a_cell_is_not_called_stuck_before_both_kinds_of_strong_pulse(policy: AnyPolicy) -> None:
    state = policy.start(SPEC, np.array([75e-6]), 1e-6, np.array([45e-6]))
    given = set()
    for _ in range(200):
        state, pulses = policy.step(state, np.array([45e-6]), np.zeros(1, dtype=np.int64))
        if state.stuck[0]:
            break
        given.add(int(pulses.operation[0]))
    assert given == {Operation.SET, Operation.RESET}


def test_a_cell_that_answers_a_strong_pulse_is_not_stuck(policy: AnyPolicy) -> None:
    """Above the reach of a SET, but a RESET moves it: late, not stuck."""
    reading, state = np.array([60e-6]), policy.start(SPEC, np.array([75e-6]), 1e-6, np.array([60e-6]))
    for _ in range(200):
        state, pulses = policy.step(state, reading, np.zeros(1, dtype=np.int64))
        assert not state.stuck[0]
        reading = np.array([20e-6 if pulses.operation[0] == Operation.RESET else 60e-6])


def test_a_reading_without_value_is_answered_by_a_reset(policy: AnyPolicy) -> None:
    """At compliance a cell conducts more than can be read, whatever number came with it."""
    reading = np.array([20e-6])
    state = policy.start(SPEC, np.array([40e-6]), 1e-6, reading)
    pulses = policy.step(state, reading, np.array([Status.COMPLIANCE]))[1]
    assert pulses.operation.tolist() == [Operation.RESET]


def test_the_incremental_ramps_rise_by_fixed_steps_and_start_again() -> None:
    policy = Incremental()
    readings = [np.array([g * MICRO]) for g in (20, 21, 22, 60, 59, 20)]
    pulses = walk(policy, np.array([40e-6]), readings)[1]
    gates = [float(p.gate_voltage[0]) for p in pulses]
    start, step = policy.gate_start, policy.gate_step
    assert gates[:3] == pytest.approx([start, start + step, start + 2 * step])
    amplitudes = [float(p.amplitude[0]) for p in pulses[3:5]]
    assert amplitudes == pytest.approx([policy.reset_start, policy.reset_start + policy.reset_step])
    assert gates[5] == pytest.approx(start)


def test_the_adaptive_policy_hits_a_straight_response_at_its_third_set() -> None:
    """Two SETs show level and slope of a cell far from the first guess; the third is at the target."""
    policy, target, slope, threshold = Adaptive(), np.array([70e-6]), 24e-6, 0.4
    state, reading = policy.start(SPEC, target, 1e-9, np.array([8e-6])), np.array([8e-6])
    for _ in range(3):
        state, pulses = policy.step(state, reading, np.zeros(1, dtype=np.int64))
        assert pulses.operation[0] == Operation.SET
        reading = np.maximum(reading, slope * (pulses.gate_voltage - threshold))
    assert reading[0] == pytest.approx(target[0], abs=1e-9)


def test_the_adaptive_policy_outdoes_a_pulse_that_was_not_answered() -> None:
    pulses = walk(Adaptive(), np.array([40e-6]), [np.array([38e-6])] * 5)[1]
    gates = np.array([p.gate_voltage[0] for p in pulses])
    steps = np.diff(gates)
    assert np.all(steps >= Adaptive().first_raise * 2.0 ** np.arange(4) * (1 - 1e-9))


def test_policies_are_found_by_name_and_unknown_ones_listed() -> None:
    assert policy_names() == ["adaptive", "incremental"]
    assert find_policy("adaptive").name == "adaptive"
    custom = Incremental(gate_step=0.05)
    assert find_policy(custom) is custom
    with pytest.raises(UnknownNameError, match="adaptive, incremental"):
        find_policy("greedy")
