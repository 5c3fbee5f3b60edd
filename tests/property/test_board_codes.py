"""Codes on the way to the board and back are those of the simulator's converters, line by line and pass by pass."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rmhil.backend import Pass, line_passes
from rmhil.bench.board_codes import Inputs, Sums, adc_codes
from rmhil.bench.board_map import VECTOR_LINES
from rmhil.wiring import Wiring
from sim_backend.config import SimConfig
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY

REST = 39322
WIRING = Wiring()
PERIPHERIES = {dtype: Periphery(SimConfig(dtype=dtype), PERIPHERY) for dtype in ("float32", "float64")}

LINES = st.lists(st.integers(0, 127), min_size=1, max_size=128, unique=True).map(lambda lines: np.array(sorted(lines)))


@given(st.sampled_from(sorted(PERIPHERIES)), st.data())
def test_volts_become_the_codes_of_the_simulator(dtype: str, data: st.DataObject) -> None:
    width = 32 if dtype == "float32" else 64
    near = st.integers(-5242, 5242).map(lambda code: (code + 0.5) * WIRING.dac_lsb)  # where rounding turns
    volts = st.floats(-0.1875, 0.1875, width=width) | near
    given_volts = data.draw(hnp.arrays(dtype, (2, 6), elements=volts.map(np.dtype(dtype).type)))
    rows = np.arange(6)
    codes = Inputs(given_volts, rows, WIRING, REST).of_pass(Pass(bl=rows, sl=rows), slice(None))[:, rows]
    expected = torch.empty(given_volts.shape, dtype=getattr(torch, dtype))
    PERIPHERIES[dtype].drive(torch.from_numpy(given_volts), expected)
    np.testing.assert_array_equal(codes.astype(np.int64) - REST, expected.numpy())


@given(LINES, st.integers(1, 4))
def test_each_line_of_a_pass_gets_its_own_code_and_all_others_rest(lines: np.ndarray, batch: int) -> None:
    codes = np.arange(batch * lines.size).reshape(batch, -1) - 7
    inputs = Inputs(codes * WIRING.dac_lsb, lines, WIRING, REST)
    seen = np.full((batch, 128), REST)
    for one in line_passes(lines, np.array([0]), VECTOR_LINES, VECTOR_LINES):
        vectors = inputs.of_pass(one, slice(None))
        assert vectors.shape == (batch, VECTOR_LINES)
        others = np.setdiff1d(np.arange(VECTOR_LINES), one.bl % VECTOR_LINES)
        assert (vectors[:, others] == REST).all()
        seen[:, one.bl] = vectors[:, one.bl % VECTOR_LINES]
    expected = np.full((batch, 128), REST)
    expected[:, lines] += codes
    np.testing.assert_array_equal(seen, expected)


@given(hnp.arrays(np.uint16, 40, elements=st.integers(0, 65535)))
def test_results_are_twos_complement_of_fourteen_bits(words: np.ndarray) -> None:
    low = words.astype(int) & 0x3FFF
    np.testing.assert_array_equal(adc_codes(words), np.where(low >= 0x2000, low - 0x4000, low))


@given(LINES, st.integers(1, 3))
def test_sums_hold_every_pass_of_every_sensed_line(lines: np.ndarray, batch: int) -> None:
    rng = np.random.default_rng(lines.sum())
    sums = Sums(batch, lines)
    codes, full = np.zeros((batch, 128), dtype=int), np.zeros((batch, 128), dtype=bool)
    for one in line_passes(np.array([0, 64]), lines, VECTOR_LINES, VECTOR_LINES):
        given_codes = rng.integers(-8192, 8192, (batch, VECTOR_LINES))
        ends = np.isin(given_codes, (-8192, 8191)) | (rng.random(given_codes.shape) < 0.1)
        words = ((given_codes & 0x3FFF) | ends << 15).astype(np.uint16)
        assert sums.add(one, slice(None), words) == []
        codes[:, one.sl] += given_codes[:, one.sl % VECTOR_LINES]
        full[:, one.sl] |= ends[:, one.sl % VECTOR_LINES]
    result = sums.products(WIRING, np.dtype(np.float64))
    np.testing.assert_array_equal(result.codes, codes[:, lines])
    np.testing.assert_array_equal(result.over_range, full[:, lines])
    np.testing.assert_array_equal(result.currents, codes[:, lines] * WIRING.adc_lsb)
