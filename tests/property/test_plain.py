"""Whatever settings hold, a run can keep them as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import Limits, Operation
from rmhil.plain import plain

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.floats().map(np.float64),
    st.integers(-(2**62), 2**62).map(np.int64),
    st.booleans().map(np.bool_),
    st.sampled_from(list(Operation)),
    st.just(Limits()),
    st.lists(st.floats(), max_size=4).map(np.array),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(values)
def test_anything_becomes_strict_json_and_stays_the_same_through_it(value: Any) -> None:  # noqa: ANN401
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


@given(st.floats())
def test_a_number_keeps_its_value_and_one_that_json_lacks_becomes_none(value: float) -> None:
    assert plain(np.float64(value)) == (value if math.isfinite(value) else None)
