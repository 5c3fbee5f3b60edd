"""The rate laws of one cell, with and without spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rmhil.backend import Biases, Cells, Operation
from sim_backend import SimBackend, SimConfig
from sim_backend.device import Bias, current, respond
from sim_backend.parameters import CellParameters, CycleDraws, cell_parameters
from sim_backend.presets import TAOX_180
from sim_backend.rng import keys
from tests.arrays import fill, pulse, read

MICRO = 1e-6
OpenSim = Callable[..., SimBackend]


def nominal(count: int = 1) -> tuple[CellParameters, CycleDraws]:
    """Cells without any spread."""
    config, none = SimConfig(ideal=True), torch.zeros(count, dtype=torch.int64)
    key = keys(0, none, none, none)
    return cell_parameters(TAOX_180, config, key), CycleDraws(TAOX_180, config, key, none)


def hold(state: list[float], voltage: float, gate: float, time: float = 1e-3, series: float = 0.0) -> torch.Tensor:
    """States after one bias, in S."""
    cell, cycle = nominal(len(state))
    one = torch.ones(len(state), dtype=torch.float64)
    bias = Bias(
        voltage=voltage * one, gate_voltage=gate * one, compliance=1e-3 * one, time=time * one, series=series * one
    )
    return respond(TAOX_180, cell, cycle, torch.tensor(state, dtype=torch.float64), bias)[2]


def test_the_current_is_ohmic_until_the_transistor_saturates() -> None:
    cell, _ = nominal(3)
    one = torch.ones(3, dtype=torch.float64)
    voltage = torch.tensor([0.2, -0.2, 2.0], dtype=torch.float64)
    bias = Bias(voltage=voltage, gate_voltage=3.0 * one, compliance=one, time=one, series=100.0 * one)
    flowing, limited = current(TAOX_180, cell, 50e-6 * one, bias)
    ohmic = 0.2 / (100 + 1 / 50e-6)
    saturated = TAOX_180.compliance_slope * (3.0 - TAOX_180.gate_threshold) * TAOX_180.set_stop_voltage
    assert flowing.tolist() == pytest.approx([ohmic, -ohmic, saturated])
    assert not limited.any()


def test_a_set_level_is_linear_in_the_gate_voltage() -> None:
    gates = np.linspace(1.0, 3.3, 24)
    levels = [float(hold([5e-6], 1.8, gate)) for gate in gates]
    assert levels[0] == pytest.approx(10e-6, rel=0.01)
    assert levels[-1] == pytest.approx(80e-6, rel=0.01)
    straight = np.polyval(np.polyfit(gates, levels, 1), gates)
    assert np.abs(levels - straight).max() < 0.001 * 70e-6


def test_single_shot_sets_make_more_than_128_nearly_linear_levels(open_sim: OpenSim) -> None:
    """On average over cells: one pulse of one cell is less certain than a level is wide."""
    chip = open_sim(n_bl=32, n_sl=32)
    fill(chip)
    gates = np.linspace(1.0, 3.3, 129)
    pulse(chip, Operation.RESET, 2.4, 5.0)
    means = []
    for gate in gates:
        pulse(chip, Operation.RESET, 2.4, 5.0)
        means.append(np.median(pulse(chip, Operation.SET, 1.8, gate).conductance))
    assert np.all(np.diff(means) > 0)
    straight = np.polyval(np.polyfit(gates, means, 1), gates)
    assert np.abs(means - straight).max() < 0.01 * 70e-6


def test_set_never_lowers_and_reset_never_raises() -> None:
    states = [2e-6, 10e-6, 40e-6, 80e-6, 120e-6]
    start = torch.tensor(states, dtype=torch.float64)
    for voltage in (0.3, 1.0, 1.8, 3.0):
        assert (hold(states, voltage, 2.0) >= start).all()
        assert (hold(states, -voltage, 5.0) <= start).all()


def test_a_reset_through_a_half_open_transistor_moves_a_conducting_cell_less() -> None:
    half_open, open_wide = hold([80e-6], -1.5, 1.5), hold([80e-6], -1.5, 5.0)
    assert open_wide.item() < half_open.item() - 5e-6


def test_a_pulse_in_two_halves_is_the_whole_pulse() -> None:
    """The closed forms solve their rate equations."""
    for state, voltage in ((20e-6, 1.08), (70e-6, -1.1), (40e-6, -1.5)):
        whole = float(hold([state], voltage, 5.0, time=1e-3))
        half = float(hold([state], voltage, 5.0, time=0.5e-3))
        assert half != pytest.approx(state, rel=1e-3)
        assert float(hold([half], voltage, 5.0, time=0.5e-3)) == pytest.approx(whole, rel=1e-9)


def test_a_reset_ramp_walks_down_in_steps_smaller_than_the_tolerance(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=32, n_sl=32, off=("stuck-cells",))
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.3)
    ramp = np.arange(0.8, 2.2, 0.02)
    means = [np.mean(pulse(chip, Operation.RESET, amplitude, 5.0).conductance) for amplitude in ramp]
    steps = -np.diff(means)
    assert means[0] > 75 * MICRO
    assert means[-1] < 10 * MICRO
    assert steps.max() < 2.0 * MICRO


def test_a_virgin_cell_forms_once_and_only_at_a_high_voltage() -> None:
    virgin = -3e-9
    assert float(hold([virgin], 2.0, 2.0)) == virgin
    assert float(hold([virgin], -3.0, 5.0)) == virgin
    formed = float(hold([virgin], 3.3, 2.0))
    assert formed == pytest.approx(TAOX_180.compliance_slope * (2.0 - TAOX_180.gate_threshold), rel=1e-6)


def test_forming_voltages_spread_around_3_volts(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=32, n_sl=32)
    shares = []
    for amplitude in (2.0, 2.5, 3.0, 3.5, 4.0, 4.5):
        formed = pulse(chip, Operation.FORM, amplitude, 1.5).conductance > 5e-6
        shares.append(float(formed.mean()))
    assert shares[0] < 0.01
    assert 0.2 < shares[2] < 0.8
    assert shares[-1] > 0.99
    assert np.all(np.diff(shares) >= 0)


def test_nothing_switches_while_the_gate_is_off() -> None:
    states = [-3e-9, 10e-6, 80e-6]
    for voltage in (4.5, 1.8, -3.0):
        assert hold(states, voltage, 0.0).tolist() == states


def test_a_read_of_a_million_seconds_leaves_the_state(open_sim: OpenSim) -> None:
    """Stable levels over 1e6 s at the read voltage, in either polarity."""
    levels = np.linspace(10e-6, 80e-6, 17)
    for voltage in (0.2, -0.2):
        after = hold(levels.tolist(), voltage, 5.0, time=1e6).numpy()
        np.testing.assert_allclose(after, levels, rtol=0.01)


def test_an_mvm_may_leave_out_its_disturb(open_sim: OpenSim) -> None:
    """A vector of 20 us at 0.2 V moves no cell of a whole population by more than 1e-15 S."""
    ids = torch.arange(20_000)
    key = keys(1, ids, ids, ids)
    cell, cycle = (f(TAOX_180, SimConfig(), key, *rest) for f, rest in ((cell_parameters, ()), (CycleDraws, (ids,))))
    one = torch.ones(ids.numel(), dtype=torch.float64)
    state = 80e-6 * one
    for voltage in (0.2, -0.2):
        bias = Bias(voltage=voltage * one, gate_voltage=5 * one, compliance=one, time=20e-6 * one, series=0 * one)
        after = respond(TAOX_180, cell, cycle, state, bias)[2]
        assert float((after - state)[~cell.stuck].abs().max()) < 1e-15


def test_series_resistance_takes_its_share_of_a_pulse() -> None:
    bare, behind = (float(hold([70e-6], -1.4, 5.0, series=series)) for series in (0.0, 1000.0))
    assert behind > bare + MICRO


def test_the_sources_compliance_limits_a_set_like_the_gate() -> None:
    cell, cycle = nominal()
    one = torch.ones(1, dtype=torch.float64)
    bias = Bias(voltage=1.8 * one, gate_voltage=5 * one, compliance=27e-6 * one, time=1e-3 * one, series=0 * one)
    flowing, limited, state = respond(TAOX_180, cell, cycle, 5e-6 * one, bias)
    assert float(state) == pytest.approx(27e-6 / TAOX_180.set_stop_voltage)
    assert float(flowing) == pytest.approx(27e-6)
    assert limited.all()


def test_stuck_cells_answer_to_no_pulse(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=64, n_sl=64)
    stuck = chip.stuck_cells
    assert 0.0005 < stuck.mean() < 0.005
    before = chip.true_conductance
    pulse(chip, Operation.FORM, 4.5, 2.0)
    pulse(chip, Operation.RESET, 2.4, 5.0)
    pulse(chip, Operation.SET, 1.8, 3.0)
    np.testing.assert_array_equal(chip.true_conductance[stuck], before[stuck])
    assert np.all(chip.true_conductance[~stuck] != before[~stuck])


def test_a_barely_open_gate_lets_no_cell_jump(open_sim: OpenSim) -> None:
    """The spread of a SET level is at most a share of the level itself."""
    chip = open_sim(n_bl=32, n_sl=32, off=("device-spread", "retention", "stuck-cells"))
    fill(chip)
    pulse(chip, Operation.RESET, 2.6, 5.0)
    before = chip.true_conductance
    level = 5e-6
    pulse(chip, Operation.SET, 1.8, TAOX_180.gate_threshold + level / TAOX_180.compliance_slope)
    after = chip.true_conductance
    assert np.all(after >= before)
    raised = after[after > before + 0.1e-6]
    assert raised.size > 100
    assert raised.max() < level * (1 + 5 * TAOX_180.cycle_level_share)
    assert raised.std() < level * TAOX_180.cycle_level_share


def test_repeated_sets_of_one_cell_scatter_by_the_cycle_spread(open_sim: OpenSim) -> None:
    chip = open_sim(off=("retention",))
    fill(chip)
    levels = []
    for _ in range(60):
        pulse(chip, Operation.RESET, 2.4, 5.0)
        pulse(chip, Operation.SET, 1.8, 2.5)
        levels.append(chip.true_conductance)
    spread = np.std(levels, axis=0)[~chip.stuck_cells]
    assert np.median(spread) == pytest.approx(TAOX_180.cycle_level, rel=0.1)


def test_readings_scatter_by_the_read_noise(open_sim: OpenSim) -> None:
    chip = open_sim(off=("telegraph", "retention", "mux-spread"))
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.0)
    readings = np.array([read(chip).conductance for _ in range(100)])
    averaged = np.array([read(chip, averages=16).conductance for _ in range(100)])
    true = chip.true_conductance.reshape(-1)
    expected = np.hypot(0.003 * true, 5e-9 / 0.2)
    assert np.median(readings.std(axis=0) / expected) == pytest.approx(1.0, abs=0.05)
    assert np.median(averaged.std(axis=0) / expected) == pytest.approx(0.25, abs=0.02)
    assert np.abs(readings.mean(axis=0) / true - 1).max() < 5 * 0.003 / 10


def test_telegraph_noise_has_two_levels_and_few_cells_have_it(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=32, n_sl=32, off=("read-noise", "retention", "mux-spread", "stuck-cells"))
    fill(chip)
    readings = np.array([read(chip).conductance for _ in range(40)])
    levels = 1 + np.count_nonzero(np.diff(np.sort(readings, axis=0), axis=0) > 1e-12, axis=0)
    assert set(levels) == {1, 2}
    assert np.mean(levels == 2) == pytest.approx(TAOX_180.telegraph_share, abs=0.03)


def test_a_slow_sweep_and_a_pulse_reach_the_same_state(open_sim: OpenSim) -> None:
    chips = [open_sim(ideal=True), open_sim(ideal=True)]
    cell = Cells.of(0, 0, 0)
    for chip in chips:
        fill(chip)
        pulse(chip, Operation.RESET, 2.4, 5.0, cell)
    chips[0].sweep(cell, Biases.of(np.linspace(0, 1.8, 181), 0.0, 2.5, dwell=1e-3, compliance=1e-3))
    pulse(chips[1], Operation.SET, 1.8, 2.5, cell)
    first, second = (chip.true_conductance[0, 0, 0] for chip in chips)
    assert first == pytest.approx(second, rel=1e-7)  # what float32 resolves


def test_parameters_of_a_cell_can_be_taken_apart() -> None:
    cell, _ = nominal(4)
    assert cell.at(torch.tensor([1, 3])).set_voltage.shape == (2,)
    assert cell.altered(stuck=~cell.stuck).stuck.all()
