"""CSV tables: what is read back, and how damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmhil.backend import Cells, Operation
from rmhil.errors import InputFileError, ShapeError
from sim_backend.fit import join_tables, load_table, pulse_table, read_table
from sim_backend.fit.columns import CONDUCTANCE_MOST, LAYOUTS

HEADER = "cell,pulse,operation,amplitude_v,width_s,gate_voltage_v,conductance_after_siemens"
ROW = "A1,{pulse},SET,1.1,1e-3,2.0,3.1e-5"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "pulses.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(count: int) -> list[str]:
    return [ROW.format(pulse=number) for number in range(count)]


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = pulse_table(
        "bench", cell=["0/1/2", "0/1/2", "0/3/4"], pulse=[0, 1, 0],
        operation=[Operation.FORM, Operation.SET, Operation.RESET], amplitude_v=[3.1, 1.2, 1.4], width_s=1e-3,
        gate_voltage_v=2.0, conductance_after_siemens=[3e-5, 4.2345678e-5, 1e-5], series_ohm=[300.0, 300.0, 310.5],
        conductance_before_siemens=[np.nan, 3e-5, 6e-5],
    )  # fmt: skip
    back = load_table(table.write(tmp_path / "p.csv"), "pulses")
    assert back.cell.tolist() == table.cell.tolist()
    for name in table.data:
        if name != "cell":
            np.testing.assert_allclose(back[name], table[name], rtol=1e-9)


def test_columns_that_say_nothing_are_not_written(tmp_path: Path) -> None:
    table = read_table("bench", cell="a", read=[0, 1], conductance_siemens=[1e-5, 2e-5])
    assert table.write(tmp_path / "r.csv").read_text().splitlines()[0] == "cell,read,conductance_siemens"


def test_a_table_by_hand_is_read(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, HEADER, *rows(2), "A2, 0, reset, 1.4, 1e-3, 5, 9e-6"), "pulses")
    assert table["operation"].tolist() == [Operation.SET, Operation.SET, Operation.RESET]
    assert np.isinf(table["compliance_a"]).all()
    assert np.isnan(table["series_ohm"]).all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER], "no rows below a header"),
        ([HEADER.replace("pulse,", ""), "A1,SET,1.1,1e-3,2,3e-5"], "no column pulse"),
        ([HEADER.replace("amplitude_v", "amplitude_mv"), *rows(1)], "amplitude_mv is to be amplitude_v; its unit"),
        ([HEADER.replace("amplitude_v", "Amplitude (V)"), *rows(1)], r"Amplitude \(V\) is to be amplitude_v"),
        ([HEADER + ",compliance_ma", *(f"{row},1" for row in rows(1))], "compliance_ma is to be compliance_a"),
        ([HEADER + ",width_s", *(f"{row},1" for row in rows(1))], "2 columns are named 'width_s'"),
        ([HEADER, *rows(2), "A1,2,SET,1.1,1e-3,2.0"], "row 4: 6 values under 7 columns"),
        ([HEADER, *rows(1), "A1,1,SET,,1e-3,2.0,3e-5"], "row 3, column amplitude_v: no value"),
        ([HEADER, *rows(1), "A1,1,SET,1.1 V,1e-3,2.0,3e-5"], "row 3, column amplitude_v: '1.1 V' is not a number"),
        ([HEADER, "A1,1,SET,1.1,1e-3,2.0,nan"], "row 2, column conductance_after_siemens: nan is not a finite number"),
        ([HEADER, "A1,1,SET,-1.1,1e-3,2.0,3e-5"],
         "row 2, column amplitude_v: -1.1 is out of range, allowed 0 V or more"),
        ([HEADER, *rows(1), "A1,1,SET,1.1,1e-3,2.0,31"],
         r"row 3, column conductance_after_siemens: 31 is out of range, allowed -0.01 to 0.01 S; is the number in uS"),
        ([HEADER, "A1,1.5,SET,1.1,1e-3,2.0,3e-5"], "row 2, column pulse: 1.5 is not a whole number"),
        ([HEADER, "A1,1,ERASE,1.1,1e-3,2.0,3e-5"], "row 2, column operation: 'ERASE' is none of FORM, SET, RESET"),
        ([HEADER, *rows(2), rows(1)[0]], "row 4: cell A1, pulse 0.0 is there already, in row 2"),
    ],
)  # fmt: skip
def test_damage_is_named_by_file_row_and_column(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputFileError, match=message) as caught:
        load_table(written(tmp_path, *lines), "pulses")
    assert "pulses.csv" in str(caught.value)


def test_currents_in_microamperes_are_refused_with_their_limit_and_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "sweeps.csv"
    file.write_text("cell,sweep,step,bl_v,sl_v,wl_v,dwell_s,current_a\nA1,0,0,0.2,0,2,1e-3,6.1\n", encoding="utf-8")
    message = r"row 2, column current_a: 6\.1 is out of range, allowed -1 to 1 A; is the .* uA"
    with pytest.raises(InputFileError, match=message):
        load_table(file, "sweeps")


@pytest.mark.parametrize("kind", ["pulses", "retention", "reads"])
def test_every_conductance_has_an_upper_limit(kind: str) -> None:
    columns = [column for column in LAYOUTS[kind].columns if column.name.endswith("_siemens")]
    assert columns
    assert all(column.high == CONDUCTANCE_MOST and "uS" in column.slip for column in columns)


def test_rows_keep_their_place_in_the_file_whatever_is_chosen(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, HEADER, rows(1)[0], "", *rows(3)[1:]), "pulses")
    assert table.rows(table["pulse"] > 0).place.tolist() == ["row 4", "row 5"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no file .*none\.csv"):
        load_table(tmp_path / "none.csv", "pulses")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputFileError, match="not a readable CSV file"):
        load_table(tmp_path / "p.csv", "pulses")


def test_columns_that_nobody_knows_are_kept_in_mind(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, HEADER + ",operator", *(f"{row},Ada" for row in rows(1))), "pulses")
    assert table.unused == ("operator",)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="read"):
        read_table("bench", cell=["a", "b", "c"], read=[0, 1], conductance_siemens=1e-5)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(InputFileError, match="no column conductance"):
        read_table("bench", cell=["a"], read=[0], conductance=1e-5)


def test_joined_tables_must_not_overlap() -> None:
    one = read_table("first", cell=["a"], read=[0], conductance_siemens=1e-5)
    with pytest.raises(InputFileError, match="there already"):
        join_tables([one, one])


def test_cells_are_named_by_array_and_lines() -> None:
    assert Cells.of([0, 1], [2, 3], [4, 5]).names.tolist() == ["0/2/4", "1/3/5"]
