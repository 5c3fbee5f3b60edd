"""Checks that need no backend: large lists and canonical forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rmhil.backend import ArraySpec, Cells
from rmhil.checks import check_cells, check_mvm, whole_number
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError

SPEC = ArraySpec(provenance="test", n_arrays=2, n_bl=4, n_sl=3, conductance_min=10e-6, conductance_max=80e-6)


def test_cells_in_any_order_are_fine() -> None:
    check_cells(SPEC, Cells.of([1, 0, 0], [3, 2, 0], [0, 2, 1]))


def test_a_repeat_is_found_in_any_order() -> None:
    with pytest.raises(OutOfRangeError, match="cells named twice = 1"):
        check_cells(SPEC, Cells.of([1, 0, 1], [3, 2, 3], [0, 2, 0]))


def test_index_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"cells\.sl"):
        check_cells(SPEC, Cells(np.zeros(2, np.int64), np.arange(2), np.zeros(3, np.int64)))


def test_index_arrays_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cells\.bl: whole numbers are needed"):
        check_cells(SPEC, Cells(np.zeros(1, np.int64), np.array([0.7]), np.zeros(1, np.int64)))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, 2.0, np.nan, True, "3", None])
def test_what_is_not_a_whole_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match=r"count = .*: a whole number is needed"):
        whole_number("count", value)


def test_a_whole_number_may_be_numpys_and_has_a_least() -> None:
    assert type(whole_number("count", np.uint8(3))) is int
    assert whole_number("count", 0, least=0) == 0
    with pytest.raises(OutOfRangeError, match="count = 0"):
        whole_number("count", 0)


def test_lines_come_back_as_ascending_arrays() -> None:
    bl, sl, arrays = check_mvm(SPEC, torch.zeros(1, 5, 2), [0, 3], None, np.array([1]))
    assert (bl.tolist(), sl.tolist(), arrays.tolist()) == ([0, 3], [0, 1, 2], [1])
    assert {part.dtype for part in (bl, sl, arrays)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_limit_itself_is_allowed_in_every_type(dtype: torch.dtype) -> None:
    """0.2 V is a little more than 0.2 V in some of them."""
    exact = torch.full((2, 1, 4), 0.2, dtype=torch.float64)
    if dtype == torch.bfloat16:
        exact = exact * 0.99
    check_mvm(SPEC, exact.to(dtype), None, None, None)
