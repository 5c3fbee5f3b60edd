"""A backend, a run directory and what every command that touches an array does with them."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from loguru import logger

from rmhil.backend import StateSaving
from rmhil.cli.console import error_console
from rmhil.cli.inputs import parse_region
from rmhil.cli.lazy import ARGUMENTS
from rmhil.errors import BackendUnavailableError, ConfigError, RmhilError
from rmhil.reopen import SECTION, BackendChoice, keep_state, reopen
from rmhil.store import Run

if TYPE_CHECKING:
    from rmhil.backend import Backend
    from rmhil.crossbar import Crossbar
    from rmhil.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command works, as the options say.

    Attributes:
        backend, config, seed: a backend to open; None: not given.
        run: a run to go on with; None: a new one.
        out: folder of all runs.
    """

    backend: str | None
    config: Path | None
    seed: int | None
    run: str | None
    out: Path

    def __post_init__(self) -> None:
        given = [
            f"--{name}"
            for name in ("backend", "config", "seed")
            if self.run is not None and getattr(self, name) is not None
        ]
        if given:
            raise ConfigError(f"{', '.join(given)} cannot be given with --run: the run says which array it is on")

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
    """

    kind: str
    asked: Mapping[str, Any]
    backend: Backend
    run: Run
    ledger: Ledger

    def step(self, **outcome: Any) -> None:  # noqa: ANN401
        """Note in the journal what was asked for and what came out."""
        self.run.step(self.kind, **(dict(self.asked) | outcome))

    def crossbar(self, region: str | None) -> Crossbar:
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
    opened = _new_run if place.run is None else _earlier_run
    with opened(ctx, place, kind, settings) as work:
        try:
            yield work
        except BaseException:
            try:
                _leave(work)
            except Exception as second:  # the first error is the one to report
                logger.error("{}", second)
            raise
        _leave(work)


def _leave(work: Session) -> None:
    """Each of these is done, whatever becomes of those before it."""
    with ExitStack() as last_first:
        last_first.callback(work.run.save_ledger, work.ledger)
        last_first.callback(keep_state, work.run, work.backend)
        last_first.callback(work.backend.safe)


@contextmanager
def _earlier_run(ctx: typer.Context, place: Place, kind: str, settings: Mapping[str, Any]) -> Iterator[Session]:
    from rmhil.ledger import Ledger

    run = Run.open(str(place.run), place.out)
    run.asked = {"command": command_line(ctx), **settings}
    with run:
        ledger = run.ledger() or Ledger()
        with reopen(run) as backend:
            yield Session(kind=kind, asked=run.asked, backend=backend, run=run, ledger=ledger)


@contextmanager
def _new_run(ctx: typer.Context, place: Place, kind: str, settings: Mapping[str, Any]) -> Iterator[Session]:
    from rmhil.ledger import Ledger

    choice, command = place.choice, command_line(ctx)
    with choice.open() as backend:
        config = {SECTION: choice.entry(), kind: settings}
        run = Run.create(place.out, command=command, backend_spec=backend.spec, seed=place.seed, config=config)
        work = Session(kind=kind, asked={"command": command, **settings}, backend=backend, run=run, ledger=Ledger())
        try:
            with run:
                choice.keep_config(run)
                yield work
        except RmhilError as error:
            if not isinstance(error, BackendUnavailableError) and not _anything_done(work):
                run.discard()
            raise
        if kind != "program" and isinstance(backend, StateSaving) and not _names_a_state(choice):
            text = "note: this was a new array with virgin cells; --run latest goes on with that of the newest run"
            error_console().print(text, soft_wrap=True)


def _names_a_state(choice: BackendChoice) -> bool:
    """True if the settings take up a kept array."""
    return choice.config is not None and "state" in tomllib.loads(choice.config.read_text(encoding="utf-8"))


def _anything_done(work: Session) -> bool:
    from rmhil.ledger import Counts

    return work.ledger.counts != Counts()


def command_line(ctx: typer.Context) -> str:
    """The command as typed."""
    return shlex.join(["rmhil", *ctx.meta.get(ARGUMENTS, [ctx.info_name or ""])])


def free_name(kind: str, taken: list[str]) -> str:
    """`kind`, or `kind-2` and so on."""
    number = 1
    while (name := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return name
