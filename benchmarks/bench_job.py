"""A whole job on a bench: cells written to their targets by rmhil, and by drivers that speak spot by spot.

    python benchmarks/bench_job.py      # some minutes; writes benchmarks/results/bench_job.json

The job is done on a twin by `BenchBackend`, and every pulse, reading and pause of it is taken down. Spot by spot,
the same are then given to the same chip as it was before: each FLEX command is a message of its own over a bare VISA
session, as programs on the public drivers of PyMeasure and QCoDeS send them, and the board is asked for the same
routes. Errors are asked for after each command, as those drivers do, or once a step; in a third manner settings of a
pulse that stay as they are are not sent again. What cells were given is compared pulse by pulse.

Messages are those that each client wrote and read. Times are those of the twin's virtual clock, so they stand and fall
with the emulator's timing model (`sim_backend.b1500a.Timing`: 3 ms a message and 1 ms a command are estimates). On that
clock routes of the board and answers on their way back take no time. Routes are the same for all drivers; answers would
add more to those that read more.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyvisa
from provenance import provenance
from rich.console import Console
from rich.table import Table

from rmhil.backend import Cells, Operation, Pulses, Read, Readings
from rmhil.bench import BOARDS, Board
from rmhil.bench.backend import ChipBench
from rmhil.bench.config import Channels
from rmhil.bench.flex import messages
from rmhil.bench.line_order import board_lines
from rmhil.bench.step_program import no_current
from rmhil.bench.three_lines import VERIFY_RANGE
from rmhil.crossbar import Crossbar
from rmhil.program_report import ProgramReport
from rmhil.units import Amperes, Seconds
from sim_backend.b1500a import Timing
from sim_backend.twin import Twin, start_twin
from sim_backend.twin.backend import twin_config

RESULTS = Path(__file__).parent / "results" / "bench_job.json"

SIZE = 16
"""BLs and SLs of the job."""

SEED = 7
TOLERANCE = 2e-6
"""S: of the patterns in arXiv 2601.10037, Fig. 2g."""

OURS = "rmhil"

_TOGETHER: Final = 27
"""Mode of `MM`: pulses on several channels together."""

_VALUE = re.compile(r"[+-][0-9.]+E[+-]\d+$")

CONSOLE = Console(width=120)


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction with a cell, or a pause.

    Attributes:
        cell, pulse, read, readings: of the transaction; `cell` is None in a pause.
        pause: s.
    """

    cell: Cells | None = None
    pulse: Pulses | None = None
    read: Read | None = None
    readings: Readings | None = None
    pause: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of the whole job.

    Attributes:
        written: messages to the analyser.
        read: answers of the analyser that were read.
        board: requests to the board, each with its answer.
        seconds: s on the twin's clock.
    """

    written: int
    read: int
    board: int
    seconds: Seconds


class Noted(ChipBench):
    """The bench, with everything that is done on it taken down."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin_config(twin))
        self.steps: list[Step] = []

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`."""
        readings = super().apply(cells, pulses, read)
        self.steps.append(Step(cells, pulses, read, readings))
        return readings

    def wait(self, seconds: Seconds) -> None:
        """As `Backend.wait`."""
        super().wait(seconds)
        self.steps.append(Step(pause=seconds))


def by_rmhil(twin: Twin, size: int) -> tuple[Cost, ProgramReport, list[Step]]:
    """The job through the bench's backend."""
    target = np.random.default_rng(SEED).uniform(10e-6, 80e-6, (size, size))
    with Noted(twin) as backend:
        before = _state(twin, *backend.instruments.analyser.traffic, backend.instruments.board)
        report = Crossbar(backend).region(bl=range(size), sl=range(size)).program(target, tolerance=TOLERANCE)
        after = _state(twin, *backend.instruments.analyser.traffic, backend.instruments.board)
        return _between(before, after), report, backend.steps


def _state(twin: Twin, written: int, read: int, board: Board) -> Cost:
    return Cost(written=written, read=read, board=board.link_counters().requests, seconds=twin.records().clock)


def _between(before: Cost, after: Cost) -> Cost:
    return Cost(**{name: value - asdict(before)[name] for name, value in asdict(after).items()})


@dataclass(kw_only=True)
class SpotBySpot:
    """A driver that sends each command by itself.

    Attributes:
        twin: whose instruments it talks to.
        frugal: whether settings of a pulse that stay as they are are left out.
        checked: whether errors are asked for after each command, and not after each step.
    """

    twin: Twin
    frugal: bool
    checked: bool
    written: int = 0
    read: int = 0
    _link: Any = None
    _settings: tuple[str, ...] = ()

    def run(self, steps: Sequence[Step]) -> tuple[Cost, list[Amperes]]:
        """Do a job again: what it cost, and every current of a verify reading."""
        twin, manager = self.twin, pyvisa.ResourceManager("@py")
        options = {"write_termination": "\r\n", "read_termination": "\r\n"}
        with closing(manager), manager.open_resource(twin.analyser, **options) as self._link:
            self._each("*RST", "CM 0", "AZ 0", "FMT 21,0")
            with Board(twin.board_url, BOARDS[twin.topology], twin.wiring) as board:
                before = _state(twin, self.written, self.read, board)
                currents = list(self._job(steps, board))
                return _between(before, _state(twin, self.written, self.read, board)), currents

    def _job(self, steps: Sequence[Step], board: Board) -> Iterator[Amperes]:
        lines = Channels(**self.twin.channels)
        at_rest = [messages.force_voltage(one, 0.0, self.twin.limits.current) for one in (lines.bl, lines.sl, lines.wl)]
        self._each(f"CN {','.join(map(str, lines.by_line.values()))}", *at_rest, *_inhibit_off(lines))
        board.arm()
        joined = (-1, -1)
        for step in steps:
            if step.cell is None:
                self._each(messages.command("PA", step.pause))
                continue
            cell = (int(step.cell.bl[0]), int(step.cell.sl[0]))
            if cell != joined:
                board.route_cell(*self._on_board(cell), Operation.RESET, gate=True)
                joined = cell
            yield self._step(step, lines)

    def _on_board(self, cell: tuple[int, int]) -> tuple[int, int]:
        channels = (self.twin.wiring.bl_channels, self.twin.wiring.sl_channels)
        bl, sl = (int(board_lines(np.array([line]), one)[0]) for line, one in zip(cell, channels, strict=True))
        return bl, sl

    def _step(self, step: Step, lines: Channels) -> Amperes:
        """A pulse and its reading: the current of the reading (A), averaged."""
        assert step.read is not None
        if step.pulse is not None:
            self._pulse(step.pulse, lines)
        gate = messages.force_voltage(lines.wl, step.read.gate_voltage, self.twin.limits.current)
        line = messages.force_voltage(lines.bl, step.read.voltage, self.twin.limits.current)
        self._each(gate, line)
        spot = messages.command("TI", lines.bl, messages.CurrentRange.fixed(VERIFY_RANGE).code)
        found = [self._ask(spot) for _ in range(step.read.averages)]
        self._each(*(messages.force_voltage(one, 0.0, self.twin.limits.current) for one in (lines.bl, lines.wl)))
        if not self.checked:
            self._errors()
        return float(np.mean(found))

    def _pulse(self, pulse: Pulses, lines: Channels) -> None:
        pulsed = [lines.sl, lines.inhibit] if pulse.operation[0] == Operation.RESET else [lines.bl]
        together = [one for one in pulsed if one is not None]
        width, compliance = float(pulse.width[0]), float(pulse.compliance[0])
        period = twin_config(self.twin).analyser_wiring.pulse_period(width, None, 0.0)
        self._set(
            messages.measure(_TOGETHER, together[0]),
            messages.pulses_times(0.0, period),
            *(messages.pulses_width(one, 0.0, width) for one in (*together, lines.wl)),
            messages.pulses_source(1, lines.wl, 0.0, float(pulse.gate_voltage[0]), self.twin.limits.current),
            *(
                messages.pulses_source(place, one, 0.0, float(pulse.amplitude[0]), compliance)
                for place, one in enumerate(together, 2)
            ),
        )
        self._ask("XE")
        if len(together) > 1:
            self._each(*_inhibit_off(lines))

    def _set(self, *settings: str) -> None:
        """Settings of a pulse. Its sources are set together, and all is set anew where other channels are pulsed."""
        if self._settings[:1] != settings[:1]:
            self._settings = ()
        for one in settings:
            if not (self.frugal and one in self._settings and not one.startswith("MCPNX")):
                self._each(one)
        self._settings = settings

    def _each(self, *commands: str) -> None:
        for one in commands:
            self._write(one)
            if self.checked:
                self._errors()

    def _ask(self, command: str) -> float:
        """A command that makes one value."""
        self._write(command)
        answer = self._answer()
        value = _VALUE.search(answer)
        assert value is not None, f"{command} is answered by {answer!r}"
        if self.checked:
            self._errors()
        return float(value[0])

    def _errors(self) -> None:
        self._write("ERRX?")
        answer = self._answer()
        if not answer.startswith(("0,", "+0,")):
            raise RuntimeError(f"the analyser reports {answer}")

    def _write(self, command: str) -> None:
        self._link.write(command)
        self.written += 1

    def _answer(self) -> str:
        self.read += 1
        return str(self._link.read())


def _inhibit_off(lines: Channels) -> list[str]:
    """The inhibit line forces no current."""
    return [] if lines.inhibit is None else [no_current(lines.inhibit)]


SPOTS = {
    "spot by spot, only what changes": {"frugal": True, "checked": False},
    "spot by spot": {"frugal": False, "checked": False},
    "spot by spot, each checked": {"frugal": False, "checked": True},
}


def campaign(twin: Twin, size: int) -> dict[str, Any]:
    """The job by every driver.

    Raises:
        RuntimeError: a driver gave cells other pulses.
    """
    array = {"seed": SEED}
    twin.renew(**array)
    cost, report, steps = by_rmhil(twin, size)
    given, measured = _given(twin), [float(step.readings.current[0]) for step in steps if step.readings is not None]
    drivers = {OURS: asdict(cost)}
    apart = 0.0
    for name, manner in SPOTS.items():
        twin.renew(**array)
        spent, currents = SpotBySpot(twin=twin, **manner).run(steps)
        if _given(twin) != given:
            raise RuntimeError(f"{name}: cells were given other pulses")
        apart = max(apart, float(np.abs(np.array(currents) - measured).max()))
        drivers[name] = asdict(spent) | {"time_over_rmhil": spent.seconds / cost.seconds}
    return {
        "job": {
            "cells": size**2,
            "tolerance_siemens": TOLERANCE,
            "converged_fraction": report.converged_fraction(),
            "transactions": sum(step.cell is not None for step in steps),
            "pulses": sum(step.pulse is not None for step in steps),
            "pauses_s": sum(step.pause for step in steps),
        },
        "readings_apart_a": apart,
        "drivers": drivers,
    }


def _given(twin: Twin) -> list[tuple[object, ...]]:
    """What cells were given, without when."""
    return [(one.bl, one.sl, one.voltage, one.gate_voltage, one.compliance, one.seconds) for one in twin.pulses()]


def show(found: dict[str, Any]) -> None:
    """Print one row a driver."""
    steps = found["job"]["transactions"]
    table = Table(title=f"{found['job']['cells']} cells, {steps:,} transactions (times on the virtual clock)")
    for title in ("driver", "written", "read", "board", "in all, s", "a step, ms", "time over rmhil"):
        table.add_column(title, justify="left" if title == "driver" else "right")
    for name, one in found["drivers"].items():
        ratio = one.get("time_over_rmhil", 1.0)
        counts = (f"{one[key]:,}" for key in ("written", "read", "board"))
        step = 1e3 * (one["seconds"] - found["job"]["pauses_s"]) / steps
        table.add_row(name, *counts, f"{one['seconds']:,.1f}", f"{step:.1f}", f"{ratio:.2f}")
    CONSOLE.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE, help="BLs and SLs of the job")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    with start_twin(tied=True) as twin:
        found = campaign(twin, options.size)
    show(found)
    head = provenance("bench_job.py", ("rmhil", "torch", "pyvisa", "pyvisa-py"), argv)
    content = {**head, "timing": asdict(Timing()), **found}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
