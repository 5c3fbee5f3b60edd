"""Working on an array so that everything done to it is on record: in the journal of a run, and in its chip's file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rmhil.backend import ArraySpec, Backend, StateSaving
from rmhil.errors import ConfigError, ResumeError
from rmhil.journal import Job, RecordedBackend, Replay, recorded
from rmhil.ledger import Ledger
from rmhil.plain import plain
from rmhil.store import Run
from rmhil.wear import WearFile, WearGuard, chip_file

_LEDGER: Final = "ledger_before"
"""Key of a job's detail under which the counts stand that it began with."""


@contextmanager
def recording(
    run: Run, backend: Backend, kind: str, detail: Mapping[str, Any], ledger: Ledger, resumed: Job | None = None
) -> Iterator[tuple[RecordedBackend, int]]:
    """A backend that records what is done with it, and the number of the job that this belongs to.

    Args:
        run: at work.
        backend: is driven; the caller closes it.
        kind: the command.
        detail: its settings.
        ledger: what was counted before this job.
        resumed: a job to go on with; it is run again, and answered from the journal as far as that goes.

    Raises:
        RunDirectoryError: the journal cannot be written.
        WearFileError: the chip file is damaged or cannot be used; nothing was driven.
        ResumeError: the array is not the one of the job, or not as the job left it; nothing was driven.
    """
    journal, path = run.journal, chip_file(backend, run)
    journal.durable = not isinstance(backend, StateSaving)
    if resumed is None:
        job = journal.begin_job(kind, {**detail, _LEDGER: ledger.to_dict()})
    else:
        _check_same_array(run, backend)
        job = resumed.id
        journal.set_job_status(job, "running")
    journal.set_chip_file(_from(run.path, path))
    replay = None if resumed is None else Replay(journal.transactions(job))
    with _worn(run, path, backend.spec) as guard:
        try:
            yield recorded(backend, journal, job, guard, replay), job
        except BaseException as error:
            journal.set_job_status(job, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        journal.set_job_status(job, "complete")


def resumable_job(run: Run, kind: str) -> Job:
    """The job of a run that can be gone on with: the last one of its kind, if it has not come to its end.

    Raises:
        ResumeError: there is none; the message says why.
        RunDirectoryError: the journal is damaged.
    """
    jobs = run.journal.jobs()
    mine = [job for job in jobs if job.kind == kind]
    if not mine:
        raise ResumeError(f"{run.path}: no job of `rmhil {kind}` is in its journal, so there is none to go on with")
    job = mine[-1]
    why, pulsed = None, run.journal.pulsed_after(job.id)
    if job.status == "complete":
        why = "is complete"
    elif pulsed is not None:
        why = f"was followed by job {pulsed} (`rmhil {dict((one.id, one.kind) for one in jobs)[pulsed]}`) with pulses"
    if why is not None:
        raise ResumeError(f"{run.path}: job {job.id} (`rmhil {kind}`) {why}; --run {run.name} begins another one")
    return job


def ledger_before(job: Job) -> Ledger:
    """What was counted before a job, which counts again what it did when it is run again.

    Raises:
        ResumeError: the journal does not say.
    """
    try:
        return Ledger.from_dict(job.detail[_LEDGER])
    except (KeyError, TypeError, ConfigError) as error:
        raise ResumeError(f"job {job.id} is damaged in the journal: {error}") from error


@contextmanager
def _worn(run: Run, path: Path, spec: ArraySpec) -> Iterator[WearGuard]:
    """What the cells of the chip have had, with this run's part taken in before the work and after it."""
    with WearFile.open(path, durable=run.journal.durable) as chip:
        chip.register(run.path)
        chip.take_in_the_killed(but=run.path)
        chip.take_in(run.path)
        guard = WearGuard(spec.shape, chip.counts(), chip.budget)
        try:
            yield guard
        finally:
            _, last = run.journal.identity()
            if last:
                chip.take_in(run.path, settled=True)
            else:
                chip.forget(run.path)


def _check_same_array(run: Run, backend: Backend) -> None:
    """Refuse an array that is not as the journal of the run says.

    Raises:
        ResumeError: it is another one, or its cells have been lost.
    """
    now, then = plain(backend.spec), run.record.backend or {}
    differing = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    if differing:
        said = ", ".join(f"{name} = {now.get(name)!r}, was {then.get(name)!r}" for name in differing)
        raise ResumeError(f"{run.path}: the array is not the one of the job: {said}")
    kept, (_, last) = run.journal.state_kept_at(), run.journal.identity()
    if isinstance(backend, StateSaving) and kept != last:
        raise ResumeError(
            f"{run.path}: the simulated cells died with their process: their state was kept after transaction {kept}, "
            f"the journal goes on to {last}. Begin anew: the same seed gives the same array"
        )


def _from(directory: Path, path: Path) -> str:
    """A path as the run notes it: by its name inside the run, so that the run can be moved."""
    return path.name if path.parent == directory else os.path.abspath(path)
