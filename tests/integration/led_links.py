"""The links of a bench, led through here: every message is seen on its way, and may be damaged, swallowed or cut off.

Messages are told apart as the instruments do it: HiSLIP by its headers, the board's frames by theirs.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from rmhil.bench.frames import Frame, FrameReader
from rmhil.bench.messages import REPLY, Kind
from tests.daemons import FrameSplitter

_HISLIP: Final = struct.Struct("!2sBBIQ")
_TURN: Final = 0.02
"""s, in which the thread looks whether it is to end."""


class Link(Enum):
    """Whose link."""

    ANALYSER = "analyser"
    BOARD = "board"


class What(Enum):
    """What a message is about."""

    PULSE = "pulse"
    """To the analyser: a pulse and a reading of a cell."""
    READ = "read"
    """To the analyser: a reading of a cell."""
    COMMANDS = "commands"
    """To the board: joining a cell, or letting go of it."""
    BEAT = "beat"
    """A sign of life and its answer, which come by the clock."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way.

    Attributes:
        outward: whether it goes to the instrument.
    """

    link: Link
    outward: bool
    data: bytes
    what: What


Watcher: TypeAlias = Callable[[Message], bytes]
"""Sees each message, and says what goes on in its place."""


class _HislipSplitter:
    """Cuts a stream of HiSLIP into its messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._data += data
        found = []
        while len(self._data) >= _HISLIP.size:
            end = _HISLIP.size + _HISLIP.unpack_from(self._data)[4]
            if len(self._data) < end:
                break
            found.append(bytes(self._data[:end]))
            del self._data[:end]
        return found


def _of_analyser(data: bytes) -> What:
    if b"DO " not in data:
        return What.OTHER
    return What.PULSE if b"VAR " in data else What.READ


def _of_board(data: bytes) -> What:
    kinds = [frame.kind for frame in FrameReader().feed(data) if isinstance(frame, Frame)]
    if Kind.HEARTBEAT in kinds or Kind.HEARTBEAT | REPLY in kinds:
        return What.BEAT
    return What.COMMANDS if Kind.COMMANDS in kinds else What.OTHER


@dataclass(eq=False)
class _Line:
    """One connection: the program's end and the instrument's."""

    link: Link
    near: socket.socket
    far: socket.socket
    mute: bool = False
    splitters: tuple[FrameSplitter | _HislipSplitter, ...] = field(init=False)

    def __post_init__(self) -> None:
        kind = FrameSplitter if self.link is Link.BOARD else _HislipSplitter
        self.splitters = (kind(), kind())
        for side in (self.near, self.far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def messages(self, side: socket.socket) -> list[Message]:
        """What has come from one side.

        Raises:
            OSError: it has gone.
        """
        outward = side is self.near
        data = side.recv(1 << 18)
        if not data:
            raise ConnectionResetError
        name = _of_board if self.link is Link.BOARD else _of_analyser
        parts = self.splitters[outward].feed(data)
        return [Message(self.link, outward, part, name(part)) for part in parts]


class LedLinks:
    """Both links of a bench, in a thread of its own.

    Args:
        analyser, board: port on this machine of each instrument.

    Attributes:
        ports: to use in their place.
        watcher: sees each message; None lets all pass. It is called in the thread.
    """

    def __init__(self, analyser: int, board: int) -> None:
        self._targets = {Link.ANALYSER: analyser, Link.BOARD: board}
        self._listeners = {link: socket.create_server(("127.0.0.1", 0)) for link in Link}
        self.ports = {link: int(listener.getsockname()[1]) for link, listener in self._listeners.items()}
        self.watcher: Watcher | None = None
        self._refused: set[Link] = set()
        self._lines: list[_Line] = []
        self._selector = selectors.DefaultSelector()
        self._door = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="led-links", daemon=True)
        for link, listener in self._listeners.items():
            self._selector.register(listener, selectors.EVENT_READ, link)
        self._thread.start()

    # For watchers, in the thread

    def pull(self, *links: Link) -> None:
        """Pull cables: nothing goes over these links any more, neither end hears of it, and no other can be opened."""
        self._refused.update(links)
        for line in self._lines:
            line.mute = line.mute or line.link in links

    def plug_in(self) -> None:
        """Put the cables back: links can be opened again, and instruments hear that the old ones have ended."""
        with self._door:
            self._refused.clear()
            for line in [line for line in self._lines if line.mute]:
                self._cut(line)

    def close(self) -> None:
        """Cut everything."""
        self._ended.set()
        self._thread.join()
        for line in list(self._lines):
            self._cut(line)
        for listener in self._listeners.values():
            listener.close()
        self._selector.close()

    # The thread

    def _run(self) -> None:
        while not self._ended.is_set():
            ready = self._selector.select(_TURN)
            with self._door:
                for key, _ in ready:
                    if isinstance(key.data, Link):
                        self._accept(key.data)
                    elif key.data in self._lines:  # it may have been cut a moment ago
                        self._move(key.data, key.fileobj)

    def _accept(self, link: Link) -> None:
        near, _ = self._listeners[link].accept()
        if link in self._refused:
            near.close()
            return
        try:
            line = _Line(link, near, socket.create_connection(("127.0.0.1", self._targets[link])))
        except OSError:
            near.close()
            return
        self._lines.append(line)
        for side in (line.near, line.far):
            self._selector.register(side, selectors.EVENT_READ, line)

    def _move(self, line: _Line, side: object) -> None:
        assert isinstance(side, socket.socket)
        other = line.far if side is line.near else line.near
        try:
            for message in line.messages(side):
                data = message.data if self.watcher is None else self.watcher(message)
                if not line.mute:
                    other.sendall(data)
        except OSError:
            self._leave(line, side)

    def _leave(self, line: _Line, side: socket.socket) -> None:
        """One side has gone. Where the cable is pulled, the other one does not hear of it."""
        if line.mute:
            self._selector.unregister(side)
        else:
            self._cut(line)

    def _cut(self, line: _Line) -> None:
        self._lines.remove(line)
        for side in (line.near, line.far):
            with suppress(KeyError, ValueError):
                self._selector.unregister(side)
            side.close()
