"""The data plane of the simulator: passes, buffers, results."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmhil.backend import Cells, Floats, Ints, MvmResult, Operation
from rmhil.errors import ConfigError, ShapeError
from sim_backend import SimBackend, open_backend, passes
from tests.arrays import fill, pulse

OpenSim = Callable[..., SimBackend]
EXACT = ("converters", "read-noise", "telegraph", "adc-noise", "tia-offset", "leakage")
"""What must be off for an MVM to be the product with the effective matrices."""


def volts(shape: tuple[int, ...], seed: int = 3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.2).to(dtype)


@cache
def filled_chip(bl_channels: int, sl_channels: int) -> SimBackend:
    """Three arrays, 9 x 7."""
    wiring = {"bl_channels": bl_channels, "sl_channels": sl_channels}
    chip = open_backend(n_arrays=3, n_bl=9, n_sl=7, seed=7, off=EXACT, dtype="float64", wiring=wiring)
    fill(chip)
    return chip


def some_of(count: int) -> st.SearchStrategy[Ints]:
    return st.sets(st.integers(0, count - 1), min_size=1).map(lambda chosen: np.array(sorted(chosen), dtype=np.int64))


def by_passes(chip: SimBackend, given: Floats, bl: Ints, sl: Ints, arrays: Ints) -> Floats:
    """The product by hand: pass by pass, array by array."""
    currents = np.zeros((arrays.size, given.shape[1], sl.size))
    for one in chip.spec.passes(bl, sl):
        matrices = chip._chip.matrices(arrays, one.sl).effective.numpy()
        rows, columns = np.searchsorted(bl, one.bl), np.searchsorted(sl, one.sl)
        currents[..., columns] += np.einsum("abi,aij->abj", given[..., rows], matrices[:, one.bl])
    return currents


@settings(max_examples=80)
@given(
    channels=st.sampled_from([(9, 7), (3, 7), (4, 3), (2, 2), (1, 7)]),
    bl=some_of(9),
    sl=some_of(7),
    arrays=some_of(3),
    vectors=st.integers(0, 5),
)
def test_passes_worked_through_together_are_those_one_by_one(
    channels: tuple[int, int], bl: Ints, sl: Ints, arrays: Ints, vectors: int
) -> None:
    """Whole and broken banks, lines in one piece or not, one array or several."""
    chip = filled_chip(*channels)
    given_volts = volts((arrays.size, vectors, bl.size))
    found = chip.mvm(given_volts, bl, sl, arrays)
    expected = by_passes(chip, given_volts.numpy(), bl, sl, arrays)
    np.testing.assert_allclose(found.currents.numpy(), expected, rtol=1e-12, atol=1e-18)
    assert not found.over_range.any()


def test_many_vectors_are_worked_through_in_parts(open_sim: OpenSim, monkeypatch: pytest.MonkeyPatch) -> None:
    given_volts = volts((2, 50, 16))
    wiring = {"bl_channels": 5, "sl_channels": 12}
    whole = open_sim(n_arrays=2, off=EXACT, dtype="float64", wiring=wiring)
    monkeypatch.setattr(passes, "_VALUES_AT_ONCE", 500)
    parts = open_sim(n_arrays=2, off=EXACT, dtype="float64", wiring=wiring)
    torch.testing.assert_close(parts.mvm(given_volts).currents, whole.mvm(given_volts).currents, rtol=1e-12, atol=1e-18)
    assert all(flat.numel() <= 500 for flat in parts._multiplier._buffers._flat)


@pytest.mark.parametrize("wiring", [{}, {"bl_channels": 5, "sl_channels": 4}])
def test_any_layout_of_the_voltages_gives_the_same(open_sim: OpenSim, wiring: dict[str, int]) -> None:
    chip = open_sim(n_arrays=2, off=("read-noise", "telegraph", "adc-noise"), wiring=wiring)
    plain = volts((2, 6, 16), dtype=torch.float32)
    expected = chip.mvm(plain).currents
    layouts = {
        "transposed": plain.mT.contiguous().mT,
        "every other": plain.repeat_interleave(2, dim=1)[:, ::2],
        "of another type": plain.double(),
        "with a gradient": plain.clone().requires_grad_(),
    }
    for name, given_volts in layouts.items():
        found = chip.mvm(given_volts).currents
        torch.testing.assert_close(found, expected, rtol=0, atol=0, msg=name)
        assert not found.requires_grad
    one = plain[:, :1]
    torch.testing.assert_close(chip.mvm(one.expand(2, 6, 16)).currents[:, 3:4], chip.mvm(one).currents)


def test_results_belong_to_the_caller(open_sim: OpenSim) -> None:
    """The next call, which uses the same buffers, leaves them alone; and so does the caller's writing."""
    for wiring in ({}, {"bl_channels": 5, "sl_channels": 4}):
        chip = open_sim(wiring=wiring)
        given_volts = volts((1, 4, 16))
        first = chip.mvm(given_volts)
        copy = first.currents.clone()
        first.over_range.fill_(True)
        second = chip.mvm(-given_volts)
        assert torch.equal(first.currents, copy)
        assert not second.over_range.any()
        assert torch.equal(given_volts, volts((1, 4, 16)))


def allocated(chip: SimBackend, given_volts: torch.Tensor, out: MvmResult | None) -> int:
    """Bytes that one call takes from torch's allocator, whether it gives them back or not."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        chip.mvm(given_volts, out=out)
    return sum(max(0, event.self_cpu_memory_usage) for event in profile.events())


@pytest.mark.parametrize("wiring", [{"bl_channels": 16, "sl_channels": 12}, {"bl_channels": 6, "sl_channels": 4}])
def test_a_call_allocates_nothing_but_its_result(open_sim: OpenSim, wiring: dict[str, int]) -> None:
    chip = open_sim(wiring=wiring)
    given_volts = volts((1, 1000, 16), dtype=torch.float32)
    out = chip.mvm(given_volts)
    of_result = 1000 * 12 * (4 + 1)
    assert of_result <= allocated(chip, given_volts, None) < of_result + 1024
    assert allocated(chip, given_volts, out) < 1024  # the smallest and the largest voltage


def test_out_takes_the_result_and_is_returned(open_sim: OpenSim) -> None:
    for wiring in ({}, {"bl_channels": 5, "sl_channels": 4}):
        chip, other = open_sim(wiring=wiring), open_sim(wiring=wiring)
        given_volts = volts((1, 4, 16))
        expected = other.mvm(given_volts)
        out = MvmResult(torch.full((1, 4, 12), torch.nan), torch.ones(1, 4, 12, dtype=torch.bool))
        assert chip.mvm(given_volts, out=out) is out
        assert torch.equal(out.currents, expected.currents)
        assert torch.equal(out.over_range, expected.over_range)


@pytest.mark.parametrize(
    ("currents", "over_range", "name"),
    [
        (torch.empty(1, 4, 11), torch.empty(1, 4, 12, dtype=torch.bool), "out.currents"),
        (torch.empty(1, 4, 12, dtype=torch.float64), torch.empty(1, 4, 12, dtype=torch.bool), "out.currents"),
        (torch.empty(1, 4, 12), torch.empty(1, 4, 12), "out.over_range"),
        (torch.empty(1, 4, 12), torch.empty(4, 12, dtype=torch.bool), "out.over_range"),
    ],
)
def test_an_out_that_does_not_fit_is_refused_and_nothing_is_driven(
    open_sim: OpenSim, currents: torch.Tensor, over_range: torch.Tensor, name: str
) -> None:
    chip, other = open_sim(), open_sim()
    with pytest.raises(ShapeError, match=name):
        chip.mvm(volts((1, 4, 16)), out=MvmResult(currents, over_range))
    assert chip.clock == 0.0
    assert torch.equal(chip.mvm(volts((1, 4, 16))).currents, other.mvm(volts((1, 4, 16))).currents)


@pytest.mark.parametrize("name", ["currents", "over_range"])
def test_an_out_in_the_memory_of_the_voltages_is_refused_and_nothing_is_driven(open_sim: OpenSim, name: str) -> None:
    """With several passes it would be written over voltages that are still to be driven."""
    chip, given_volts = open_sim(wiring={"bl_channels": 5, "sl_channels": 4}), volts((1, 4, 16), dtype=torch.float32)
    parts = {"currents": torch.empty(1, 4, 12), "over_range": torch.empty(1, 4, 12, dtype=torch.bool)}
    parts[name] = given_volts.view(parts[name].dtype)[..., 4:16]
    with pytest.raises(ConfigError, match=rf"out\.{name} shares its memory with bl_voltages"):
        chip.mvm(given_volts, out=MvmResult(**parts))
    assert chip.clock == 0.0
    assert torch.equal(given_volts, volts((1, 4, 16), dtype=torch.float32))


@pytest.mark.parametrize("options", [{}, {"nonlinear": True}, {"wiring": {"bl_channels": 5}}])
@pytest.mark.parametrize(("arrays", "vectors"), [([], 3), ([0, 1], 0), ([], 0)])
def test_a_request_for_nothing_gives_an_empty_result(
    open_sim: OpenSim, options: dict[str, object], arrays: list[int], vectors: int
) -> None:
    chip = open_sim(n_arrays=2, **options)
    given_volts = torch.zeros(len(arrays), vectors, 16)
    out = MvmResult(torch.empty(len(arrays), vectors, 12), torch.empty(len(arrays), vectors, 12, dtype=torch.bool))
    assert chip.mvm(given_volts, arrays=arrays, out=out) is out
    found = chip.mvm(given_volts, arrays=arrays)
    assert found.currents.shape == found.over_range.shape == (len(arrays), vectors, 12)
    assert (found.currents.dtype, found.over_range.dtype) == (torch.float32, torch.bool)
    assert chip.clock == 0.0


@pytest.mark.parametrize("vectors", [3, 2000])  # compared at once, or looked at first
def test_one_pass_over_range_flags_its_sum(open_sim: OpenSim, vectors: int) -> None:
    """Two passes beyond either end, whose sum is small, and one alone: flagged both; others are not."""
    chip = open_sim(off=("adc-noise", "tia-offset"), wiring={"bl_channels": 8, "tia_resistance": 20e3})
    fill(chip)
    pulse(chip, Operation.SET, 1.8, 3.3)
    given_volts = torch.zeros(1, vectors, 16)
    given_volts[0, 0, :8], given_volts[0, 0, 8:] = 0.2, -0.2
    given_volts[0, 1, :8] = -0.2
    result = chip.mvm(given_volts)
    lsb = chip.spec.wiring.adc_lsb
    assert result.over_range[0].all(dim=1).tolist() == [True, True] + [False] * (vectors - 2)
    assert not result.over_range[0, 2:].any()
    np.testing.assert_allclose(result.currents[0, 0].numpy() / lsb, -1, rtol=1e-5)  # 8191 and -8192
    np.testing.assert_allclose(result.currents[0, 1].numpy() / lsb, -8192, atol=2)


def test_a_changed_cell_is_noticed(open_sim: OpenSim) -> None:
    """Also where the plan holds a copy of the matrix, since its lines are not in one piece."""
    chip = open_sim(off=EXACT, dtype="float64")
    fill(chip)
    bl, sl = np.array([0, 3, 4]), np.arange(12)
    given_volts = torch.full((1, 1, 3), 0.2, dtype=torch.float64)
    before = chip.mvm(given_volts, bl).currents[0, 0]
    pulse(chip, Operation.RESET, 2.2, 5.0, Cells.of(0, 3, 5))
    after = chip.mvm(given_volts, bl).currents[0, 0]
    assert float(before[5] - after[5]) > 1e-6
    expected = by_passes(chip, given_volts.numpy(), bl, sl, np.array([0]))
    np.testing.assert_allclose(after.numpy(), expected[0, 0], rtol=1e-12)


def test_calls_of_several_threads_do_not_mix(open_sim: OpenSim) -> None:
    chip = open_sim(off=EXACT, dtype="float64")
    fill(chip)
    given = [volts((1, 1 + number % 3, 16), seed=number) for number in range(60)]
    expected = [chip.mvm(one).currents for one in given]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: chip.mvm(one).currents, given))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-18)


def test_the_number_of_threads_changes_no_noise(open_sim: OpenSim) -> None:
    """But for the last bits of the products."""
    off = ("converters",)
    given_volts = volts((1, 25_000, 16))
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(open_sim(dtype="float64", off=off).mvm(given_volts).currents)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], rtol=1e-11, atol=1e-18)


def test_one_pass_can_be_asked_for_by_wiring(open_sim: OpenSim) -> None:
    """Four passes have each its own conversion: their sum has the noise of four, one pass that of one."""
    off = ("read-noise", "telegraph", "tia-offset", "leakage")
    noise = {}
    for name, channels in {"banks": 64, "whole": 128}.items():
        wiring = {"bl_channels": channels, "sl_channels": channels, "adc_count": channels}
        chip = open_sim(n_bl=128, n_sl=128, off=off, wiring=wiring)
        assert len(chip.spec.passes()) == (4 if name == "banks" else 1)
        noise[name] = float(chip.mvm(torch.zeros(1, 500, 128)).currents.std())
    assert noise["banks"] / noise["whole"] == pytest.approx(2**0.5, rel=0.02)


def test_plans_keep_no_matrices_alive_that_the_chip_has_given_up(open_sim: OpenSim) -> None:
    chip = open_sim(n_arrays=2)
    given_volts = volts((2, 3, 16))
    chip.mvm(given_volts)
    (group,) = (group for row in next(iter(chip._multiplier._buffers._steps))[0].groups for group in row)
    assert group.effective.shape == (2, 16, 12)
    chip._chip._matrices.forget()
    assert group.effective.numel() == group.variance.numel() == 0
    chip.mvm(given_volts)
    assert group.effective.shape == (2, 16, 12)


def test_a_reopened_chip_goes_on_with_the_codes_of_the_running_one(open_sim: OpenSim, tmp_path: Path) -> None:
    """Though the running one still held matrices from before its cells had drifted on."""
    chip = open_sim(off=("adc-quantisation",))
    fill(chip)
    given_volts = volts((1, 20, 16))
    chip.mvm(given_volts)
    held = chip._chip.matrices(np.arange(1), np.arange(12))
    chip.wait(0.9 * (held.held_until - chip.clock))
    assert chip._chip.matrices(np.arange(1), np.arange(12)) is held
    chip.save_state(tmp_path / "chip.npz")
    again = open_sim(off=("adc-quantisation",), state=tmp_path / "chip.npz")
    assert torch.equal(again.mvm(given_volts).currents, chip.mvm(given_volts).currents)
