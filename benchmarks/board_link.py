"""Throughput of host, link and daemon together: vectors to a board of memory and back.

    python benchmarks/board_link.py                # under a minute; writes benchmarks/results/board_link.json

The board is memory (firmware/c/hal_mem.c) that takes no time, so that what is measured is everything but the board:
128-byte vectors in, 128-byte results out. The goal is five times what the 64-ADC board can do, for data of any kind:
half the bytes of mid-rail codes are zero, which plain COBS frames are slow with.

- Payloads: the same large batch of random, mid-rail and zero codes, over TCP and over a pseudo-terminal.
- Stages: where the time of a vector goes. Processor times come from the operating system, those of single stages from
  calls of their own, on the same frames. `Board.mvm` also turns volts into codes, and codes into amperes.
- Batches: a call with so many vectors at a time, and the same with a second batch submitted before the first is waited
  for; with the board that takes no time, and with one that takes as long as the 64-ADC board. With that one, the
  overhead is the share of the time in which the board had nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from provenance import provenance
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rmhil.backend import Pass
from rmhil.bench.board import Board
from rmhil.bench.board_codes import Inputs, Sums
from rmhil.bench.board_map import CONTROL_KEY, FIELDS, REGISTERS, VECTOR_LINES, Opcode, State
from rmhil.bench.boards import BOARDS
from rmhil.bench.frames import BULK_PAYLOAD_MAX, Envelope, Frame, FrameReader, encode
from rmhil.bench.link import Link
from rmhil.bench.messages import REPLY, Command, Kind, Wait, Write
from rmhil.units import Seconds
from rmhil.wiring import Wiring

RESULTS = Path(__file__).parent / "results" / "board_link.json"
FIRMWARE = Path(__file__).parents[1] / "firmware" / "c"

BOARD_TIME: Final[Seconds] = 20e-6
"""s a vector: the 64-ADC board at its limit, one conversion of an ADS8324 (TI SBAS172A: 50 kS/s)."""

GOAL: Final = 5 / BOARD_TIME
"""1/s: vectors."""

BATCHES = (1, 4, 16, 64, 256, 512, 1024, 2048, 8192)
LARGE = 65_536
"""1: vectors of a call, and of the large batch."""

MEMORY = replace(BOARDS["adc64"], name="memory", hash=0, virtual_ground=1.25, rest_code=0x8000, limit_codes=0x8000)
"""What the daemon's board of memory says of itself."""

CODE_BITS: Final = (1 << FIELDS["RESULT.CODE"].bits) - 1
"""Of a result, without its flags."""

SHARE: Final[Seconds] = 0.4
"""s that one figure is measured for, at least, in `REPEATS` parts of which the median counts."""

REPEATS = 5

CONSOLE = Console(width=110)

Codes = NDArray[np.uint16]
Pair = tuple[Seconds, Seconds]


def payloads(count: int) -> dict[str, Codes]:
    """Codes of each kind, shape (count, lines)."""
    shape = (count, VECTOR_LINES)
    random = np.random.default_rng(0).integers(0, 1 << 16, shape, dtype=np.uint16)
    return {"random": random, "mid-rail": np.full(shape, 0x8000, np.uint16), "zero": np.zeros(shape, np.uint16)}


@contextmanager
def daemon(folder: str, vector_time: Seconds) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A daemon on memory that takes so long for a vector, and what its ways in are opened with."""
    nanoseconds = str(round(vector_time * 1e9))
    command = [f"{folder}/host/rmhild-mem", "--tcp", "127.0.0.1:0", "--pty", nanoseconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ways = dict(process.stdout.readline().split() for _ in range(2))
            yield process, {"tcp": f"socket://{ways['tcp']}", "pty": ways["pty"]}
        finally:
            process.terminate()


def prepare(link: Link) -> None:
    """Arm the board and choose a route."""
    control, status = REGISTERS["CONTROL"], REGISTERS["STATUS"]
    link.transact([Write(control, CONTROL_KEY << 16 | 1), Wait(status, State.READY, 0xF, 1.0)])
    link.run_commands([Command(Opcode.ROUTE_MVM, (0, *(0xFFFF_FFFF,) * 4))])


def time_of(call: Callable[[], object]) -> Seconds:
    """Seconds of one call: median of `REPEATS` parts of the share."""
    call()
    started = time.perf_counter()
    call()
    calls = max(1, round(SHARE / REPEATS / (time.perf_counter() - started)))
    parts = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        parts.append((time.perf_counter() - started) / calls)
    return float(np.median(parts))


def measure_payloads(link: Link, way: str, count: int) -> list[dict[str, Any]]:
    """Vectors per second by kind of data; every result is compared."""
    rows = []
    for kind, codes in payloads(count).items():
        if not np.array_equal(link.run_vectors(codes) & CODE_BITS, codes >> 2):
            raise RuntimeError(f"{way}, {kind}: results are wrong")
        taken = time_of(partial(link.run_vectors, codes))
        rows.append({"way": way, "payload": kind, "vectors_per_s": count / taken, "us_per_vector": taken / count * 1e6})
    return rows


def processor_seconds(process: subprocess.Popen[str]) -> Seconds:
    """Processor time of another process so far."""
    user, system = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure_stages(link: Link, process: subprocess.Popen[str], codes: Codes) -> dict[str, float]:
    """Microseconds a vector by stage, over TCP."""
    before = processor_seconds(process), time.process_time(), time.perf_counter()
    for _ in range(20):
        link.run_vectors(codes)
    after = processor_seconds(process), time.process_time(), time.perf_counter()
    daemon_s, host_s, wall_s = ((end - start) / (20 * LARGE) for start, end in zip(before, after, strict=True))
    part = codes.data.cast("B")[:BULK_PAYLOAD_MAX]
    answer = encode(Frame(Kind.VECTORS | REPLY, 1, 1, bytes(part)), Envelope.BULK)
    in_frame = BULK_PAYLOAD_MAX // codes[0].nbytes
    encoding = time_of(lambda: encode(Frame(Kind.VECTORS, 1, 1, part), Envelope.BULK)) / in_frame
    decoding = time_of(lambda: FrameReader().feed(answer)) / in_frame
    stages = {
        "wall": wall_s,
        "host, processor": host_s,
        "host: build a frame": encoding,
        "host: check a frame": decoding,
        "host: sockets, queue, copies": host_s - encoding - decoding,
        "daemon, processor": daemon_s,
    }
    return {name: seconds * 1e6 for name, seconds in stages.items()}


def measure_board(board: Board) -> dict[str, float]:
    """Microseconds a vector of what `Board.mvm` adds, and of all of it, for one bank of lines each way over TCP."""
    wiring, lines = Wiring(virtual_ground=MEMORY.virtual_ground), np.arange(VECTOR_LINES)
    volts = np.random.default_rng(1).uniform(-MEMORY.read_limit, MEMORY.read_limit, (LARGE, VECTOR_LINES))
    one, everything, words = Pass(bl=lines, sl=lines), slice(None), payloads(LARGE)["random"] & 0x3FFF

    def to_amperes() -> None:
        sums = Sums(LARGE, lines)
        sums.add(one, everything, words)
        sums.products(wiring, volts.dtype)

    board.arm()
    stages = {
        "Board.mvm: volts to codes": lambda: Inputs(volts, lines, wiring, MEMORY.rest_code).of_pass(one, everything),
        "Board.mvm: codes to amperes": to_amperes,
        "Board.mvm, wall": lambda: board.mvm(volts, bl=lines, sl=lines),
    }
    return {name: time_of(call) / LARGE * 1e6 for name, call in stages.items()}


def measure_batches(link: Link) -> list[Pair]:
    """Time of a batch by its size: of a call, and of one of eight with a second one under way."""
    times = []
    for batch in BATCHES:
        codes = payloads(batch)["random"]
        alone = time_of(partial(link.run_vectors, codes))

        def overlapped(codes: Codes = codes) -> None:
            pending = link.submit_vectors(codes)
            for _ in range(7):
                following = link.submit_vectors(codes)
                pending.result()
                pending = following
            pending.result()

        times.append((alone, time_of(overlapped) / 8))
    return times


def batch_rows(null: Sequence[Pair], board: Sequence[Pair]) -> list[dict[str, float]]:
    """Microseconds a vector and overheads, for both boards."""
    rows = []
    for batch, quick, slow in zip(BATCHES, null, board, strict=True):
        busy = batch * BOARD_TIME
        rows.append(
            {
                "batch": batch,
                "link_us": quick[0] / batch * 1e6,
                "link_us_two_under_way": quick[1] / batch * 1e6,
                "board_us": slow[0] / batch * 1e6,
                "overhead": 1 - busy / slow[0],
                "board_us_two_under_way": slow[1] / batch * 1e6,
                "overhead_two_under_way": 1 - busy / slow[1],
            }
        )
    return rows


def show(
    payload: Sequence[dict[str, Any]],
    stages: dict[str, dict[str, float]],
    of_board: dict[str, float],
    batches: Sequence[dict[str, float]],
) -> None:
    """Four tables on the terminal."""
    table = Table("way", "codes", "vectors/s", "us a vector", f"{GOAL:,.0f}/s")
    for row in payload:
        reached = "reached" if row["vectors_per_s"] >= GOAL else "missed"
        goal = reached if row["way"] == "tcp" else ""
        table.add_row(row["way"], row["payload"], f"{row['vectors_per_s']:,.0f}", f"{row['us_per_vector']:.2f}", goal)
    CONSOLE.print(table)
    table = Table("us a vector (TCP, large batch)", *stages)
    for name in next(iter(stages.values())):
        table.add_row(name, *(f"{of_kind[name]:.2f}" for of_kind in stages.values()))
    CONSOLE.print(table)
    table = Table("with Board.mvm", "us a vector")
    for name, value in of_board.items():
        table.add_row(name, f"{value:.2f}")
    CONSOLE.print(table)
    table = Table("batch", "us a vector", "two under way", "board of 20 us", "overhead", "two under way", "overhead")
    for row in batches:
        cells = [
            f"{row[key]:,.2f}" for key in ("link_us", "link_us_two_under_way", "board_us", "board_us_two_under_way")
        ]
        alone, paired = (f"{100 * row[key]:.1f} %" for key in ("overhead", "overhead_two_under_way"))
        table.add_row(f"{row['batch']:,}", cells[0], cells[1], cells[2], alone, cells[3], paired)
    CONSOLE.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    load = os.getloadavg()[0]
    with Progress(console=CONSOLE) as bar, tempfile.TemporaryDirectory() as folder:
        shown = bar.add_task("link", total=6)
        subprocess.run(["make", "--quiet", "-C", FIRMWARE, f"BUILD={folder}", "HAL=mem", "host"], check=True)
        with daemon(folder, 0.0) as (process, urls):
            with Link(urls["tcp"]) as link:
                prepare(link)
                payload = measure_payloads(link, "tcp", LARGE)
                bar.advance(shown)
                stages = {kind: measure_stages(link, process, codes) for kind, codes in payloads(LARGE).items()}
                bar.advance(shown)
                null = measure_batches(link)
                bar.advance(shown)
            with Board(urls["tcp"], MEMORY, Wiring(virtual_ground=MEMORY.virtual_ground)) as board:
                of_board = measure_board(board)
                bar.advance(shown)
            with Link(urls["pty"]) as link:
                prepare(link)
                payload += measure_payloads(link, "pty", 2048)
                bar.advance(shown)
        with daemon(folder, BOARD_TIME) as (_, urls), Link(urls["tcp"]) as link:
            prepare(link)
            batches = batch_rows(null, measure_batches(link))
            bar.advance(shown)
    show(payload, stages, of_board, batches)
    content = {
        **provenance("board_link.py", ("rmhil", "numpy", "pyserial"), argv),
        "load_before": load,
        "board_us_per_vector": BOARD_TIME * 1e6,
        "goal_vectors_per_s": GOAL,
        "payloads": payload,
        "stages_us_per_vector": stages,
        "board_mvm_us_per_vector": of_board,
        "batches": batches,
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
