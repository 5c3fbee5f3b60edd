"""What a write-verify step costs on an analyser: one message a step against a spot-by-spot driver.

    python benchmarks/write_verify_step.py      # some seconds; writes benchmarks/results/write_verify_step.json

Both give the same pulse on bit line and gate and take the same verify reading, on the emulated analyser with a
resistor of 20 kohm (50 uS). Messages are those of the emulator's own wire log. Times are those of its virtual clock, so
they stand and fall with its timing model (`sim_backend.b1500a.Timing`: 3 ms a message and 1 ms a command are estimates,
given in the result). The shares come from runs in which one kind of time is left out; what is left without any
is the pulse and the measurement.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from provenance import provenance
from rich.console import Console
from rich.table import Table

from rmhil.bench import (
    B1500A,
    AnalyserWiring,
    ChannelLimits,
    CurrentRange,
    PulseAndVerify,
    PulseTiming,
    VerifyRead,
    VoltagePulse,
)
from rmhil.units import Seconds, Volts
from sim_backend.b1500a import Emulator, Timing, emulate

RESULTS = Path(__file__).parent / "results" / "write_verify_step.json"

STEPS = 100
RESISTOR = "20e3"
BL, SL, WL = 1, 2, 3
PEAK: Volts = 2.0
GATE: Volts = 1.5
READ = VerifyRead(channel=BL, voltage=0.2, gate_voltage=5.0, ranging=CurrentRange.fixed(100e-6))
PULSE = PulseTiming(width=1e-3)
PERIOD: Seconds = 5e-3
"""s: the shortest that the analyser allows after such a pulse."""

CONSOLE = Console(width=110)

Step = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one step.

    Attributes:
        written: messages to the analyser.
        read: answers read by the driver.
        seconds: s on the virtual clock.
        messages: s of them in receiving and parsing messages.
        stored: s in carrying out commands from the program memory.
        pulse: s of the pulse's period.
        measurement: s in settling, ranging and converting: everything else.
    """

    written: float
    read: float
    seconds: Seconds
    messages: Seconds
    stored: Seconds
    pulse: Seconds
    measurement: Seconds


def one_message(analyser: B1500A) -> Step:
    """Pulse and verify from the program memory."""
    program = PulseAndVerify(analyser, 1, pulsed=BL, gate=WL, read=READ)
    return lambda: program.step(PEAK, GATE, PULSE)


def spot_by_spot(analyser: B1500A) -> Step:
    """Each command by itself, errors asked for once at the end."""
    return lambda: [command() for command in (*commands(analyser), analyser.check_errors)]


def checked_spot_by_spot(analyser: B1500A) -> Step:
    """Each command by itself, errors asked for after each: as the public drivers of QCoDeS and PyMeasure do."""
    return lambda: [(command(), analyser.check_errors()) for command in commands(analyser)]


def commands(analyser: B1500A) -> tuple[Callable[[], object], ...]:
    """The parts of a step."""
    pulses = [VoltagePulse(channel=BL, peak=PEAK), VoltagePulse(channel=WL, peak=GATE)]
    return (
        lambda: analyser.pulse_together(pulses, PULSE),
        lambda: analyser.force_voltage(WL, READ.gate_voltage, READ.compliance),
        lambda: analyser.force_voltage(BL, READ.voltage, READ.compliance),
        lambda: analyser.measure_current(BL, READ.ranging),
        lambda: analyser.force_voltage(BL, 0.0, READ.compliance),
        lambda: analyser.force_voltage(WL, 0.0, READ.compliance),
    )


DRIVERS = {
    "one message": one_message,
    "spot by spot": spot_by_spot,
    "spot by spot, each checked": checked_spot_by_spot,
}


def measure(driver: Callable[[B1500A], Step], steps: int, timing: Timing) -> tuple[float, float, Seconds]:
    """Messages in the emulator's log, reads of the driver, and s on the virtual clock; of one step."""
    wiring = AnalyserWiring(channels={channel: ChannelLimits() for channel in (BL, SL, WL)})
    with emulate(RESISTOR, timing=timing, socket=None) as emulator, B1500A.open(emulator.resource, wiring) as analyser:
        analyser.switch_on()
        step = driver(analyser)
        step()
        written, clock = _state(emulator)
        _, reads = analyser.traffic
        for _ in range(steps):
            step()
        done, now = _state(emulator)
        return (done - written) / steps, (analyser.traffic[1] - reads) / steps, (now - clock) / steps


def _state(emulator: Emulator) -> tuple[int, Seconds]:
    return emulator.ask(lambda engine: (engine.log.received, engine.instrument.clock))


def cost(driver: Callable[[B1500A], Step], steps: int, timing: Timing) -> Cost:
    """Of one step, and its shares."""
    written, read, seconds = measure(driver, steps, timing)
    _, _, silent = measure(driver, steps, replace(timing, message=0.0, command=0.0))
    _, _, bare = measure(driver, steps, replace(timing, message=0.0, command=0.0, stored_command=0.0))
    return Cost(
        written=written, read=read, seconds=seconds, messages=seconds - silent, stored=silent - bare, pulse=PERIOD,
        measurement=bare - PERIOD,
    )  # fmt: skip


def campaign(steps: int, timing: Timing) -> dict[str, Cost]:
    """Every driver."""
    return {name: cost(driver, steps, timing) for name, driver in DRIVERS.items()}


def show(found: dict[str, Cost]) -> None:
    """Print one row a driver."""
    table = Table(title="One write-verify step (times on the virtual clock, ms)")
    for title in ("driver", "written", "read", "in all", "messages", "stored commands", "pulse", "measurement"):
        table.add_column(title, justify="left" if title == "driver" else "right")
    for name, one in found.items():
        times = (one.seconds, one.messages, one.stored, one.pulse, one.measurement)
        table.add_row(name, f"{one.written:g}", f"{one.read:g}", *(f"{1000 * seconds:.1f}" for seconds in times))
    CONSOLE.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help="of each driver and run")
    parser.add_argument("--message", type=float, help="s of a message, instead of the model's")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    timing = Timing() if options.message is None else Timing(message=options.message)
    found = campaign(options.steps, timing)
    show(found)
    content: dict[str, Any] = {
        **provenance("write_verify_step.py", ("rmhil", "pyvisa", "pyvisa-py"), argv),
        "steps": options.steps,
        "timing": asdict(timing),
        "drivers": {name: asdict(one) for name, one in found.items()},
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
