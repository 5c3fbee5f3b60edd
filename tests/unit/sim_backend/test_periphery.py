"""Converters, offsets and noise of an MVM, and the time it takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import Operation
from rmhil.wiring import Wiring
from sim_backend import SimBackend, SimConfig
from sim_backend.periphery import Periphery, convert, drive
from sim_backend.presets import PERIPHERY
from tests.arrays import fill, pulse

OpenSim = Callable[..., SimBackend]
WIRING = Wiring()


@given(st.floats(-0.2, 0.2))
def test_a_driven_voltage_is_within_half_a_code(volts: float) -> None:
    driven = drive(torch.tensor([volts], dtype=torch.float64), WIRING)
    assert abs(float(driven) - volts) <= 0.5 * WIRING.dac_lsb * (1 + 1e-9)
    assert torch.equal(drive(driven, WIRING), driven)


@given(st.floats(-2e-3, 2e-3))
def test_a_converted_current_is_within_half_a_code_or_flagged(amperes: float) -> None:
    converted, over = convert(torch.tensor([amperes], dtype=torch.float64), WIRING)
    inside = abs(amperes) < WIRING.adc_current_range - WIRING.adc_lsb
    if inside:
        assert not over.any()
        assert abs(float(converted) - amperes) <= 0.5 * WIRING.adc_lsb * (1 + 1e-9)
    if abs(amperes) > WIRING.adc_current_range:
        assert over.all()
        assert abs(float(converted)) <= WIRING.adc_current_range


def test_the_adc_has_one_code_more_below_zero() -> None:
    ends, _ = convert(torch.tensor([-1.0, 1.0], dtype=torch.float64), WIRING)
    assert (ends / WIRING.adc_lsb).round().tolist() == [-8192, 8191]


def test_currents_beyond_the_range_are_flagged_never_hidden(open_sim: OpenSim) -> None:
    """A TIA of 20 kohm fills the ADC with 62 uA."""
    chip = open_sim(wiring={"tia_resistance": 20e3})
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.3)
    volts = torch.zeros(1, 3, 16)
    volts[0, 1], volts[0, 2, 0] = 0.2, 0.05
    result = chip.mvm(volts)
    limit = chip.spec.wiring.adc_current_range
    assert result.over_range[0].all(dim=1).tolist() == [False, True, False]
    assert float(result.currents.max()) <= limit


def test_without_converters_there_is_no_range(open_sim: OpenSim) -> None:
    chip = open_sim(wiring={"tia_resistance": 20e3}, off=("converters",))
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.3)
    result = chip.mvm(torch.full((1, 1, 16), 0.2))
    assert not result.over_range.any()
    assert float(result.currents.min()) > chip.spec.wiring.adc_current_range


def test_the_tias_offset_grows_with_the_conductance_of_its_column(open_sim: OpenSim) -> None:
    chip = open_sim(off=("converters", "adc-noise", "lines", "stuck-cells"), dtype="float64")
    fill(chip)
    zero = torch.zeros(1, 1, 16, dtype=torch.float64)
    pulse(chip, Operation.SET, 1.8, 3.3)
    high = chip.mvm(zero).currents[0, 0].numpy()
    for _ in range(2):
        pulse(chip, Operation.RESET, 2.4, 5.0)
    low = chip.mvm(zero).currents[0, 0].numpy()
    gain = 1 + 1200 * 16 * 76e-6
    assert np.median(np.abs(high / low)) == pytest.approx(gain / (1 + 1200 * 16 * 4e-6), rel=0.05)
    assert np.abs(low).max() * 1200 < 2.5e-3


def test_source_lines_of_different_banks_share_a_tia(open_sim: OpenSim) -> None:
    chip = open_sim(off=("converters", "adc-noise"), dtype="float64", wiring={"sl_channels": 4})
    currents = chip.mvm(torch.zeros(1, 1, 16, dtype=torch.float64)).currents[0, 0]
    torch.testing.assert_close(currents[:4], currents[4:8], rtol=1e-3, atol=0)
    assert currents[:4].unique().numel() == 4


def test_the_noise_of_an_mvm_is_that_of_its_cells(open_sim: OpenSim) -> None:
    """The folded noise has the standard deviation of independent cells read one by one."""
    chip = open_sim(off=("converters", "adc-noise", "tia-offset", "lines", "stuck-cells"), dtype="float64")
    fill(chip)
    volts = torch.linspace(-0.2, 0.2, 16, dtype=torch.float64).expand(1, 20_000, 16)
    found = chip.mvm(volts).currents[0].std(dim=0).numpy()
    telegraph = chip._chip._parameters(torch.arange(16 * 12)).telegraph.numpy().reshape(16, 12)
    relative = np.hypot(0.003, 0.5 * telegraph)
    expected = np.sqrt((volts[0, 0].numpy() ** 2) @ (relative * chip.true_conductance[0]) ** 2)
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_adc_noise_is_added_at_every_conversion(open_sim: OpenSim) -> None:
    chip = open_sim(off=("converters", "read-noise", "telegraph"), wiring={"bl_channels": 4}, dtype="float64")
    four_passes = chip.mvm(torch.zeros(1, 20_000, 16, dtype=torch.float64)).currents[0].std(dim=0)
    one_pass = chip.mvm(torch.zeros(1, 20_000, 4, dtype=torch.float64), bl=range(4)).currents[0].std(dim=0)
    lsb = chip.spec.wiring.adc_lsb
    assert one_pass.numpy() / lsb == pytest.approx(np.full(12, 0.8), rel=0.03)
    assert four_passes.numpy() / lsb == pytest.approx(np.full(12, 1.6), rel=0.03)


def test_a_pass_is_as_quick_as_the_slower_of_driving_and_converting() -> None:
    periphery = Periphery(SimConfig(), PERIPHERY)
    assert periphery.pass_time(64, 64) == pytest.approx(20e-6)
    shared = Periphery(SimConfig(wiring=Wiring(adc_count=8)), PERIPHERY)
    assert shared.pass_time(64, 64) == pytest.approx(160e-6)
    quick = Periphery(SimConfig(wiring=Wiring(adc_conversion=1e-6)), PERIPHERY)
    assert quick.pass_time(64, 64) == pytest.approx(5e-6 + 1e-6 + 9 * 518e-9)
