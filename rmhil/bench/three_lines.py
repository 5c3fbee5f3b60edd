"""The lines of one cell on the channels of an analyser: pulses with their readings, sweeps, spots.

A pulse and its verify reading are one message to the analyser; a sweep is a staircase for each straight part of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rmhil.backend import Biases, Floats, Ints, Operation, Pulses, Read, Readings, Status
from rmhil.bench.b1500a import B1500A
from rmhil.bench.config import Channels
from rmhil.bench.errors import FlaggedError
from rmhil.bench.flex.data import HARMLESS, LIMITED
from rmhil.bench.flex.facts import Flag
from rmhil.bench.flex.messages import CurrentRange
from rmhil.bench.readings import OnFlag, Reading
from rmhil.bench.setups import PulseTiming, Staircase
from rmhil.bench.step_program import FLOATING_VOLTAGE, PulseAndVerify, StepReading, VerifyRead
from rmhil.bench.straight_parts import StraightPart, straight_parts
from rmhil.line_model import cell_conductance
from rmhil.units import Amperes, Volts

VERIFY_RANGE: Final[Amperes] = 100e-6
"""A: the range of every verify reading: 80 uS at 0.2 V are 16 uA, and its resolution of 5 nA (B1500A User's Guide,
edition 10, page 4-12) is 25 nS. One range has one offset, and does not wait for another one to settle."""

_PROGRAMS_OF_A_READ: Final = 4
"""Programs in the analyser's memory for each kind of verify reading: pulses on BL and on SL, each with its reading."""

_READS_KEPT: Final = 400
"""Kinds of verify readings that are kept in its memory, of 2000 programs."""


class ThreeLines:
    """Bit line, source line and gate of a cell, each joined to an SMU, and perhaps the line that holds other bit lines.

    That inhibit line is pulsed with the source line, so that bit lines of other cells see no voltage. At all other
    times it forces no current: they are as good as open.

    Args:
        analyser: open.
        channels: of the lines.
        compliance: A, of every output that drives no pulse.
    """

    def __init__(self, analyser: B1500A, channels: Channels, compliance: Amperes) -> None:
        self.analyser, self._channels, self._compliance = analyser, channels, compliance
        self._programs: dict[Read, dict[int, PulseAndVerify]] = {}

    def switch_on(self) -> None:
        """Close the switches of all lines, at 0 V. Nothing where they are closed."""
        if self.analyser.on:
            return
        lines = self._channels
        self.analyser.switch_on(*lines.by_line.values())
        for line in (lines.bl, lines.sl, lines.wl):
            self._force(line, 0.0)
        self._float_inhibit()

    def step(self, pulses: Pulses | None, read: Read) -> StepReading:
        """One pulse (None: none) and its verify reading: one message to the analyser and one read."""
        programs = self.prepare(read)
        if pulses is None:
            return programs[self._channels.bl].read()
        line = self._channels.sl if pulses.operation[0] == Operation.RESET else self._channels.bl
        return programs[line].step(
            float(pulses.amplitude[0]),
            float(pulses.gate_voltage[0]),
            PulseTiming(width=float(pulses.width[0])),
            float(pulses.compliance[0]),
        )

    def prepare(self, read: Read) -> dict[int, PulseAndVerify]:
        """Outputs on, and programs with this verify reading in the analyser's memory; nothing is driven yet.

        Returns:
            The programs, by the line that is pulsed.
        """
        self.switch_on()
        if read not in self._programs:
            self._programs[read] = self._stored(read)
        return self._programs[read]

    def _stored(self, read: Read) -> dict[int, PulseAndVerify]:
        if len(self._programs) >= _READS_KEPT:
            self._programs.clear()
        lines = self._channels
        verify = VerifyRead(
            channel=lines.bl, voltage=read.voltage, gate_voltage=read.gate_voltage,
            compliance=self._compliance, ranging=CurrentRange.fixed(VERIFY_RANGE), averages=read.averages,
        )  # fmt: skip
        first = 1 + _PROGRAMS_OF_A_READ * len(self._programs)
        return {
            line: PulseAndVerify(
                self.analyser, first + 2 * place, pulsed=line, gate=lines.wl, read=verify, follower=follower
            )
            for place, (line, follower) in enumerate(((lines.bl, None), (lines.sl, lines.inhibit)))
        }

    def _force(self, line: int, voltage: Volts) -> None:
        self.analyser.force_voltage(line, voltage, self._compliance)

    def sweep(self, biases: Biases) -> tuple[Floats, Ints, Floats]:
        """Step through biases: current (A), `Status` and time (s) of each step.

        Each step lasts the dwell and, after it, its measurement. Other bit lines follow slowly through their cells.
        """
        self.switch_on()
        try:
            parts = [self._sweep_part(biases, part) for part in straight_parts(biases)]
        finally:
            if self.analyser.on:
                self._zero()
        current, status, time = (np.concatenate(one) for one in zip(*parts, strict=True))
        return current, status, time

    def _zero(self) -> None:
        """Every output at 0 V. The command makes a voltage source of the inhibit line's, too."""
        self.analyser.zero()
        self._float_inhibit()

    def _float_inhibit(self) -> None:
        if self._channels.inhibit is not None:
            self.analyser.force_current(self._channels.inhibit, 0.0, FLOATING_VOLTAGE)

    def _sweep_part(self, biases: Biases, part: StraightPart) -> tuple[Floats, Ints, Floats]:
        lines, first, last = self._channels, part.steps.start, part.steps.stop - 1
        moving, still = (lines.bl, lines.sl) if part.moving == "bl" else (lines.sl, lines.bl)
        values, rest = (biases.bl, biases.sl) if part.moving == "bl" else (biases.sl, biases.bl)
        self._force(lines.wl, float(biases.wl[first]))
        self._force(still, float(rest[first]))
        staircase = Staircase(
            channel=moving, start=float(values[first]), stop=float(values[last]), steps=last - first + 1,
            compliance=biases.compliance, delay=biases.dwell, stay_at_stop=True,
        )  # fmt: skip
        found = self.analyser.sweep(staircase, [lines.bl], on_flag=OnFlag.CARRY)
        statuses = np.array([status_of(Flag(int(flag))) for flag in found.flag[0]], dtype=np.int64)
        return found.current[0], statuses, found.time[0]

    def spots(self, gate_voltage: Volts, voltages: list[Volts]) -> list[tuple[Amperes, Status]]:
        """Current of the bit line (A) at each of some voltages (V), the gate on; afterwards all outputs are at 0 V."""
        self.switch_on()
        self._force(self._channels.wl, gate_voltage)
        found = []
        for voltage in voltages:
            self._force(self._channels.bl, voltage)
            spot = self.analyser.measure_current(self._channels.bl, CurrentRange.fixed(VERIFY_RANGE), OnFlag.CARRY)
            found.append((float(spot.value), status_of(spot.flag)))
        self._zero()
        return found


def readings_of(steps: list[StepReading], read: Read, series: Floats, sl: int) -> Readings:
    """Steps as the seam has them: averaged, and with the worst status of the readings averaged.

    Args:
        steps: one a cell.
        read: that they end with.
        series: ohm in series with each cell.
        sl: channel of the source line, out of which a RESET drives its current.
    """
    current = np.array([np.mean([one.value for one in step.reads]) for step in steps], dtype=np.float64)
    pulses = [step.pulse for step in steps]
    return Readings(
        conductance=cell_conductance(current, read.voltage, series),
        current=current,
        pulse_current=np.array([_pulse_current(one, sl) for one in pulses], dtype=np.float64),
        status=np.array([max(status_of(one.flag) for one in step.reads) for step in steps], dtype=np.int64),
        pulse_status=np.array([_pulse_status(one) for one in pulses], dtype=np.int64),
        time=np.array([step.reads[-1].time for step in steps], dtype=np.float64),
    )


def _pulse_current(pulse: Reading | None, sl: int) -> Amperes:
    """A from BL to SL."""
    if pulse is None:
        return np.nan
    return -pulse.value if pulse.channel == sl else pulse.value


def _pulse_status(pulse: Reading | None) -> Status:
    return Status.NORMAL if pulse is None else status_of(pulse.flag)


def status_of(flag: Flag) -> Status:
    """A flag of the analyser in the words of the seam.

    Raises:
        FlaggedError: the seam has no word for it: a source that oscillates or is saturated, say.
    """
    plain = flag & ~HARMLESS
    if not plain:
        return Status.NORMAL
    if plain & (Flag.OVER_RANGE | Flag.INVALID):
        return Status.OVER_RANGE
    if not plain & ~LIMITED:
        return Status.COMPLIANCE
    raise FlaggedError(f"a reading carries {plain.name}: its value is not the cell's")
