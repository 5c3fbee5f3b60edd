"""Number formats of SRAM over many values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rmhil.nn.sram import INT8_MAX, SRAM_FORMATS, SramBank

FLOAT32 = st.floats(-(2.0**99), 2.0**99, width=32)
MATRICES = arrays(np.float32, array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5), elements=FLOAT32)


@pytest.mark.parametrize("name", list(SRAM_FORMATS))
@settings(deadline=None)
@given(values=MATRICES)
def test_storing_what_was_stored_changes_nothing(name: str, values: np.ndarray) -> None:
    bank = SramBank(1, name)
    once = bank.stored(torch.from_numpy(values))
    torch.testing.assert_close(bank.stored(once), once, rtol=0, atol=0, equal_nan=True)


@settings(deadline=None)
@given(values=MATRICES)
def test_int8_is_at_most_127_codes_of_one_scale_and_half_a_step_away(values: np.ndarray) -> None:
    stored = SramBank(1, "int8").stored(torch.from_numpy(values)).double().reshape(values.shape[0], -1)
    wanted = torch.from_numpy(values).double().reshape(values.shape[0], -1)
    for row, target in zip(stored, wanted, strict=True):
        largest = float(target.abs().max())
        if largest < 2 * INT8_MAX * 2.0**-126:  # smallest normal scale, with room for its rounding
            assert float((row - target).abs().max()) <= largest
            continue
        step = float(row.abs().max()) / INT8_MAX
        codes = row / step
        assert step == float(torch.tensor(step).to(torch.bfloat16))
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=0)
        assert float(codes.abs().max()) <= INT8_MAX
        assert float((row - target).abs().max()) <= step * (0.5 + 2.0**-16)


@pytest.mark.parametrize(("name", "significant"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
@settings(deadline=None)
@given(value=st.floats(2.0**-14, 6e4, width=32))
def test_floating_formats_round_to_their_significant_bits(name: str, significant: int, value: float) -> None:
    stored = SramBank(1, name).stored(torch.tensor([[value]])).item()
    assert math.isclose(stored, value, rel_tol=2.0**-significant)
