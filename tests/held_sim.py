"""A simulated array that outlives the processes which program it: it lives in the test, driven over a socket.

`Holder` keeps it, and kills the process that drives it at the moment that a test names. `open_backend` is the other
end: an ordinary backend, found by its entry point, in the process that will be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import tomllib
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from enum import IntEnum
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rmhil.backend import ArraySpec, Biases, Cells, Pulses, Read, Readings, Trace
from rmhil.errors import BackendUnavailableError
from rmhil.units import Seconds
from rmhil.wear.place import CHIPS_VARIABLE
from sim_backend import SimBackend

ROOT: Final = Path(__file__).parents[1]

SPAWNING: Final = get_context("forkserver")
"""Processes are forked from one that has imported everything, and has no thread of the test's."""

SPAWNING.set_forkserver_preload(
    ["rmhil.cli.app", "rmhil.cli.program_command", "rmhil.crossbar", "xarray", "h5netcdf",
     "sim_backend.twin.backend", "pyvisa_py", "serial.urlhandler.protocol_socket", "tests.held_sim"]
)  # fmt: skip


class Moment(IntEnum):
    """When a process is killed in one of its transactions."""

    BEFORE = 0
    """The request has arrived and is not carried out."""
    AFTER = 1
    """The array has been driven, and the answer is not sent."""
    ANSWERED = 2
    """The answer is on its way: its journal may or may not hold it."""


@dataclass
class Holder:
    """Keeps an array, and serves one process after the other.

    Attributes:
        backend: the array.
        given: bl, sl, operation, amplitude and gate voltage of every pulse, in order.
        kill_at: transactions from now on after which the process is killed; None: it lives.
        moment: of that transaction.
    """

    backend: SimBackend
    given: list[tuple[int, int, int, float, float]] = field(default_factory=list)
    kill_at: int | None = None
    moment: Moment = Moment.BEFORE

    def serve(self, folder: Path) -> Listener:
        """Serve at `folder/array`, in a thread, until the listener is closed."""
        listener = Listener(str(folder / "array"), "AF_UNIX")
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return listener

    def _serve(self, listener: Listener) -> None:
        while True:
            try:
                with listener.accept() as connection:
                    self._serve_one(connection)
            except (EOFError, ConnectionError):
                continue
            except OSError:  # closed
                return

    def _serve_one(self, connection: Connection) -> None:
        process = int(connection.recv())
        connection.send(self.backend.spec)
        while True:
            name, arguments = connection.recv()
            dies = name == "apply" and self._is_the_last()
            if dies and self.moment is Moment.BEFORE:
                os.kill(process, signal.SIGKILL)
                raise EOFError
            answer = getattr(self.backend, name)(*arguments)
            if name == "apply":
                self._note(*arguments[:2])
            if dies and self.moment is Moment.AFTER:
                os.kill(process, signal.SIGKILL)
                raise EOFError
            connection.send(answer)
            if dies:
                os.kill(process, signal.SIGKILL)

    def _is_the_last(self) -> bool:
        if self.kill_at is None:
            return False
        self.kill_at -= 1
        return self.kill_at < 0

    def _note(self, cells: Cells, pulses: Pulses | None) -> None:
        if pulses is not None:
            rows = (cells.bl, cells.sl, pulses.operation, pulses.amplitude, pulses.gate_voltage)
            self.given += list(zip(*(row.tolist() for row in rows), strict=True))


class HeldSim:
    """The seam, in the process that drives the array."""

    def __init__(self, address: str) -> None:
        self._connection = Client(address, "AF_UNIX")
        self._connection.send(os.getpid())
        self.spec: ArraySpec = self._connection.recv()

    def _ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - answers are of every type
        try:
            self._connection.send((name, arguments))
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise BackendUnavailableError(f"the array does not answer: {error}") from error

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        readings: Readings = self._ask("apply", cells, pulses, read)
        return readings

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        trace: Trace = self._ask("sweep", cells, biases)
        return trace

    def wait(self, seconds: Seconds) -> None:
        self._ask("wait", seconds)

    def safe(self) -> None:
        self._ask("safe")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_backend(config: str | Path | None = None) -> HeldSim:
    """Open the array that a TOML file names: the entry point."""
    return HeldSim(tomllib.loads(Path(str(config)).read_text(encoding="utf-8"))["address"])


def install(folder: Path) -> tuple[Path, Path]:
    """A distribution that declares the entry point, and a configuration of it.

    Returns:
        A folder for `sys.path`, and the configuration file.
    """
    distribution = folder / "site" / "held-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: held\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text("[rmhil.backends]\nheld = tests.held_sim:open_backend\n")
    config = folder / "held.toml"
    config.write_text(f"address = '{folder / 'array'}'\n")
    return distribution.parent, config


def started_command(folder: Path, arguments: Sequence[str], site: Path | None = None) -> ForkServerProcess:
    """The command line, as a process of its own.

    Args:
        folder: it works in; `stdout`, `stderr` and the chip files are found there.
        arguments: as typed.
        site: put in front of `sys.path`.
    """
    process = SPAWNING.Process(target=_run_command, args=(folder, arguments, site))
    with chdir(ROOT):  # from where the server of the first one finds what it imports
        process.start()
    return process


def _run_command(folder: Path, arguments: Sequence[str], site: Path | None) -> None:
    from rmhil.cli.app import run

    if site is not None:
        sys.path.insert(0, str(site))
    os.chdir(folder)
    os.environ[CHIPS_VARIABLE] = str(folder / "chips")
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        setattr(sys, name, os.fdopen(number, "w"))
    sys.argv = ["rmhil", *arguments]
    run()
