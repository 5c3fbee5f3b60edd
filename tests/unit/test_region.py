"""Promises of regions: lines counted from 0 in what callers see, by their own numbers underneath."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rmhil.errors import ConfigError, OutOfRangeError, ShapeError
from rmhil.region import Region


def region(arrays: int = 1) -> Region:
    return Region(np.arange(arrays), np.array([2, 5, 7]), np.array([1, 3]))


def test_the_axis_of_one_array_is_dropped() -> None:
    assert region().shape == (3, 2)
    assert region(2).shape == (2, 3, 2)
    assert region().full_shape == (1, 3, 2)


def test_a_part_counts_lines_of_the_whole_from_0() -> None:
    part = region().part(bl=slice(1, None), sl=[1])
    assert part.bl.tolist() == [5, 7]
    assert part.sl.tolist() == [3]


def test_cells_are_named_by_the_numbers_of_the_backend() -> None:
    mask = np.zeros((1, 3, 2), dtype=bool)
    mask[0, 1, 1] = True
    cells = region().cells(mask)
    assert (cells.array[0], cells.bl[0], cells.sl[0]) == (0, 5, 3)


@pytest.mark.parametrize("lines", [[3], [-1], [1, 0], [1, 1]])
def test_lines_outside_repeated_or_out_of_order_are_refused(lines: list[int]) -> None:
    with pytest.raises(OutOfRangeError, match="bl line"):
        region().part(bl=lines)


@pytest.mark.parametrize("lines", [[0.9, 1.7], np.array([True, False, True]), slice(0.5, 2), slice(0, 3, 0)])
def test_lines_that_are_not_whole_numbers_are_refused(lines: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="bl lines"):
        region().part(bl=lines)


def test_a_map_may_have_the_axis_of_one_array_or_not() -> None:
    one = region()
    for shape in ((3, 2), (1, 3, 2)):
        assert one.to_map("target", np.zeros(shape), np.float64).shape == (1, 3, 2)
    with pytest.raises(ShapeError, match=r"target has shape \(2, 3\), expected \(3, 2\)"):
        one.to_map("target", np.zeros((2, 3)), np.float64)


def test_a_map_is_a_copy() -> None:
    given = np.zeros((3, 2))
    region().to_map("target", given, np.float64)[:] = 1.0
    assert not given.any()


@pytest.mark.parametrize(
    "values",
    [
        "forty",
        [[1.0, 2.0], [3.0]],
        object(),
        np.full((3, 2), 40e-6 + 1e-6j),
        np.full((3, 2), 40e-6, dtype=object),
        [["1", "2"]] * 3,
        np.ones((3, 2), dtype=bool),
    ],
)
def test_what_is_not_numbers_is_refused(values: object) -> None:
    with pytest.raises(ConfigError, match="target is not an array of numbers"):
        region().to_map("target", values, np.float64)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [np.full((3, 2), np.nan), np.ones((3, 2), np.int64), np.ones((3, 2), dtype=object), [["yes"] * 2] * 3]
)
def test_a_mask_is_true_and_false_and_nothing_else(values: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="mask is not an array of true and false"):
        region().to_map("mask", values, np.bool_)


def test_a_mask_may_be_a_list() -> None:
    mask = region().to_map("mask", [[True, False]] * 3, np.bool_)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [[[True, False]] * 3]
