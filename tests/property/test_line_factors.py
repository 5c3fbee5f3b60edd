"""Changes and injected currents on a held factorisation, against networks solved anew; cells that are not ohmic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import Floats
from rmhil.errors import ConvergenceError, OutOfRangeError
from rmhil.line_model import LineResistances, effective_matrix
from sim_backend.line_factors import LineFactors
from sim_backend.nonlinear import CellCurve, nonlinear_currents
from tests.property.test_line_network import AGREEMENT, draw, ends, seeds

sizes = st.tuples(st.integers(1, 11), st.integers(1, 14))
"""From one leaf to several levels of blocks, filled up or not."""

CURVE = CellCurve(reference=0.2, bend=0.3, gain=2e-4, overdrive=4.0)


def drawn_network(
    seed: int, size: tuple[int, int], both: tuple[bool, bool]
) -> tuple[LineFactors, LineResistances, list[int]]:
    conductance, lines, on = draw(seed, *size)
    lines = replace(lines, bl_both_ends=both[0], sl_both_ends=both[1])
    cells = torch.from_numpy(conductance[:, on])[None]
    return LineFactors(cells, [lines], np.array(on), size[1]), lines, on


def solved_anew(network: LineFactors, lines: LineResistances, on: list[int]) -> Floats:
    whole = np.zeros((lines.bl_source.size, lines.sl_load.size))
    whole[:, on] = network.conductance[0].numpy()
    return effective_matrix(whole, lines, on)


@given(seeds, sizes, ends, st.integers(1, 20))
def test_an_updated_matrix_equals_one_solved_anew(
    seed: int, size: tuple[int, int], both: tuple[bool, bool], changes: int
) -> None:
    """Any cells in any order, several in a line, some of them again, some from or to no conductance at all.

    Its own bound of the error holds always, and stays small unless nearly all conductance of the array is gone.
    """
    network, lines, on = drawn_network(seed, size, both)
    rng = np.random.default_rng(seed)
    largest = 0.0
    for _ in range(changes):
        cell = int(rng.integers(size[0])), int(rng.integers(len(on)))
        largest = max(largest, float(network.effective.max()))
        network.change(0, *cell, float(rng.choice([0.0, 10 ** rng.uniform(-9, -3)])))
    found, expected = network.effective[0].numpy(), solved_anew(network, lines, on)
    error = np.abs(found - expected).max()
    scale = expected.max()
    assert error <= network.error * scale if scale > 0.0 else error <= network.error
    assert network.error <= AGREEMENT or scale < 1e-4 * largest


def test_a_thousand_changes_of_an_array_stay_within_the_stated_error() -> None:
    rng = np.random.default_rng(2)
    n = 40
    lines = LineResistances(
        bl_source=rng.uniform(10, 500, n), sl_load=rng.uniform(10, 500, n), bl_segment=10.0, sl_segment=10.0
    )
    network = LineFactors(torch.from_numpy(rng.uniform(10e-6, 80e-6, (1, n, n))), [lines], np.arange(n), n)
    for _ in range(1000):
        network.change(0, int(rng.integers(n)), int(rng.integers(n)), float(rng.choice([0.0, rng.uniform(0, 80e-6)])))
    expected = solved_anew(network, lines, list(range(n)))
    assert np.abs(network.effective[0].numpy() - expected).max() <= network.error * np.abs(expected).max()
    assert network.error < 1e-11


def test_arrays_held_together_change_one_by_one() -> None:
    rng = np.random.default_rng(3)
    lines = [
        LineResistances(bl_source=rng.uniform(1, 900, 6), sl_load=rng.uniform(1, 900, 9), bl_segment=5, sl_segment=7)
        for _ in range(3)
    ]
    cells = torch.from_numpy(rng.uniform(0, 80e-6, (3, 6, 9)))
    network = LineFactors(cells, lines, np.arange(9), 9)
    network.change(1, 5, 8, 50e-6)
    network.change(2, 0, 0, 0.0)
    assert float(cells[1, 5, 8]) != 50e-6  # the caller's tensor is its own
    for array, of_array in enumerate(lines):
        expected = effective_matrix(network.conductance[array].numpy(), of_array)
        np.testing.assert_allclose(network.effective[array].numpy(), expected, rtol=AGREEMENT)


@given(seeds, sizes, ends)
def test_a_current_injected_at_a_cell_acts_as_a_conductance_that_carries_it(
    seed: int, size: tuple[int, int], both: tuple[bool, bool]
) -> None:
    network, lines, on = drawn_network(seed, size, both)
    rng = np.random.default_rng(seed)
    drive = torch.from_numpy(rng.uniform(-0.2, 0.2, (1, 3, size[0])))
    extra = torch.from_numpy(10 ** rng.uniform(-9, -4, (1, 1, size[0], len(on))))
    changed = LineFactors(network.conductance + extra[0], [lines], np.array(on), size[1])
    none = torch.zeros(1, 3, size[0], len(on), dtype=torch.float64)
    expected, volts = changed.respond(drive, none)
    found, across = network.respond(drive, extra * volts)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0.0, atol=AGREEMENT * scale)
    torch.testing.assert_close(across, volts, rtol=0.0, atol=AGREEMENT * float(volts.abs().max()))
    torch.testing.assert_close(expected, torch.bmm(drive, changed.effective), rtol=0.0, atol=AGREEMENT * scale)


def dense_newton(conductance: Floats, lines: LineResistances, drive: Floats, curve: CellCurve) -> Floats:
    """Currents of an array of bent cells by Newton's method on all its nodes at once; near ends only."""
    n_bl, n_sl = conductance.shape
    cells, nodes = n_bl * n_sl, 2 * n_bl * n_sl
    admittance, source = np.zeros((nodes, nodes)), np.zeros(nodes)
    bl, sl = np.arange(cells).reshape(n_bl, n_sl), cells + np.arange(cells).reshape(n_bl, n_sl)
    pairs = [(a, b, 1 / lines.bl_segment) for a, b in zip(bl[:, :-1].flat, bl[:, 1:].flat, strict=True)]
    pairs += [(a, b, 1 / lines.sl_segment) for a, b in zip(sl[:-1].flat, sl[1:].flat, strict=True)]
    for a, b, siemens in pairs:
        admittance[[a, b], [a, b]] += siemens
        admittance[[a, b], [b, a]] -= siemens
    near, load = 1 / (lines.bl_source + lines.bl_segment), 1 / (lines.sl_load + lines.sl_segment)
    admittance[bl[:, 0], bl[:, 0]] += near
    admittance[sl[-1], sl[-1]] += load
    source[bl[:, 0]] = near * drive
    across = np.hstack([np.eye(cells), -np.eye(cells)])
    filament, share = curve.filament(torch.from_numpy(conductance.ravel()))

    def currents(volts: Floats) -> Floats:
        return np.asarray(curve.currents(filament, share, torch.from_numpy(volts)))

    volts, step = np.linalg.solve(admittance + across.T @ (conductance.ravel()[:, None] * across), source), 1e-6
    for _ in range(30):
        over = across @ volts
        slope = (currents(over + step) - currents(over - step)) / (2 * step)
        residual = admittance @ volts + across.T @ currents(over) - source
        volts = volts - np.linalg.solve(admittance + across.T @ (slope[:, None] * across), residual)
    return np.asarray(volts[sl[-1]] * load)


@pytest.mark.parametrize("gain", [2e-4, float("inf")], ids=["with a transistor", "without"])
@pytest.mark.parametrize("bend", [0.1, 0.5, float("inf")])
def test_bent_cells_agree_with_newton_on_all_nodes(bend: float, gain: float) -> None:
    rng = np.random.default_rng(7)
    conductance = rng.uniform(0.0, 80e-6, (7, 9))
    lines = LineResistances(
        bl_source=rng.uniform(100, 900, 7), sl_load=rng.uniform(100, 900, 9), bl_segment=20.0, sl_segment=30.0
    )
    curve = CellCurve(reference=0.2, bend=bend, gain=gain, overdrive=4.0)
    drive = rng.uniform(-0.2, 0.2, (3, 7))
    network = LineFactors(torch.from_numpy(conductance)[None], [lines], np.arange(9), 9)
    found = nonlinear_currents(network, curve, torch.from_numpy(drive)[None])[0].numpy()
    expected = np.stack([dense_newton(conductance, lines, vector, curve) for vector in drive])
    assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max()


@given(st.floats(1e-9, 100e-6), st.sampled_from([0.1, 0.5, float("inf")]), st.sampled_from([2e-4, float("inf")]))
def test_every_curve_is_ohmic_at_the_read_voltage_and_rises(conductance: float, bend: float, gain: float) -> None:
    curve = CellCurve(reference=0.2, bend=bend, gain=gain, overdrive=4.0)
    filament, share = curve.filament(torch.tensor([conductance], dtype=torch.float64))
    volts = torch.linspace(-0.2, 0.2, 41, dtype=torch.float64)
    flowing = curve.currents(filament, share, volts)
    assert float(flowing[-1]) == pytest.approx(conductance * 0.2, rel=1e-12)
    assert bool((flowing.diff() > 0).all())
    assert float(flowing[20]) == pytest.approx(0.0, abs=1e-15 * conductance)


def test_lines_too_weak_for_a_curve_are_an_error_that_says_so() -> None:
    lines = LineResistances(bl_source=np.full(4, 1e6), sl_load=np.full(4, 1e6), bl_segment=0.0, sl_segment=0.0)
    network = LineFactors(torch.full((1, 4, 4), 80e-6, dtype=torch.float64), [lines], np.arange(4), 4)
    sharp = CellCurve(reference=0.2, bend=0.01, gain=float("inf"), overdrive=4.0)
    with pytest.raises(ConvergenceError, match="after 60 iterations"):
        nonlinear_currents(network, sharp, torch.full((1, 1, 4), 0.2, dtype=torch.float64))


def test_a_transistor_that_cannot_carry_its_cell_is_an_error_that_names_the_currents() -> None:
    with pytest.raises(OutOfRangeError, match=r"0.002 A, allowed 0 to below 0.0016 A"):
        CURVE.filament(torch.tensor([10e-3], dtype=torch.float64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_finds_the_same_matrices_before_and_after_changes() -> None:
    rng = np.random.default_rng(4)
    lines = [
        LineResistances(bl_source=rng.uniform(1, 900, 33), sl_load=rng.uniform(1, 900, 20), bl_segment=5, sl_segment=7)
        for _ in range(2)
    ]
    cells = torch.from_numpy(rng.uniform(0, 80e-6, (2, 33, 20)))
    held = [LineFactors(cells.to(device), lines, np.arange(20), 20) for device in ("cpu", "cuda")]
    for network in held:
        network.change(1, 20, 3, 10e-6)
    torch.testing.assert_close(held[1].effective.cpu(), held[0].effective, rtol=AGREEMENT, atol=0.0)
    drive = torch.from_numpy(rng.uniform(-0.2, 0.2, (2, 3, 33)))
    currents = [nonlinear_currents(network, CURVE, drive.to(network.effective.device)).cpu() for network in held]
    torch.testing.assert_close(currents[1], currents[0], rtol=AGREEMENT, atol=0.0)
