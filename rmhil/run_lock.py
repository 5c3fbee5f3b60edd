"""One process at a time works on a run directory: the file `lock` in it says which."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rmhil.errors import RunDirectoryError
from rmhil.owner_lock import Owner, OwnerLock
from rmhil.whole_files import writing

LOCK_NAME: Final = "lock"


class RunLock(OwnerLock):
    """The exclusive right to change a run directory.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory.resolve() / LOCK_NAME)

    def take(self) -> None:
        """Take it; one that a dead process of this machine left is taken over.

        Raises:
            RunDirectoryError: another process holds it, or the directory cannot be written.
        """
        with writing(self.path):
            super().take()

    def refusal(self, owner: Owner, file: Path) -> RunDirectoryError:
        """The error for whoever comes second."""
        return RunDirectoryError(
            f"{self.path.parent}: {owner} works on this run since {owner.time}; wait until it ends, "
            f"or delete {file} if it is no longer there"
        )
