"""Files that are there whole or not at all, whatever happens to the process that writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rmhil.errors import RmhilError, RunDirectoryError


def write_text(path: Path, text: str, failure: type[RmhilError] = RunDirectoryError) -> None:
    """Replace a file whole, so that a killed process never leaves half of it.

    Raises:
        RmhilError: of the type given, where it cannot be written.
    """
    with replacing(path, failure) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes, failure: type[RmhilError] = RunDirectoryError) -> None:
    """As `write_text`, of bytes."""
    with replacing(path, failure) as unfinished:
        unfinished.write_bytes(data)


@contextmanager
def replacing(path: Path, failure: type[RmhilError] = RunDirectoryError) -> Iterator[Path]:
    """A file to be written inside, which takes the place of `path` once it is whole; nothing is left of half a one.

    Raises:
        RmhilError: of the type given, where it cannot be written; the message says why.
    """
    with writing(path, failure), whole(path) as unfinished:
        yield unfinished


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """As `replacing`, for those who say themselves what an OSError means."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, failure: type[RmhilError] = RunDirectoryError) -> Iterator[None]:
    """What is done inside writes this file.

    Raises:
        RmhilError: of the type given, where it cannot be written; the message says why.
    """
    try:
        yield
    except OSError as error:
        raise failure(f"{path}: cannot be written: {error.strerror or error}") from error
