"""Turning settings and results into what JSON can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel


def plain(value: Any) -> Any:  # noqa: ANN401 - any value in, any JSON value out
    """The same content in dicts, lists, strings, numbers and None.

    NaN and infinity have no JSON form and become None; enum members become their names; objects
    that JSON knows nothing of become their text.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return _plain_container(value)


def _plain_container(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.bool_):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return value.as_posix()
    return str(value)
