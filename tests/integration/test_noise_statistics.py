"""The noise of an MVM against cells that are drawn one by one, for every vector anew.

The simulator adds to each current one normal number with the variance of all its cells together. Here the cells of
a small array are sampled themselves, a hundred thousand times, by numpy and its own generator, and multiplied.
Without line resistance the two are the same law; with it, to first order in the noise and within a few percent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from rmhil.backend import Floats
from rmhil.line_model import LineResistances
from rmhil.line_solver import LineTensors, solve
from sim_backend import SimBackend
from tests.arrays import fill

OpenSim = Callable[..., SimBackend]

DRAWS = 100_000
N_BL, N_SL = 16, 6
UNLIKELY = 1e-3
"""1: level of each Kolmogorov-Smirnov test; seeds are fixed, so it passes for good or fails for good."""

FIVE_SIGMA = 5.0


@dataclass(frozen=True)
class Samples:
    """Currents (A) of one vector of inputs, each (draws, SLs): by the simulator, and cell by cell."""

    shortcut: Floats
    cells: Floats
    deviation: Floats
    """A, (SLs,): standard deviation by theory."""


def sample(open_sim: OpenSim, off: tuple[str, ...], seed: int = 5) -> Samples:
    """Both kinds at one input vector, of an array of cells at all levels.

    Args:
        open_sim: opens the chip.
        off: what is not simulated, beside lines, quantisation and range.
        seed: of the inputs and of the cells' noise in numpy.
    """
    always_off = ("lines", "adc-quantisation", "adc-range", "retention")
    chip = open_sim(n_bl=N_BL, n_sl=N_SL, dtype="float64", off=(*always_off, *off))
    fill(chip)
    random = np.random.default_rng(seed)
    volts = random.uniform(-0.2, 0.2, N_BL)
    result = chip.mvm(torch.from_numpy(volts).expand(1, DRAWS, N_BL))
    wiring = chip.spec.wiring
    codes = volts if "dac-quantisation" in off else np.round(volts / wiring.dac_lsb) * wiring.dac_lsb
    relative = np.sqrt(chip._chip.read_variance(np.arange(1), np.arange(N_SL))[0].numpy())
    conductance = chip.true_conductance[0]
    adc = 0.0 if "adc-noise" in off else 0.8 * wiring.adc_lsb
    currents = np.zeros((DRAWS, N_SL))
    for row in range(N_BL):  # one BL after the other, or 10^7 cells would be in memory at once
        one = 1.0 + relative[row] * random.standard_normal((DRAWS, N_SL))
        currents += codes[row] * conductance[row] * one
    offset = chip._chip.matrices(np.arange(1), np.arange(N_SL)).offset[0].numpy()
    currents += offset + adc * random.standard_normal((DRAWS, N_SL))
    deviation = np.sqrt(codes**2 @ (relative * conductance) ** 2 + adc**2)
    return Samples(result.currents[0].numpy(), currents, deviation)


OFF = {
    "cells and converters": ("telegraph",),
    "cells alone": ("telegraph", "adc-noise", "tia-offset", "leakage"),
    "cells and exact inputs": ("telegraph", "adc-noise", "dac-quantisation"),
    "converters alone": ("telegraph", "read-noise"),
}


@pytest.fixture(params=list(OFF))
def samples(request: pytest.FixtureRequest, open_sim: OpenSim) -> Samples:
    return sample(open_sim, OFF[request.param])


def test_means_and_variances_are_those_of_the_cells(samples: Samples) -> None:
    """And both those of the theory, each within five of its own standard errors."""
    for found in (samples.shortcut, samples.cells):
        np.testing.assert_allclose(found.std(axis=0) / samples.deviation, 1.0, atol=FIVE_SIGMA / (2 * DRAWS) ** 0.5)
    difference = (samples.shortcut.mean(axis=0) - samples.cells.mean(axis=0)) / samples.deviation
    assert np.abs(difference).max() < FIVE_SIGMA * (2 / DRAWS) ** 0.5


def test_currents_of_different_source_lines_are_independent(samples: Samples) -> None:
    """Cells of different source lines have nothing in common; neither have the shortcut's draws."""
    for found in (samples.shortcut, samples.cells):
        correlation = np.corrcoef(found, rowvar=False) - np.eye(N_SL)
        assert np.abs(correlation).max() < FIVE_SIGMA / DRAWS**0.5


def test_vectors_of_one_call_are_independent(samples: Samples) -> None:
    scaled = (samples.shortcut - samples.shortcut.mean(axis=0)) / samples.deviation
    for lag in (1, 2, 1000):
        assert np.abs((scaled[lag:] * scaled[:-lag]).mean(axis=0)).max() < FIVE_SIGMA / DRAWS**0.5


def test_the_laws_are_the_same_and_normal(samples: Samples) -> None:
    for column in range(N_SL):
        shortcut, cells = samples.shortcut[:, column], samples.cells[:, column]
        assert stats.ks_2samp(shortcut, cells).pvalue > UNLIKELY
        for found in (shortcut, cells):
            scaled = (found - found.mean()) / samples.deviation[column]
            assert stats.kstest(scaled, "norm").pvalue > UNLIKELY


def test_traps_have_their_variance_though_not_their_law(open_sim: OpenSim) -> None:
    """A trap has two levels; the shortcut's normal law has the same mean and variance."""
    off = ("lines", "converters", "read-noise", "adc-noise", "tia-offset", "leakage", "retention")
    chip = open_sim(n_bl=N_BL, n_sl=N_SL, dtype="float64", off=off)
    fill(chip)
    relative = np.sqrt(chip._chip.read_variance(np.arange(1), np.arange(N_SL))[0].numpy())
    trapped = np.flatnonzero(relative.any(axis=0))
    assert trapped.size
    volts = torch.linspace(-0.2, 0.2, N_BL, dtype=torch.float64).expand(1, DRAWS, N_BL)
    found = chip.mvm(volts).currents[0].numpy()
    random = np.random.default_rng(1)
    cells = np.zeros((DRAWS, N_SL))
    for row in range(N_BL):
        level = relative[row] * random.choice([-1.0, 1.0], (DRAWS, N_SL))  # half the step up or down
        cells += float(volts[0, 0, row]) * chip.true_conductance[0, row] * (1.0 + level)
    deviation = cells.std(axis=0)[trapped]
    np.testing.assert_allclose(found.std(axis=0)[trapped] / deviation, 1.0, atol=0.015)
    shift = (found.mean(axis=0) - cells.mean(axis=0))[trapped]
    assert np.abs(shift / deviation).max() < FIVE_SIGMA * (2 / DRAWS) ** 0.5


THROUGH_LINES = 20_000
"""Draws of an array with lines: each is a network of its own."""

LINE_ERROR = 0.03
"""1: what the model of the noise through lines may miss of a standard deviation, beside the draws' own 0.5 %."""


@pytest.mark.parametrize("signs", ["both", "one"])
def test_noise_through_lines_is_that_of_networks_solved_one_by_one(open_sim: OpenSim, signs: str) -> None:
    """Every draw is solved as a network with its own cells, on the default lines with longer wires."""
    wiring = {"bl_wire_resistance": 4.0, "sl_wire_resistance": 4.0}
    off = ("converters", "telegraph", "adc-noise", "tia-offset", "leakage", "retention", "mux-spread", "stuck-cells")
    chip = open_sim(n_bl=N_BL, n_sl=N_SL, dtype="float64", off=off, wiring=wiring)
    fill(chip)
    random = np.random.default_rng(3)
    volts = random.uniform(-0.2 if signs == "both" else 0.0, 0.2, N_BL)
    found = chip.mvm(torch.from_numpy(volts).expand(1, DRAWS, N_BL)).currents[0].numpy()

    lines, sl = LineResistances.nominal(chip.spec.wiring, N_BL, N_SL), np.arange(N_SL)
    conductance, drawn = torch.from_numpy(chip.true_conductance), []
    for _ in range(20):
        count = THROUGH_LINES // 20
        cells = conductance * (1.0 + 0.003 * torch.from_numpy(random.standard_normal((count, N_BL, N_SL))))
        tensors = LineTensors.of([lines] * count, sl, cells.device)
        drawn.append(torch.from_numpy(volts) @ solve(cells, sl.tolist(), N_SL, tensors))
    networks = torch.cat(drawn).numpy()

    np.testing.assert_allclose(found.std(axis=0) / networks.std(axis=0), 1.0, atol=LINE_ERROR)
    shift = (found.mean(axis=0) - networks.mean(axis=0)) / networks.std(axis=0)
    assert np.abs(shift).max() < 0.05  # the square of the noise is left out
    correlation = np.corrcoef(networks, rowvar=False) - np.eye(N_SL)
    assert np.abs(correlation).max() < 0.08  # by the BLs that they share; the simulator's currents have none
    for column in range(N_SL):
        scaled = [(one[:, column] - one[:, column].mean()) / one[:, column].std() for one in (found, networks)]
        assert stats.ks_2samp(*scaled).pvalue > UNLIKELY
