"""What a twin does when its control connection asks for it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rmhil.errors import ConfigError
from rmhil.plain import plain
from sim_backend.b1500a.faults import Fault, FaultKind
from sim_backend.twin.bench_room import BenchRoom
from sim_backend.twin.build import Libraries
from sim_backend.twin.control import Action
from sim_backend.twin.settings import TwinSettings


class Bench:
    """The bench that is served at present, and what may be asked of it.

    Args:
        settings: of the first one.
        libraries: of the board.
        stop: ends the process.
    """

    def __init__(self, settings: TwinSettings, libraries: Libraries, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._changing = threading.Lock()
        self.room = BenchRoom(settings, libraries)
        self.room.start()

    @property
    def running(self) -> bool:
        """Whether everything is served."""
        with self._changing:
            return self.room.running

    def close(self) -> None:
        """Serve no longer."""
        with self._changing:
            self.room.stop()

    def actions(self) -> Mapping[str, Action]:
        """By the name in a request."""
        return {
            "facts": lambda: self.room.facts(),
            "renew": self._renew,
            "stop": self._stop,
            "save": lambda path: self.room.save(Path(path)),
            "load": lambda path: self.room.load(Path(path)),
            "start_waves": lambda path: self.room.board.start_waves(Path(path)),
            "stop_waves": lambda: self.room.board.stop_waves(),
            "records": lambda: plain(self.room.records()),
            "pulses": lambda since: [asdict(one) for one in self.room.cells.pulses(since)],
            "pulse_counts": lambda: _array(self.room.cells.pulse_counts),
            "conductance": lambda: _array(self.room.cells.conductance),
            "stuck": lambda: _array(self.room.chip.chip.stuck[0]),
            "wire_log": self._wire_log,
            "inject": self._inject,
            "interlock": lambda closed: self.room.analyser.set_interlock(closed=closed),
            "drop_board": lambda: self.room.board.drop(),
        }

    def _renew(self, settings: dict[str, Any], libraries: dict[str, str]) -> dict[str, Any]:
        """Another bench in place of this one, at the same ports."""
        before, ports = self.room.settings, self.room.analyser.ports
        kept: dict[str, Any] = {"socket_port": ports.socket, "hislip_port": ports.hislip}
        if settings["board"] == before.board == "tcp":
            kept["board_port"] = int(self.room.board_url.rpartition(":")[2])
        chosen = TwinSettings.model_validate(before.model_dump(mode="json") | {"wave_file": None} | settings | kept)
        following = BenchRoom(chosen, Libraries.at(libraries))  # settings that make no sense end here
        with self._changing:
            self.room.stop()
            self.room = following
            self.room.start()
        return self.room.facts()

    def _wire_log(self) -> list[list[Any]]:
        entries = self.room.analyser.wire_log()
        return [[one.direction, one.clock, one.payload.decode("latin-1")] for one in entries]

    def _inject(self, kind: str, **values: Any) -> None:  # noqa: ANN401 - fields of a fault
        if kind not in FaultKind.__members__:
            raise ConfigError(f"unknown fault {kind!r}; known: {', '.join(FaultKind.__members__)}")
        try:
            fault = Fault(kind=FaultKind[kind], **values)
        except TypeError as error:
            raise ConfigError(f"fault {kind}: {error}") from error
        self.room.analyser.inject(fault)


def _array(values: np.ndarray) -> dict[str, Any]:
    """An array as JSON takes it; `sim_backend.twin.client` turns it back."""
    return {
        "dtype": values.dtype.str,
        "shape": values.shape,
        "data": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode(),
    }
