"""The process of a twin: `python -m sim_backend.twin.server`, started by `sim_backend.twin.start`.

One JSON object comes in on standard input, one goes out on standard output: the URL when everything is served, or what
prevented it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from loguru import logger

from rmhil.errors import RmhilError
from sim_backend.twin.actions import Bench
from sim_backend.twin.build import Libraries
from sim_backend.twin.control import Control
from sim_backend.twin.protocol import Address, failure
from sim_backend.twin.running import announced
from sim_backend.twin.settings import TwinSettings

_LOOK: Final = 0.5
"""s between two looks whether everything still runs."""


@dataclass(frozen=True, slots=True)
class Served:
    """A twin that is served by this process.

    Attributes:
        bench: what is served.
        address: of its control connection.
        ended: set when somebody asks it to end.
    """

    bench: Bench
    address: Address
    ended: threading.Event

    def wait(self) -> bool:
        """Until somebody wants the end; False: something ended by itself before."""
        while not self.ended.wait(_LOOK):
            if not self.bench.running:
                return False
        return True


@contextmanager
def serving(settings: TwinSettings, libraries: Libraries) -> Iterator[Served]:
    """Serve a twin in this process, and note it among those that run.

    Raises:
        ConfigError, OutOfRangeError: a setting makes no sense, or a port is in use.
        BackendUnavailableError: the board's daemon did not start.
    """
    ended = threading.Event()
    with ExitStack() as stack:
        bench = Bench(settings, libraries, ended.set)
        stack.callback(bench.close)
        control = Control(bench.actions(), settings.control_port)
        control.start()
        stack.callback(control.stop)
        stack.enter_context(announced(control.address, bench.room.facts()))
        yield Served(bench, control.address, ended)


def main() -> int:
    """Serve until it is told to stop. Returns an exit status."""
    given = json.loads(sys.stdin.readline())
    logger.remove()
    if given["log"] is not None:
        logger.add(Path(given["log"]), level="DEBUG")
        logger.enable("sim_backend")
        logger.enable("rmhil")
    libraries = Libraries.at(given["libraries"])
    try:
        with serving(TwinSettings.model_validate(given["settings"]), libraries) as served:
            _end_when_asked(served.ended)
            if served.bench.room.settings.tied:
                threading.Thread(target=_end_with_starter, args=(served.ended,), daemon=True).start()
            _tell({"url": str(served.address)})
            return 0 if served.wait() else 1
    except RmhilError as error:
        _tell(failure(error))
        return 2


def _tell(content: dict[str, Any]) -> None:
    """The one answer; afterwards nobody listens."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _end_when_asked(ended: threading.Event) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end_with_starter(ended: threading.Event) -> None:
    """The other end of standard input closes when the process that has it ends, whatever ends it."""
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
