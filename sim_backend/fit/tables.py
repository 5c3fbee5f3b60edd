"""Measured tables: read from CSV, checked, and written again.

Every number in a file is checked before anything is fitted. A message names file, row and column; rows
count as in an editor, so the header is row 1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.backend import Floats, Operation
from rmhil.errors import InputFileError, ShapeError, allowed
from sim_backend.fit.columns import LAYOUTS, OPERATIONS, PULSES, READS, RETENTION, SWEEPS, Column, Layout

_DIGITS = 10
"""1: significant digits of a number that is written; no instrument has more than 7."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind of measurement, column by column.

    Attributes:
        layout: which columns there are and what they mean.
        data: name -> values; `cell` holds text, everything else float64, operations as `Operation` codes.
        source: file or procedure that it comes from, for messages and reports.
        place: what to call each row in messages: `row 7`, as an editor counts the rows of the file, or `entry 6` of
            the arrays that it comes from.
        unused: columns of the file that the layout does not know.
    """

    layout: Layout
    data: Mapping[str, NDArray[Any]]
    source: str
    place: NDArray[np.str_]
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.data["cell"])

    def __getitem__(self, column: str) -> Floats:
        values: Floats = self.data[column]
        return values

    @property
    def cell(self) -> NDArray[np.str_]:
        """Name of the cell of each row."""
        names: NDArray[np.str_] = self.data["cell"]
        return names

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Table:
        """The chosen rows."""
        data = {name: values[chosen] for name, values in self.data.items()}
        return replace(self, data=data, place=self.place[chosen])

    def with_column(self, name: str, values: Floats) -> Table:
        """The table with other values in one column."""
        return replace(self, data={**self.data, name: values})

    def write(self, path: str | Path) -> Path:
        """Write the table as CSV; columns that hold their default in every row are left out.

        Raises:
            InputFileError: the file cannot be written.
        """
        target = Path(path)
        columns = [column for column in self.layout.columns if not self._all_default(column)]
        texts = [_texts(column, self.data[column.name]) for column in columns]
        try:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([column.name for column in columns])
                writer.writerows(zip(*texts, strict=True))
        except OSError as error:
            raise InputFileError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def _all_default(self, column: Column) -> bool:
        if column.default is None:
            return False
        return bool(np.array_equal(self.data[column.name], np.full(len(self), column.default), equal_nan=True))


def _texts(column: Column, values: NDArray[Any]) -> list[str]:
    if column.kind == "text":
        return [str(value) for value in values]
    if column.kind == "operation":
        return [Operation(int(value)).name for value in values]
    if column.kind == "whole":
        return [str(int(value)) for value in values]
    return ["" if math.isnan(value) else f"{value:.{_DIGITS}g}" for value in values]


def pulse_table(source: str, **columns: ArrayLike) -> Table:
    """A table of pulses; see `make_table`."""
    return make_table(PULSES, source, columns)


def sweep_table(source: str, **columns: ArrayLike) -> Table:
    """A table of sweeps; see `make_table`."""
    return make_table(SWEEPS, source, columns)


def retention_table(source: str, **columns: ArrayLike) -> Table:
    """A table of readings after a write; see `make_table`."""
    return make_table(RETENTION, source, columns)


def read_table(source: str, **columns: ArrayLike) -> Table:
    """A table of repeated readings; see `make_table`."""
    return make_table(READS, source, columns)


def make_table(layout: Layout, source: str, columns: Mapping[str, ArrayLike]) -> Table:
    """A table from arrays of one length (or scalars for all rows); columns with a default may be left out.

    Args:
        layout: which table.
        source: named in messages.
        columns: name -> values; operations as `Operation` codes.

    Raises:
        InputFileError: a column is missing or unknown, a value is not finite or out of its range.
        ShapeError: lengths differ.
    """
    known = {column.name for column in layout.columns}
    strange = sorted(set(columns) - known)
    if strange:
        raise InputFileError(f"{source}: a {layout.name} table has no column {strange[0]}; it has {_names(layout)}")
    _refuse_missing(layout, source, list(columns))
    given = {name: np.atleast_1d(np.asarray(values)) for name, values in columns.items()}
    count = max((len(values) for values in given.values()), default=0)
    data = {}
    for column in layout.columns:
        values = given.get(column.name, np.array([column.default]))
        if len(values) not in (1, count):
            raise ShapeError(f"{source}: {column.name}", values.shape, f"({count},)")
        kind = np.str_ if column.kind == "text" else np.float64
        data[column.name] = np.broadcast_to(values.astype(kind), (count,)).copy()
    table = Table(layout, data, source, _entries(count))
    _check(table)
    return table


def _entries(count: int) -> NDArray[np.str_]:
    return np.array([f"entry {number}" for number in range(count)], dtype=np.str_)


def join_tables(tables: Sequence[Table]) -> Table:
    """One table of the rows of several of one kind.

    Raises:
        InputFileError: two rows have the same place, e.g. one pulse number of one cell.
    """
    first = tables[0]
    data = {name: np.concatenate([table.data[name] for table in tables]) for name in first.data}
    source = " + ".join(dict.fromkeys(table.source for table in tables))
    joined = Table(first.layout, data, source, _entries(len(data["cell"])))
    _check(joined)
    return joined


def load_table(path: str | Path, kind: str) -> Table:
    """Read and check a CSV file.

    Args:
        path: of the file; a header, commas, a point in decimal numbers.
        kind: `pulses`, `sweeps`, `retention` or `reads`.

    Raises:
        InputFileError: no such file, no rows, a missing column, or a value that is missing, not a number, NaN or out
            of its range; the message names file, row and column.
    """
    layout, target = LAYOUTS[kind], Path(path)
    try:
        with target.open(newline="", encoding="utf-8-sig") as file:
            lines = [(reader.line_num, line) for reader in (csv.reader(file),) for line in reader if line]
    except FileNotFoundError as error:
        raise InputFileError(f"no file {target}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(f"{target} is not a readable CSV file: {error}") from error
    if len(lines) < 2:
        raise InputFileError(f"{target} has no rows below a header")
    header = [name.strip() for name in lines[0][1]]
    _refuse_missing(layout, str(target), header)
    _refuse_repeats(str(target), header)
    known = {column.name for column in layout.columns}
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise InputFileError(f"{target}, row {number}: {len(line)} values under {len(header)} columns")
    data = {column.name: _parsed(str(target), column, header, lines[1:]) for column in layout.columns}
    place = np.array([f"row {number}" for number, _ in lines[1:]], dtype=np.str_)
    table = Table(layout, data, str(target), place, tuple(name for name in header if name not in known))
    _check(table)
    return table


def _names(layout: Layout) -> str:
    return ", ".join(column.name for column in layout.columns)


def _refuse_missing(layout: Layout, source: str, header: Sequence[str]) -> None:
    for column in layout.columns:
        if column.name in header:
            continue
        similar = [name for name in header if _same_quantity(name, column) and name not in _names(layout).split(", ")]
        if similar:
            unit = f"its unit is {column.unit}" if column.unit else "that is its name"
            raise InputFileError(f"{source}: column {similar[0]} is to be {column.name}; {unit}")
        if column.default is None:
            raise InputFileError(f"{source}: no column {column.name} ({column.meaning}); there are {', '.join(header)}")


def _same_quantity(name: str, column: Column) -> bool:
    """Whether a header means the column in another unit or without one, e.g. `amplitude_mv` or `Amplitude (V)`."""
    stem = column.name.rpartition("_")[0] if column.unit else column.name
    plain = name.lower().replace(" ", "_").replace("(", "").replace(")", "")
    return plain == stem or (plain.startswith(stem + "_") and "_" not in plain[len(stem) + 1 :])


def _refuse_repeats(source: str, header: Sequence[str]) -> None:
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise InputFileError(f"{source}: {repeated.count(repeated[0])} columns are named {repeated[0]!r}")


def _parsed(source: str, column: Column, header: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> NDArray[Any]:
    if column.name not in header:
        return np.full(len(lines), column.default)
    place = header.index(column.name)
    values = [_value(source, column, number, line[place].strip()) for number, line in lines]
    return np.array(values, dtype=np.str_ if column.kind == "text" else np.float64)


def _value(source: str, column: Column, row: int, text: str) -> str | float:
    if not text:
        if column.default is not None:
            return column.default
        _refuse(source, f"row {row}", column, "no value")
    if column.kind == "text":
        return text
    if column.kind == "operation":
        if text.upper() not in OPERATIONS:
            _refuse(source, f"row {row}", column, f"{text!r} is none of {', '.join(OPERATIONS)}")
        return float(OPERATIONS[text.upper()])
    try:
        return float(text)
    except ValueError:
        _refuse(source, f"row {row}", column, f"{text!r} is not a number")


def _refuse(source: str, row: str, column: Column, reason: str) -> NoReturn:
    raise InputFileError(f"{source}, {row}, column {column.name}: {reason}")


def _check(table: Table) -> None:
    """Refuse values that are not finite, not whole or out of range, and rows that have one place."""
    for column in table.layout.columns:
        if column.kind != "text":
            _check_column(table, column)
    _refuse_doubles(table)


def _refuse_doubles(table: Table) -> None:
    order = table.layout.order
    codes = np.stack([np.unique(table.data[name], return_inverse=True)[1] for name in order])
    kept, first = np.unique(codes, axis=1, return_index=True)
    if kept.shape[1] == len(table):
        return
    double = int(np.setdiff1d(np.arange(len(table)), first)[0])
    same = int(np.flatnonzero((codes == codes[:, [double]]).all(axis=0))[0])
    same_place = ", ".join(f"{name} {table.data[name][double]}" for name in order)
    raise InputFileError(
        f"{table.source}, {table.place[double]}: {same_place} is there already, in {table.place[same]}"
    )


def _check_column(table: Table, column: Column) -> None:
    values = table[column.name]
    optional = np.zeros(len(values), dtype=bool)
    if column.default is not None:
        optional = np.isnan(values) if math.isnan(column.default) else values == column.default
    outside = f"is out of range, allowed {allowed(column.low, column.high, column.unit)}"
    tests = (
        (~np.isfinite(values), "is not a finite number"),
        ((values < column.low) | (values > column.high), f"{outside}; {column.slip}" if column.slip else outside),
        ((values != np.round(values)) & (column.kind in ("whole", "operation")), "is not a whole number"),
    )
    for failed, reason in tests:
        bad = np.flatnonzero(failed & ~optional)
        if bad.size:
            _refuse(table.source, str(table.place[bad[0]]), column, f"{values[bad[0]]:g} {reason}")
