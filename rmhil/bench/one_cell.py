"""One discrete 1T1R cell on three SMUs of an analyser: a backend of one cell, without a board.

Everything that goes through `rmhil.backend.Backend` - write-verify, characterisation, maps - runs on it as it is.
A pulse and its verify reading are one message to the analyser; a sweep is a staircase for each straight part of it.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Limits,
    Lines,
    MvmResult,
    Operation,
    Pulses,
    Read,
    Readings,
    Status,
    Trace,
)
from rmhil.bench.b1500a import B1500A
from rmhil.bench.errors import FlaggedError
from rmhil.bench.flex.facts import Flag
from rmhil.bench.flex.messages import CurrentRange
from rmhil.bench.limits import AnalyserWiring, ChannelLimits
from rmhil.bench.readings import OnFlag, Reading
from rmhil.bench.session import ANSWER_WAIT
from rmhil.bench.setups import PulseTiming, Staircase
from rmhil.bench.step_program import PulseAndVerify, StepReading, VerifyRead
from rmhil.bench.straight_parts import StraightPart, straight_parts
from rmhil.bench.wire import DEFAULT_LIBRARY
from rmhil.checks import check_biases, check_cells, check_mvm, check_pulses, check_read
from rmhil.errors import ConfigError, ShapeError
from rmhil.line_model import cell_conductance
from rmhil.units import Amperes, Seconds, Siemens, Volts
from rmhil.wiring import Wiring

if TYPE_CHECKING:
    import torch

VERIFY_RANGE: Final[Amperes] = 100e-6
"""A: the range of every verify reading: 80 uS at 0.2 V are 16 uA, and its resolution of 5 nA (B1500A User's Guide,
edition 10, page 4-12) is 25 nS. One range has one offset, and does not wait for another one to settle."""

WINDOW: Final[tuple[Siemens, Siemens]] = (10e-6, 80e-6)
"""S: of the TaOx cells of arXiv 2601.10037."""

NO_LINES: Final = Wiring(
    bl_channels=1, sl_channels=1, adc_count=1,
    bl_routing_resistance=0.0, sl_routing_resistance=0.0, bl_wire_resistance=0.0, sl_wire_resistance=0.0,
)  # fmt: skip
"""A discrete cell on the analyser's own cables, sensed at its end (Kelvin)."""

_PROGRAMS_OF_A_READ: Final = 4
"""Programs in the analyser's memory for each kind of verify reading: pulses on BL and on SL, each with its reading."""

_READS_KEPT: Final = 400
"""Kinds of verify readings that are kept in its memory, of 2000 programs."""

_LIMITED: Final = Flag.COMPLIANCE | Flag.OTHER_COMPLIANCE


class OneCell:
    """A cell whose bit line, source line and gate are each joined to an SMU.

    Args:
        analyser: open; it is closed with this backend.
        bl, sl, wl: channels of the lines.
        limits: of the cell.
        window: S, in which targets lie.
    """

    def __init__(
        self,
        analyser: B1500A,
        bl: int,
        sl: int,
        wl: int,
        limits: Limits,
        window: tuple[Siemens, Siemens] = WINDOW,
    ) -> None:
        self._analyser = analyser
        self._bl, self._sl, self._wl = bl, sl, wl
        self._programs: dict[Read, dict[int, PulseAndVerify]] = {}
        self._spec = ArraySpec(
            provenance=f"one cell on {analyser.identity}, BL {bl}, SL {sl}, WL {wl}",
            n_arrays=1, n_bl=1, n_sl=1,
            conductance_min=window[0], conductance_max=window[1],
            limits=limits, wiring=NO_LINES, cells_at_once=1,
        )  # fmt: skip

    @classmethod
    def open(
        cls,
        resource: str,
        *,
        bl: int = 1,
        sl: int = 2,
        wl: int = 3,
        limits: Limits | None = None,
        library: str = DEFAULT_LIBRARY,
        patience: Seconds = ANSWER_WAIT,
    ) -> Self:
        """Open the analyser that a cell is joined to.

        Args:
            resource: its VISA name.
            bl: channel of the bit line.
            sl: channel of the source line.
            wl: channel of the gate.
            limits: of the cell; None takes those of `rmhil.backend.Limits`.
            library: as `B1500A.open`.
            patience: as `B1500A.open`.

        Raises: as `B1500A.open`; ConfigError: two lines share a channel.
        """
        chosen = limits or Limits()
        if len({bl, sl, wl}) < 3:
            raise ConfigError(f"BL {bl}, SL {sl}, WL {wl}: each line needs a channel of its own")
        largest = {bl: max(chosen.form_voltage, chosen.set_voltage), sl: chosen.reset_voltage, wl: chosen.gate_voltage}
        wiring = AnalyserWiring(
            channels={one: ChannelLimits(voltage=volts, current=chosen.current) for one, volts in largest.items()},
            pulse_width_min=chosen.pulse_width_min,
            pulse_width_max=chosen.pulse_width_max,
            pulse_period_min=chosen.pulse_period_min,
        )
        return cls(B1500A.open(resource, wiring, library=library, patience=patience), bl, sl, wl, chosen)

    @property
    def spec(self) -> ArraySpec:
        """As `Backend.spec`."""
        return self._spec

    @property
    def analyser(self) -> B1500A:
        """The analyser, for what a backend does not offer."""
        return self._analyser

    @property
    def device(self) -> torch.device:
        """As `Backend.device`: readings are numbers of this machine."""
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """As `Backend.dtype`."""
        import torch

        return torch.float64

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`: one message to the analyser and one read."""
        check_cells(self._spec, cells)
        check_read(self._spec, read)
        if pulses is not None:
            check_pulses(self._spec, cells, pulses)
        if not len(cells):
            return _readings([], [], read)
        programs = self._ready(read)
        found = programs[self._bl].read() if pulses is None else self._pulse(programs, pulses)
        return _readings([found], [] if found.pulse is None else [found.pulse], read)

    def _pulse(self, programs: dict[int, PulseAndVerify], pulses: Pulses) -> StepReading:
        line = self._sl if pulses.operation[0] == Operation.RESET else self._bl
        return programs[line].step(
            float(pulses.amplitude[0]),
            float(pulses.gate_voltage[0]),
            PulseTiming(width=float(pulses.width[0])),
            float(pulses.compliance[0]),
        )

    def _ready(self, read: Read) -> dict[int, PulseAndVerify]:
        """Outputs on, and the programs for this kind of verify reading, by the line that is pulsed."""
        self._switch_on()
        if read not in self._programs:
            self._programs[read] = self._stored(read)
        return self._programs[read]

    def _stored(self, read: Read) -> dict[int, PulseAndVerify]:
        if len(self._programs) >= _READS_KEPT:
            self._programs.clear()
        verify = VerifyRead(
            channel=self._bl, voltage=read.voltage, gate_voltage=read.gate_voltage,
            compliance=self._spec.limits.current, ranging=CurrentRange.fixed(VERIFY_RANGE), averages=read.averages,
        )  # fmt: skip
        first = 1 + _PROGRAMS_OF_A_READ * len(self._programs)
        return {
            line: PulseAndVerify(self._analyser, first + 2 * place, pulsed=line, gate=self._wl, read=verify)
            for place, line in enumerate((self._bl, self._sl))
        }

    def _switch_on(self) -> None:
        if not self._analyser.on:
            self._analyser.switch_on(self._bl, self._sl, self._wl)
            for line in (self._bl, self._sl, self._wl):
                self._force(line, 0.0)

    def _force(self, line: int, voltage: Volts) -> None:
        self._analyser.force_voltage(line, voltage, self._spec.limits.current)

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """As `Backend.sweep`; each step lasts the dwell and, after it, its measurement."""
        if len(cells) != 1:
            raise ShapeError("cells", (len(cells),), "(1,): a sweep takes one cell")
        check_cells(self._spec, cells)
        check_biases(self._spec, biases)
        self._switch_on()
        try:
            traces = [self._sweep_part(biases, part) for part in straight_parts(biases)]
        finally:
            if self._analyser.on:
                self._analyser.zero()
        current, status, time = (np.concatenate(parts) for parts in zip(*traces, strict=True))
        return Trace(biases=biases, current=current, status=status, time=time)

    def _sweep_part(self, biases: Biases, part: StraightPart) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, last = part.steps.start, part.steps.stop - 1
        moving, still = (self._bl, self._sl) if part.moving == "bl" else (self._sl, self._bl)
        values, rest = (biases.bl, biases.sl) if part.moving == "bl" else (biases.sl, biases.bl)
        self._force(self._wl, float(biases.wl[first]))
        self._force(still, float(rest[first]))
        staircase = Staircase(
            channel=moving, start=float(values[first]), stop=float(values[last]), steps=last - first + 1,
            compliance=biases.compliance, delay=biases.dwell, stay_at_stop=True,
        )  # fmt: skip
        found = self._analyser.sweep(staircase, [self._bl], on_flag=OnFlag.CARRY)
        statuses = np.array([_status(Flag(int(flag))) for flag in found.flag[0]], dtype=np.int64)
        return found.current[0], statuses, found.time[0]

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """As `Backend.mvm`: one spot for each element of the batch."""
        import torch

        _, columns, numbers = check_mvm(self._spec, bl_voltages, bl, sl, arrays)
        shape = (len(numbers), bl_voltages.shape[1], len(columns))
        currents, over = torch.zeros(shape, dtype=self.dtype), torch.zeros(shape, dtype=torch.bool)
        if bl_voltages.numel() and currents.numel():
            self._switch_on()
            self._force(self._wl, self._spec.read_gate_voltage)
            for place, voltage in enumerate(bl_voltages.reshape(-1).tolist()):
                self._force(self._bl, voltage)
                spot = self._analyser.measure_current(self._bl, CurrentRange.fixed(VERIFY_RANGE), OnFlag.CARRY)
                currents[0, place, 0], over[0, place, 0] = spot.value, _status(spot.flag) != Status.NORMAL
            self._analyser.zero()
        return MvmResult(currents=currents, over_range=over)

    def wait(self, seconds: Seconds) -> None:
        """As `Backend.wait`, on the analyser's clock."""
        self._analyser.wait(seconds)

    def safe(self) -> None:
        """As `Backend.safe`."""
        if not self._analyser.closed:
            self._analyser.switch_off()

    def close(self) -> None:
        """As `Backend.close`."""
        self._analyser.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _readings(steps: list[StepReading], pulses: list[Reading], read: Read) -> Readings:
    """Steps as the seam has them: averaged, and with the worst status of the readings averaged."""
    current = np.array([np.mean([one.value for one in step.reads]) for step in steps], dtype=np.float64)
    return Readings(
        conductance=cell_conductance(current, read.voltage, np.zeros(len(steps))),
        current=current,
        pulse_current=np.array([one.value for one in pulses] or [np.nan] * len(steps), dtype=np.float64),
        status=np.array([max(_status(one.flag) for one in step.reads) for step in steps], dtype=np.int64),
        pulse_status=np.array([_status(one.flag) for one in pulses] or [Status.NORMAL] * len(steps), dtype=np.int64),
        time=np.array([step.reads[-1].time for step in steps], dtype=np.float64),
    )


def _status(flag: Flag) -> Status:
    """A flag of the analyser in the words of the seam.

    Raises:
        FlaggedError: the seam has no word for it: a source that oscillates or is saturated, say.
    """
    plain = flag & ~Flag.END_OF_DATA
    if not plain:
        return Status.NORMAL
    if plain & (Flag.OVER_RANGE | Flag.INVALID):
        return Status.OVER_RANGE
    if plain & _LIMITED and not plain & ~_LIMITED:
        return Status.COMPLIANCE
    raise FlaggedError(f"a reading carries {plain.name}: its value is not the cell's")
