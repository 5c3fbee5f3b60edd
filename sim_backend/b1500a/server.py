"""The emulator as a whole: an engine, its front ends, and a handle to run both in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from weakref import WeakSet

from rmhil.errors import BackendClosedError, BackendUnavailableError, ConfigError
from rmhil.units import Seconds
from sim_backend.b1500a.alert import event_loop
from sim_backend.b1500a.dut.load import GROUND_UNIT, Terminals, load_of
from sim_backend.b1500a.engine import Engine
from sim_backend.b1500a.faults import Fault
from sim_backend.b1500a.hislip_server import DEVICE, HislipFront, Registry
from sim_backend.b1500a.instrument import Instrument, Output
from sim_backend.b1500a.link import Front, Line, port_error
from sim_backend.b1500a.modules import DEFAULT_SLOTS, Mainframe
from sim_backend.b1500a.network import Network
from sim_backend.b1500a.socket_server import SocketFront
from sim_backend.b1500a.timing import Timing
from sim_backend.b1500a.wire_log import Entry

LOOPBACK: Final = "127.0.0.1"
ANY_PORT: Final = 0

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the emulator listens; None: not at all."""

    socket: int | None
    hislip: int | None


class Servers:
    """The front ends of one engine, in a running event loop."""

    def __init__(self, engine: Engine, host: str) -> None:
        self.engine, self.host = engine, host
        self._line = Line(engine)
        self._registry = Registry(self._line)
        self._servers: list[asyncio.Server] = []
        self._fronts: WeakSet[SocketFront] = WeakSet()

    async def listen(self, ports: Ports) -> Ports:
        """Listen; port 0 takes a free one.

        Returns:
            The ports as they are.

        Raises:
            ConfigError: a port is in use.
        """
        try:
            return Ports(
                socket=await self._open("SOCKET", ports.socket, self._socket_front),
                hislip=await self._open("HiSLIP", ports.hislip, lambda: HislipFront(self._registry)),
            )
        except ConfigError:
            self.close()
            raise

    def _socket_front(self) -> SocketFront:
        front = SocketFront(self._line)
        self._fronts.add(front)
        return front

    async def _open(self, name: str, port: int | None, front: Callable[[], Front]) -> int | None:
        if port is None:
            return None
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(front, self.host, port)
        except OSError as error:
            raise port_error(name, self.host, port, error) from error
        self._servers.append(server)
        number: int = server.sockets[0].getsockname()[1]
        return number

    def close(self) -> None:
        """Listen no longer, and let go of the client."""
        for server in self._servers:
            server.close()
        if self._registry.session is not None:
            self._registry.session.close()
        for front in self._fronts:
            front.abort()

    def resources(self, ports: Ports) -> dict[str, str]:
        """Resource strings by transport."""
        found = {}
        if ports.hislip is not None:
            found["HiSLIP"] = f"TCPIP0::{self.host}::{DEVICE},{ports.hislip}::INSTR"
        if ports.socket is not None:
            found["SOCKET"] = f"TCPIP0::{self.host}::{ports.socket}::SOCKET"
        return found


class Emulator:
    """An emulated B1500A in a thread of its own.

    Attributes:
        engine: for what the other methods do not offer; touch it through `ask` only.
    """

    def __init__(self, engine: Engine, *, host: str, ports: Ports, alert: Seconds = 0.0) -> None:
        self.engine = engine
        self._servers = Servers(engine, host)
        self._ports = ports
        self._loop = event_loop(alert)
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="b1500a-emulator", daemon=True)

    def start(self) -> Self:
        """Listen.

        Raises:
            ConfigError: a port is in use.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._ports = self._loop.run_until_complete(self._servers.listen(self._ports))
        except ConfigError as error:
            self._failure = error
        finally:
            self._started.set()
        try:
            if self._failure is None:
                self._loop.run_forever()
        finally:
            self._servers.close()
            self._loop.run_until_complete(_drain())
            self._loop.close()

    def close(self) -> None:
        """Stop; idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    @property
    def resources(self) -> dict[str, str]:
        """Resource strings by transport: `HiSLIP` and `SOCKET`."""
        return self._servers.resources(self._ports)

    @property
    def resource(self) -> str:
        """The first of them: HiSLIP where it is served."""
        return next(iter(self.resources.values()))

    @property
    def running(self) -> bool:
        """Whether its thread is alive."""
        return self._thread.is_alive()

    @property
    def load(self) -> str:
        """What the channels are joined to."""
        return self.engine.instrument.network.describe()

    @property
    def modules(self) -> str:
        """Modules by slot."""
        slots = enumerate(self.engine.instrument.mainframe.slots, 1)
        return ", ".join(f"{slot} {model.name}" for slot, model in slots if model is not None)

    @property
    def ports(self) -> Ports:
        """Where it listens."""
        return self._ports

    # Looking inside, from another thread

    def ask(self, question: Callable[[Engine], _Result]) -> _Result:
        """Let the emulator's thread evaluate something of its engine.

        Raises:
            BackendClosedError: the emulator has stopped.
        """
        if not self._thread.is_alive():
            raise BackendClosedError("the emulator has stopped")
        done: list[_Result] = []
        failed: list[BaseException] = []
        ready = threading.Event()

        def evaluate() -> None:
            try:
                done.append(question(self.engine))
            except BaseException as error:  # raised again where the question came from
                failed.append(error)
            ready.set()

        self._loop.call_soon_threadsafe(evaluate)
        if not ready.wait(60.0):
            raise BackendUnavailableError("the emulator's thread has not answered for 60 s")
        if failed:
            raise failed[0]
        return done[0]

    def outputs(self) -> dict[int, Output]:
        """The emulator's own record of each channel's switch and output."""
        return self.ask(lambda engine: engine.instrument.outputs())

    def wire_log(self) -> list[Entry]:
        """What went over the link."""
        return self.ask(lambda engine: engine.log.entries)

    def save_log(self, path: Path) -> None:
        """Write what went over the link, a line a message."""
        self.ask(lambda engine: engine.log.save(path))

    def set_interlock(self, *, closed: bool) -> None:
        """Close or open the lid of the fixture; with it open, what needs it closed is switched off."""

        def turn(engine: Engine) -> None:
            if closed:
                engine.instrument.interlock_closed = True
            else:
                engine.instrument.open_interlock()

        self.ask(turn)

    def inject(self, fault: Fault) -> None:
        """Arm a fault."""
        self.ask(lambda engine: engine.faults.inject(fault))

    @property
    def clock(self) -> float:
        """Time (s) on the virtual clock."""
        return self.ask(lambda engine: engine.instrument.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _drain() -> None:
    """Let closed transports finish."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def emulate(
    load: str | Network = "open",
    *,
    slots: Sequence[str] = DEFAULT_SLOTS,
    terminals: Terminals | None = None,
    socket: int | None = ANY_PORT,
    hislip: int | None = ANY_PORT,
    host: str = LOOPBACK,
    timing: Timing | None = None,
    seed: int = 0,
    ideal: bool = False,
    data_first: bool = False,
    alert: Seconds = 0.0,
) -> Emulator:
    """Start an emulated B1500A in a thread.

    Args:
        load: `open`, `cell`, a resistance in ohm as text, or a network.
        slots: modules from slot 1 on.
        terminals: channels of the load's terminals.
        socket: port of a plain socket; 0 takes a free one, None has none.
        hislip: port of HiSLIP, likewise.
        host: address to listen on.
        timing: of the virtual clock.
        seed: of noise, errors of the converters, and the cell.
        ideal: whether converters show what is.
        data_first: which of the two buffers is read first.
        alert: s for which its thread waits awake after a message; for a process that does nothing else.

    Raises:
        ConfigError: a port is in use, or a setting makes no sense.
        UnknownNameError: no such module.
    """
    network = load_of(load, terminals, seed=seed) if isinstance(load, str) else load
    mainframe = Mainframe.of(slots)
    if terminals is not None:
        _check_terminals(terminals, mainframe)
    instrument = Instrument(mainframe, network, timing, seed=seed, ideal=ideal)
    instrument.buffers.data_first = data_first
    return Emulator(Engine(instrument, seed=seed), host=host, ports=Ports(socket, hislip), alert=alert).start()


def _check_terminals(terminals: Terminals, mainframe: Mainframe) -> None:
    there = [GROUND_UNIT, *mainframe.smu_channels, *mainframe.spgu_channels]
    for name in ("bl", "sl", "wl"):
        if missing := [channel for channel in getattr(terminals, name) if channel not in there]:
            raise ConfigError(f"terminal {name.upper()}: no channel {missing[0]} in the mainframe, which has {there}")
