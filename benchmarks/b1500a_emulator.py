"""Round trips of the emulated B1500A: through pyvisa-py over SOCKET and HiSLIP, and through bare sockets.

    python benchmarks/b1500a_emulator.py            # a minute; writes benchmarks/results/b1500a_emulator.json

Clients, one after the other and in several rounds, ask `*OPC?` and read the answer: pyvisa with pyvisa-py, as a user
does; a bare socket, which shows what emulator and system take; both at a server that answers `1` to anything, which is
the least that a server can take here; and the engine fed directly, which is the emulator without a link. It shows how
near the emulator comes to what pyvisa-py reaches on this machine with any server.
The emulator runs in a process of its own, as `rmhil emulate b1500a` does, and where there are two cores each side has
its own. The virtual clock costs no time. What else runs on a machine, or beside a virtual one, only makes a round
slower: the best round tells most of the program, the median round of the minute.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvisa
from provenance import provenance
from rich.console import Console
from rich.table import Table

from rmhil.units import Seconds
from sim_backend.b1500a import DEFAULT_SLOTS, Engine, Instrument, Mainframe, load_of

RESULTS = Path(__file__).parent / "results" / "b1500a_emulator.json"
ROUNDS = 50
GOAL = 10_000
"""1/s: round trips of `*OPC?` through pyvisa-py."""

WARM_UP = 200
CORES = sorted(os.sched_getaffinity(0))
CONSOLE = Console(width=110)
HISLIP_HEADER = struct.Struct("!2sBBIQ")

SERVER = """
import sys
from loguru import logger
from sim_backend.b1500a import emulate
from sim_backend.b1500a.alert import ALERT
logger.remove()  # as the command does: every message would be written to the terminal
with emulate("10e3", alert=ALERT) as emulator:
    print(emulator.ports.socket, emulator.ports.hislip, flush=True)
    sys.stdin.read()
"""

LEAST = """
import asyncio, struct, sys, threading
from sim_backend.b1500a.alert import ALERT, event_loop
HEADER = struct.Struct("!2sBBIQ")
BEGINNING = {0: (1, 0x01000001, b""), 17: (18, 0, b""), 15: (16, 0, (1 << 20).to_bytes(8, "big"))}
class Socket(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(b"1\\r\\n")
class Hislip(Socket):
    def data_received(self, data):
        _, kind, _, parameter, _ = HEADER.unpack_from(data)
        kind, parameter, payload = BEGINNING.get(kind, (7, parameter, b"1\\r\\n"))
        self.transport.write(HEADER.pack(b"HS", kind, 0, parameter, len(payload)) + payload)
loop = event_loop(ALERT)
servers = [loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0)) for kind in (Socket, Hislip)]
print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
threading.Thread(target=loop.run_forever, daemon=True).start()
sys.stdin.read()
"""
"""The least servers, of a socket and of HiSLIP: they answer 1 to anything, and look at no more than HiSLIP needs."""


def timed(ask: Callable[[], object], count: int) -> list[Seconds]:
    """Times of single round trips."""
    for _ in range(WARM_UP):
        ask()
    times = []
    for _ in range(count):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return times


def through_pyvisa(resource: str, message: str, count: int) -> list[Seconds]:
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(resource, read_termination="\r\n", write_termination="\r\n", timeout=5000) as session:
        session.query("*RST;CN 1,2;DV 1,0,0.2,0.001;*OPC?")
        times = timed(lambda: session.query(message), count)
    manager.close()
    return times


def through_socket(port: int, count: int) -> list[Seconds]:
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> None:
            link.sendall(b"*OPC?\r\n")
            link.recv(64)

        return timed(ask, count)


def through_hislip(port: int, count: int) -> list[Seconds]:
    """A bare HiSLIP client: both connections, then Data and DataEnd messages."""
    with socket.create_connection(("127.0.0.1", port)) as link, socket.create_connection(("127.0.0.1", port)) as other:
        for one in (link, other):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(HISLIP_HEADER.pack(b"HS", 0, 0, 0x01007878, 7) + b"hislip0")
        session = HISLIP_HEADER.unpack(link.recv(16))[3] & 0xFFFF
        other.sendall(HISLIP_HEADER.pack(b"HS", 17, 0, session, 0))
        other.recv(16)
        numbers = iter(range(0, 2 * (count + WARM_UP), 2))

        def ask() -> None:
            link.sendall(HISLIP_HEADER.pack(b"HS", 7, 1, next(numbers), 7) + b"*OPC?\r\n")
            link.recv(64)

        return timed(ask, count)


def fed_directly(count: int) -> list[Seconds]:
    engine = Engine(Instrument(Mainframe.of(DEFAULT_SLOTS), load_of("10e3")))

    def ask() -> None:
        engine.feed(b"*OPC?\r\n")
        engine.take()

    return timed(ask, count)


def summary(rounds: list[list[Seconds]]) -> dict[str, float]:
    """Round trips a second of the best and the median round, and median and 99th percentile of one in the best (s)."""
    best = sorted(min(rounds, key=sum))
    return {
        "per_second": len(best) / sum(best),
        "per_second_median_round": statistics.median(len(one) / sum(one) for one in rounds),
        "median_s": statistics.median(best),
        "p99_s": best[int(0.99 * len(best))],
    }


@contextmanager
def server(program: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: ports of SOCKET and HiSLIP."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    stay_on(1)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        socket_port, hislip_port = (int(part) for part in process.stdout.readline().split())
        stay_on(0)
        yield socket_port, hislip_port
        process.stdin.close()


def stay_on(place: int) -> None:
    """Keep this thread, and what it starts from now on, on one core, where there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, [CORES[place]])


def measure(count: int) -> dict[str, dict[str, float]]:
    """A summary of each kind of round trip."""
    with server(SERVER) as (socket_port, hislip_port), server(LEAST) as (least_socket, least_hislip):
        kinds: dict[str, Callable[[int], list[Seconds]]] = {
            "*OPC? pyvisa-py SOCKET": lambda many: through_pyvisa(over_socket(socket_port), "*OPC?", many),
            "*OPC? pyvisa-py HiSLIP": lambda many: through_pyvisa(over_hislip(hislip_port), "*OPC?", many),
            "*OPC? pyvisa-py SOCKET, least server": lambda many: through_pyvisa(
                over_socket(least_socket), "*OPC?", many
            ),
            "*OPC? pyvisa-py HiSLIP, least server": lambda many: through_pyvisa(
                over_hislip(least_hislip), "*OPC?", many
            ),
            "*OPC? bare SOCKET": lambda many: through_socket(socket_port, many),
            "*OPC? bare HiSLIP": lambda many: through_hislip(hislip_port, many),
            "*OPC? bare SOCKET, least server": lambda many: through_socket(least_socket, many),
            "*OPC? engine": fed_directly,
            "TI pyvisa-py SOCKET": lambda many: through_pyvisa(over_socket(socket_port), "TI 1", many),
            "TI pyvisa-py HiSLIP": lambda many: through_pyvisa(over_hislip(hislip_port), "TI 1", many),
        }
        rounds = [{name: run(count // ROUNDS) for name, run in kinds.items()} for _ in range(ROUNDS)]
    return {name: summary([one[name] for one in rounds]) for name in kinds}


def over_socket(port: int) -> str:
    return f"TCPIP0::127.0.0.1::{port}::SOCKET"


def over_hislip(port: int) -> str:
    return f"TCPIP0::127.0.0.1::hislip0,{port}::INSTR"


def of_the_least(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """1: rate of the emulator over that of a server which answers without reading, both through pyvisa-py."""
    names = {name: f"*OPC? pyvisa-py {name}" for name in ("SOCKET", "HiSLIP")}
    return {name: found[own]["per_second"] / found[f"{own}, least server"]["per_second"] for name, own in names.items()}


def show(found: dict[str, dict[str, float]]) -> None:
    table = Table("what", "1/s", "median round", "median us", "p99 us", title="round trips of the emulated B1500A")
    for name, one in found.items():
        rates = (f"{one[key]:,.0f}" for key in ("per_second", "per_second_median_round"))
        table.add_row(name, *rates, *(f"{1e6 * one[key]:.0f}" for key in ("median_s", "p99_s")))
    CONSOLE.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help=f"round trips of each kind, in {ROUNDS} rounds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    origin = provenance("b1500a_emulator.py", ("rmhil", "pyvisa", "pyvisa-py"))
    found = measure(arguments.count)
    show(found)
    slowest = min(found[f"*OPC? pyvisa-py {name}"]["per_second"] for name in ("SOCKET", "HiSLIP"))
    CONSOLE.print(f"slowest through pyvisa-py: {slowest:,.0f} a second; {GOAL:,} are wanted")
    ratios = of_the_least(found)
    told = ", ".join(f"{share:.0%} over {name}" for name, share in ratios.items())
    CONSOLE.print(f"of what pyvisa-py reaches here with a server that only answers: {told}")
    record: dict[str, Any] = {
        **origin,
        "round_trips": found,
        "rate_over_least_server": ratios,
        "goal_per_second": GOAL,
        "count": arguments.count,
        "rounds": ROUNDS,
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
