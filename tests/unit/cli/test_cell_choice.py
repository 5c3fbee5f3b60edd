"""Cells named by region, by mask and one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.cli.cell_choice import CellChoice, cells_in, load_target, parse_cell
from rmhil.errors import ConfigError, InputFileError, NotFiniteError, OutOfRangeError, ShapeError
from sim_backend import SimBackend

Opener = Callable[..., SimBackend]


@pytest.fixture
def whole(open_sim: Opener) -> Crossbar:
    return Crossbar(open_sim(n_bl=6, n_sl=5))


def test_nothing_named_means_all_cells(whole: Crossbar) -> None:
    part, mask = CellChoice().of(whole)
    assert part.shape == (6, 5)
    assert mask.all()


@pytest.mark.parametrize(
    ("region", "bl", "sl"), [("2:4,1:", [2, 3], [1, 2, 3, 4]), ("5,0:2", [5], [0, 1]), (":,3", list(range(6)), [3])]
)
def test_a_region_is_lines_from_to_or_single_ones(whole: Crossbar, region: str, bl: list[int], sl: list[int]) -> None:
    part, mask = CellChoice(region=region).of(whole)
    assert (part.bl.tolist(), part.sl.tolist()) == (bl, sl)
    assert mask.all()


def test_cells_named_one_by_one_are_those_cells_and_no_others(whole: Crossbar) -> None:
    part, mask = CellChoice(cells=["5,0", "2,4", "2, 0"]).of(whole)
    assert (part.bl.tolist(), part.sl.tolist()) == ([2, 5], [0, 4])
    assert mask.tolist() == [[True, True], [True, False]]
    cells = cells_in(part, mask)
    assert list(zip(part.bl[cells.bl].tolist(), part.sl[cells.sl].tolist(), strict=True)) == [(2, 0), (2, 4), (5, 0)]


@pytest.mark.parametrize("values", [np.eye(6, 5) > 0, np.eye(6, 5, dtype=np.int64)])
def test_a_mask_is_true_and_false_or_ones_and_zeros(whole: Crossbar, tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "mask.npy", values)
    part, mask = CellChoice(mask=tmp_path / "mask.npy").of(whole)
    assert part.shape == (6, 5)
    assert mask.tolist() == (np.eye(6, 5) > 0).tolist()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.full((6, 5), 2), InputFileError, "no mask"),
        (np.full((6, 5), 0.5), InputFileError, "no mask"),
        (np.zeros((6, 5), dtype=bool), ConfigError, "names no cell"),
        (np.ones((2, 2), dtype=bool), ShapeError, "--region 0:2,0:2"),
        (np.ones((7, 5), dtype=bool), ShapeError, "mask"),
    ],
)
def test_what_is_no_mask_of_this_array_is_refused(
    whole: Crossbar, tmp_path: Path, values: np.ndarray, error: type[Exception], message: str
) -> None:
    np.save(tmp_path / "mask.npy", values)
    with pytest.raises(error, match=message):
        CellChoice(mask=tmp_path / "mask.npy").of(whole)


@pytest.mark.parametrize(
    ("cells", "error", "message"),
    [
        (["3"], ConfigError, "expected BL,SL"),
        (["3,5,"], ConfigError, "expected BL,SL"),
        (["6,0"], OutOfRangeError, "BL = 6"),
        (["0,5"], OutOfRangeError, "SL = 5"),
        (["1,0,0"], OutOfRangeError, "array = 1"),
        (["1,1", "0,1,1"], ConfigError, "0/1/1 is named 2 times"),
    ],
)
def test_cells_that_do_not_exist_are_refused(
    whole: Crossbar, cells: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CellChoice(cells=cells).of(whole)


def test_with_several_arrays_the_array_must_be_named() -> None:
    assert parse_cell("2,3,4", (3, 8, 8)).names.tolist() == ["2/3/4"]
    with pytest.raises(ConfigError, match="3 arrays"):
        parse_cell("3,4", (3, 8, 8))


def test_single_cells_exclude_regions_and_masks() -> None:
    with pytest.raises(ConfigError, match="--region or --mask"):
        CellChoice(cells=["1,1"], region="0:2,0:2")


def test_a_target_is_one_number_or_a_map(whole: Crossbar, tmp_path: Path) -> None:
    values = np.linspace(10e-6, 80e-6, 30).reshape(6, 5)
    np.save(tmp_path / "map.npy", values)
    few = CellChoice(cells=["1,1", "2,2"])
    part, mask = few.of(whole)
    number = few.target(load_target("40e-6"), whole, part, mask)
    np.testing.assert_array_equal(number, [[40e-6, np.nan], [np.nan, 40e-6]])
    cut = few.target(load_target(str(tmp_path / "map.npy")), whole, part, mask)
    np.testing.assert_array_equal(cut, [[values[1, 1], np.nan], [np.nan, values[2, 2]]])
    with pytest.raises(ShapeError, match="or one number"):
        few.target(np.zeros((2, 2)), whole, part, mask)
    with pytest.raises(NotFiniteError):
        load_target("nan")
    with pytest.raises(InputFileError, match="no file"):
        load_target("nowhere.npy")
