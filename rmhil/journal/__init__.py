"""What happened to an array, in an SQLite file: commands, pulses before they are given, readings after they are taken.

`RecordedBackend` writes it, in front of any backend; `Replay` answers from it when a job is resumed; `cell_history`
reads it. The tables are described in `docs/reference/journal.md`.
"""

from __future__ import annotations

from rmhil.journal.entries import Fate, Job, Kind, Step, Transaction
from rmhil.journal.file import SCHEMA_VERSION
from rmhil.journal.history import CellEvent, cell_history
from rmhil.journal.journal import Journal
from rmhil.journal.recorded import RecordedBackend, recorded
from rmhil.journal.replay import Replay

__all__ = [
    "SCHEMA_VERSION",
    "CellEvent",
    "Fate",
    "Job",
    "Journal",
    "Kind",
    "RecordedBackend",
    "Replay",
    "Step",
    "Transaction",
    "cell_history",
    "recorded",
]
