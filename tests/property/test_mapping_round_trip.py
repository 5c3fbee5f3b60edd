"""Weights survive the way to conductances and back, whatever the mapping."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rmhil.backend import ArraySpec, Floats
from rmhil.mapping import DifferentialPair, Mapping, OffsetColumn, blocks

SPEC = ArraySpec(provenance="test", n_arrays=1, n_bl=128, n_sl=128, conductance_min=10e-6, conductance_max=80e-6)
WEIGHTS = array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e3, 1e3, allow_subnormal=False))
)
MAPPINGS = st.one_of(
    st.just(DifferentialPair()),
    st.builds(OffsetColumn, zero=st.floats(11e-6, 79e-6)),
    st.just(OffsetColumn(low=20e-6, zero=50e-6, high=80e-6)),
)


@given(weight=WEIGHTS, mapping=MAPPINGS, room=st.floats(1.0, 10.0))
@settings(max_examples=150, deadline=None)
def test_weights_come_back_from_their_conductances(weight: Floats, mapping: Mapping, room: float) -> None:
    window = mapping.window(SPEC)
    largest = float(np.abs(weight).max())
    scale = mapping.scale(room * largest, window)
    cells = mapping.conductance(weight, scale, window)
    assert cells.shape == (weight.shape[1], mapping.n_sl(weight.shape[0]))
    assert cells.min() >= window.low
    assert cells.max() <= window.high
    np.testing.assert_allclose(mapping.weight(cells, scale), weight, rtol=0, atol=1e-9 * (largest or 1.0))


@given(weight=WEIGHTS, mapping=MAPPINGS)
@settings(max_examples=50, deadline=None)
def test_the_readout_of_the_cells_is_the_weight(weight: Floats, mapping: Mapping) -> None:
    window = mapping.window(SPEC)
    largest = float(np.abs(weight).max())
    scale = mapping.scale(largest, window)
    cells = mapping.conductance(weight, scale, window)
    readout = mapping.readout(len(weight)) / scale
    np.testing.assert_allclose(readout @ cells.T, weight, rtol=0, atol=1e-9 * (largest or 1.0))


@given(
    n_out=st.integers(1, 60),
    n_in=st.integers(1, 60),
    n_bl=st.integers(1, 40),
    n_sl=st.integers(2, 40),
    mapping=MAPPINGS,
)
@settings(max_examples=100, deadline=None)
def test_blocks_fit_the_array_and_cover_the_matrix_once(
    n_out: int, n_in: int, n_bl: int, n_sl: int, mapping: Mapping
) -> None:
    seen = np.zeros((n_out, n_in), dtype=int)
    for block in blocks(n_out, n_in, mapping, n_bl, n_sl):
        part = seen[block.outputs, block.inputs]
        part += 1
        assert part.shape[1] <= n_bl
        assert mapping.n_sl(part.shape[0]) <= n_sl
    assert (seen == 1).all()
