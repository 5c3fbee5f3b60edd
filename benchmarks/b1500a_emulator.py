"""Round trips of the emulated B1500A: through pyvisa-py over SOCKET and HiSLIP, and through bare sockets.

    python benchmarks/b1500a_emulator.py            # half a minute; writes benchmarks/results/b1500a_emulator.json

Four clients ask `*OPC?` and read the answer: pyvisa with pyvisa-py, as a user does; a bare socket, which shows what
emulator and system take; the same at a server that answers `1` to anything, which is the least that a server can take
here; and the engine fed directly, which is the emulator without a link. Shares follow from them.
The emulator runs in a process of its own, as `rmhil emulate b1500a` does. The virtual clock costs no time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyvisa
from rich.console import Console
from rich.table import Table

from rmhil.units import Seconds
from sim_backend.b1500a import DEFAULT_SLOTS, Engine, Instrument, Mainframe, load_of

RESULTS = Path(__file__).parent / "results" / "b1500a_emulator.json"
GOAL = 10_000
"""1/s: round trips of `*OPC?` through pyvisa-py."""

WARM_UP = 500
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

ECHO = """
import asyncio
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(b"1\\r\\n")
async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, __import__("sys").stdin.read)
asyncio.run(main())
"""
"""The least server: it answers without reading."""


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


def summary(times: list[Seconds]) -> dict[str, float]:
    """Round trips a second, and the median and 99th percentile of one (s)."""
    ordered = sorted(times)
    return {
        "per_second": len(times) / sum(times),
        "median_s": statistics.median(ordered),
        "p99_s": ordered[int(0.99 * len(ordered))],
    }


def at_least_server(count: int) -> list[Seconds]:
    with subprocess.Popen(
        [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        times = through_socket(int(server.stdout.readline()), count)
        server.stdin.close()
    return times


def measure(count: int) -> dict[str, dict[str, float]]:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        socket_port, hislip_port = (int(part) for part in server.stdout.readline().split())
        resources = {
            "SOCKET": f"TCPIP0::127.0.0.1::{socket_port}::SOCKET",
            "HiSLIP": f"TCPIP0::127.0.0.1::hislip0,{hislip_port}::INSTR",
        }
        found = {}
        for name, resource in resources.items():
            found[f"*OPC? pyvisa-py {name}"] = summary(through_pyvisa(resource, "*OPC?", count))
            found[f"TI pyvisa-py {name}"] = summary(through_pyvisa(resource, "TI 1", count // 2))
        found["*OPC? bare SOCKET"] = summary(through_socket(socket_port, count))
        found["*OPC? least server"] = summary(at_least_server(count))
        found["*OPC? bare HiSLIP"] = summary(through_hislip(hislip_port, count))
        found["*OPC? engine"] = summary(fed_directly(count))
        server.stdin.close()
    return found


def shares(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """1: of a round trip's median, what pyvisa-py, the link and the engine take."""
    engine = found["*OPC? engine"]["median_s"]
    parts = {}
    for name in ("SOCKET", "HiSLIP"):
        whole = found[f"*OPC? pyvisa-py {name}"]["median_s"]
        bare = found[f"*OPC? bare {name}"]["median_s"]
        parts[name] = {"pyvisa-py": (whole - bare) / whole, "link": (bare - engine) / whole, "engine": engine / whole}
    return parts


def show(found: dict[str, dict[str, float]], parts: dict[str, dict[str, float]]) -> None:
    table = Table("what", "1/s", "median us", "p99 us", title="round trips of the emulated B1500A")
    for name, one in found.items():
        table.add_row(name, f"{one['per_second']:,.0f}", f"{1e6 * one['median_s']:.0f}", f"{1e6 * one['p99_s']:.0f}")
    CONSOLE.print(table)
    for name, one in parts.items():
        CONSOLE.print(f"{name}: " + ", ".join(f"{share:.0%} {part}" for part, share in one.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="round trips of each kind")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = measure(arguments.count)
    parts = shares(found)
    show(found, parts)
    slowest = min(found[f"*OPC? pyvisa-py {name}"]["per_second"] for name in ("SOCKET", "HiSLIP"))
    CONSOLE.print(f"slowest through pyvisa-py: {slowest:,.0f} a second; {GOAL:,} are wanted")
    record: dict[str, Any] = {
        "round_trips": found,
        "shares": parts,
        "goal_per_second": GOAL,
        "count": arguments.count,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("pyvisa", "pyvisa-py")},
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
