"""What is wrong with a configuration, in the words of its file: line, key, value, limit, unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

_UNITS: Final = {"_v": "V", "_a": "A", "_s": "s", "_siemens": "S"}
"""By the end of a key."""

_TABLE: Final = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\- ]+?)\s*\]")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")
_NAMED: Final = re.compile(r"Value error, ([a-z_]+(?:\.[a-z_]+)+) = ")
_RANGES: Final = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def problems(error: ValidationError, model: type[BaseModel], name: str, text: str) -> list[str]:
    """Everything that is wrong, one text each.

    Args:
        error: of the validation.
        model: that was validated.
        name: of the file.
        text: of the file; empty where there is none.
    """
    found = []
    for one in error.errors():
        path = [str(part) for part in one["loc"]]
        line = line_of(text, path or _first_key(one["msg"]))
        where = f"{name}:{line}" if line else name
        found.append(f"{where}: {_told(one, path, model)}")
    return found


def line_of(text: str, path: Sequence[str]) -> int:
    """Number of the line, from 1, on which a key or table stands; 0 where it stands on none."""
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = [part.strip() for part in header[1].split(".")]
            if table == list(path):
                return number
        elif (key := _KEY.match(line)) and [*table, key[1]] == list(path):
            return number
    return 0


def _first_key(message: str) -> list[str]:
    """The key that a message about several tables begins with."""
    found = _NAMED.match(message)
    return found[1].split(".") if found else []


def _told(one: Any, path: list[str], model: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key, kind = ".".join(path), one["type"]
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        return f"{key} is unknown{_alternatives(path, model)}"
    if kind == "value_error":
        message = one["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    if kind in _RANGES:
        return f"{key} = {one['input']:g}{_unit(path[-1])}, allowed {_range(path, model)}{_unit(path[-1])}"
    return f"{key} = {one['input']!r}: {one['msg']}"


def _alternatives(path: list[str], model: type[BaseModel]) -> str:
    table = _model_at(path[:-1], model)
    return "" if table is None else f"; known here: {', '.join(table.model_fields)}"


def _model_at(path: list[str], model: type[BaseModel]) -> type[BaseModel] | None:
    for part in path:
        if part not in model.model_fields:
            return None
        inner = _model_of(model.model_fields[part].annotation)
        if inner is None:
            return None
        model = inner
    return model


def _model_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _range(path: list[str], model: type[BaseModel]) -> str:
    table = _model_at(path[:-1], model)
    assert table is not None  # a value at this place has been compared with its range
    low, high = -math.inf, math.inf
    above = ""
    for one in table.model_fields[path[-1]].metadata:
        low = getattr(one, "ge", getattr(one, "gt", low))
        high = getattr(one, "le", getattr(one, "lt", high))
        above = "above " if hasattr(one, "gt") else above
    return f"{above}{_number(low)}" if math.isinf(high) else f"{above}{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.12g}"


def _unit(key: str) -> str:
    return next((f" {unit}" for end, unit in _UNITS.items() if key.endswith(end)), "")
