"""How the noise of single cells comes through the lines, against changing them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rmhil.backend import Ints
from rmhil.line_model import LineResistances
from rmhil.line_solver import LineTensors, solve
from rmhil.wiring import Wiring
from sim_backend.cell_noise import CellNoise, cell_noise

N_BL, N_SL = 20, 12
READ_NOISE = 0.003
STEP = 1e-4
"""1: relative change of a cell for a derivative."""

LINES = {
    "defaults": Wiring(),
    "multiplexers alone": Wiring(bl_wire_resistance=0.0, sl_wire_resistance=0.0),
    "wires alone": Wiring(
        bl_routing_resistance=0.0, sl_routing_resistance=0.0, bl_wire_resistance=8.0, sl_wire_resistance=8.0
    ),
    "both ends": Wiring(bl_driven_from="both ends", sl_sensed_at="both ends", sl_wire_resistance=4.0),
    "free BLs from both ends": Wiring(bl_driven_from="both ends", bl_routing_resistance=0.0, bl_wire_resistance=0.0),
}


class Array:
    """One array with random cells on some SLs, and the derivative of every current by every cell."""

    def __init__(self, wiring: Wiring, sl: Ints | None = None) -> None:
        self.sl = np.arange(N_SL) if sl is None else sl
        self.lines = LineResistances.nominal(wiring, N_BL, N_SL)
        random = np.random.default_rng(1)
        self.cells = torch.from_numpy(random.uniform(10e-6, 80e-6, (N_BL, self.sl.size)))
        self.effective = self.solve(self.cells[None])[0]

    def solve(self, cells: torch.Tensor) -> torch.Tensor:
        return solve(cells, self.sl.tolist(), N_SL, self.tensors(len(cells)))

    def tensors(self, arrays: int) -> LineTensors:
        return LineTensors.of([self.lines] * arrays, self.sl, torch.device("cpu"))

    def derivative(self) -> torch.Tensor:
        """S per relative change, (cells, n_bl, k)."""
        changed = self.cells.expand(self.cells.numel(), *self.cells.shape).clone()
        each = torch.arange(len(changed))
        changed.view(len(changed), -1)[each, each] *= 1 + STEP
        return (self.solve(changed) - self.effective) / STEP

    def noise(self, relative: torch.Tensor | None = None) -> CellNoise:
        given = torch.full_like(self.cells, READ_NOISE**2) if relative is None else relative
        return cell_noise(given[None], self.cells[None], self.effective[None], self.tensors(1), self.sl, N_SL)


def inputs() -> dict[str, torch.Tensor]:
    """V, (vectors, n_bl), of several kinds."""
    random = torch.from_numpy(np.random.default_rng(2).uniform(-0.2, 0.2, (200, N_BL)))
    return {
        "of both signs": random,
        "of one sign": random.abs(),
        "half of them zero": random.clamp_min(0.0),
        "all alike": torch.full((1, N_BL), 0.2, dtype=torch.float64),
        "one at a time": 0.2 * torch.eye(N_BL, dtype=torch.float64),
    }


def deviations(noise: CellNoise, volts: torch.Tensor, currents: torch.Tensor) -> torch.Tensor:
    """A, (vectors, k): standard deviation of the currents."""
    return (volts.square() @ noise.variance[0] + noise.shielding[0] * currents.square()).sqrt()


@pytest.mark.parametrize("wiring", LINES.values(), ids=list(LINES))
def test_a_cells_own_current_follows_from_the_ladders_of_its_lines(wiring: Wiring) -> None:
    array = Array(wiring)
    own = torch.einsum("ijij->ij", array.derivative().view(N_BL, N_SL, N_BL, N_SL))
    torch.testing.assert_close(array.noise().variance[0].sqrt() / READ_NOISE, own, rtol=0.01, atol=0.0)


@pytest.mark.parametrize("wiring", LINES.values(), ids=list(LINES))
def test_the_noise_of_a_current_is_that_of_all_cells_together(wiring: Wiring) -> None:
    """Cells of all lines, through all lines, whatever the inputs; to first order in the noise."""
    array = Array(wiring)
    derivative, noise = array.derivative(), array.noise()
    for kind, volts in inputs().items():
        exact = READ_NOISE * torch.einsum("vn,cnk->cvk", volts, derivative).square().sum(dim=0).sqrt()
        ratio = deviations(noise, volts, volts @ array.effective) / exact
        assert abs(float(ratio.mean()) - 1.0) < 0.015, kind
        if kind != "one at a time":  # where little but the cell itself counts is held to the test above
            assert float((ratio - 1.0).abs().max()) < 0.06, kind


def test_source_lines_that_are_off_load_no_ladder() -> None:
    array = Array(Wiring(bl_wire_resistance=5.0), np.array([1, 2, 7, 11]))
    own = torch.einsum("ijij->ij", array.derivative().view(N_BL, 4, N_BL, 4))
    torch.testing.assert_close(array.noise().variance[0].sqrt() / READ_NOISE, own, rtol=0.01, atol=0.0)


def test_without_resistance_the_variance_is_exact() -> None:
    free = dict.fromkeys(
        ("bl_routing_resistance", "sl_routing_resistance", "bl_wire_resistance", "sl_wire_resistance"), 0.0
    )
    for ends in ({}, {"bl_driven_from": "both ends", "sl_sensed_at": "both ends"}):
        array = Array(Wiring(**free, **ends))
        noise = array.noise()
        torch.testing.assert_close(noise.variance[0], (READ_NOISE * array.cells).square(), rtol=1e-12, atol=0.0)
        assert not noise.shielding.any()


@pytest.mark.parametrize("routing", [125.0, 470.0, 5000.0])
def test_the_variance_is_positive_for_any_inputs(routing: float) -> None:
    """Also for those that drive the most current through the fewest fluctuating cells."""
    array = Array(Wiring(bl_routing_resistance=routing, sl_routing_resistance=routing))
    noisy = torch.full_like(array.cells, READ_NOISE**2)
    noisy[:3] *= 1e-4
    noise = array.noise(noisy)
    worst = (array.effective / noise.variance[0]).mT  # one vector a column: Cauchy and Schwarz
    worst = 0.2 * worst / worst.abs().amax(dim=1, keepdim=True)
    for volts in (worst, *inputs().values()):
        assert deviations(noise, volts, volts @ array.effective).min() > 0.0


def test_quiet_cells_make_no_noise() -> None:
    array = Array(Wiring())
    relative = torch.zeros_like(array.cells)
    noise = array.noise(relative)
    assert not noise.variance.any()
    assert not noise.shielding.any()
    relative[4, 5] = 0.01**2
    noise = array.noise(relative)
    assert noise.variance.count_nonzero() == 1
    assert float(noise.variance[0, 4, 5].sqrt()) == pytest.approx(0.01 * float(array.effective[4, 5]), rel=0.05)
    assert noise.shielding.abs().max() < 1e-100  # no bound for what is not shielded by others
