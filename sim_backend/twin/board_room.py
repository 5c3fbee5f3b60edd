"""The Verilated board with its chip models and its daemon, in a thread of its own."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeVar

from rmhil.errors import BackendClosedError, BackendUnavailableError, InputFileError
from sim_backend.twin.build import Libraries
from sim_backend.twin.lines import NANOSECOND, Bonds, Joints
from sim_backend.twin.native import QUESTION, WATCH, Lines, Outputs, board_library, daemon_library
from sim_backend.twin.products import ArrayProducts, end_at_once
from sim_backend.twin.records import BoardOutputs, Violation

_SEED: Final = 1
"""Of what flip-flops and chips contain at power-on."""

_Result = TypeVar("_Result")


class BoardRoom:
    """One board, served from `start` to `stop`.

    Args:
        libraries: to load.
        products: what its ADCs sample.
        bonds: of its lines with the array's.
        joined: told on the board's thread what the lines are joined to, whenever that changes.
    """

    def __init__(
        self, libraries: Libraries, products: ArrayProducts, bonds: Bonds, joined: Callable[[Joints], None]
    ) -> None:
        self._libraries, self._products, self._bonds, self._joined = libraries, products, bonds, joined
        self._board = board_library(libraries.board)
        self._daemon = daemon_library(libraries.daemon)
        self._watch = WATCH(self._watched)
        self._sim: int | None = self._board.board_sim_create(_SEED)
        if self._sim is None:
            raise BackendUnavailableError("no memory for the simulated board")
        sample = ctypes.cast(self._daemon.board_array_sample, ctypes.c_void_p)
        self._board.board_sim_set_array(self._sim, sample, ctypes.addressof(products.products))
        self._board.board_sim_set_watch(self._sim, self._watch, None)
        self._thread = threading.Thread(target=self._serve, name="board", daemon=True)
        self._way: tuple[bytes | None, bool, int] = (None, False, -1)

    def start(self, way: Literal["tcp", "pty"], host: str, port: int, key: bytes) -> str:
        """Serve it; what a host opens.

        Args:
            way: in.
            host: address of TCP.
            port: of TCP; 0 takes a free one.
            key: shared with hosts; empty: none.

        Raises:
            BackendUnavailableError: the daemon did not start; it said why on standard error.
        """
        self._daemon.rm_embedded_key(key, len(key))
        told, tell = os.pipe()
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._way = (address.encode() if way == "tcp" else None, way == "pty", tell)
        self._thread.start()
        with os.fdopen(told) as announced:
            words = announced.readline().split()
        if len(words) != 2:
            raise BackendUnavailableError(f"the board's daemon did not start on {way}, port {port}")
        return f"socket://{words[1]}" if way == "tcp" else words[1]

    def _serve(self) -> None:
        address, pty, tell = self._way
        self._daemon.rm_embedded_run(bytes(self._libraries.board), self._sim, address, pty, tell)
        os.close(tell)

    def stop(self) -> None:
        """Outputs off, and no longer served; for good."""
        if self._thread.ident is not None:
            self._daemon.rm_embedded_stop()
            self._thread.join()
        if self._sim is not None:
            self._board.board_sim_destroy(self._sim)
            self._sim = None

    @property
    def running(self) -> bool:
        """Whether it is served."""
        return self._thread.is_alive()

    def drop(self) -> None:
        """Break every TCP connection, as when a cable is pulled."""
        self._daemon.rm_embedded_drop()

    # Looking inside, from another thread

    def outputs(self) -> BoardOutputs:
        """Levels at the outputs of the chips, now."""
        found = Outputs()
        self._ask(lambda: self._board.board_sim_outputs_now(self._sim, ctypes.byref(found)))
        return BoardOutputs(
            time=found.time_ns * NANOSECOND,
            outputs_enabled=found.outputs_enabled,
            gate=found.gate,
            lines_driven=found.lines_driven,
            dacs_off_rest=found.dacs_off_rest,
        )

    def violations(self) -> list[Violation]:
        """Kinds seen so far, the first one first."""
        return self._ask(self._violations)

    def _violations(self) -> list[Violation]:
        name, text, time = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_uint64()
        found = []
        for number in range(self._board.board_sim_violation_count(self._sim)):
            self._board.board_sim_violation(self._sim, number, name, text, time)
            found.append(Violation((name.value or b"").decode(), (text.value or b"").decode(), time.value * NANOSECOND))
        return found

    def start_waves(self, path: Path) -> None:
        """Write all pins to a VCD file from now on.

        Raises:
            InputFileError: the file cannot be written, or the library was made without waves.
        """
        failed = self._ask(lambda: int(self._board.board_sim_trace_start(self._sim, bytes(path))))
        if failed:
            raise InputFileError(f"{path} cannot be written, or the twin was started without waves")

    def stop_waves(self) -> None:
        """End the dump; without one nothing happens."""
        self._ask(lambda: self._board.board_sim_trace_stop(self._sim))

    def _ask(self, question: Callable[[], _Result]) -> _Result:
        """Let the board's thread evaluate something between two steps."""
        found: list[_Result] = []
        asked = QUESTION(lambda _: found.append(question()))
        if not self._daemon.rm_embedded_ask(asked, None) or not found:
            raise BackendClosedError("the board is served no longer")
        return found[0]

    def _watched(self, _: int | None, lines: ctypes._Pointer[Lines]) -> None:
        try:
            joints = Joints.of(lines.contents, self._bonds)
            self._products.join(joints)
            self._joined(joints)
        except BaseException as error:
            end_at_once(error)
