"""What is wrong with settings, in words for the person who wrote them: line, key, value, limit, unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rmhil.errors import allowed
from rmhil.units import Unit

_TABLE: Final = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\- ]+?)\s*\]")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")
_NAMED: Final = re.compile(r"Value error, ([a-z_]+(?:\.[a-z_]+)+) = ")
_LIMITS: Final = ("ge", "gt", "le", "lt")
_RANGES: Final = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def problems(error: ValidationError, model: type[BaseModel]) -> str:
    """Everything that is wrong with settings, in one line.

    Args:
        error: of the validation.
        model: that was validated.
    """
    return "; ".join(_told(one, _path(one), model) for one in error.errors())


def problems_of_file(error: ValidationError, model: type[BaseModel], name: str, text: str) -> list[str]:
    """Everything that is wrong with a TOML file, one text each, which names the line.

    Args:
        error: of the validation.
        model: that was validated.
        name: of the file.
        text: of the file; empty where there is none.
    """
    found = []
    for one in error.errors():
        path = _path(one)
        line = line_of(text, path or _first_key(one["msg"]))
        found.append(f"{f'{name}:{line}' if line else name}: {_told(one, path, model)}")
    return found


def damage(error: ValidationError) -> str:
    """Where a file that nobody writes by hand is not what it was, and why."""
    first = error.errors()[0]
    return f"damaged at {'.'.join(_path(first))!r}: {first['msg']}"


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


def model_of(annotation: object) -> type[BaseModel] | None:
    """The model that a field holds; None where it holds a value."""
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _path(one: ErrorDetails) -> list[str]:
    return [str(part) for part in one["loc"]]


def _first_key(message: str) -> list[str]:
    """The key that a message about several tables begins with."""
    found = _NAMED.match(message)
    return found[1].split(".") if found else []


def _told(one: ErrorDetails, path: list[str], model: type[BaseModel]) -> str:
    key, kind, value = ".".join(path), one["type"], one["input"]
    message = one["msg"].removeprefix("Value error, ")
    table = _model_at(path[:-1], model)
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        return f"{key} is unknown" + ("" if table is None else f"; known here: {', '.join(_fields(table))}")
    if not key:
        return message
    if kind in _RANGES and table is not None:
        field = _fields(table)[path[-1]]
        unit = _unit(field)
        return f"{key} = {float(value):.9g}{f' {unit}' if unit else ''}, allowed {_limits(field, unit)}"
    return f"{key} = {value!r}: {message}" if isinstance(value, int | float | str) else f"{key}: {message}"


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields under the names that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_at(path: list[str], model: type[BaseModel]) -> type[BaseModel] | None:
    for part in path:
        field = _fields(model).get(part)
        inner = None if field is None else model_of(field.annotation)
        if inner is None:
            return None
        model = inner
    return model


def _limits(field: FieldInfo, unit: str) -> str:
    limits = {name: getattr(one, name) for one in field.metadata for name in _LIMITS if hasattr(one, name)}
    low, high = limits.get("gt", limits.get("ge", -math.inf)), limits.get("lt", limits.get("le", math.inf))
    return allowed(low, high, unit, above="gt" in limits, below="lt" in limits)


def _unit(field: FieldInfo) -> str:
    inner = [one for kind in getattr(field.annotation, "__args__", ()) for one in getattr(kind, "__metadata__", ())]
    return next((one.symbol for one in (*field.metadata, *inner) if isinstance(one, Unit)), "")
