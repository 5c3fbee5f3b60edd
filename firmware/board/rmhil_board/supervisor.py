"""Keeps the daemon running, and the outputs off where it does not."""

from __future__ import annotations

import logging
import subprocess

from rmhil_board.errors import DaemonError
from rmhil_board.registers import Registers, Time, describe, disarm

log = logging.getLogger("rmhil_board")

RESTARTS = 3
"""Restarts in RESTART_WINDOW after which the daemon is given up (choice of this design)."""

RESTART_WINDOW = 60.0
"""s."""

LOOK_SECONDS = 0.2
"""s between looks whether the daemon is to be stopped (choice of this design)."""

STOP_SECONDS = 5.0
"""s: how long the daemon may take to end; it looks for signals every few milliseconds."""


class Supervisor:
    """Runs one daemon at a time. `stop` may be called from a signal handler."""

    def __init__(self, command: list[str], registers: Registers, clock: Time) -> None:
        self._command = command
        self._registers = registers
        self._clock = clock
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: list[float] = []

    def run(self) -> None:
        """Run the daemon until `stop`. Outputs are off at the end, however it comes.

        Raises:
            DaemonError: it cannot be started, or ended too often.
        """
        try:
            while not self._stopping:
                self._run_once()
        finally:
            self._end()
            disarm(self._registers, self._clock)
            log.info("the board is %s", describe(self._registers))

    def stop(self) -> None:
        """End the daemon and leave `run`."""
        self._stopping = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _run_once(self) -> None:
        try:
            self._process = subprocess.Popen(self._command)
        except OSError as error:
            raise DaemonError(f"{self._command[0]} cannot be started: {error.strerror}") from error
        log.info("started %s, process %d", " ".join(self._command), self._process.pid)
        status = self._wait(self._process)
        if status is None:
            return
        log.warning("the daemon ended with status %d; the board is %s", status, describe(self._registers))
        disarm(self._registers, self._clock)
        self._count_end(status)

    def _wait(self, process: subprocess.Popen[bytes]) -> int | None:
        """Status of a daemon that ended by itself; None once it is to be stopped: a signal may say so at any time."""
        while not self._stopping:
            try:
                status = process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return None if self._stopping else status
        return None

    def _count_end(self, status: int) -> None:
        now = self._clock.now()
        self._ended = [then for then in self._ended if now - then < RESTART_WINDOW] + [now]
        if len(self._ended) > RESTARTS:
            raise DaemonError(
                f"{self._command[0]} ended {len(self._ended)} times in {RESTART_WINDOW:g} s, last with status {status}"
            )

    def _end(self) -> None:
        """Wait for the daemon's end after it was told; kill it where it does not."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("the daemon did not end in %g s: killed", STOP_SECONDS)
            self._process.kill()
            self._process.wait()
