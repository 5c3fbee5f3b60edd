"""The FLEX engine: bytes in, answers out, a virtual clock, no link and no threads.

Time that passes: `Timing.message` for each message, `Timing.command` for each further command in it,
`Timing.stored_command` for each command of a program, and what the commands themselves take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from loguru import logger

from sim_backend.b1500a.buffers import Answer
from sim_backend.b1500a.commands.index import ALL
from sim_backend.b1500a.commands.memory import NUMBER
from sim_backend.b1500a.errors import (
    END_POSITION,
    INTERLOCK_OPEN,
    NOT_STORABLE,
    STORE_EXECUTION,
    UNDEFINED_COMMAND,
    VARIABLE_USE,
    Refused,
)
from sim_backend.b1500a.faults import Fault, FaultKind, Faults
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.parser import Call, MessageReader, Number, bind, commands_of, parse
from sim_backend.b1500a.wire_log import WireLog

_DEPTH_MAX: Final = 8
"""Programs that run one another (estimate: that of the family)."""

_FREEING: Final = ("AB", "*RST")
"""Messages that are looked at while the instrument waits for an event."""

_RUNNING: Final = ("DO", "RU")
"""Commands that run programs."""

_LEFTOVER: Final = b"NAI+123.456E-06\r\n"
"""A datum that belongs to nobody's question."""

_Item = tuple[str, int]
"""A command, and how many programs it is inside of."""


class Engine:
    """The instrument at the end of a link.

    Args:
        instrument: what the commands act on.
        seed: of garbage.

    Attributes:
        faults: to inject.
        log: of the wire.
        link_dropped: set when the link is to break; whoever looks after the link clears it.
    """

    def __init__(self, instrument: Instrument, *, seed: int = 0) -> None:
        self.instrument = instrument
        self.faults = Faults(seed)
        self.log = WireLog()
        self.link_dropped = False
        self._reader = MessageReader()
        self._held: deque[str] = deque()
        self._queue: deque[_Item] = deque()
        self._late: list[Answer] = []
        self._told: list[Answer] = []

    # Link

    def feed(self, data: bytes, *, end: bool = False) -> None:
        """Take bytes, and carry out the messages that they complete.

        Args:
            data: from the controller.
            end: whether the link says that a message ends with them.
        """
        try:
            messages = self._reader.feed(data, end=end)
        except Refused as refused:
            self.instrument.errors.add(refused.code)
            return
        for message in messages:
            self._receive(message)

    def waiting(self) -> list[Answer]:
        """What the controller would read now; it stays, and is logged once."""
        answers = self.instrument.buffers.waiting()
        for answer in answers:
            if answer not in self._told:
                self.log.add("<", self.instrument.clock, answer.payload)
        self._told = answers
        return answers

    def take(self) -> list[Answer]:
        """What the controller reads now."""
        answers = self.waiting()
        self.taken()
        return answers

    def taken(self) -> None:
        """The controller has read what was waiting."""
        self.instrument.buffers.clear()
        self._told = []

    def trigger(self) -> None:
        """An event that `PA` or `WS` waits for."""
        self.instrument.waiting_for_event = False
        self._go_on()

    def device_clear(self) -> None:
        """Forget input, output, errors and waits; outputs stay as they are."""
        self._reader.clear()
        self._held.clear()
        self._queue.clear()
        self._late.clear()
        self.instrument.device_clear()

    def disconnected(self) -> None:
        """The client has gone: an unfinished message with it, everything else stays."""
        self._reader.clear()

    # Messages

    def _receive(self, message: str) -> None:
        self.log.add(">", self.instrument.clock, message.encode("ascii", errors="replace"))
        if self.instrument.waiting_for_event:
            if message.upper() not in _FREEING:
                self._held.append(message)
                return
            self._queue.clear()
            self._held.clear()
            self.instrument.waiting_for_event = False
        self._begin(message)
        self._go_on()

    def _go_on(self) -> None:
        """Carry out what is queued, until nothing is or the instrument waits."""
        while not self.instrument.waiting_for_event and self._held:
            self._begin(self._held.popleft())

    def _begin(self, message: str) -> None:
        instrument = self.instrument
        instrument.calibrate_if_due()
        instrument.wait(instrument.timing.message)
        commands = commands_of(message)
        if self.faults.armed or self._late:
            self._run_with_faults(commands)
        else:
            self._run(commands)

    def _run(self, commands: Iterable[str]) -> None:
        """Carry out a message, until nothing is left of it or the instrument waits."""
        instrument, first = self.instrument, True
        self._queue.extend([(command, 0) for command in commands])
        while self._queue and not instrument.waiting_for_event:
            text, depth = self._queue.popleft()
            if depth:
                instrument.wait(instrument.timing.stored_command)
            elif not first:
                instrument.wait(instrument.timing.command)
            first = False
            try:
                self._carry_out(text, depth)
            except Refused as refused:
                logger.debug("B1500A emulator: {} is refused with {}", text, refused.code)
                instrument.errors.add(refused.code, refused.slot)
                while self._queue and self._queue[0][1] > 0:  # an error ends the program
                    self._queue.popleft()
        if instrument.waiting_for_event and self._queue:
            self._held.appendleft(";".join(text for text, _ in self._queue))
            self._queue.clear()

    def _carry_out(self, text: str, depth: int) -> None:
        call = parse(text)
        if self.instrument.memory.storing is not None and call.header != "END":
            self._store(call)
        elif (command := ALL.get(call.header)) is not None:
            values = bind(call.arguments, command.parameters, command.rest, self._variable)
            command.run(self.instrument, *values)
        elif call.header == "ST":
            self._start_program(call)
        elif call.header == "END":
            self._end_program(call)
        elif call.header in _RUNNING:
            self._run_programs(call, depth)
        else:
            raise Refused(UNDEFINED_COMMAND)

    def _variable(self, kind: str, number: int) -> Number:
        value = self.instrument.memory.variables.get((kind, number))
        if value is None:
            raise Refused(VARIABLE_USE)
        return int(value) if kind == "I" else value

    # Programs

    def _start_program(self, call: Call) -> None:
        (number,) = bind(call.arguments, (NUMBER,), None, self._variable)
        assert number is not None
        self.instrument.memory.storing = int(number)
        self.instrument.memory.programs[int(number)] = []

    def _end_program(self, call: Call) -> None:
        if call.arguments or self.instrument.memory.storing is None:
            raise Refused(END_POSITION)
        self.instrument.memory.storing = None

    def _store(self, call: Call) -> None:
        memory = self.instrument.memory
        command = ALL.get(call.header)
        if command is None and call.header not in _RUNNING:
            raise Refused(UNDEFINED_COMMAND)
        if command is not None and not command.storable:
            raise Refused(NOT_STORABLE)
        assert memory.storing is not None
        memory.programs[memory.storing].append(call.text)

    def _run_programs(self, call: Call, depth: int) -> None:
        numbers = [int(value) for value in bind(call.arguments, (NUMBER,), NUMBER, self._variable) if value is not None]
        programs = self.instrument.memory.programs
        if call.header == "RU":
            if len(numbers) != 2 or numbers[0] > numbers[1]:
                raise Refused(STORE_EXECUTION)
            numbers = [number for number in sorted(programs) if numbers[0] <= number <= numbers[1]]
        if depth >= _DEPTH_MAX or any(number not in programs for number in numbers):
            raise Refused(STORE_EXECUTION)
        items = [(text, depth + 1) for number in numbers for text in programs[number]]
        self._queue.extendleft(reversed(items))

    # Faults

    def _run_with_faults(self, commands: Sequence[str]) -> None:
        """Carry out a message with what is to happen before it and to its answer."""
        buffers = self.instrument.buffers
        mark = buffers.mark()
        while self._late:
            late = self._late.pop(0)
            buffers.put(late.payload, max(late.count, 1), ends=late.ends)
        headers = [_header(command) for command in commands]
        if not self._apply(self.faults.due(headers, answers=False)):
            return
        self._run(commands)
        if buffers.changed_since(mark):
            self._spoil(self.faults.due(headers, answers=True), mark)

    def _apply(self, faults: list[Fault]) -> bool:
        """Let faults happen before a message; whether it is carried out at all."""
        instrument, carried_out = self.instrument, True
        for fault in faults:
            logger.info("B1500A emulator: injected {}", fault.kind.value)
            if fault.kind is FaultKind.COMPLIANCE:
                instrument.forced_compliance += fault.count
            elif fault.kind is FaultKind.ERROR_BURST:
                for _ in range(fault.count):
                    instrument.errors.add(fault.code)
            elif fault.kind is FaultKind.LEFTOVER:
                instrument.buffers.put(_LEFTOVER, 1, ends=True)
            elif fault.kind is FaultKind.CALIBRATION:
                if instrument.settings.calibrating:
                    instrument.calibrate()
            elif fault.kind is FaultKind.INTERLOCK:
                instrument.trip_interlock()
                instrument.errors.add(INTERLOCK_OPEN)
                carried_out = False
            else:
                self.link_dropped = True
                carried_out = carried_out and fault.kind is not FaultKind.DROPPED_BEFORE
        return carried_out

    def _spoil(self, faults: list[Fault], mark: tuple[Answer | None, int]) -> None:
        for fault in faults:
            logger.info("B1500A emulator: injected {}", fault.kind.value)

            def spoilt(answer: Answer, kind: FaultKind = fault.kind) -> Answer | None:
                if kind is FaultKind.LATE:
                    self._late.append(answer)
                return self.faults.spoil(kind, answer)

            self.instrument.buffers.spoil(mark, spoilt)


def _header(command: str) -> str:
    try:
        return parse(command).header
    except Refused:
        return ""
