"""What is known of cells takes memory only where something is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmhil.cell_memory import CellMemory, LastReadings
from rmhil.region import Region


def region(arrays: list[int], bl: list[int], sl: list[int]) -> Region:
    return Region(*(np.array(lines, dtype=np.int64) for lines in (arrays, bl, sl)))


def test_what_was_not_noted_is_nan_and_what_was_is_exact() -> None:
    readings = LastReadings((2, 3, 3))
    readings[np.array([1, 1]), np.array([0, 2]), np.array([1, 1])] = np.array([0.0, 1e-5 / 3])
    whole = readings[region([0, 1], [0, 1, 2], [0, 1, 2]).grid]
    assert np.isnan(whole).sum() == 16
    assert whole[1, 0, 1] == 0.0
    assert whole[1, 2, 1] == 1e-5 / 3


def test_a_reading_can_be_forgotten() -> None:
    readings, one = LastReadings((1, 2, 2)), (np.array([0]), np.array([1]), np.array([0]))
    readings[one] = 1e-5
    readings[one] = np.nan
    assert np.isnan(readings[one]).all()


def test_a_line_conducts_what_its_known_cells_do_and_that_is_kept_up_to_date() -> None:
    memory, part = CellMemory((2, 2, 3)), region([1], [0, 1], [0, 2])
    np.testing.assert_array_equal(memory.line_conductance(part), np.zeros((1, 2)))
    cells = np.array([1, 1, 1]), np.array([0, 0, 0]), np.array([0, 1, 2])
    memory.conductance[cells] = np.array([1e-5, 5e-5, 2e-5])
    np.testing.assert_allclose(memory.line_conductance(part), [[3e-5, 0.0]])
    memory.conductance[cells] = np.array([np.nan, 5e-5, 2e-5])
    np.testing.assert_allclose(memory.line_conductance(part), [[2e-5, 0.0]])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the kernel's count of pages")
def test_cells_that_nobody_has_looked_at_take_no_memory() -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    memory = CellMemory((1000, 128, 128))
    memory.conductance[region([7], [0], list(range(128))).grid] = 1e-5
    grown = (pages() - before) * 4096
    assert grown < 0.02 * 9 * 1000 * 128 * 128
