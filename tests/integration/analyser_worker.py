"""A program that drives an analyser until it is ended: `python -m tests.integration.analyser_worker RESOURCE`."""

from __future__ import annotations

import signal
import sys

from rmhil.bench import (
    B1500A,
    AnalyserWiring,
    ChannelLimits,
    PulseAndVerify,
    PulseTiming,
    Staircase,
    VerifyRead,
)

WIRING = AnalyserWiring(channels={channel: ChannelLimits() for channel in (1, 2, 3)})
STARTED, DRIVING = "started", "driving"


def main(resource: str) -> None:
    """Everything that can be under way when a signal comes, again and again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started without it
    sys.stdout.write(f"{STARTED}\n")
    sys.stdout.flush()
    with B1500A.open(resource, WIRING) as analyser:
        read = VerifyRead(channel=1, voltage=0.2, gate_voltage=3.0)
        program = PulseAndVerify(analyser, 1, pulsed=1, gate=3, read=read)
        sys.stdout.write(f"{DRIVING}\n")
        sys.stdout.flush()
        while True:
            analyser.switch_on()
            analyser.force_voltage(3, 2.0, 1e-3)
            analyser.force_voltage(1, 1.0, 1e-3)
            analyser.sweep(Staircase(channel=1, start=0.0, stop=1.0, steps=50))
            for _ in range(20):
                program.step(1.5, 2.0, PulseTiming())
            analyser.force_voltage(1, 1.0, 1e-3)
            analyser.wait(10.0)
            analyser.check_errors()


if __name__ == "__main__":
    main(sys.argv[1])
