"""Temperature: rates and drift by Arrhenius, conductance, threshold and noise by their coefficients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rmhil.backend import Operation
from sim_backend import NON_IDEALITIES, SimBackend
from sim_backend.network import line_ends
from sim_backend.presets import PERIPHERY, TAOX_180
from sim_backend.thermal import acceleration, at_temperature, conductance_factor
from tests.arrays import fill, pulse, read

OpenSim = Callable[..., SimBackend]

BOLTZMANN = 8.617333e-5
ONLY_RETENTION = tuple(name for name in NON_IDEALITIES if name not in ("retention", "device-spread"))


@pytest.mark.parametrize("energy", [0.6, 1.1])
def test_an_arrhenius_plot_has_the_slope_of_the_energy(energy: float) -> None:
    temperatures = np.array([250.0, 300.0, 350.0, 400.0])
    logs = [np.log(acceleration(energy, temperature)) for temperature in temperatures]
    slope, _ = np.polyfit(1 / (BOLTZMANN * temperatures), logs, 1)
    assert slope == pytest.approx(-energy, rel=1e-9)


def test_a_warmer_cell_sets_faster_by_the_arrhenius_factor(open_sim: OpenSim) -> None:
    """Pulses too weak to reach their level, so that what they move goes with the rate."""
    turned = []
    for temperature in (300.0, 330.0):
        chip = open_sim(ideal=True, temperature=temperature)
        pulse(chip, Operation.FORM, 4.5, 1.5)
        before = chip.true_conductance
        pulse(chip, Operation.SET, 1.0, 3.0)
        preset = at_temperature(TAOX_180, temperature)
        level = preset.compliance_slope * (3.0 - preset.gate_threshold)
        turned.append(float(np.mean(-np.log(1 - (chip.true_conductance - before) / (level - before)))))
    assert turned[1] / turned[0] == pytest.approx(acceleration(TAOX_180.switching_energy, 330.0), rel=1e-3)


def test_a_bake_lets_a_chip_drift_as_a_long_time_does(open_sim: OpenSim, tmp_path: Path) -> None:
    """Written at 300 K and carried into the oven: nothing jumps, and the hours there count as years."""
    path, cold = tmp_path / "chip.npz", open_sim(off=ONLY_RETENTION)
    fill(cold)
    cold.wait(50.0)
    cold.save_state(path)
    hot = open_sim(off=ONLY_RETENTION, state=path, temperature=400.0)
    factor = conductance_factor(TAOX_180, 400.0)
    assert factor > 1.01
    np.testing.assert_allclose(hot.true_conductance, factor * cold.true_conductance, rtol=1e-6)
    hot.wait(10.0)
    cold.wait(10.0 * acceleration(TAOX_180.drift_energy, 400.0))
    np.testing.assert_allclose(hot.true_conductance, factor * cold.true_conductance, rtol=1e-5)


def test_temperature_lowers_the_threshold_and_raises_the_noise() -> None:
    warm = at_temperature(TAOX_180, 350.0)
    assert warm.gate_threshold == pytest.approx(TAOX_180.gate_threshold - 0.05)
    assert warm.read_noise == pytest.approx(TAOX_180.read_noise * (350 / 300) ** 0.5)
    assert at_temperature(TAOX_180, 300.0) is TAOX_180


def test_multiplexers_resist_more_when_they_are_warm(open_sim: OpenSim) -> None:
    cold, warm = (
        line_ends(open_sim(temperature=temperature).config, PERIPHERY, np.array([0]))[0] for temperature in (300, 360)
    )
    np.testing.assert_allclose(warm / cold, 1.25, rtol=1e-9)  # 240 ohm at 25 C, 300 ohm at 85 C


def test_a_warm_chip_reads_and_multiplies_with_its_warm_conductance(open_sim: OpenSim) -> None:
    chip = open_sim(ideal=True, dtype="float64", temperature=400.0)
    measured = fill(chip)
    np.testing.assert_allclose(measured, chip.true_conductance, rtol=2e-7)  # reading disturbs a warm cell
    volts = torch.full((1, 1, 16), 0.1, dtype=torch.float64)
    np.testing.assert_allclose(chip.mvm(volts).currents[0, 0], 0.1 * chip.true_conductance[0].sum(axis=0), rtol=1e-10)


def test_the_law_of_a_warm_set_is_in_warm_siemens(open_sim: OpenSim) -> None:
    """The transistor stops a SET at a current, so the level is what the warm cell conducts."""
    chip = open_sim(ideal=True, temperature=400.0)
    pulse(chip, Operation.FORM, 4.5, 1.5)
    pulse(chip, Operation.SET, 1.8, 3.0)
    preset = at_temperature(TAOX_180, 400.0)
    level = preset.compliance_slope * (3.0 - preset.gate_threshold)
    np.testing.assert_allclose(chip.true_conductance, level, rtol=1e-6)
    assert read(chip).conductance == pytest.approx(level, rel=1e-6)
