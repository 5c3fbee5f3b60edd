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
from sim_backend import NON_IDEALITIES, SimBackend, SimConfig
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY
from tests.arrays import fill, pulse, read

OpenSim = Callable[..., SimBackend]
WIRING = Wiring()


def drive(volts: float, **options: object) -> float:
    """V behind the DAC."""
    periphery = Periphery(SimConfig(dtype="float64", **options), PERIPHERY)
    codes = torch.empty(1, dtype=torch.float64)
    periphery.drive(torch.tensor([volts], dtype=torch.float64), codes)
    return float(codes) * WIRING.dac_lsb


def convert(
    codes: list[float], dtype: str = "float64", look: bool = True, **options: object
) -> tuple[list[float], list[bool]]:
    """Codes behind the ADC, and which of them are an end of the range."""
    periphery = Periphery(SimConfig(dtype=dtype, **options), PERIPHERY)
    given = torch.tensor(codes, dtype=getattr(torch, dtype))
    converted, over = periphery.convert(given, torch.empty_like(given), look=look)
    return converted.tolist(), [False] * len(codes) if over is None else over.tolist()


@given(st.floats(-0.2, 0.2))
def test_a_driven_voltage_is_within_half_a_code(volts: float) -> None:
    driven = drive(volts)
    assert abs(driven - volts) <= 0.5 * WIRING.dac_lsb * (1 + 1e-9)
    assert drive(driven) == driven


@given(st.floats(-2e-3, 2e-3))
def test_a_converted_current_is_within_half_a_code_or_flagged(amperes: float) -> None:
    (code,), (over,) = convert([amperes / WIRING.adc_lsb])
    converted = code * WIRING.adc_lsb
    if abs(amperes) < WIRING.adc_current_range - WIRING.adc_lsb:
        assert not over
        assert abs(converted - amperes) <= 0.5 * WIRING.adc_lsb * (1 + 1e-9)
    if abs(amperes) > WIRING.adc_current_range:
        assert over
        assert abs(converted) <= WIRING.adc_current_range


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("look", [False, True])
def test_exactly_the_end_codes_are_flagged(look: bool, dtype: str) -> None:
    """The ADC cannot tell them from what is beyond. Two's complement has one code more below zero; a tie goes to the
    even code, as everywhere in torch."""
    last = 8190.5 - 2**-10
    given = [-1e9, -8192.0, -8191.5, -8191.5 + 2**-10, 0.5, last, 8190.5, 8191.0, 8191.5, 1e9]
    codes, flags = convert(given, dtype, look)
    assert codes == [-8192, -8192, -8192, -8191, 0, 8190, 8190, 8191, 8191, 8191]
    assert flags == [True, True, True, False, False, False, False, True, True, True]
    assert convert([-8191.5 + 2**-10, 8190.5], dtype, look) == ([-8191, 8190], [False, False])


def test_quantisation_and_range_of_the_adc_can_be_off_alone() -> None:
    given = [0.3, 9000.3]
    assert convert(given, off=("adc-quantisation",)) == ([0.3, 8191.0], [False, True])
    assert convert([-8192.0, 8191.0], off=("adc-quantisation",)) == ([-8192.0, 8191.0], [False, False])
    assert convert(given, off=("adc-range",)) == ([0.0, 9000.0], [False, False])
    assert convert(given, off=("converters",)) == (given, [False, False])


def test_quantisation_of_the_dac_can_be_off_alone() -> None:
    volts = 0.4 * WIRING.dac_lsb
    assert drive(volts) == 0.0
    assert drive(volts, off=("dac-quantisation",)) == volts
    assert drive(volts, off=("adc-quantisation", "adc-range")) == 0.0


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


NOTHING_BUT_LEAKAGE = tuple(set(NON_IDEALITIES) - {"leakage", "routing"})


def test_off_channels_of_a_multiplexer_leak_into_every_source_line(open_sim: OpenSim) -> None:
    """Seven of eight channels are off, each with 0.1 nA of its own; one conversion carries it once."""
    wiring: dict[str, float] = {"bl_routing_resistance": 0.0, "sl_routing_resistance": 0.0}
    chip = open_sim(n_arrays=40, n_sl=50, off=NOTHING_BUT_LEAKAGE, dtype="float64", wiring=wiring)
    zero = torch.zeros(40, 2, 16, dtype=torch.float64)
    currents = chip.mvm(zero).currents
    assert float(currents.std()) == pytest.approx(7**0.5 * 0.1e-9, rel=0.05)
    assert abs(float(currents.mean())) < 5 * 0.27e-9 / currents.numel() ** 0.5 * 2**0.5
    assert torch.equal(currents[:, 0], currents[:, 1])
    halved = open_sim(
        n_arrays=40, n_sl=50, off=NOTHING_BUT_LEAKAGE, dtype="float64", wiring=wiring | {"bl_channels": 8}
    )
    torch.testing.assert_close(halved.mvm(zero).currents, 2 * currents, rtol=1e-9, atol=0)
    quiet = open_sim(ideal=True, dtype="float64")
    assert not quiet.mvm(zero[:1]).currents.any()


def test_what_leaks_into_a_bit_line_raises_it(open_sim: OpenSim) -> None:
    """By the resistance to its driver, which is nothing beside a code of the DAC: 1 Mohm here, to see it."""
    options = {"off": NOTHING_BUT_LEAKAGE, "dtype": "float64"}
    zero = torch.zeros(1, 1, 16, dtype=torch.float64)
    found = []
    for resistance in (0.0, 1e6):
        chip = open_sim(**options, wiring={"bl_routing_resistance": resistance, "sl_routing_resistance": 0.0})
        found.append((chip.mvm(zero).currents[0, 0], chip._chip.matrices(np.arange(1), np.arange(12)).effective[0]))
    expected = torch.from_numpy(chip._chip.bl_leakage[0] * 1e6) @ found[1][1]
    torch.testing.assert_close(found[1][0] - found[0][0], expected, rtol=1e-9, atol=1e-20)


def test_leakage_is_in_the_readings_of_single_cells(open_sim: OpenSim) -> None:
    """The same of every cell of a BL: the source drives the cell's current less what leaks in."""
    chips = {name: open_sim(off=NOTHING_BUT_LEAKAGE + off) for name, off in (("with", ()), ("without", ("leakage",)))}
    currents = {name: read(chip).current.reshape(16, 12) for name, chip in chips.items()}
    leaking = currents["without"] - currents["with"]
    np.testing.assert_allclose(leaking, np.broadcast_to(leaking[:, :1], leaking.shape), rtol=1e-6)
    assert 0.05e-9 < leaking[:, 0].std() < 0.6e-9
    np.testing.assert_allclose(leaking[:, 0], chips["with"]._chip.bl_leakage[0], rtol=1e-6)


def test_the_noise_of_an_mvm_is_that_of_its_cells(open_sim: OpenSim) -> None:
    """The folded noise has the standard deviation of independent cells read one by one."""
    chip = open_sim(off=("converters", "adc-noise", "tia-offset", "lines", "stuck-cells"), dtype="float64")
    fill(chip)
    volts = torch.linspace(-0.2, 0.2, 16, dtype=torch.float64).expand(1, 20_000, 16)
    found = chip.mvm(volts).currents[0].std(dim=0).numpy()
    relative = chip._chip.read_variance(np.arange(1), np.arange(12))[0].numpy()
    assert np.median(relative) == pytest.approx(0.003**2)  # most cells have no trap
    expected = np.sqrt((volts[0, 0].numpy() ** 2) @ (relative * chip.true_conductance[0] ** 2))
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
