"""Which backend a run stands on, and how to open that backend again.

A chip keeps its cells by itself. A simulated one lives as long as its process; its state is kept in
the run directory and handed back to the backend when the run is taken up again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loguru import logger

from rmhil.backend import StateSaving
from rmhil.errors import InputFileError, RunDirectoryError
from rmhil.plain import plain
from rmhil.registry import open_backend
from rmhil.whole_files import writing

if TYPE_CHECKING:
    from rmhil.backend import Backend
    from rmhil.store import Run

SECTION: Final = "backend"
"""Key of a run's configuration that holds the choice."""

_CONFIG_NAME, _STATE_NAME = "backend.toml", "chip-state.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendChoice:
    """A backend with its settings, as chosen by name.

    Attributes:
        name: `sim`, or another installed backend.
        config: its TOML file; None takes the defaults.
        options: settings over those of the file, e.g. `{"seed": 7}`.
    """

    name: str = "sim"
    config: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self, **further: Any) -> Backend:  # noqa: ANN401
        """Open it; use the result as a context manager.

        Raises:
            InputFileError: the configuration file is missing.
            UnknownNameError, ConfigError, BackendUnavailableError: as `rmhil.open_backend`.
        """
        if self.config is not None and not self.config.is_file():
            raise InputFileError(f"no configuration file {self.config}")
        return open_backend(self.name, config=self.config, **dict(self.options), **further)

    def entry(self) -> dict[str, Any]:
        """What a run's configuration says of it; pass as `config={"backend": choice.entry(), ...}`."""
        config = None if self.config is None else _CONFIG_NAME
        return {"name": self.name, "config": config, "options": plain(self.options)}

    def keep_config(self, run: Run) -> None:
        """Copy the configuration file into the run, so that a later change of it changes nothing.

        Raises:
            RunDirectoryError: the copy cannot be written.
        """
        if self.config is not None:
            with writing(run.path / _CONFIG_NAME):
                shutil.copyfile(self.config, run.path / _CONFIG_NAME)


def choice_of(run: Run) -> BackendChoice:
    """The backend that a run was made on.

    Raises:
        RunDirectoryError: the run used none, or its record is damaged.
    """
    entry = run.record.config.get(SECTION)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise RunDirectoryError(f"{run.path}: the run names no backend that could be opened again")
    config, options = entry.get("config"), entry.get("options")
    if not isinstance(config, str | None):
        raise RunDirectoryError(f"{run.path}: damaged at 'config.{SECTION}.config': {config!r}, expected a file name")
    if not isinstance(options, Mapping | None):
        raise RunDirectoryError(f"{run.path}: damaged at 'config.{SECTION}.options': {options!r}, expected an object")
    return BackendChoice(
        name=entry["name"],
        config=None if config is None else run.path / config,
        options=dict(options or {}),
    )


def keep_state(run: Run, backend: Backend) -> None:
    """Keep the state of the cells in the run, where the backend cannot keep it itself.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    if isinstance(backend, StateSaving):
        unfinished = run.path / f"unfinished-{_STATE_NAME}"
        with writing(run.path / _STATE_NAME):
            backend.save_state(unfinished)
            unfinished.replace(run.path / _STATE_NAME)
        run.journal.note_state()


def reopen(run: Run) -> Backend:
    """Open the backend of a run with its cells as the run left them.

    Raises:
        RunDirectoryError: the backend that answers is another one, or the state is missing.
        ConfigError, BackendUnavailableError: as `rmhil.open_backend`.
    """
    choice = choice_of(run)
    state = run.path / _STATE_NAME
    backend = choice.open(state=state) if state.is_file() else choice.open()
    recorded = (run.record.backend or {}).get("provenance")
    try:
        if isinstance(backend, StateSaving) and not state.is_file():
            raise RunDirectoryError(f"{run.path}: the state of the simulated cells ({_STATE_NAME}) is missing")
        if recorded is not None and recorded != backend.spec.provenance:
            raise RunDirectoryError(f"{run.path}: made on {recorded}, but {backend.spec.provenance} answers")
    except RunDirectoryError:
        backend.close()
        raise
    logger.bind(run=run.name).info("reopened {}", backend.spec.provenance)
    return backend
