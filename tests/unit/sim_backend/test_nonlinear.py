"""Cells that are not ohmic behind the seam: MVMs and readings. The solutions themselves are in tests/property."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rmhil import Crossbar
from rmhil.backend import Cells, Read
from rmhil.line_model import LineResistances
from rmhil.wiring import Wiring
from sim_backend import SimBackend, open_backend
from sim_backend.line_factors import LineFactors
from sim_backend.nonlinear import CellCurve, nonlinear_currents

SHAPE = (6, 8)
QUIET = (
    "read-noise",
    "telegraph",
    "retention",
    "mux-spread",
    "leakage",
    "tia-offset",
    "dac-quantisation",
    "adc-quantisation",
    "adc-range",
    "adc-noise",
    "stuck-cells",
)


def programmed(**options: object) -> SimBackend:
    """A chip with a random map; cells that are not ohmic unless told otherwise."""
    settings = {"n_bl": SHAPE[0], "n_sl": SHAPE[1], "dtype": "float64", "nonlinear": True, "off": QUIET} | options
    backend = open_backend(**settings)
    crossbar = Crossbar(backend)
    crossbar.form()
    crossbar.program(np.random.default_rng(0).uniform(20e-6, 70e-6, SHAPE), tolerance=5e-6)
    return backend


def curve_of(backend: SimBackend) -> CellCurve:
    spec = backend.spec
    return CellCurve.of(backend.config.device_preset, spec.read_voltage, spec.read_gate_voltage)


@pytest.fixture
def drive() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-0.2, 0.2, (1, 3, SHAPE[0])))


def test_without_lines_an_mvm_adds_up_the_cells_curves(drive: torch.Tensor) -> None:
    with programmed(ideal=True) as backend:
        curve = curve_of(backend)
        filament, share = curve.filament(torch.from_numpy(backend.true_conductance[0]))
        expected = curve.currents(filament, share, drive[0][..., None]).sum(dim=1)
        torch.testing.assert_close(backend.mvm(drive).currents[0], expected, rtol=1e-9, atol=0.0)


def test_every_pass_is_solved_with_its_own_lines(drive: torch.Tensor) -> None:
    wiring = Wiring(bl_channels=4, sl_channels=3, bl_wire_resistance=30.0, sl_wire_resistance=30.0)
    with programmed(wiring=wiring) as backend:
        found = backend.mvm(drive).currents[0]
        lines, cells = LineResistances.nominal(wiring, *SHAPE), torch.from_numpy(backend.true_conductance)
        for sl in ([0, 1, 2], [3, 4, 5], [6, 7]):
            network = LineFactors(cells[..., sl], [lines], np.array(sl), SHAPE[1])
            expected = torch.zeros(3, len(sl), dtype=torch.float64)
            for bl in (slice(0, 4), slice(4, 6)):
                given = torch.zeros_like(drive)
                given[..., bl] = drive[..., bl]
                expected += nonlinear_currents(network, curve_of(backend), given)[0]
            torch.testing.assert_close(found[:, sl], expected, rtol=1e-8, atol=1e-14)


def test_an_mvm_follows_cells_that_are_written(drive: torch.Tensor) -> None:
    with programmed() as backend:
        backend.mvm(drive)
        target = np.full(SHAPE, np.nan)
        target[2, 3] = 60e-6
        Crossbar(backend).program(target, tolerance=5e-6)
        network = LineFactors(
            torch.from_numpy(backend.true_conductance),
            [LineResistances.nominal(backend.spec.wiring, *SHAPE)],
            np.arange(SHAPE[1]),
            SHAPE[1],
        )
        expected = nonlinear_currents(network, curve_of(backend), drive)
        torch.testing.assert_close(backend.mvm(drive).currents, expected, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(("voltage", "relative"), [(0.2, 1.0), (-0.2, 1.0), (0.1, 0.98)])
def test_a_reading_finds_the_conductance_at_the_read_voltage(voltage: float, relative: float) -> None:
    with programmed(ideal=True) as backend:
        cells = Cells.of([0, 0], [1, 4], [2, 7])
        read = Read(voltage=voltage, gate_voltage=backend.spec.read_gate_voltage)
        found = backend.apply(cells, None, read).conductance
        truth = backend.true_conductance[0, [1, 4], [2, 7]]
    np.testing.assert_allclose(found / truth, relative, rtol=2e-3)


def test_a_barely_open_transistor_limits_a_reading_as_ever() -> None:
    found = []
    for nonlinear in (False, True):
        with programmed(ideal=True, nonlinear=nonlinear) as backend:
            found.append(backend.apply(Cells.of(0, [1, 4], [2, 7]), None, Read(voltage=0.2, gate_voltage=0.7)).current)
    np.testing.assert_array_equal(*found)
