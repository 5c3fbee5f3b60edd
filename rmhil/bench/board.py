"""The board from the host's side: which one it is, where its lines go, products of vectors, and how it is left.

    with Board("socket://192.168.2.99:4711", BOARDS["adc64"], Wiring()) as board:
        board.arm()
        currents = board.mvm(bl_voltages).currents
        board.route_cell(5, 9, Operation.SET, gate=True)   # the analyser does the rest
        board.release()

Line numbers are the board's. All that is asked for is checked before a byte is sent.
"""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Final, Self

from loguru import logger

from rmhil.backend import Lines, Operation, line_passes
from rmhil.bench import board_commands
from rmhil.bench.board_codes import Inputs, Products, Reals, Sums, check_voltages
from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_errors import BoardNotArmedError, BoardRouteError, BoardTimedOutError
from rmhil.bench.board_identity import BoardIdentity, identify
from rmhil.bench.board_map import FIELDS, PULSE_CLOCKS_MAX, REGISTERS, VECTOR_LINES, Opcode, State
from rmhil.bench.board_products import multiply
from rmhil.bench.board_session import BoardSession, control
from rmhil.bench.board_status import COUNTERS, BoardCounters, BoardStatus
from rmhil.bench.limits import require
from rmhil.bench.link import BAUD, LINK_TIMEOUT
from rmhil.bench.link_errors import BoardLinkClosedError, RequestTimedOutError
from rmhil.bench.messages import Counters, Read, Wait, Write
from rmhil.bench.safety import signals_held
from rmhil.checks import whole_number
from rmhil.errors import OutOfRangeError
from rmhil.units import Seconds
from rmhil.wiring import Wiring

WATCHDOG: Final[Seconds] = 0.2
"""s without its daemon until the board switches its outputs off."""

WATCHDOG_MIN: Final[Seconds] = 0.001
WATCHDOG_MAX: Final[Seconds] = ((1 << FIELDS["WATCHDOG_MS.TIMEOUT"].bits) - 1) / 1000
"""s: range of the register; zero would trip at once."""

_STATE_MASK: Final = (1 << FIELDS["STATUS.STATE"].bits) - 1 << FIELDS["STATUS.STATE"].low

_STATE_LIMIT: Final[Seconds] = 0.1
"""s of the board's time for a change of state; setting up the chips takes 0.3 ms (firmware/regmap/README.md)."""


class Board:
    """A board behind its daemon. One thread uses it; `abort` may come from any.

    One that is forgotten is closed, at the end of the program at the latest.

    Args:
        url: of the daemon, as `Link` takes it.
        description: what the board was made from.
        wiring: steps of the converters.
        key: shared with the daemon; needed where it runs on another machine.
        baud: of a device.
        link_timeout: s of silence after which the daemon switches the outputs off.
        watchdog: s without its daemon until the board does.

    Attributes:
        identity: of the board.
        description: as given.

    Raises:
        BoardMismatchError: board, description, wiring and register map are not of one another.
        OutOfRangeError: a time is out of range.
        BoardLinkError: no board, or it is held by somebody else; see `Link`. In all these cases nothing was driven.
    """

    def __init__(
        self,
        url: str,
        description: BoardDescription,
        wiring: Wiring,
        *,
        key: bytes | None = None,
        baud: int = BAUD,
        link_timeout: Seconds = LINK_TIMEOUT,
        watchdog: Seconds = WATCHDOG,
    ) -> None:
        require("watchdog", watchdog, WATCHDOG_MIN, WATCHDOG_MAX, "s")
        description.check_wiring(wiring)
        self.description = description
        self._wiring, self._watchdog = wiring, watchdog
        self._session = BoardSession(url, key, baud, link_timeout)
        try:
            self.identity: BoardIdentity = identify(self._session.link, description)
        except BaseException:
            self._session.close()
            raise
        self._finalizer = weakref.finalize(self, self._session.close)

    @property
    def provenance(self) -> str:
        """Which board results come from."""
        return str(self.identity)

    @property
    def has_cell(self) -> bool:
        """Whether a cell is on the analyser, as far as this host knows."""
        route = self._session.route
        return route is not None and route.opcode is Opcode.ROUTE_CELL

    def status(self) -> BoardStatus:
        """What the board does now."""
        return BoardStatus.of(self._session.transact(Read(REGISTERS["STATUS"]))[0])

    def counters(self) -> BoardCounters:
        """What the board has counted since its reset."""
        return BoardCounters(*self._session.transact(*(Read(REGISTERS[name]) for name in COUNTERS)))

    def link_counters(self) -> Counters:
        """What its daemon has counted since it started."""
        with signals_held():
            return self._session.link.counters()

    def clock(self) -> Seconds:
        """S on the board's clock since its reset."""
        low, high = self._session.transact(Read(REGISTERS["CLOCKS_LOW"]), Read(REGISTERS["CLOCKS_HIGH"]))
        return (high << 32 | low) / self.description.clock_hz

    def arm(self) -> None:
        """Set the chips up and make the board ready: outputs enabled, all lines open. Nothing where it is so already.

        Raises:
            BoardTimedOutError: it did not get ready; outputs off.
            BoardOutputsUnknownError: it does not leave the state that it is in.
            BoardLinkError: no answer.
        """
        session, status = self._session, self.status()
        if session.armed and status.is_armed:
            return
        if status.state is not State.DISARMED:
            logger.warning("board {} is armed anew; it was in {}", self.identity.name, status)
            with signals_held():
                session.switch_off()
        timeout = Write(REGISTERS["WATCHDOG_MS"], round(self._watchdog * 1000))
        with session.off_on_errors():
            session.pulses = self._ready_after(timeout, control("ARM"))
        session.forget()
        session.armed = True

    def _ready_after(self, *writes: Write) -> int:
        """Wait until the board is ready after some writes; its PULSES_TOTAL."""
        ready = Wait(REGISTERS["STATUS"], State.READY, _STATE_MASK, _STATE_LIMIT)
        try:
            return self._session.transact(*writes, ready, Read(REGISTERS["PULSES_TOTAL"]))[-1]
        except RequestTimedOutError as error:
            raise BoardTimedOutError("arm", BoardStatus.of(error.refusal.value), error.refusal.index, None) from error

    def disarm(self) -> None:
        """Outputs off, word lines off, DACs at rest; `arm` comes before anything is driven again. Idempotent.

        Raises:
            BoardLinkError: no answer; `safe` also looks over a new link.
        """
        self._session.forget()
        self._session.transact(control("DISARM"), Wait(REGISTERS["STATUS"], State.DISARMED, _STATE_MASK, _STATE_LIMIT))

    def abort(self) -> int:
        """Stop whatever runs, outputs off; how many requests were stopped. From any thread; `arm` goes on from there.

        The thread whose request was stopped gets a `BoardAbortedError`.
        """
        self._session.forget()
        return self._session.link.abort()

    def route_cell(self, bl: int, sl: int, operation: Operation | None = None, *, gate: bool = False) -> None:
        """Join the BL, SL and WL of one cell to the analyser, which must be at 0 V.

        Other lines are as decision 0008 has them: open for a verify read; on the analyser's inhibit line for a pulse,
        which the analyser holds at the level that leaves no voltage across half-selected cells.

        Args:
            bl: its bit line.
            sl: its source line, and its word line.
            operation: what the analyser will do; None is a verify read.
            gate: let the word line through, too.

        Raises:
            ConfigError: a line is no whole number; nothing was sent, as with the next three.
            OutOfRangeError: there is no such line.
            BoardNotArmedError: `arm` comes first.
            BoardStoppedError: the board stopped; outputs off.
            BoardLinkError: no answer.
        """
        for name, line, count in (("bl", bl, self.description.n_bl), ("sl", sl, self.description.n_sl)):
            if not 0 <= whole_number(name, line, least=0) < count:
                raise OutOfRangeError(name, line, 0, count - 1, "")
        self._require_armed("route_cell")
        route = board_commands.route_cell(bl, sl, operation)
        self._session.run(route, *([board_commands.command(Opcode.GATE, ON=1)] if gate else []))
        self._session.route, self._session.gate = route, gate

    def gate(self, on: bool) -> None:
        """Let the word line of the routed cell through, or not.

        Raises:
            BoardRouteError: no cell is on the analyser; nothing was sent.
            BoardNotArmedError, BoardStoppedError, BoardLinkError: as `route_cell`.
        """
        self._require_cell("gate")
        self._session.run(board_commands.command(Opcode.GATE, ON=int(on)))
        self._session.gate = on

    def pulse(self, width: Seconds) -> Seconds:
        """Let the word line of the routed cell through for an exact number of clocks; the width (s) that these are.

        Raises:
            OutOfRangeError: the board makes no gate pulse of this width; nothing was sent.
            BoardRouteError: no cell is on the analyser, or its word line is let through already; nothing was sent.
            BoardStoppedError: the board stopped; outputs off. `pulses` says whether the gate was opened.
            BoardNotArmedError, BoardLinkError: as `route_cell`.
        """
        shortest, clock = self.description.pulse_clocks_min, self.description.clock_hz
        require("width of a gate pulse", width, shortest / clock, PULSE_CLOCKS_MAX / clock, "s")
        self._require_cell("pulse")
        if self._session.gate:
            raise BoardRouteError("pulse: the word line is let through already; gate(False) comes first")
        clocks = round(width * clock)
        self._session.run(board_commands.command(Opcode.PULSE, CLOCKS=clocks))
        return clocks / clock

    def release(self) -> None:
        """Gate off, all lines open, the analyser at 0 V; the board stays armed. Nothing where it is so already."""
        self._require_open("release")
        if self._session.armed and self._session.route is not None:
            self._session.run(board_commands.command(Opcode.ROUTE_OFF))
            self._session.route, self._session.gate = None, False

    def mvm(self, bl_voltages: Reals, bl: Lines = None, sl: Lines = None) -> Products:
        """Multiply vectors, pass by pass; afterwards the DACs rest, and the lines of the last pass stay joined to them.

        Args:
            bl_voltages: V from the virtual ground, (batch, driven BLs), float64 or float32, in which all is rounded.
            bl: lines to drive; None means all.
            sl: lines to sense; None means all.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: the vectors cannot be driven; nothing was sent.
            BoardNotArmedError: `arm` comes first.
            BoardRouteError: a cell is on the analyser; `release` comes first. Nothing was sent.
            BoardStoppedError: the board stopped.
            ConverterSilentError: an ADC did not answer.
            BoardLinkError: no answer. After this and the two above, as after Ctrl-C, the outputs are off.
        """
        rows, columns = check_voltages(self.description, bl_voltages, bl, sl)
        self._require_armed("mvm")
        if self.has_cell:
            raise BoardRouteError("mvm: a cell is on the analyser; release() comes first")
        sums = Sums(len(bl_voltages), columns)
        passes = line_passes(rows, columns, VECTOR_LINES, VECTOR_LINES)
        if passes and len(bl_voltages):
            inputs = Inputs(bl_voltages, rows, self._wiring, self.description.rest_code)
            with self._session.off_on_errors():
                multiply(self._session, passes, inputs, sums, len(bl_voltages))
        return sums.products(self._wiring, bl_voltages.dtype)

    def safe(self) -> None:
        """Outputs off, word lines off, DACs at rest, whatever runs or came before. Idempotent, always allowed.

        Where the link is broken, over a new one; the board must then be opened again.

        Raises:
            BoardOutputsUnknownError: nobody answered that it is so.
        """
        self._session.safe()

    def close(self) -> None:
        """`safe`, and the board is free for others. Idempotent; afterwards only `safe` and `close` are allowed.

        Raises:
            BoardOutputsUnknownError: nobody answered that the outputs are off; the link is closed all the same.
        """
        self._finalizer.detach()
        self._session.close()

    def _require_armed(self, action: str) -> None:
        self._require_open(action)
        if not self._session.armed:
            raise BoardNotArmedError(action)

    def _require_open(self, action: str) -> None:
        if self._session.left:
            raise BoardLinkClosedError(f"{action}: nothing was sent, the link is closed; open the board again")

    def _require_cell(self, action: str) -> None:
        self._require_armed(action)
        if not self.has_cell:
            raise BoardRouteError(f"{action}: no cell is on the analyser; route_cell comes first")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
