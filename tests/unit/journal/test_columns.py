from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rmhil.journal.columns import floats, packed, whole

SOME = st.integers(1, 9)


@given(arrays(np.float64, SOME, elements=st.floats(allow_infinity=False, width=64)))
def test_real_numbers_come_back_as_they_were(values: np.ndarray) -> None:
    np.testing.assert_array_equal(floats(packed(values), len(values)), values)


@given(arrays(np.int64, SOME, elements=st.integers(0, 2**31 - 1)))
def test_whole_numbers_come_back_as_they_were(values: np.ndarray) -> None:
    np.testing.assert_array_equal(whole(packed(values), len(values)), values)


def test_what_all_cells_share_is_one_plain_number() -> None:
    assert packed(np.array([2.0, 2.0, 2.0])) == 2.0
    assert packed(np.array([7])) == 7
    assert packed(np.array([np.nan, np.nan])) is None


def test_a_column_of_another_length_is_damaged() -> None:
    column = packed(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="24 bytes in a column of 2 cells, expected 16"):
        floats(column, 2)
    with pytest.raises(ValueError, match="missing"):
        whole(None, 2)
