"""Promises of a crossbar's products and of the matrices that stand for them, on small simulated chips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rmhil import Crossbar, Ledger
from rmhil.backend import MvmResult
from rmhil.errors import OverRangeError
from sim_backend import SimBackend
from tests.arrays import random_target

MICRO = 1e-6
Opener = Callable[..., SimBackend]


@pytest.fixture
def programmed(open_sim: Opener) -> Crossbar:
    crossbar = Crossbar(open_sim(ideal=True, dtype="float64"))
    crossbar.program(random_target((16, 12)), tolerance=1e-11)
    return crossbar


def test_currents_are_voltages_times_the_map_without_non_idealities(programmed: Crossbar) -> None:
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (5, 16))
    np.testing.assert_allclose(programmed.mvm(volts).numpy(), volts @ programmed.conductance, rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("lead", [(), (5,), (1, 5)])
def test_currents_have_the_shape_of_the_voltages(programmed: Crossbar, lead: tuple[int, ...]) -> None:
    assert programmed.mvm(np.zeros((*lead, 16))).shape == (*lead, 12)


def test_chosen_lines_give_partial_sums(programmed: Crossbar) -> None:
    volts = torch.full((3, 16), 0.1, dtype=torch.float64)
    whole = programmed.mvm(volts)
    parts = programmed.mvm(volts[:, :7], bl=slice(0, 7)) + programmed.mvm(volts[:, 7:], bl=slice(7, None))
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(programmed.mvm(volts, sl=[2, 9]), whole[:, [2, 9]])


def test_a_region_multiplies_with_its_own_lines(programmed: Crossbar) -> None:
    part = programmed.region(bl=[1, 6], sl=[0, 11])
    currents = part.mvm([0.1, -0.1])
    np.testing.assert_allclose(currents.numpy(), np.array([0.1, -0.1]) @ part.conductance, rtol=1e-12)


def test_an_mvm_is_counted_with_its_conversions_and_energy(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(), ledger=Ledger())
    crossbar.program(np.full((16, 12), 40e-6))
    crossbar.mvm(np.full((10, 16), 0.1))
    counts = crossbar.ledger.counts
    assert (counts.mvms, counts.dac_conversions, counts.adc_conversions) == (10, 160, 120)
    assert counts.array_energy > 0


def test_over_range_currents_raise_or_are_carried(open_sim: Opener) -> None:
    """128 cells of 80 uS at 0.2 V are twice what the converter can express in one pass."""
    backend = open_sim(n_bl=128, n_sl=2, wiring={"bl_channels": 128}, off=("lines",))
    crossbar = Crossbar(backend)
    crossbar.program(np.full((128, 2), 80e-6))
    volts = np.full((3, 128), 0.2)
    with pytest.raises(OverRangeError, match="6 of 6 currents"):
        crossbar.mvm(volts)
    carried = crossbar.mvm(volts, on_over_range="carry")
    assert isinstance(carried, MvmResult)
    assert carried.over_range.all()


def test_matrix_and_measured_columns_agree_within_noise(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    crossbar.program(random_target((16, 12)))
    modelled, measured = crossbar.matrix(), crossbar.measure_columns()
    # one verify read is good to 0.3 % (0.1 uS), one ADC code is 0.64 uS, the multiplexers spread by 0.1 % of a cell
    assert np.abs(modelled - measured).mean() < 0.6e-6
    assert np.abs((modelled - measured).mean()) < 0.2e-6


def test_matrix_reads_the_cells_of_its_columns_that_were_never_read(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    part = crossbar.region(bl=slice(0, 4), sl=slice(0, 3))
    part.program(np.full((4, 3), 40e-6))
    assert part.matrix(sl=[0, 2]).shape == (4, 2)
    known = ~np.isnan(crossbar.conductance)
    assert known.all(axis=0).tolist() == [True, False, True] + [False] * 9
