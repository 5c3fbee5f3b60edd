"""What `rmhil program` is to do: from the options, or from the journal of a run whose job was cut short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import typer

from rmhil.cli.cell_choice import CellChoice, load_target
from rmhil.errors import ConfigError
from rmhil.plain import plain
from rmhil.recording import resumable_job
from rmhil.store import Run
from rmhil.write_verify import Adaptive, AnyPolicy, Population, find_policy

if TYPE_CHECKING:
    from rmhil.backend import Floats
    from rmhil.cli.session import Session
    from rmhil.crossbar import Crossbar

KIND = "program"
"""Of the job in a journal."""

_KNOWLEDGE, _LINES = "population_content", "lines"
"""Keys of a job's detail: the content of the population's file, and the lines that the target is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramJob:
    """One call of `rmhil program`, as the options say or as it was begun.

    Attributes:
        typed: options that decide what is done, by the name of their parameter, as they can be typed.
        knowledge: of the population, from a file; None where it is to be learnt, or estimated.
        target: S, as the options have it, on any part of the array; None where the journal has it.
    """

    typed: Mapping[str, Any]
    knowledge: Population | None
    target: Floats | None = None

    @classmethod
    def of_options(cls, typed: Mapping[str, Any]) -> Self:
        """From the options.

        Raises:
            ConfigError: options are missing, or exclude one another, or no such policy or population.
            InputFileError: the target cannot be read.
        """
        if typed["target"] is None:
            raise ConfigError("what is to be programmed? Name a TARGET, or a run to go on with by --resume")
        find_policy(typed["policy"])
        knowledge = _knowledge(typed["policy"], typed["pilot"], typed["population"])
        return cls(typed=typed, knowledge=knowledge, target=load_target(typed["target"]))

    @classmethod
    def begun(cls, ctx: typer.Context, typed: Mapping[str, Any], which: str, out: Path) -> Self:
        """From the journal of a run; options that were typed again must say the same.

        Raises:
            ConfigError: an option says something else.
            ResumeError: the run has no job to go on with.
            RunDirectoryError: there is no such run, or its journal is damaged.
        """
        run = Run.open(which, out)
        job = resumable_job(run, KIND)
        stored, content = {name: job.detail.get(name) for name in typed}, job.detail.get(_KNOWLEDGE)
        for name, now in typed.items():
            if name not in ("target", "population") and _is_typed(ctx, name) and plain(now) != stored[name]:
                raise _other(name, now, stored[name])
        if job.target is None:  # it ended before it had driven anything: its options say all there is
            return cls.of_options(stored | {"population": stored["population"] and Path(stored["population"])})
        knowledge = None if content is None else Population.model_validate(content)
        again = typed["population"]
        if again is not None and Population.load(again) != knowledge:
            raise _other("population", again, stored["population"])
        return cls(typed=stored, knowledge=knowledge)

    @property
    def settings(self) -> dict[str, Any]:
        """Of `Crossbar.program`."""
        return {name: self.typed[name] for name in ("tolerance", "max_pulses", "rewrite", "averages")}

    @property
    def pilot(self) -> int | None:
        """Cells to learn on before writing; None: none."""
        return None if self.typed["pilot"] is None else int(self.typed["pilot"])

    def policy(self, knowledge: Population | None) -> str | AnyPolicy:
        """The policy, with what is known of the population by now."""
        return str(self.typed["policy"]) if knowledge is None else Adaptive(population=knowledge)

    def aim(self, work: Session) -> tuple[Crossbar, Floats]:
        """The part of the array that is to be programmed, and its targets in S; noted in the journal if it is new.

        Raises:
            RmhilError: they do not fit, or are not those of the job that is gone on with; nothing was driven.
        """
        if work.resumed is None or work.resumed.target is None:
            assert self.target is not None  # only a job that the journal has aimed comes without
            crossbar, wanted = self._aimed(work, self.target)
            lines = {"arrays": crossbar.arrays, "bl": crossbar.bl, "sl": crossbar.sl}
            content = None if self.knowledge is None else self.knowledge.model_dump(by_alias=True)
            work.run.journal.describe_job(work.job, {_LINES: lines, _KNOWLEDGE: content}, wanted)
            return crossbar, wanted
        lines = work.resumed.detail[_LINES]
        return work.crossbar().region(lines["bl"], lines["sl"], lines["arrays"]), work.resumed.target

    def check_target(self, target: str, work: Session, wanted: Floats) -> None:
        """Refuse a target that is typed again and says something else than the job that is gone on with.

        Raises:
            ConfigError: it does.
            InputFileError: it cannot be read.
        """
        _, now = self._aimed(work, load_target(target))
        if not np.array_equal(now, wanted, equal_nan=True):
            raise _other("target", target, self.typed["target"])

    def _aimed(self, work: Session, target: Floats) -> tuple[Crossbar, Floats]:
        mask = self.typed["mask"]
        choice = CellChoice(
            region=self.typed["region"], cells=self.typed["cell"] or (), mask=None if mask is None else Path(mask)
        )
        crossbar, named = work.cells(choice)
        wanted = choice.target(target, work.crossbar(), crossbar, named)
        crossbar.check_target(wanted, self.typed["tolerance"])
        return crossbar, wanted


def _knowledge(policy: str, pilot: int | None, population: Path | None) -> Population | None:
    """What is known of the population from a file; None where it is to be learnt, or estimated.

    Raises:
        ConfigError: options that exclude one another, or no such file.
    """
    given = [name for name, value in (("--pilot", pilot), ("--population", population)) if value is not None]
    if len(given) == 2:
        raise ConfigError("--pilot and --population exclude one another: learn a population, or read it from a file")
    if given and policy != Adaptive().name:
        raise ConfigError(f"{given[0]} needs --policy {Adaptive().name}; {policy} knows nothing of populations")
    return None if population is None else Population.load(population)


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _other(name: str, now: object, then: object) -> ConfigError:
    option = "TARGET" if name == "target" else f"--{name.replace('_', '-')}"
    return ConfigError(
        f"{option} is {plain(now)!r}, but the job was begun with {then!r}: leave it out, or begin another job by --run"
    )
