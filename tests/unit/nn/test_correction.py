"""Promises of the digital correction of lines."""

from __future__ import annotations

import numpy as np
import pytest

from rmhil.backend import ArraySpec, Floats
from rmhil.line_model import measured_matrix
from rmhil.mapping import DifferentialPair, Mapping, OffsetColumn
from rmhil.nn.correction import fit_gains

SPEC = ArraySpec(provenance="test", n_arrays=1, n_bl=64, n_sl=64, conductance_min=10e-6, conductance_max=80e-6)


def programmed(mapping: Mapping, weight: Floats) -> tuple[Floats, Floats]:
    """Conductances of a tile, and its uncorrected readout gains."""
    window = mapping.window(SPEC)
    scale = mapping.scale(float(np.abs(weight).max()), window)
    return mapping.conductance(weight, scale, window), mapping.readout(len(weight)) / scale


def weights(n_out: int, n_in: int) -> Floats:
    return np.random.default_rng(0).normal(size=(n_out, n_in))


@pytest.mark.parametrize("mapping", [DifferentialPair(), OffsetColumn()])
def test_without_line_resistance_nothing_is_corrected(mapping: Mapping) -> None:
    weight = weights(5, 7)
    cells, readout = programmed(mapping, weight)
    factors, gains = fit_gains(cells, weight, readout)
    np.testing.assert_allclose(factors, 1.0, rtol=1e-12)
    np.testing.assert_allclose(gains, readout, rtol=1e-12)


@pytest.mark.parametrize(("mapping", "left"), [(DifferentialPair(), 0.005), (OffsetColumn(), 0.05)])
def test_what_lines_cost_is_taken_back_to_a_small_rest(mapping: Mapping, left: float) -> None:
    """Uncorrected, the default board loses more than a tenth; `left` is the share that is not separable."""
    weight = weights(30, 50)
    cells, readout = programmed(mapping, weight)
    conductance = np.full((64, 64), 5e-9)
    conductance[:50, : cells.shape[1]] = cells
    matrix = measured_matrix(SPEC, conductance, np.arange(50), np.arange(cells.shape[1]))
    factors, gains = fit_gains(matrix, weight, readout)
    size = np.linalg.norm(weight)
    assert np.linalg.norm(readout @ matrix.T - weight) / size > 0.1
    assert np.linalg.norm((gains @ matrix.T) * factors - weight) / size < left


def test_factors_use_the_full_scale_and_never_exceed_it() -> None:
    weight = weights(6, 9)
    cells, readout = programmed(DifferentialPair(), weight)
    factors, _ = fit_gains(cells * np.linspace(0.5, 1.0, 9)[:, None], weight, readout)
    assert np.abs(factors).max() == 1.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_weights_that_determine_nothing_leave_the_gains_near_their_start(shape: tuple[int, int]) -> None:
    """Rows and columns of zeros: the fit must not turn the rounding of cells into huge gains."""
    weight = np.zeros(shape)
    weight[0, 0] = 1.0
    cells, readout = programmed(DifferentialPair(), weight)
    noise = 1e-7 * np.random.default_rng(1).normal(size=cells.shape)
    factors, gains = fit_gains(cells + noise, weight, readout)
    assert np.abs(gains).max() < 2 * np.abs(readout).max()
    assert np.abs(factors).min() > 0.5


def test_a_tile_of_zeros_is_not_corrected() -> None:
    weight = np.zeros((3, 4))
    cells, readout = programmed(DifferentialPair(), weight)
    factors, gains = fit_gains(cells, weight, readout)
    np.testing.assert_array_equal(factors, 1.0)
    np.testing.assert_array_equal(gains, readout)
