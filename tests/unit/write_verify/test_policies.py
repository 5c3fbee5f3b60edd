"""Promises that every policy keeps, and those of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rmhil.backend import ArraySpec, Floats, Limits, Operation, Pulses, Status
from rmhil.errors import ConfigError, OutOfRangeError, PopulationError, RmhilError, UnknownNameError
from rmhil.write_verify import (
    Adaptive,
    AnyPolicy,
    Incremental,
    Population,
    Verdict,
    find_policy,
    policy_names,
)

SPEC = ArraySpec(
    provenance="none", n_arrays=1, n_bl=4, n_sl=4, conductance_min=10e-6, conductance_max=80e-6, pulse_width=2e-3
)
MICRO = 1e-6


@pytest.fixture(params=["adaptive", "incremental"])
def policy(request: pytest.FixtureRequest) -> AnyPolicy:
    return find_policy(request.param)


def judged(
    policy: AnyPolicy, target: Floats, reading: Floats, spec: ArraySpec = SPEC, tolerance: float = 1e-6
) -> tuple[Any, list[Verdict]]:
    """State and verdicts after the first reading."""
    state = policy.start(spec, target, tolerance)
    state, verdict = policy.judge(state, reading, np.zeros(len(reading), dtype=np.int64))
    return state, [Verdict(code) for code in verdict]


def walk(policy: AnyPolicy, target: Floats, readings: list[Floats], spec: ArraySpec = SPEC) -> tuple[Any, list[Pulses]]:
    """The pulses chosen when each is answered by the next of the readings, none of which is in tolerance."""
    state = policy.start(spec, target, 1e-6)
    pulses = []
    for reading in readings:
        state, verdict = policy.judge(state, reading, np.zeros(len(reading), dtype=np.int64))
        assert set(verdict) <= {Verdict.PULSE, Verdict.STUCK}
        state, chosen = policy.step(state)
        pulses.append(chosen)
    return state, pulses


def far_readings(generator: np.random.Generator, target: Floats, count: int) -> list[Floats]:
    """Readings that are never near the target."""
    away = generator.choice([-1.0, 1.0], (count, len(target))) * generator.uniform(3e-6, 9e-6, (count, len(target)))
    return list(target + away)


def until_stuck(
    policy: AnyPolicy, target: float, answer: Callable[[int, float], float], first: float
) -> tuple[bool, set[int]]:
    """Whether a cell that answers so is called stuck within 200 pulses, and the operations it was given."""
    state, reading, given = policy.start(SPEC, np.array([target]), 1e-6), first, set()
    for _ in range(200):
        state, verdict = policy.judge(state, np.array([reading]), np.zeros(1, dtype=np.int64))
        if verdict[0] == Verdict.STUCK:
            return True, given
        state, pulses = policy.step(state)
        given.add(int(pulses.operation[0]))
        reading = answer(int(pulses.operation[0]), reading)
    return False, given


def test_cells_below_target_are_set_and_cells_above_are_reset(policy: AnyPolicy) -> None:
    state, verdicts = judged(policy, np.array([40e-6, 40e-6]), np.array([20e-6, 60e-6]))
    assert verdicts == [Verdict.PULSE] * 2
    assert policy.step(state)[1].operation.tolist() == [Operation.SET, Operation.RESET]


def test_pulses_take_their_width_from_the_spec(policy: AnyPolicy) -> None:
    assert walk(policy, np.array([40e-6]), [np.array([20e-6])])[1][0].width.tolist() == [SPEC.pulse_width]


def test_pulses_keep_to_the_limits_of_the_spec(policy: AnyPolicy) -> None:
    limits = Limits(set_voltage=1.2, reset_voltage=1.1, gate_voltage=1.5, current=2e-4)
    spec = ArraySpec(
        provenance="none", n_arrays=1, n_bl=4, n_sl=4, conductance_min=10e-6, conductance_max=80e-6, limits=limits
    )
    target = np.full(50, 45e-6)
    readings = far_readings(np.random.default_rng(1), target, 120)
    for pulses in walk(policy, target, readings, spec)[1]:
        is_set = pulses.operation == Operation.SET
        assert np.all(pulses.amplitude[is_set] <= limits.set_voltage)
        assert np.all(pulses.amplitude[~is_set] <= limits.reset_voltage)
        assert np.all((pulses.gate_voltage >= 0) & (pulses.gate_voltage <= limits.gate_voltage))
        assert np.all((pulses.amplitude >= 0) & (pulses.compliance <= limits.current))


def test_a_cell_is_pulsed_alike_alone_and_among_others(policy: AnyPolicy) -> None:
    generator = np.random.default_rng(2)
    target = generator.uniform(15e-6, 75e-6, 30)
    readings = far_readings(generator, target, 12)
    together = walk(policy, target, readings)[1]
    for cell in (0, 7, 29):
        alone = walk(policy, target[[cell]], [reading[[cell]] for reading in readings])[1]
        for one, many in zip(alone, together, strict=True):
            assert one.amplitude[0] == many.amplitude[cell]
            assert one.gate_voltage[0] == many.gate_voltage[cell]


def test_states_can_be_parted_and_joined(policy: AnyPolicy) -> None:
    generator = np.random.default_rng(3)
    target = generator.uniform(15e-6, 75e-6, 6)
    state, _ = walk(policy, target, far_readings(generator, target, 3))
    joined = type(state).joined([state[:2], state[2:3], state[3:]])
    reading, normal = target + 5e-6, np.zeros(6, dtype=np.int64)
    whole, again = (policy.step(policy.judge(one, reading, normal)[0])[1] for one in (state, joined))
    np.testing.assert_array_equal(whole.gate_voltage, again.gate_voltage)
    np.testing.assert_array_equal(whole.amplitude, again.amplitude)


def test_neither_judging_nor_stepping_changes_a_state(policy: AnyPolicy) -> None:
    target, reading = np.array([40e-6, 30e-6]), np.array([20e-6, 50e-6])
    start = policy.start(SPEC, target, 1e-6)
    state, _ = policy.judge(start, reading, np.zeros(2, dtype=np.int64))
    first, second = policy.step(state)[1], policy.step(state)[1]
    np.testing.assert_array_equal(first.gate_voltage, second.gate_voltage)
    assert reading.tolist() == [20e-6, 50e-6]
    assert judged(policy, target, reading)[1] == [Verdict.PULSE] * 2


@pytest.mark.parametrize("target", [15e-6, 75e-6])
def test_a_cell_that_answers_nothing_is_called_stuck_after_strong_pulses_of_both_kinds(
    policy: AnyPolicy, target: float
) -> None:
    stuck, given = until_stuck(policy, target, lambda _, reading: reading, 45e-6)
    assert stuck
    assert given == {Operation.SET, Operation.RESET}


def test_a_cell_that_answers_a_strong_pulse_is_not_stuck(policy: AnyPolicy) -> None:
    """Its target is above the reach of a SET, but a RESET moves it: late, not stuck."""
    stuck, _ = until_stuck(policy, 75e-6, lambda operation, _: 20e-6 if operation == Operation.RESET else 60e-6, 60e-6)
    assert not stuck


def test_a_reading_without_value_is_answered_by_a_reset(policy: AnyPolicy) -> None:
    """At compliance a cell conducts more than can be read, whatever number came with it, also one at the target."""
    state = policy.start(SPEC, np.array([40e-6, 40e-6]), 1e-6)
    state, verdict = policy.judge(state, np.array([20e-6, 40e-6]), np.full(2, Status.COMPLIANCE))
    assert verdict.tolist() == [Verdict.PULSE] * 2
    assert policy.step(state)[1].operation.tolist() == [Operation.RESET] * 2


def test_a_cell_far_from_its_target_is_never_left(policy: AnyPolicy) -> None:
    target = np.linspace(10e-6, 80e-6, 40)
    for off in (-2e-6, 2e-6):
        assert set(judged(policy, target, target + off)[1]) == {Verdict.PULSE}


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


def test_an_incremental_ramp_can_start_again_below_where_it_stood() -> None:
    policy = Incremental(step_back=2.0)
    readings = [np.array([g * MICRO]) for g in (20, 21, 22, 23, 24, 60, 20)]
    gates = [float(p.gate_voltage[0]) for p in walk(policy, np.array([40e-6]), readings)[1]]
    assert gates[6] == pytest.approx(gates[4] - 2.0 * policy.gate_step)


def test_the_incremental_policy_wants_its_confirming_reads_in_a_row() -> None:
    policy, target, normal = Incremental(confirm_reads=2), np.array([40e-6]), np.zeros(1, dtype=np.int64)
    state, verdict = policy.judge(policy.start(SPEC, target, 1e-6), np.array([40.5e-6]), normal)
    assert verdict[0] == Verdict.READ
    state, verdict = policy.judge(state, np.array([41.5e-6]), normal)
    assert verdict[0] == Verdict.PULSE
    state, _ = policy.step(state)
    said = []
    for _ in range(3):
        state, verdict = policy.judge(state, np.array([39.5e-6]), normal)
        said.append(Verdict(verdict[0]))
    assert said == [Verdict.READ, Verdict.READ, Verdict.DONE]


def test_the_adaptive_policy_leaves_a_cell_at_once_only_if_it_is_far_inside() -> None:
    """A cell that was not pulsed has rested: at the target it is done, at the edge of tolerance it is read again."""
    assert judged(Adaptive(), np.array([40e-6] * 3), np.array([40e-6, 40.95e-6, 41.05e-6]))[1] == [
        Verdict.DONE,
        Verdict.READ,
        Verdict.PULSE,
    ]


def test_the_adaptive_policy_reads_an_unsure_cell_until_it_is_sure_or_gives_up() -> None:
    policy, normal = Adaptive(), np.zeros(1, dtype=np.int64)
    said = {}
    for name, off in {"inside": 0.38e-6, "edge": 0.93e-6}.items():
        state, verdicts = policy.start(SPEC, np.array([75e-6]), 1e-6), []
        for _ in range(20):
            state, verdict = policy.judge(state, np.array([75e-6 + off]), normal)
            verdicts.append(Verdict(verdict[0]))
            if verdicts[-1] != Verdict.READ:
                break
        said[name] = verdicts
    assert said["inside"][-1] == Verdict.DONE
    assert said["edge"][-1] == Verdict.PULSE
    assert 1 < len(said["inside"]) < len(said["edge"]) <= 2 * policy.most_reads


def test_the_adaptive_policy_reads_a_pulsed_cell_again_after_the_pause() -> None:
    policy, target, normal = Adaptive(), np.array([40e-6]), np.zeros(1, dtype=np.int64)
    state, _ = policy.judge(policy.start(SPEC, target, 1e-6), np.array([20e-6]), normal)
    state, _ = policy.step(state)
    state, verdict = policy.judge(state, target, normal)
    assert verdict[0] == Verdict.REST
    assert policy.pause > 0
    state, verdict = policy.judge(state, target, normal)
    assert verdict[0] == Verdict.DONE


def test_a_cell_that_will_drift_out_is_not_left_to_rest() -> None:
    drifting = Population.estimate(SPEC).model_copy(update={"drift_share": -0.02})
    verdicts = []
    for off in (-0.5e-6, 1.0e-6):
        policy, target, normal = Adaptive(population=drifting), np.array([75e-6]), np.zeros(1, dtype=np.int64)
        state, _ = policy.judge(policy.start(SPEC, target, 2e-6), np.array([20e-6]), normal)
        state, _ = policy.step(state)
        verdicts.append(Verdict(policy.judge(state, target + off, normal)[1][0]))
    assert verdicts == [Verdict.PULSE, Verdict.REST]


def test_readings_are_taken_at_their_word_where_the_tolerance_is_finer_than_the_noise() -> None:
    tolerance = 1e-9
    verdicts = judged(Adaptive(), np.array([40e-6] * 2), 40e-6 + np.array([0.0, 3.0]) * tolerance, tolerance=tolerance)[
        1
    ]
    assert verdicts == [Verdict.DONE, Verdict.PULSE]


def test_the_adaptive_policy_hits_a_straight_response_at_its_third_set() -> None:
    """Two SETs show level and slope of a cell far from the population's; the third is at the target."""
    policy, target, slope, threshold, tolerance = Adaptive(), np.array([70e-6]), 24e-6, 0.4, 1e-9
    state, reading = policy.start(SPEC, target, tolerance), np.array([8e-6])
    for _ in range(3):
        state, _ = policy.judge(state, reading, np.zeros(1, dtype=np.int64))
        state, pulses = policy.step(state)
        assert pulses.operation[0] == Operation.SET
        reading = np.maximum(reading, slope * (pulses.gate_voltage - threshold))
    assert reading[0] == pytest.approx(target[0], abs=3 * tolerance)


def test_the_adaptive_policy_outdoes_a_pulse_that_was_not_answered() -> None:
    pulses = walk(Adaptive(), np.array([40e-6]), [np.array([38e-6])] * 5)[1]
    gates = np.array([p.gate_voltage[0] for p in pulses])
    assert np.all(np.diff(gates) >= Adaptive().first_raise * 2.0 ** np.arange(4) * (1 - 1e-9))


def test_a_pulse_that_moved_nothing_moves_the_belief() -> None:
    """A SET that raised nothing has its line no higher than the cell."""
    state, pulses = walk(Adaptive(), np.array([60e-6]), [np.array([45e-6])] * 2)
    gate = pulses[0].gate_voltage
    prior = Adaptive().start(SPEC, np.array([60e-6]), 1e-6).set_line
    assert prior.at(gate)[0] > 45e-6
    assert state.set_line.at(gate)[0] < 46e-6
    assert state.set_line.variance(gate)[0] < prior.variance(gate)[0]


def test_worse_readings_make_the_adaptive_policy_stay_farther_inside() -> None:
    """What decides is the population: the same reading is good enough under little noise, and not under much."""
    said = []
    for share in (0.001, 0.02):
        noisy = Population.estimate(SPEC).model_copy(update={"read_share": share, "drift_spread_share": 0.0})
        said.append(judged(Adaptive(population=noisy), np.array([60e-6]), np.array([60.9e-6]), tolerance=1.5e-6)[1][0])
    assert said == [Verdict.DONE, Verdict.READ]


def test_averaged_readings_are_believed_more() -> None:
    """The same value, as the mean of 16 readings, is enough where one reading is not."""
    said = []
    for averages in (1, 16):
        policy = Adaptive()
        state = policy.start(SPEC, np.array([75e-6]), 1e-6, averages)
        said.append(policy.judge(state, np.array([75.5e-6]), np.zeros(1, dtype=np.int64))[1][0])
    assert said == [Verdict.READ, Verdict.DONE]


def test_what_a_policy_believes_is_within_its_readings(policy: AnyPolicy) -> None:
    state, normal = policy.start(SPEC, np.array([40e-6]), 1e-6), np.zeros(1, dtype=np.int64)
    assert np.isnan(policy.believed(state)).all()
    for reading in (40.9e-6, 40.7e-6):
        state, _ = policy.judge(state, np.array([reading]), normal)
    assert 40.7e-6 <= policy.believed(state)[0] <= 40.9e-6


def test_a_population_of_other_pulses_is_refused_at_the_start() -> None:
    slower = Population.estimate(SPEC).model_copy(update={"pulse_width": 5e-3})
    with pytest.raises(PopulationError, match=r"pulse_width = 0\.005 s, but 0\.002 s on none"):
        Adaptive(population=slower).start(SPEC, np.array([40e-6]), 1e-6)


@pytest.mark.parametrize(
    ("make", "error", "named"),
    [
        (lambda: Incremental(confirm_reads=-1), OutOfRangeError, "confirm_reads"),
        (lambda: Incremental(confirm_reads=1.5), ConfigError, "confirm_reads"),  # type: ignore[arg-type]
        (lambda: Adaptive(sure=1.0), OutOfRangeError, "sure"),
        (lambda: Adaptive(hopeful=float("nan")), OutOfRangeError, "hopeful"),
        (lambda: Adaptive(most_reads=0), OutOfRangeError, "most_reads"),
        (lambda: Adaptive(sure=0.0), OutOfRangeError, "sure"),
        (lambda: Adaptive(set_caution=0.5), OutOfRangeError, "set_caution = 0.5 times, allowed 1"),
        (lambda: Adaptive(first_raise=0.0), OutOfRangeError, "first_raise = 0 V"),
        (lambda: Adaptive(gate_stop=float("inf")), OutOfRangeError, "gate_stop = inf V"),
        (lambda: Adaptive(response=-1e-6), OutOfRangeError, "response = -1e-06 S"),
        (lambda: Incremental(gate_step=0.0), OutOfRangeError, "gate_step = 0 V"),
        (lambda: Incremental(reset_step=-0.05), OutOfRangeError, "reset_step = -0.05 V"),
        (lambda: Incremental(set_amplitude=float("nan")), OutOfRangeError, "set_amplitude = nan V"),
        (lambda: Incremental(step_back=-1.0), OutOfRangeError, "step_back = -1 steps"),
        (lambda: Incremental(gate_start=5.0), OutOfRangeError, "gate_start = 5 V, allowed above 0 to 4.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    make: Callable[[], AnyPolicy], error: type[RmhilError], named: str
) -> None:
    with pytest.raises(error, match=named):
        make()


def test_policies_are_found_by_name_and_unknown_ones_listed() -> None:
    assert policy_names() == ["adaptive", "incremental"]
    assert find_policy("adaptive").name == "adaptive"
    custom = Incremental(gate_step=0.05)
    assert find_policy(custom) is custom
    with pytest.raises(UnknownNameError, match="adaptive, incremental"):
        find_policy("greedy")
