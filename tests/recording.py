"""A simulated backend that keeps what was asked of it, and breaks off where a test wants it to."""

from __future__ import annotations

from typing import Any

from rmhil.backend import Cells, Pulses, Read, Readings
from rmhil.units import Seconds
from sim_backend import SimBackend


class Recording:
    """A backend that keeps what was asked of it, and fails at one `apply`, or in its first `wait`, if told to."""

    def __init__(
        self,
        backend: SimBackend,
        fail_at: int | None = None,
        error: type[BaseException] = KeyboardInterrupt,
        fail_in_wait: bool = False,
    ) -> None:
        self._backend, self._fail_at, self._error, self._fail_in_wait = backend, fail_at, error, fail_in_wait
        self.applied: list[tuple[Cells, Pulses | None]] = []
        self.safe_calls = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the wrapped backend's attributes are of every type
        return getattr(self._backend, name)

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        self.applied.append((cells, pulses))
        if len(self.applied) == self._fail_at:
            raise self._error("stopped")
        return self._backend.apply(cells, pulses, read)

    def safe(self) -> None:
        self.safe_calls += 1
        self._backend.safe()

    def wait(self, seconds: Seconds) -> None:
        if self._fail_in_wait:
            raise self._error("stopped")
        self._backend.wait(seconds)
