"""One process at a time: a file that says which process owns something, and since when."""

from __future__ import annotations

import getpass
import json
import os
import platform
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from loguru import logger

from rmhil.whole_files import whole

_held: set[Path] = set()
"""Locks of this process. A file that names this process, yet is not here, was left by an earlier one of its number."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock.

    Attributes:
        pid: number of the process; 0: not known.
        host: name of its machine.
        time: since when, ISO 8601.
        user: whose process it is; empty: not known.
    """

    pid: int
    host: str
    time: str
    user: str = ""

    @classmethod
    def of_this_process(cls) -> Self:
        """This process, from now on."""
        return cls(os.getpid(), platform.node(), datetime.now().astimezone().isoformat(timespec="seconds"), _user())

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a lock file says; a damaged one (or one that is just being written) has an unknown owner."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            user = str(content.get("user", ""))
            return cls(int(content["pid"]), str(content["host"]), str(content["time"]), user)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(0, "unknown host", "unknown time")

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended: it was another process of this machine, and is there no longer."""
        return self.pid > 0 and self.host == platform.node() and self.pid != os.getpid() and not _is_alive(self.pid)

    def text(self) -> str:
        """The content of its lock file."""
        return json.dumps({"pid": self.pid, "host": self.host, "time": self.time, "user": self.user})

    def __str__(self) -> str:
        process = f"process {self.pid}" if self.pid else "an unknown process"
        return f"{process}{f' of {self.user}' if self.user else ''} on {self.host}"


class OwnerLock:
    """The exclusive right to something, as a file.

    Subclasses say what a refusal is (`refusal`).

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False

    def refusal(self, owner: Owner, file: Path) -> Exception:
        """The error for whoever comes second; `file` is what stands in the way."""
        raise NotImplementedError

    def take(self) -> None:
        """Take it; one that a dead process of this machine left is taken over.

        Raises:
            OSError: the file cannot be written.
            Exception: another process holds it; that of `refusal`.
        """
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
        guard = self.path.with_name(f"{self.path.name}.takeover")  # of two that find a stale lock, one goes on
        try:
            _create(guard)
        except FileExistsError:
            raise self.refusal(_owner(guard), guard) from None
        try:
            owner = _owner(self.path)
            if not self._was_left(owner):
                raise self.refusal(owner, self.path)
            logger.warning("taking over the lock of {}, which is gone: {}", owner, self.path)
            _replace(self.path)
        finally:
            guard.unlink(missing_ok=True)

    def _was_left(self, owner: Owner) -> bool:
        if owner.pid == os.getpid() and owner.host == platform.node():
            return self.path not in _held
        return owner.is_gone


def _create(path: Path) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(Owner.of_this_process().text())


def _replace(path: Path) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(Owner.of_this_process().text(), encoding="utf-8")


def _owner(path: Path) -> Owner:
    try:
        return Owner.read(path)
    except FileNotFoundError:  # given back in this very moment
        return Owner(0, "unknown host", "a moment ago")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user here: containers
        return ""


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
