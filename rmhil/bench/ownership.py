"""One owner for each bench: a lock file on this machine, and a lock of VISA where the link has one."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from rmhil.bench.config import BenchConfig
from rmhil.errors import BackendUnavailableError, ConfigError
from rmhil.owner_lock import Owner, OwnerLock


class BenchHeldError(BackendUnavailableError):
    """Somebody else owns the bench; nothing was driven.

    Attributes:
        owner: who.
    """

    def __init__(self, bench: str, owner: Owner, file: Path) -> None:
        super().__init__(
            f"{bench}: {owner} owns this bench since {owner.time}. Wait until it ends. If it is no longer there (a "
            f"lock of another machine, or of a process that cannot be asked), see that the outputs are off and "
            f"delete {file}"
        )
        self.owner = owner


class BenchLock(OwnerLock):
    """The exclusive right to a bench. A lock that a dead process of this machine left is taken over.

    Args:
        path: of the lock file.
        bench: what it stands for, for messages.
    """

    def __init__(self, path: Path, bench: str) -> None:
        super().__init__(path)
        self.bench = bench

    @classmethod
    def of(cls, config: BenchConfig) -> BenchLock:
        """The lock of a bench: the file that it names, or one for all users of its analyser on this machine."""
        named = config.lock.file
        path = default_lock(config.analyser.resource) if named is None else named.expanduser()
        return cls(path.absolute(), config.analyser.resource)

    def take(self) -> None:
        """Take it.

        Raises:
            BenchHeldError: another process holds it; the message says who.
            ConfigError: the file cannot be written.
        """
        try:
            super().take()
        except OSError as error:
            raise ConfigError(f"lock.file = {self.path}: cannot be written: {error.strerror or error}") from error

    def refusal(self, owner: Owner, file: Path) -> BenchHeldError:
        """The error for whoever comes second."""
        return BenchHeldError(self.bench, owner, file)


def default_lock(resource: str) -> Path:
    """The lock file of an analyser: the same for all users of this machine, whatever case they write its name in."""
    name = re.sub(r"[^a-z0-9]+", "-", resource.lower()).strip("-")
    return Path(tempfile.gettempdir()) / f"rmhil-bench-{name}.lock"
