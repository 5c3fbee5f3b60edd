"""Files for other programs: units in the names, words for codes, nothing half written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rmhil import conductance_maps
from rmhil.backend import Cells
from rmhil.errors import ConfigError, InputFileError, UnknownNameError
from rmhil.export import write_export
from rmhil.measure.labelled import labelled
from rmhil.program_report import Outcome


@pytest.fixture
def a_map() -> xr.Dataset:
    conductance = np.array([[10e-6, np.nan, 30e-6], [40e-6, 50e-6, 60e-6]])
    outcome = np.full((2, 3), Outcome.CONVERGED, dtype=np.int8)
    outcome[0, 1], outcome[1, 2] = Outcome.LEFT_ALONE, Outcome.STUCK
    return conductance_maps.dataset({"conductance": conductance, "outcome": outcome}, bl=[4, 5], sl=[0, 1, 2])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_csv_file_has_one_row_a_cell_with_units_and_words(a_map: xr.Dataset, tmp_path: Path) -> None:
    found = rows(write_export(a_map, tmp_path / "map.csv"))
    assert list(found[0]) == ["array", "bl", "sl", "conductance_siemens", "outcome"]
    assert len(found) == 5, "a cell without a number has no row"
    assert found[-1] == {"array": "0", "bl": "5", "sl": "2", "conductance_siemens": "6e-05", "outcome": "stuck"}


def test_a_measurement_has_the_columns_of_its_cells_and_its_steps(tmp_path: Path) -> None:
    current = np.arange(12.0).reshape(2, 2, 3)
    step = ("step",)
    measured = labelled(
        "sweeps",
        "test",
        Cells.of(0, [1, 2], 3),
        {"current": (("cell", "sweep", "step"), current, "A", "")},
        {"step": (step, np.arange(3), "1", ""), "bl_v": (step, np.array([0.1, 0.2, 0.3]), "V", "")},
    )
    found = rows(write_export(measured, tmp_path / "sweep.csv"))
    assert len(found) == 12
    assert found[5] | {"cell": "0/1/3", "sweep": "1", "step": "2", "bl_v": "0.3", "current_a": "5"} == found[5]


def test_a_npy_file_has_the_shape_of_the_array(a_map: xr.Dataset, tmp_path: Path) -> None:
    path = write_export(a_map, tmp_path / "map.npy", "conductance")
    np.testing.assert_array_equal(np.load(path), a_map["conductance"].values[0])
    with pytest.raises(ConfigError, match="--variable: conductance, outcome"):
        write_export(a_map, tmp_path / "both.npy")
    assert not (tmp_path / "both.npy").exists()


def test_a_netcdf_file_keeps_units_and_coordinates(a_map: xr.Dataset, tmp_path: Path) -> None:
    again = conductance_maps.read(write_export(a_map, tmp_path / "map.nc"))
    xr.testing.assert_identical(again, a_map)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(a_map: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"one of .csv, .npy, .nc"):
        write_export(a_map, tmp_path / "map.xlsx")
    with pytest.raises(UnknownNameError, match="variable 'current'; known: conductance, outcome"):
        write_export(a_map, tmp_path / "map.csv", "current")
    with pytest.raises(InputFileError, match="cannot be written"):
        write_export(a_map, tmp_path / "nowhere" / "map.csv")
    assert list(tmp_path.iterdir()) == []
