"""The line model against a dense nodal solve of the whole network, and its exact limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import ArraySpec, Floats
from rmhil.line_model import (
    LineResistances,
    cell_conductance,
    effective_matrix,
    measured_matrix,
    series_resistance,
    series_resistances,
)
from rmhil.line_solver import LineTensors, solve
from rmhil.wiring import Wiring
from tests.arrays import nodal_matrix

AGREEMENT = 1e-9
"""1, relative to the largest element: round-off of the dense solve is some 1e-13."""

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
"""From one block of cells to sixteen of them, filled up or not."""
ends = st.tuples(st.booleans(), st.booleans())


def draw(seed: int, n_bl: int, n_sl: int) -> tuple[Floats, LineResistances, list[int]]:
    """Conductances from virgin to beyond the window, resistances from a good wire to a bad switch."""
    rng = np.random.default_rng(seed)
    lines = LineResistances(
        bl_source=10 ** rng.uniform(0, 4, n_bl),
        sl_load=10 ** rng.uniform(0, 4, n_sl),
        bl_segment=10 ** rng.uniform(-1, 3),
        sl_segment=10 ** rng.uniform(-1, 3),
    )
    on = sorted(rng.choice(n_sl, size=rng.integers(1, n_sl + 1), replace=False).tolist())
    return 10 ** rng.uniform(-9, -3, (n_bl, n_sl)), lines, on


@given(seeds, sizes, ends)
def test_effective_matrix_equals_a_nodal_solve(seed: int, size: tuple[int, int], both: tuple[bool, bool]) -> None:
    conductance, lines, on = draw(seed, *size)
    lines = replace(lines, bl_both_ends=both[0], sl_both_ends=both[1])
    found, expected = effective_matrix(conductance, lines, on), nodal_matrix(conductance, lines, on)
    assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max()


@pytest.mark.parametrize("both", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("wire", [0.5, 10.0])
def test_effective_matrix_of_32_x_32_equals_a_nodal_solve(wire: float, both: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(32)
    lines = LineResistances(
        bl_source=rng.uniform(100, 500, 32),
        sl_load=rng.uniform(100, 500, 32),
        bl_segment=wire,
        sl_segment=wire,
        bl_both_ends=both[0],
        sl_both_ends=both[1],
    )
    conductance, every = rng.uniform(10e-6, 80e-6, (32, 32)), list(range(32))
    found, expected = effective_matrix(conductance, lines), nodal_matrix(conductance, lines, every)
    np.testing.assert_allclose(found, expected, rtol=AGREEMENT)


@given(seeds, st.integers(2, 4), st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_arrays_solved_together_are_solved_as_if_alone(seed: int, arrays: int, size: tuple[int, int]) -> None:
    drawn = [draw(seed + number, *size)[:2] for number in range(arrays)]
    on = np.arange(size[1])
    lines = [replace(own, bl_segment=2.0, sl_segment=3.0) for _, own in drawn]
    cells = torch.from_numpy(np.stack([conductance for conductance, _ in drawn]))
    together = solve(cells, on.tolist(), size[1], LineTensors.of(lines, on, cells.device))
    for matrix, (conductance, _), own in zip(together, drawn, lines, strict=True):
        np.testing.assert_allclose(matrix.numpy(), effective_matrix(conductance, own), rtol=AGREEMENT)


@given(seeds, sizes, ends)
def test_without_any_resistance_the_matrix_is_the_conductance(
    seed: int, size: tuple[int, int], both: tuple[bool, bool]
) -> None:
    conductance, lines, on = draw(seed, *size)
    none = LineResistances(
        bl_source=0 * lines.bl_source,
        sl_load=0 * lines.sl_load,
        bl_segment=0.0,
        sl_segment=0.0,
        bl_both_ends=both[0],
        sl_both_ends=both[1],
    )
    np.testing.assert_array_equal(effective_matrix(conductance, none, on), conductance[:, on])


@given(seeds, sizes, ends, st.sampled_from(["bl_source", "sl_load", "bl_segment", "sl_segment"]))
def test_a_resistance_of_zero_is_the_limit_of_a_small_one(
    seed: int, size: tuple[int, int], both: tuple[bool, bool], name: str
) -> None:
    conductance, lines, on = draw(seed, *size)
    lines = replace(lines, bl_both_ends=both[0], sl_both_ends=both[1])
    zero = replace(lines, **{name: 0 * getattr(lines, name)})
    tiny = replace(lines, **{name: 0 * getattr(lines, name) + 1e-8})
    found, near = effective_matrix(conductance, zero, on), effective_matrix(conductance, tiny, on)
    np.testing.assert_allclose(found, near, rtol=1e-7, atol=1e-9 * np.abs(near).max())


@given(seeds, sizes, ends)
def test_a_lone_cell_is_in_series_with_its_lines(seed: int, size: tuple[int, int], both: tuple[bool, bool]) -> None:
    conductance, lines, _ = draw(seed, *size)
    lines = replace(lines, bl_both_ends=both[0], sl_both_ends=both[1])
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(size[0])), int(rng.integers(size[1]))
    lone = np.zeros(size)
    lone[row, column] = conductance[row, column]
    series = series_resistances(lines, np.array(row), np.array(column))
    expected = 1 / (series + 1 / conductance[row, column])
    assert effective_matrix(lone, lines, [column])[row, 0] == pytest.approx(float(expected), rel=1e-9)
    current = 0.2 * expected
    assert float(cell_conductance(current, 0.2, series)) == pytest.approx(conductance[row, column], rel=1e-9)


@given(seeds, sizes)
def test_lines_only_take_current_away(seed: int, size: tuple[int, int]) -> None:
    """Through sneak paths a weak cell may seem stronger; what enters or leaves a whole line may not."""
    conductance, lines, on = draw(seed, *size)
    matrix, cells = effective_matrix(conductance, lines, on), conductance[:, on]
    assert np.all(matrix > 0)
    assert np.all(matrix.sum(axis=0) <= cells.sum(axis=0) * (1 + 1e-12))
    assert np.all(matrix.sum(axis=1) <= cells.sum(axis=1) * (1 + 1e-12))


def spec_of(wiring: Wiring, n_bl: int, n_sl: int) -> ArraySpec:
    return ArraySpec(
        provenance="test",
        n_arrays=1,
        n_bl=n_bl,
        n_sl=n_sl,
        conductance_min=10e-6,
        conductance_max=80e-6,
        wiring=wiring,
    )


@given(seeds)
def test_measured_matrix_solves_each_bank_of_source_lines_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    conductance = rng.uniform(10e-6, 80e-6, (6, 8))
    wiring = Wiring(sl_channels=3, bl_channels=4)
    spec = spec_of(wiring, 6, 8)
    lines = LineResistances.nominal(wiring, 6, 8)
    banks = [nodal_matrix(conductance, lines, bank) for bank in ([0, 1, 2], [3, 4, 5], [6, 7])]
    whole = np.concatenate(banks, axis=1)
    np.testing.assert_allclose(measured_matrix(spec, conductance), whole, rtol=AGREEMENT)
    some = measured_matrix(spec, conductance, bl=[1, 4], sl=[0, 2, 6])
    first, last = nodal_matrix(conductance, lines, [0, 2]), nodal_matrix(conductance, lines, [6])
    np.testing.assert_allclose(some, np.concatenate([first, last], axis=1)[[1, 4]], rtol=AGREEMENT)


def test_routing_alone_turns_80_microsiemens_into_74_at_470_ohm_each() -> None:
    wiring = Wiring(bl_routing_resistance=470, sl_routing_resistance=470, bl_wire_resistance=0, sl_wire_resistance=0)
    series = series_resistance(spec_of(wiring, 4, 4), 0, 0)
    assert 1 / (series + 1 / 80e-6) == pytest.approx(74.4e-6, rel=1e-3)


def test_a_full_size_array_agrees_with_a_sparse_solve() -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    n = 128
    rng = np.random.default_rng(5)
    conductance = rng.uniform(10e-6, 80e-6, (n, n))
    lines = LineResistances.nominal(Wiring(bl_wire_resistance=5.0, sl_wire_resistance=5.0), n, n)
    bl_node, sl_node = np.arange(n * n).reshape(n, n), n * n + np.arange(n * n).reshape(n, n)
    joins = [
        (bl_node, sl_node, conductance),
        (bl_node[:, :-1], bl_node[:, 1:], np.full((n, n - 1), 1 / lines.bl_segment)),
        (sl_node[:-1], sl_node[1:], np.full((n - 1, n), 1 / lines.sl_segment)),
    ]
    near = 1 / (lines.bl_source + lines.bl_segment)
    load = 1 / (lines.sl_load + lines.sl_segment)
    rows, columns, values = [bl_node[:, 0], sl_node[-1]], [bl_node[:, 0], sl_node[-1]], [near, load]
    for a, b, siemens in joins:
        for row, column, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            rows.append(row.ravel())
            columns.append(column.ravel())
            values.append(sign * siemens.ravel())
    admittance = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsc()
    source = np.zeros((2 * n * n, 3))
    driven = [0, 60, 127]
    source[bl_node[driven, 0], [0, 1, 2]] = near[driven]
    expected = splu(admittance).solve(source)[sl_node[-1]].T * load
    found = effective_matrix(conductance, lines)[driven]
    assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max()
