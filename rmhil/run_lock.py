"""One process at a time works on a run directory: the file `lock` in it says which."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from loguru import logger

from rmhil.errors import RunDirectoryError
from rmhil.run_record import write_text, writing

LOCK_NAME: Final = "lock"

_held: set[Path] = set()
"""Locks of this process. A file that names this process, yet is not here, was left by an earlier one of its number."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock.

    Attributes:
        pid: number of the process; 0: not known.
        host: name of its machine.
        time: since when, ISO 8601.
    """

    pid: int
    host: str
    time: str

    @classmethod
    def of_this_process(cls) -> Self:
        """This process, from now on."""
        return cls(os.getpid(), platform.node(), datetime.now().astimezone().isoformat(timespec="seconds"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a lock file says; a damaged one (or one that is just being written) has an unknown owner."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(int(content["pid"]), str(content["host"]), str(content["time"]))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError):
            return cls(0, "unknown host", "unknown time")

    def text(self) -> str:
        """The content of its lock file."""
        return json.dumps({"pid": self.pid, "host": self.host, "time": self.time})


class RunLock:
    """The exclusive right to change a run directory.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory.resolve() / LOCK_NAME
        self.held = False

    def take(self) -> None:
        """Take it; one that a dead process of this machine left is taken over.

        Raises:
            RunDirectoryError: another process holds it, or the directory cannot be written.
        """
        with writing(self.path):
            try:
                _create(self.path)
            except FileExistsError:
                self._take_over()
        _held.add(self.path)
        self.held = True

    def release(self) -> None:
        """Give it back. Idempotent."""
        if not self.held:
            return
        self.held = False
        _held.discard(self.path)
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the lock {} cannot be removed: {}", self.path, error)

    def _take_over(self) -> None:
        guard = self.path.with_name(f"{LOCK_NAME}.takeover")  # of two processes that find a stale lock, one goes on
        try:
            _create(guard)
        except FileExistsError:
            raise self._refusal(_owner(guard), guard) from None
        try:
            owner = _owner(self.path)
            if not _is_gone(owner, self.path):
                raise self._refusal(owner, self.path)
            logger.warning("taking over the lock of process {}, which is gone: {}", owner.pid, self.path)
            write_text(self.path, Owner.of_this_process().text())
        finally:
            guard.unlink(missing_ok=True)

    def _refusal(self, owner: Owner, file: Path) -> RunDirectoryError:
        process = f"process {owner.pid}" if owner.pid else "an unknown process"
        return RunDirectoryError(
            f"{self.path.parent}: {process} on {owner.host} works on this run since {owner.time}; wait until it ends, "
            f"or delete {file} if it is no longer there"
        )


def _create(path: Path) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(Owner.of_this_process().text())


def _owner(path: Path) -> Owner:
    try:
        return Owner.read(path)
    except FileNotFoundError:  # given back in this very moment
        return Owner(0, "unknown host", "a moment ago")


def _is_gone(owner: Owner, path: Path) -> bool:
    if owner.pid <= 0 or owner.host != platform.node():
        return False
    return path not in _held if owner.pid == os.getpid() else not _is_alive(owner.pid)


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process there
        import ctypes

        synchronize, access_denied, timed_out = 0x0010_0000, 5, 0x102
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return bool(ctypes.get_last_error() == access_denied)
        try:
            return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == timed_out)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
