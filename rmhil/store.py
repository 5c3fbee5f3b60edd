"""The run directory: everything needed to say later what was done, on what, and what came out.

```
runs/2026-11-21T14-03-12/
    run.json         command, configuration, seed, versions, backend, status
    journal.sqlite   the commands, pulses and readings, in order (beside it `-wal` and `-shm` while it is written)
    maps/*.nc        conductance maps (netCDF4)
    measurements/*.nc  sweeps, endurance and retention of cells
    arrays/*.npz     other arrays (embeddings, currents)
    population.json  what the adaptive policy knew of the cells (`rmhil program --pilot`)
    results.json     accuracies and counts
    ledger.json      events counted
    ledger-total.json  those and everything that comparisons did on the array (`rmhil demo`)
    backend.toml     copy of the backend's configuration file, if one was given
    chip-state.npz   the cells of a simulated array
    chip-wear.sqlite the pulses that each of them has had
    deployment/      the converted network, its adapters and `deployment.json` (`rmhil demo`)
    report.html      written by `rmhil report`
    plots/*.png      pictures of measurements and of the report
    lock             the process that works on the run, while it does
```

Only `run.json` is checked when a run is opened; any other file is checked when it is read.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast, get_args

import numpy as np
from loguru import logger
from numpy.typing import ArrayLike, NDArray

import rmhil
from rmhil.errors import ConfigError, RunDirectoryError
from rmhil.journal import Journal, Step
from rmhil.plain import plain
from rmhil.run_lock import RunLock
from rmhil.run_record import (
    JOURNAL_NAME,
    RECORD_NAME,
    RunRecord,
    RunStatus,
    checked_name,
    find_directory,
    latest_directory,
    new_directory,
    read_json,
    read_record,
    versions,
)
from rmhil.whole_files import replacing, write_text, writing

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.backend import ArraySpec
    from rmhil.ledger import Ledger

LATEST: Final = "latest"
"""Stands for the newest run directory wherever a run is asked for."""

_RESULTS, _LEDGER = "results.json", "ledger.json"
_STAMP = "%Y-%m-%dT%H-%M-%S"


class Run:
    """One run directory. As a context manager it ends `complete`, `interrupted` or `failed`.

    One process at a time works on it: from `create`, or from entering `with run`, until it ends; reading needs no
    lock. Work on an earlier run that fails or is interrupted leaves its record as it was, and is noted in its journal.

    Made by `create` or `open`, not by its constructor.

    Args:
        path: the directory.
        record: the content of its `run.json`.

    Attributes:
        asked: what is asked for now (command and settings), for the journal in case it fails.
        journal: what was asked of the array and what came of it, pulse by pulse; see `docs/reference/journal.md`.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record
        self.asked: dict[str, Any] = {}
        self.journal = Journal(path / JOURNAL_NAME)
        self._lock = RunLock(path)
        self._earlier: RunRecord | None = None

    # Making and finding -----------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        root: str | Path = "runs",
        *,
        command: str,
        backend_spec: ArraySpec | None = None,
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a new directory `root/<date>T<time>`, never an existing one.

        Args:
            root: folder of all runs; made when missing.
            command: what was asked for, as typed.
            backend_spec: the target that was opened.
            seed: of every random number.
            config: the settings in force; anything `rmhil.plain.plain` can turn into JSON.

        Raises:
            RunDirectoryError: the folder cannot be made or written.
        """
        now = datetime.now().astimezone()
        record = RunRecord(
            command=command,
            created=now.isoformat(timespec="milliseconds"),
            seed=seed,
            config=plain(dict(config or {})),
            backend=None if backend_spec is None else plain(backend_spec),
            versions=versions(),
        )
        try:
            run = cls(new_directory(Path(root), now.strftime(_STAMP)), record)
            run._lock.take()
            run._write_record()
        except OSError as error:
            raise RunDirectoryError(f"a run directory cannot be made in {root}: {error}") from error
        logger.bind(run=run.name).info("run directory {}", run.path)
        return run

    @classmethod
    def open(cls, which: str | Path = LATEST, root: str | Path = "runs") -> Self:
        """Open a run by its path, by its name under `root`, or the newest one by `latest`.

        Raises:
            RunDirectoryError: there is no such run, or it is damaged; the message says how.
        """
        path = latest_directory(Path(root)) if str(which) == LATEST else find_directory(Path(which), Path(root))
        return cls(path, read_record(path / RECORD_NAME))

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.name

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        return self.record.status

    # The journal ------------------------------------------------------------------------------

    def step(self, kind: str, **detail: Any) -> int:  # noqa: ANN401
        """Commit one step to the journal and return its number.

        Raises:
            RunDirectoryError: the journal is damaged or cannot be written.
        """
        return self.journal.append(kind, detail)

    def steps(self) -> list[Step]:
        """The journal, oldest step first.

        Raises:
            RunDirectoryError: the journal is damaged.
        """
        return self.journal.steps()

    # Maps and arrays --------------------------------------------------------------------------

    def save_map(
        self,
        name: str,
        report: object,
        *,
        arrays: ArrayLike | None = None,
        bl: ArrayLike | None = None,
        sl: ArrayLike | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> Path:
        """Keep what a report says of each cell as `maps/<name>.nc`; an earlier one is replaced.

        Args:
            name: letters, digits, `.`, `_`, `-` and spaces.
            report: `ProgramReport`, `VerifyReport` or a mapping such as `{"conductance": array}`.
            arrays: numbers of the arrays, for a report on some of them.
            bl: numbers of the bit lines, for a report on a region.
            sl: numbers of the source lines, for a report on a region.
            **attributes: further facts about the whole map (texts or numbers).

        Raises:
            ConfigError: the name cannot be a file name.
            ShapeError: the report holds no map.
            RunDirectoryError: the file cannot be written.
        """
        from rmhil import conductance_maps

        labelled = conductance_maps.dataset(
            report, arrays=arrays, bl=bl, sl=sl, **({"rmhil_version": rmhil.__version__, "run": self.name} | attributes)
        )
        path = self.directory("maps") / f"{checked_name(name)}.nc"
        with replacing(path) as unfinished:
            conductance_maps.write(labelled, unfinished)
        return path

    def load_map(self, name: str) -> xr.Dataset:
        """Read `maps/<name>.nc` into memory.

        Raises:
            RunDirectoryError: there is no such map (the message lists those there are), or it is damaged.
        """
        from rmhil import conductance_maps

        path = self.existing("maps", name, ".nc")
        try:
            return conductance_maps.read(path)
        except (OSError, ValueError, KeyError) as error:
            raise RunDirectoryError(f"{path}: not a readable map: {error}") from error

    def map_names(self) -> list[str]:
        """Names of the saved maps, oldest first."""
        return self.names_in("maps", ".nc")

    def save_arrays(self, name: str, **arrays: ArrayLike) -> Path:
        """Keep named arrays as `arrays/<name>.npz`; an earlier file is replaced.

        Raises:
            ConfigError: the name cannot be a file name.
            RunDirectoryError: the file cannot be written.
        """
        path = self.directory("arrays") / f"{checked_name(name)}.npz"
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **cast("dict[str, Any]", arrays))
        return path

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Read `arrays/<name>.npz`.

        Raises:
            RunDirectoryError: there is no such file, or it is damaged.
        """
        path = self.existing("arrays", name, ".npz")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
                return {key: opened[key] for key in opened.files}
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise RunDirectoryError(f"{path}: not a readable array file: {error}") from error

    def array_names(self) -> list[str]:
        """Names of the saved array files, oldest first."""
        return self.names_in("arrays", ".npz")

    def directory(self, name: str) -> Path:
        """A folder inside the run (`adapters`, `model` ...), made when missing."""
        path = self.path / checked_name(name)
        with writing(path):
            path.mkdir(exist_ok=True)
        return path

    def names_in(self, folder: str, suffix: str) -> list[str]:
        """Names of the files of one kind in a folder of the run, oldest first."""
        files = (self.path / folder).glob(f"*{suffix}")
        return [file.stem for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name))]

    def existing(self, folder: str, name: str, suffix: str) -> Path:
        """A file of the run.

        Raises:
            ConfigError: the name cannot be a file name.
            RunDirectoryError: there is no such file; the message lists those there are.
        """
        path = self.path / folder / f"{checked_name(name)}{suffix}"
        if not path.is_file():
            known = ", ".join(self.names_in(folder, suffix)) or "none"
            raise RunDirectoryError(f"{self.path}: no {folder}/{name}{suffix}; there are: {known}")
        return path

    # Results and counts -----------------------------------------------------------------------

    def save_results(self, results: Mapping[str, Any]) -> None:
        """Keep the results as `results.json`; NaN is written as null."""
        write_text(self.path / _RESULTS, json.dumps(plain(results), indent=2))

    def results(self) -> dict[str, Any] | None:
        """The results; None when none were saved.

        Raises:
            RunDirectoryError: the file is damaged.
        """
        return read_json(self.path / _RESULTS)

    def save_ledger(self, ledger: Ledger) -> None:
        """Keep the event counts as `ledger.json`."""
        write_text(self.path / _LEDGER, json.dumps(plain(ledger.to_dict()), indent=2))

    def ledger(self) -> Ledger | None:
        """The event counts; None when none were saved.

        Raises:
            RunDirectoryError: the file is damaged.
        """
        from rmhil.ledger import Ledger

        content = read_json(self.path / _LEDGER)
        if content is None:
            return None
        try:
            return Ledger.from_dict(content)
        except (KeyError, TypeError, ValueError) as error:
            raise RunDirectoryError(f"{self.path / _LEDGER}: not a ledger: {error}") from error

    # The end ----------------------------------------------------------------------------------

    def finish(self, status: RunStatus = "complete", error: str | None = None) -> None:
        """Write down how the run ended, and let go of the journal and the lock.

        Raises:
            ConfigError: not a status.
            RunDirectoryError: it cannot be written.
        """
        if status not in get_args(RunStatus):
            raise ConfigError(f"run status {status!r}, expected one of {', '.join(get_args(RunStatus))}")
        ended = None if status == "running" else datetime.now().astimezone().isoformat(timespec="milliseconds")
        self.record = self.record.model_copy(update={"status": status, "finished": ended, "error": error})
        try:
            self._write_record()
        finally:
            self.close()

    def discard(self) -> None:
        """Remove the directory and all it holds: for a run that was refused before anything happened."""
        self.close()
        shutil.rmtree(self.path)

    def close(self) -> None:
        """Let go of the journal and the lock, and leave the status as it is. Idempotent."""
        self.journal.close()
        self._lock.release()

    def __enter__(self) -> Self:
        if not self._lock.held:  # an earlier run
            self._lock.take()
            try:
                self._earlier = read_record(self.path / RECORD_NAME)
                self.record = self._earlier.model_copy(update={"status": "running", "finished": None, "error": None})
                self._write_record()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.path.exists():  # discarded
            return
        if self.status != "running":  # the caller said how it ended
            self.close()
        elif kind is None:
            self.finish("complete")
        elif self._earlier is not None:
            self._note_and_restore("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed", error)
        elif issubclass(kind, KeyboardInterrupt):
            self.finish("interrupted")
        else:
            self.finish("failed", error=f"{kind.__name__}: {error}")

    def _note_and_restore(self, ended: RunStatus, error: BaseException | None) -> None:
        """Leave an earlier run's record as it was; nothing here may hide the error."""
        self.record = self._earlier or self.record
        try:
            self._write_record()
            self.step(ended, **self.asked, error=f"{type(error).__name__}: {error}")
        except RunDirectoryError as second:
            logger.bind(run=self.name).error("{}", second)
        finally:
            self.close()

    # ------------------------------------------------------------------------------------------

    def _write_record(self) -> None:
        write_text(self.path / RECORD_NAME, self.record.model_dump_json(indent=2))
