"""Which twins run at the moment: a file for each in the user's cache folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_backend.twin.build import cache_folder
from sim_backend.twin.protocol import Address


@dataclass(frozen=True, slots=True)
class RunningTwin:
    """A twin that runs.

    Attributes:
        process: its number.
        url: of its control connection.
        identity: of its chip and board.
    """

    process: int
    url: str
    identity: str


@contextmanager
def announced(address: Address, facts: Mapping[str, Any]) -> Iterator[None]:
    """Note a twin of this process as long as it runs. The file holds the token, so it is the user's alone."""
    path = _folder() / f"{os.getpid()}-{address.port}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        json.dump({"process": os.getpid(), "url": str(address), "identity": facts["identity"]}, opened)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_twins() -> list[RunningTwin]:
    """Those of this user, by process; notes of processes that have died are removed."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        try:
            noted = RunningTwin(**json.loads(path.read_text(encoding="utf-8")))
            os.kill(noted.process, 0)
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
            continue
        found.append(noted)
    return found


def _folder() -> Path:
    return cache_folder() / "running"
