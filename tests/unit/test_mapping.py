"""Promises of `rmhil.mapping`: which conductance stands for a weight."""

from __future__ import annotations

import numpy as np
import pytest

from rmhil.backend import ArraySpec
from rmhil.errors import NotFiniteError, OutOfRangeError, ShapeError
from rmhil.mapping import DifferentialPair, Mapping, OffsetColumn, Window, blocks

SPEC = ArraySpec(provenance="test", n_arrays=1, n_bl=128, n_sl=128, conductance_min=10e-6, conductance_max=80e-6)
WEIGHT = np.array([[1.0, -0.5, 0.0], [0.25, 0.0, -1.0]])  # 2 outputs, 3 inputs


def test_a_pair_holds_the_weight_in_one_cell_and_rests_the_other() -> None:
    pair = DifferentialPair()
    window = pair.window(SPEC)
    cells = pair.conductance(WEIGHT, pair.scale(1.0, window), window)
    expected = np.array([[80, 10, 27.5, 10], [10, 45, 10, 10], [10, 10, 10, 80]]) * 1e-6
    np.testing.assert_allclose(cells, expected)


def test_an_offset_column_is_the_papers_mapping_with_a_reference_column() -> None:
    paper = OffsetColumn(low=20e-6, zero=50e-6, high=80e-6)
    window = paper.window(SPEC)
    cells = paper.conductance(WEIGHT, paper.scale(1.0, window), window)
    expected = np.array([[80, 57.5, 50], [35, 50, 50], [50, 20, 50]]) * 1e-6
    np.testing.assert_allclose(cells, expected)


def test_the_zero_of_an_offset_column_is_the_middle_of_the_window_by_default() -> None:
    offset = OffsetColumn()
    cells = offset.conductance(np.zeros((1, 1)), 1.0, offset.window(SPEC))
    np.testing.assert_allclose(cells, 45e-6)


@pytest.mark.parametrize("mapping", [DifferentialPair(), OffsetColumn()])
def test_a_tile_of_zeros_has_a_scale(mapping: Mapping) -> None:
    window = mapping.window(SPEC)
    assert mapping.scale(0.0, window) > 0
    assert not mapping.weight(mapping.conductance(np.zeros((2, 3)), mapping.scale(0.0, window), window), 1.0).any()


@pytest.mark.parametrize("mapping", [DifferentialPair(), OffsetColumn()])
def test_a_weight_beyond_the_scale_is_refused(mapping: Mapping) -> None:
    window = mapping.window(SPEC)
    with pytest.raises(OutOfRangeError, match="weight"):
        mapping.conductance(1.01 * WEIGHT, mapping.scale(1.0, window), window)


def test_weights_that_are_not_finite_are_refused() -> None:
    pair = DifferentialPair()
    with pytest.raises(NotFiniteError, match="weight"):
        pair.conductance(np.array([[np.nan]]), 1e-5, pair.window(SPEC))


def test_weights_that_are_no_matrix_are_refused() -> None:
    pair = DifferentialPair()
    with pytest.raises(ShapeError, match="weight"):
        pair.conductance(np.ones(3), 1e-5, pair.window(SPEC))


@pytest.mark.parametrize(
    "mapping",
    [
        DifferentialPair(low=5e-6),
        DifferentialPair(high=90e-6),
        DifferentialPair(low=60e-6, high=50e-6),
        OffsetColumn(zero=85e-6),
        OffsetColumn(low=20e-6, zero=20e-6),
    ],
)
def test_a_window_outside_the_targets_is_refused(mapping: Mapping) -> None:
    with pytest.raises(OutOfRangeError):
        mapping.window(SPEC)


def test_the_partner_of_a_stuck_cell_takes_its_error() -> None:
    pair = DifferentialPair()
    window = Window(10e-6, 80e-6)
    target = np.array([[40e-6, 10e-6, 10e-6, 30e-6]])
    achieved = np.array([[55e-6, np.nan, 22e-6, np.nan]])
    np.testing.assert_allclose(pair.compensate(target, achieved, window), [[40e-6, 25e-6, 10e-6, 42e-6]])


def test_compensation_stays_inside_the_window_and_spares_pairs_that_are_both_faulty() -> None:
    pair = DifferentialPair()
    window = Window(10e-6, 80e-6)
    target = np.array([[40e-6, 10e-6, 70e-6, 10e-6]])
    achieved = np.array([[20e-6, np.nan, 80e-6, 60e-6]])
    np.testing.assert_array_equal(pair.compensate(target, achieved, window), target)


def test_one_cell_a_weight_leaves_nothing_to_compensate_with() -> None:
    target = np.full((2, 3), 50e-6)
    assert OffsetColumn().compensate(target, np.full((2, 3), 20e-6), Window(10e-6, 80e-6)) is target


def test_blocks_cover_a_matrix_once() -> None:
    seen = np.zeros((70, 300), dtype=int)
    for block in blocks(70, 300, DifferentialPair(), 128, 128):
        seen[block.outputs, block.inputs] += 1
    assert (seen == 1).all()


def test_an_array_too_small_for_one_weight_is_refused() -> None:
    with pytest.raises(ShapeError, match="differential pair"):
        blocks(2, 2, DifferentialPair(), 8, 1)
