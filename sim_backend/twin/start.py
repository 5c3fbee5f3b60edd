"""Starting a twin's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rmhil.errors import BackendUnavailableError
from rmhil.units import Seconds
from sim_backend.twin.build import Libraries, libraries
from sim_backend.twin.client import Twin
from sim_backend.twin.protocol import raised
from sim_backend.twin.settings import TwinSettings, twin_settings

_END: Final[Seconds] = 20.0
"""s that a process has for its end after it was told to."""

_left: list[subprocess.Popen[str]] = []
"""Processes that go on though nobody here looks after them any more; kept, so that Python does not complain of that."""


class StartedTwin(Twin):
    """A twin that this process has started; leaving its context stops it.

    Args:
        url: of its control connection.
        process: of it.
    """

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.process = process
        _left.append(process)
        super().__init__(url)

    def stop(self) -> None:
        """End the twin, and wait for it; idempotent."""
        super().stop()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise BackendUnavailableError(f"the twin at {self.url} had to be killed: no end after {_END:g} s") from late

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_twin(*, log: Path | None = None, **options: Any) -> StartedTwin:  # noqa: ANN401 - settings of any type
    """Start a twin: one process apart from this one, which goes on when this one ends, unless it is tied to it.

    Args:
        log: file for what it has to say; None drops that.
        **options: fields of `TwinSettings` but `array`, and those of `ARRAY_OPTIONS` by their own names.

    Raises:
        ToolMissingError: it must be built first, and a program is missing; the message names the packages.
        ConfigError, OutOfRangeError: a setting is unknown, makes no sense or does not fit the board.
        BackendUnavailableError: it cannot be built, or did not start.
    """
    settings = twin_settings(options)
    found = libraries(settings.topology, waves=settings.with_waves)
    process = _launched()
    try:
        answer = _first_answer(process, settings, found, log)
        return StartedTwin(answer["url"], process)
    except BaseException:
        process.kill()
        process.wait()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # closed all the same; what it holds was for a process that has gone
            process.stdin.close()
        raise


def _launched() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sim_backend.twin.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C at the terminal is the client's
        env={"OMP_NUM_THREADS": "1"} | os.environ,  # its products are too small for more
    )


def _first_answer(
    process: subprocess.Popen[str], settings: TwinSettings, found: Libraries, log: Path | None
) -> dict[str, Any]:
    given = {
        "settings": settings.model_dump(mode="json"),
        "libraries": found.paths,
        "log": None if log is None else str(log.absolute()),
    }
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(BrokenPipeError):  # what it has to say about its end is read below
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        if not settings.tied:
            process.stdin.close()
    with process.stdout as told, process.stderr as complaints:
        line = told.readline()
        if not line:
            words = complaints.read().rstrip().rpartition("\n")[2] or f"exit status {process.wait()}"
            raise BackendUnavailableError(f"the twin's process ended before it served anything: {words}")
    answer: dict[str, Any] = json.loads(line)
    if "url" not in answer:
        raise raised(answer)
    return answer
