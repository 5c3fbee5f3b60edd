"""The chip as a whole: half-selected cells, resident state, effective matrices, sizes."""

from __future__ import annotations

import math
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rmhil.backend import Cells, Operation
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.line_model import effective_matrix
from sim_backend import SimBackend, SimConfig
from sim_backend.device import Bias, respond
from sim_backend.parameters import CycleDraws, cell_parameters
from sim_backend.presets import TAOX_180
from sim_backend.rng import keys
from tests.arrays import all_cells, fill, pulse, read

OpenSim = Callable[..., SimBackend]


def half_selected_voltages(chip: SimBackend, conductance: np.ndarray, row: int, amplitude: float) -> np.ndarray:
    """V across the other cells of one SL while a cell of it is pulsed: a dense nodal solve of that SL.

    The WL of the SL is on; BL `row` is `amplitude` away from the SL's driver, all other BLs are held at
    the level of that driver. (For a RESET, the same with every sign turned.)
    """
    wiring, n_bl = chip.spec.wiring, conductance.size
    admittance, injected = np.zeros((n_bl, n_bl)), np.zeros(n_bl)
    through = 1 / (1 / conductance + wiring.bl_routing_resistance + wiring.bl_wire_resistance)
    for node in range(n_bl):
        admittance[node, node] += through[node]
        injected[node] = through[node] * amplitude * (node == row)
        below = wiring.sl_wire_resistance + (wiring.sl_routing_resistance if node == n_bl - 1 else 0)
        admittance[node, node] += 1 / below
        if node < n_bl - 1:
            admittance[node + 1, node + 1] += 1 / below
            admittance[node, node + 1] -= 1 / below
            admittance[node + 1, node] -= 1 / below
    return np.delete(np.linalg.solve(admittance, injected), row)


def test_half_selected_cells_see_some_tens_of_millivolts_and_stay(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=128, n_sl=4)
    conductance = np.full(128, 10e-6)
    conductance[0] = 80e-6  # the pulsed cell, furthest from the SL's driver; the others divert least
    voltages = half_selected_voltages(chip, conductance, 0, amplitude=3.0)
    assert 5e-3 < voltages.max() < 80e-3
    ids = torch.arange(100_000)
    key = keys(3, ids, ids, ids)
    cell = cell_parameters(TAOX_180, SimConfig(), key)
    cycle = CycleDraws(TAOX_180, SimConfig(), key, ids)
    one = torch.ones(ids.numel(), dtype=torch.float64)
    for sign in (1, -1):
        bias = Bias(
            voltage=sign * float(voltages.max()) * one,
            gate_voltage=5 * one,
            compliance=one,
            time=1e-3 * one,
            series=0 * one,
        )
        after = respond(TAOX_180, cell, cycle, 80e-6 * one, bias)[2]
        moved = (after - 80e-6)[~cell.stuck].abs().max()
        bound = chip._chip.half_selected_drift(chip.spec.limits, 1e-3)
        assert float(moved) < bound < 1e-12


def test_lines_so_resistive_that_half_selected_cells_move_are_refused_for_pulses_only(open_sim: OpenSim) -> None:
    chip = open_sim(wiring={"sl_routing_resistance": 10e3})
    with pytest.raises(OutOfRangeError, match="half-selected"):
        pulse(chip, Operation.SET, 1.8, 2.0)
    assert read(chip).current.shape == (16 * 12,)


def resident_bytes() -> int:
    """Memory of this process that lies in pages of its own."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def tensors_of(owner: object) -> list[torch.Tensor]:
    return [value for value in vars(owner).values() if isinstance(value, torch.Tensor)]


def test_twelve_bytes_of_state_a_cell(open_sim: OpenSim) -> None:
    chip = open_sim(n_bl=600, n_sl=300, n_arrays=2)
    fill(chip)
    held = sum(tensor.nbytes for tensor in tensors_of(chip._chip._store))
    assert held == 12 * chip.spec.n_cells + 8 * chip.spec.n_arrays
    assert all(tensor.numel() < chip.spec.n_cells / 10 for tensor in tensors_of(chip._chip))
    assert chip._chip._known is None  # too many cells to keep what was drawn for them


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from Linux's /proc")
@pytest.mark.parametrize("mapped", [False, True])
def test_a_chip_of_203_million_cells_opens_at_once_and_takes_memory_for_what_is_used(
    open_sim: OpenSim, tmp_path: Path, mapped: bool
) -> None:
    """12,400 arrays of 128 x 128: a network of 101 million weights in differential pairs, 2.4 GB of state."""
    before = resident_bytes()
    chip = open_sim(n_arrays=12_400, n_bl=128, n_sl=128, storage=tmp_path if mapped else None)
    assert resident_bytes() - before < 50e6
    bl, sl = (part.ravel() for part in np.indices((128, 128)))
    cells = Cells.of(12_345, bl, sl)
    pulse(chip, Operation.FORM, 4.5, 2.0, cells)
    chip.mvm(torch.full((1, 4, 128), 0.1), arrays=[12_345])
    assert resident_bytes() - before < 400e6  # what lines and amplifiers of all arrays take, and one array


def test_many_cells_are_computed_in_parts(open_sim: OpenSim, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = open_sim(n_arrays=2), open_sim(n_arrays=2)
    expected = fill(whole)
    monkeypatch.setattr("sim_backend.backend.CELLS_AT_ONCE", 100)
    monkeypatch.setattr("sim_backend.chip.CELLS_AT_ONCE", 100)
    np.testing.assert_array_equal(fill(parts), expected)
    np.testing.assert_array_equal(parts.true_conductance, whole.true_conductance)
    np.testing.assert_array_equal(parts.stuck_cells, whole.stuck_cells)


def test_mapped_cells_are_the_same_as_cells_in_memory(open_sim: OpenSim, tmp_path: Path) -> None:
    chips = [open_sim(n_arrays=2, storage=storage) for storage in (None, tmp_path)]
    first, second = (fill(chip) for chip in chips)
    np.testing.assert_array_equal(second, first)
    volts = torch.full((2, 3, 16), 0.1)
    assert torch.equal(chips[0].mvm(volts).currents, chips[1].mvm(volts).currents)
    assert list(tmp_path.iterdir()) == []  # scratch files have no name


def test_a_saved_chip_goes_on_in_mapped_memory(open_sim: OpenSim, tmp_path: Path) -> None:
    chip, path = open_sim(), tmp_path / "chip.npz"
    fill(chip)
    chip.save_state(path)
    again = open_sim(state=path, storage=tmp_path)
    np.testing.assert_array_equal(again.true_conductance, chip.true_conductance)
    np.testing.assert_array_equal(read(again).current, read(chip).current)


def test_storage_without_a_folder_is_refused(open_sim: OpenSim, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        open_sim(storage=tmp_path / "none")


def test_storage_that_cannot_hold_the_cells_is_refused(
    open_sim: OpenSim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2303))
    with pytest.raises(ConfigError, match="2,303 bytes free, 192 cells need 2,304"):
        open_sim(storage=tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_identical_states_and_pulses(open_sim: OpenSim, tmp_path: Path) -> None:
    """What is kept of the cells, bit by bit. What is derived from it for a reading is equal but for the last bits of
    float64, where the exponentials of a GPU differ from those of a CPU."""
    chips = [open_sim(n_bl=64, n_sl=64, device=device) for device in ("cpu", "cuda")]
    maps = [fill(chip) for chip in chips]
    pulses = [pulse(chip, Operation.RESET, 1.6, 5.0) for chip in chips]
    for name in ("conductance", "written", "counts"):
        first, second = (getattr(chip._chip._store, name).cpu() for chip in chips)
        assert torch.equal(first, second), name
    for name in ("status", "pulse_status", "time"):
        np.testing.assert_array_equal(getattr(pulses[1], name), getattr(pulses[0], name))
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-12)
    np.testing.assert_allclose(pulses[1].pulse_current, pulses[0].pulse_current, rtol=1e-12)
    np.testing.assert_allclose(chips[1].true_conductance, chips[0].true_conductance, rtol=1e-12)
    with pytest.raises(ConfigError, match="storage is for cells on the CPU"):
        open_sim(device="cuda", storage=tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_mvms_of_the_same_mean_and_noise(open_sim: OpenSim) -> None:
    """Its generator draws other numbers, so the moments are compared: within 5 of their standard errors."""
    vectors, means, variances = 4000, [], []
    for device in ("cpu", "cuda"):
        chip = open_sim(n_bl=64, n_sl=64, device=device)
        fill(chip)
        volts = torch.linspace(-0.2, 0.2, 64, device=device).expand(1, vectors, 64)
        found = chip.mvm(volts).currents[0].double().cpu()
        means.append(found.mean(dim=0))
        variances.append(found.var(dim=0))
    apart = (means[1] - means[0]).abs() / ((variances[0] + variances[1]) / vectors).sqrt()
    assert float(apart.max()) < 5.0
    assert float((variances[1] / variances[0]).log().abs().max()) < 5.0 * (4.0 / vectors) ** 0.5


def test_a_large_chip_behaves_as_a_small_one_does(open_sim: OpenSim) -> None:
    """A cell is the same in every geometry, and whether its parameters were kept or drawn anew."""
    small, large = open_sim(off=("lines",)), open_sim(off=("lines",), n_bl=400, n_sl=400)
    cells = all_cells(small)
    for chip in (small, large):
        pulse(chip, Operation.FORM, 4.5, 1.5, cells)
        pulse(chip, Operation.SET, 1.8, 2.5, cells)
    np.testing.assert_array_equal(small.true_conductance, large.true_conductance[:, :16, :12])


def test_the_effective_matrix_is_solved_again_only_when_cells_move(open_sim: OpenSim) -> None:
    chip = open_sim(dtype="float64", off=("retention",))
    fill(chip)
    arrays, sl = np.array([0]), np.arange(12)
    before = chip._chip.matrices(arrays, sl)
    read(chip)
    assert chip._chip.matrices(arrays, sl) is before
    pulse(chip, Operation.RESET, 1.8, 5.0, Cells.of(0, 3, 4))
    after = chip._chip.matrices(arrays, sl)
    assert after is not before
    expected = effective_matrix(chip.true_conductance[0], chip._chip.lines(0))
    np.testing.assert_allclose(after.effective[0].numpy(), expected, rtol=1e-12)


def test_an_interrupt_while_pulses_are_taken_down_leaves_no_matrix_behind_its_cells(
    open_sim: OpenSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = open_sim(dtype="float64", off=("retention",))
    fill(chip)
    arrays, sl, store = np.array([0]), np.arange(12), chip._chip._store
    chip._chip.matrices(arrays, sl)
    put = store.put

    def interrupted(*taken_down: torch.Tensor) -> None:
        put(*taken_down)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    before = chip.true_conductance
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pulse(chip, Operation.RESET, 1.8, 5.0, Cells.of(0, 3, 4))
    assert np.abs(chip.true_conductance - before).max() > 1e-6
    expected = effective_matrix(chip.true_conductance[0], chip._chip.lines(0))
    np.testing.assert_allclose(chip._chip.matrices(arrays, sl).effective[0].numpy(), expected, rtol=1e-12)


def test_the_effective_matrix_is_solved_again_when_cells_have_drifted(open_sim: OpenSim) -> None:
    chip = open_sim(dtype="float64", off=("lines",))
    fill(chip)
    arrays, sl = np.array([0]), np.arange(12)
    first = chip._chip.matrices(arrays, sl)
    assert chip.clock < first.held_until < math.inf
    chip.wait(0.9 * (first.held_until - chip.clock))
    assert chip._chip.matrices(arrays, sl) is first
    assert np.abs(first.effective.numpy() - chip.true_conductance).max() < 30e-9
    chip.wait(1e6)
    later = chip._chip.matrices(arrays, sl)
    assert np.abs(later.effective.numpy() - first.effective.numpy()).max() > 30e-9
    np.testing.assert_allclose(later.effective.numpy(), chip.true_conductance, rtol=1e-12)


def test_without_drift_a_matrix_is_held_for_good(open_sim: OpenSim) -> None:
    chip = open_sim(off=("retention",))
    fill(chip)
    assert chip._chip.matrices(np.array([0]), np.arange(12)).held_until == math.inf


def test_pulses_on_one_array_leave_the_matrices_of_the_others(open_sim: OpenSim) -> None:
    chip = open_sim(n_arrays=3)
    fill(chip)
    sl = np.arange(12)
    kept, both = (chip._chip.matrices(np.array(arrays), sl) for arrays in ([2], [0, 2]))
    pulse(chip, Operation.RESET, 1.8, 5.0, Cells.of(0, 3, 4))
    assert chip._chip.matrices(np.array([2]), sl) is kept
    assert chip._chip.matrices(np.array([0, 2]), sl) is not both


def test_arrays_of_one_batch_are_what_they_are_alone(open_sim: OpenSim) -> None:
    chip = open_sim(n_arrays=3, dtype="float64", off=("read-noise", "telegraph", "adc-noise"))
    fill(chip)
    volts = torch.linspace(-0.2, 0.2, 3 * 2 * 16, dtype=torch.float64).reshape(3, 2, 16)
    together = chip.mvm(volts).currents
    for array in range(3):
        alone = chip.mvm(volts[array : array + 1], arrays=[array]).currents
        torch.testing.assert_close(alone[0], together[array], rtol=1e-12, atol=1e-18)


def test_mvm_noise_depends_on_seed_and_call_order_only(open_sim: OpenSim) -> None:
    volts = torch.full((1, 5, 16), 0.1)
    first, again = open_sim(), open_sim()
    one, two = first.mvm(volts).currents, first.mvm(volts).currents
    read(again)  # readings draw from elsewhere
    torch.testing.assert_close(again.mvm(volts).currents, one, rtol=0, atol=0)
    torch.testing.assert_close(again.mvm(volts).currents, two, rtol=0, atol=0)
    assert not torch.equal(one, two)


def test_mvm_needs_no_gradient(open_sim: OpenSim) -> None:
    result = open_sim().mvm(torch.zeros(1, 2, 16, requires_grad=True))
    assert not result.currents.requires_grad


def test_long_pulses_and_many_averages_take_their_time(open_sim: OpenSim) -> None:
    chip, cell = open_sim(), Cells.of(0, 0, 0)
    times = [
        read(chip, cell).time[0],
        read(chip, cell, averages=10).time[0],
        pulse(chip, Operation.SET, 1.8, 2.0, cell).time[0],
        pulse(chip, Operation.SET, 1.8, 2.0, cell, width=0.05).time[0],
        pulse(chip, Operation.SET, 1.8, 2.0, cell, width=0.5).time[0],
    ]
    assert np.diff(times) == pytest.approx([0.010, 0.005 + 0.001, 0.052 + 0.001, 0.510 + 0.001])
