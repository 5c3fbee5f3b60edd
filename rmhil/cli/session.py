"""A backend, a run directory and what every command that touches an array does with them."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from loguru import logger

from rmhil.backend import StateSaving
from rmhil.cli.console import error_console
from rmhil.cli.inputs import parse_region
from rmhil.cli.lazy import ARGUMENTS
from rmhil.errors import BackendUnavailableError, ConfigError, RmhilError
from rmhil.recording import ledger_before, recording, resumable_job
from rmhil.reopen import SECTION, BackendChoice, keep_state, reopen
from rmhil.store import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rmhil.backend import Backend
    from rmhil.cli.cell_choice import CellChoice
    from rmhil.crossbar import Crossbar
    from rmhil.journal import Job
    from rmhil.ledger import Ledger


_FORMING = ("program", "form", "yield")
"""Kinds of commands that form virgin cells, so that a new array is no surprise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command works, as the options say.

    Attributes:
        backend, config, seed: a backend to open; None: not given.
        run: a run to go on with; None: a new one.
        out: folder of all runs.
        resume: a run whose job is to be gone on with; None: a new job.
    """

    backend: str | None
    config: Path | None
    seed: int | None
    run: str | None
    out: Path
    resume: str | None = None

    def __post_init__(self) -> None:
        if self.run is not None and self.resume is not None:
            raise ConfigError(
                "--run and --resume exclude one another: a new job on the array of a run, or its last one"
            )
        given = [
            f"--{name}"
            for name in ("backend", "config", "seed")
            if self.earlier is not None and getattr(self, name) is not None
        ]
        if given:
            option = "--run" if self.resume is None else "--resume"
            raise ConfigError(f"{', '.join(given)} cannot be given with {option}: the run says which array it is on")

    @property
    def earlier(self) -> str | None:
        """The run that says which array it is on; None: a new one."""
        return self.run if self.resume is None else self.resume

    @property
    def choice(self) -> BackendChoice:
        """The backend to open for a new run."""
        options = {} if self.seed is None else {"seed": self.seed}
        return BackendChoice(name=self.backend or "sim", config=self.config, options=options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open backend and the run that records what is done with it.

    Attributes:
        kind: of the command, e.g. `read`.
        asked: the command as typed, and its settings.
        backend: records what is done with it.
        job: its number in the journal of the run.
        resumed: the job as it was begun, if this goes on with one.
    """

    kind: str
    asked: Mapping[str, Any]
    backend: Backend
    run: Run
    ledger: Ledger
    job: int
    resumed: Job | None = None

    def step(self, **outcome: Any) -> None:  # noqa: ANN401
        """Note in the journal what was asked for and what came out."""
        self.run.step(self.kind, **(dict(self.asked) | outcome))

    def cells(self, choice: CellChoice) -> tuple[Crossbar, NDArray[np.bool_]]:
        """The part of the array that holds the cells which the options name, and which of its cells they are."""
        return choice.of(self.crossbar())

    def crossbar(self, region: str | None = None) -> Crossbar:
        """The array, or the region of it that the options name."""
        from rmhil.crossbar import Crossbar

        whole = Crossbar(self.backend, ledger=self.ledger)
        bl, sl = parse_region(region, self.backend.spec)
        return whole.region(bl, sl)

    def keep_map(self, kind: str, report: object, crossbar: Crossbar, **attributes: str | float) -> Path:
        """Save a map of the crossbar under the next free name of its kind."""
        return self.run.save_map(
            free_name(kind, self.run.map_names()),
            report,
            arrays=crossbar.arrays,
            bl=crossbar.bl,
            sl=crossbar.sl,
            **attributes,
        )

    @property
    def header(self) -> str:
        """One line: the target, its size and the run."""
        spec = self.backend.spec
        arrays = f"{spec.n_arrays} arrays of " if spec.n_arrays > 1 else ""
        return f"{spec.provenance}  {arrays}{spec.n_bl} x {spec.n_sl} cells, run {self.run.name}"


@contextmanager
def session(ctx: typer.Context, place: Place, kind: str, settings: Mapping[str, Any]) -> Iterator[Session]:
    """Open the backend, and a run that ends as the work ends.

    However the work ends, the outputs are at 0 V, and the state and the counts are kept. A new run that
    was refused before anything was driven leaves no directory behind; an earlier run that is gone on with
    keeps its record.

    Args:
        ctx: of the command.
        place: where it works.
        kind: name of the command.
        settings: its settings.

    Raises:
        RmhilError: as the work, the backend and the run say.
    """
    opened = _new_run if place.earlier is None else _earlier_run
    with opened(ctx, place, kind, settings) as work, at_the_end(partial(_leave, work)):
        yield work


@contextmanager
def at_the_end(last: Callable[[], None]) -> Iterator[None]:
    """Do something once the work inside has ended, however it ended. Of two errors the first is the one to report."""
    try:
        yield
    except BaseException as first:
        try:
            last()
        except Exception as second:
            if type(second) is not type(first):  # another of its kind says the same
                logger.error("{}", second)
        raise
    last()


def _leave(work: Session) -> None:
    """Each of these is done, whatever becomes of those before it."""
    with ExitStack() as last_first:
        last_first.callback(work.run.save_ledger, work.ledger)
        last_first.callback(keep_state, work.run, work.backend)
        last_first.callback(work.backend.safe)


@contextmanager
def _earlier_run(ctx: typer.Context, place: Place, kind: str, settings: Mapping[str, Any]) -> Iterator[Session]:
    from rmhil.ledger import Ledger

    run = Run.open(str(place.earlier), place.out)
    run.asked = {"command": command_line(ctx), **settings}
    with run:
        resumed = None if place.resume is None else resumable_job(run, kind)
        ledger = (run.ledger() if resumed is None else ledger_before(resumed)) or Ledger()
        with reopen(run) as backend, recording(run, backend, kind, run.asked, ledger, resumed) as (recorded, job):
            yield Session(
                kind=kind, asked=run.asked, backend=recorded, run=run, ledger=ledger, job=job, resumed=resumed
            )


@contextmanager
def _new_run(ctx: typer.Context, place: Place, kind: str, settings: Mapping[str, Any]) -> Iterator[Session]:
    from rmhil.ledger import Ledger

    choice, command = place.choice, command_line(ctx)
    with choice.open() as backend:
        config = {SECTION: choice.entry(), kind: settings}
        run = Run.create(place.out, command=command, backend_spec=backend.spec, seed=place.seed, config=config)
        asked, ledger = {"command": command, **settings}, Ledger()
        try:
            with run:
                choice.keep_config(run)
                with recording(run, backend, kind, asked, ledger) as (recorded, job):
                    yield Session(kind=kind, asked=asked, backend=recorded, run=run, ledger=ledger, job=job)
        except RmhilError as error:
            if not isinstance(error, BackendUnavailableError) and not _anything_done(ledger):
                run.discard()
            raise
        if kind not in _FORMING and isinstance(backend, StateSaving) and not _names_a_state(choice):
            text = "note: this was a new array with virgin cells; --run latest goes on with that of the newest run"
            error_console().print(text, soft_wrap=True)


def _names_a_state(choice: BackendChoice) -> bool:
    """True if the settings take up a kept array."""
    return choice.config is not None and "state" in tomllib.loads(choice.config.read_text(encoding="utf-8"))


def _anything_done(ledger: Ledger) -> bool:
    from rmhil.ledger import Counts

    return ledger.counts != Counts()


def command_line(ctx: typer.Context) -> str:
    """The command as typed."""
    return shlex.join(["rmhil", *ctx.meta.get(ARGUMENTS, [ctx.info_name or ""])])


def free_name(kind: str, taken: list[str]) -> str:
    """`kind`, or `kind-2` and so on."""
    number = 1
    while (name := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return name
