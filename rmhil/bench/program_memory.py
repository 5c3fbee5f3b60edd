"""Programs in the analyser's memory: written once, and run by one short message."""

from __future__ import annotations

from collections.abc import Sequence

from rmhil.bench.exchange import Exchange
from rmhil.bench.flex.facts import PROGRAM_NUMBERS, Cause
from rmhil.bench.limits import require
from rmhil.bench.readings import OnFlag, Reading
from rmhil.bench.startup import report_error, take_reports
from rmhil.units import Seconds


class ProgramMemory:
    """The stored programs of an open analyser."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def store(self, number: int, commands: Sequence[str]) -> None:
        """Write a program, and have the instrument say that it took every command.

        Raises:
            OutOfRangeError: no such program memory; nothing was sent.
            ReportedError: a command was refused.
        """
        require("program", number, PROGRAM_NUMBERS[0], PROGRAM_NUMBERS[-1], "")
        with self._exchange.watched() as session:
            session.send(f"SCR {number}")
            # A refusal of this message says that there was no such program.
            serious = [report for report in take_reports(session) if report.cause is not Cause.MESSAGE]
            if serious:
                raise report_error(f"SCR {number}", serious)
            session.send(f"ST {number}")
            session.storing = True
            for command in commands:
                session.send(command)
            session.send("END")
            session.storing = False
            self._exchange.raise_reports(f"program {number}")

    def run(self, commands: Sequence[str], owners: Sequence[int], expected: Seconds) -> list[Reading]:
        """Send one message that runs programs, and read a time and a current for each owner; statuses are carried.

        The caller has checked every value in it against the wiring.

        Args:
            commands: of the message.
            owners: channel of each current.
            expected: s that the instrument takes.
        """
        items = self._exchange.measure(commands, owners, expected, OnFlag.CARRY)
        return [Reading.of(*pair) for pair in zip(items[0::2], items[1::2], strict=True)]
