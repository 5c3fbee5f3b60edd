"""A link whose board is a few lines of Python: it notes what it is asked, and answers as the board would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_map import ARGUMENTS, FIELDS, MAP_HASH, REGISTERS, VECTOR_BYTES, Opcode, Route, State
from rmhil.bench.boards import BOARDS
from rmhil.bench.link_errors import BoardLinkClosedError, BoardLinkError, RequestTimedOutError
from rmhil.bench.messages import (
    Capability,
    Command,
    Counters,
    Reason,
    Refusal,
    Report,
    Step,
    Wait,
    Welcome,
    Write,
)

NAMES = {offset: name for name, offset in REGISTERS.items()}
ROUTES = {Opcode.ROUTE_OFF: Route.OFF, Opcode.ROUTE_MVM: Route.MVM, Opcode.ROUTE_CELL: Route.CELL}


def bits(register: str, **values: int) -> int:
    """A register from its fields."""
    return sum(value << FIELDS[f"{register}.{name}"].low for name, value in values.items())


@dataclass
class Ready:
    """An answer that has come."""

    answer: object
    waiting: Callable[[Callable[[], bool]], bool] = lambda stop: True

    def wait(self, stop: Callable[[], bool]) -> bool:
        return self.waiting(stop)

    def result(self) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@dataclass
class BoardLink:
    """Link and board.

    Attributes:
        described: what the registers say.
        map_hash: as the board has it.
        sent: commands, writes to CONTROL and parts of batches, in order.
        failures: what the next requests to run commands or vectors come to; None is carried out.
        broken: raised by every request.
        waiting: what waiting for a batch does.
        stuck: the board does not leave its state.
    """

    described: BoardDescription = field(default_factory=lambda: BOARDS["adc64"])
    map_hash: int = MAP_HASH
    sent: list[object] = field(default_factory=list)
    failures: list[BoardLinkError | None] = field(default_factory=list)
    broken: BoardLinkError | None = None
    waiting: Callable[[Callable[[], bool]], bool] = lambda stop: True
    stuck: bool = False
    closed: bool = False
    state: State = State.DISARMED
    route: Route = Route.OFF
    gate: int = 0
    pulses: int = 0
    silent: int = 0
    under_way: int = 0
    most_under_way: int = 0

    @property
    def welcome(self) -> Welcome:
        board = self.described.hash
        everything = Capability.BULK | Capability.TRANSACT | Capability.VECTORS | Capability.COMMANDS
        return Welcome(
            1, False, everything, 65_536, self.map_hash, board, 0xC0FFEE, VECTOR_BYTES, VECTOR_BYTES, 1.0, 0, bytes(16)
        )

    def read(self, name: str) -> int:
        board = self.described
        on = self.state is State.READY
        words = {
            "LINES": bits("LINES", N_BL=board.n_bl, N_SL=board.n_sl),
            "CHANNELS": bits("CHANNELS", DAC=64, TIA=64, ADC=board.adc_count),
            "CLOCK_HZ": board.clock_hz,
            "INPUT_LIMITS": bits("INPUT_LIMITS", REST_CODE=board.rest_code, LIMIT_CODES=board.limit_codes),
            "STATUS": bits("STATUS", STATE=self.state, ROUTE=self.route, GATE=self.gate, OUTPUTS=int(on), IDLE=1),
            "PULSES_TOTAL": self.pulses,
            "CLOCKS_LOW": 50,
            "CLOCKS_HIGH": 1,
        }
        return words.get(name, 0)

    def transact(self, steps: Sequence[Step]) -> list[int]:
        self._refuse()
        answers = []
        for index, step in enumerate(steps):
            if isinstance(step, Write):
                self._write(NAMES[step.offset], step.value)
            else:
                answers.append(self.read(NAMES[step.offset]))
            if isinstance(step, Wait) and answers[-1] & step.mask != step.value:
                raise RequestTimedOutError("TRANSACT", Reason.TIMED_OUT, Refusal(0x10, 0, index, answers[-1], 1000))
        return answers

    def _write(self, name: str, value: int) -> None:
        if name != "CONTROL":
            return
        asked = [bit for bit in ("ARM", "DISARM") if FIELDS[f"CONTROL.{bit}"].of(value)]
        self.sent += asked
        if not self.stuck:
            self.state = State.READY if asked == ["ARM"] else State.DISARMED
            self.route, self.gate = Route.OFF, 0

    def submit_commands(self, commands: Sequence[Command]) -> Ready:
        self._refuse()
        self.sent += commands
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            self.state = State.FAULT
            return Ready(failure)
        for command in commands:
            self.route = ROUTES.get(command.opcode, self.route)
            self.gate = int(command.opcode is Opcode.GATE and command.arguments == (1,))
            self.pulses += command.opcode is Opcode.PULSE or self.gate
        return Ready(Report(self.read("STATUS"), self.pulses, 0, 0), self.waiting)

    def submit_vectors(self, vectors: NDArray[np.uint16]) -> Ready:
        self._refuse()
        self.sent.append(len(vectors))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        failure = self.failures.pop(0) if self.failures else None
        codes = (vectors.astype(np.int64) - self.described.rest_code) & 0x3FFF
        results = (codes | bits("RESULT", LINK_ERROR=self.silent)).astype(np.uint16)

        def wait(stop: Callable[[], bool]) -> bool:
            ended = self.waiting(stop)
            self.under_way -= ended
            return ended

        return Ready(failure or results, wait)

    def abort(self) -> int:
        self._refuse()
        self.sent.append("ABORT")
        if self.state is State.READY and not self.stuck:
            self.state = State.FAULT
        self.under_way = 0
        return 0

    def counters(self) -> Counters:
        self._refuse()
        return Counters(*range(6))

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> BoardLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse(self) -> None:
        if self.closed:
            raise BoardLinkClosedError("nothing was sent: the link is closed")
        if self.broken is not None:
            raise self.broken


def status_of(state: State, **fields: int) -> int:
    """Register STATUS of a stopped board."""
    return bits("STATUS", STATE=state, **fields)


def arguments(sent: Command) -> dict[str, int]:
    """Arguments of a command that are not zero."""
    values = {}
    for name, place in ARGUMENTS.items():
        operation, argument = name.split(".")
        if operation == sent.opcode.name and place.word <= len(sent.arguments):
            values[argument] = sent.arguments[place.word - 1] >> place.low & (1 << place.bits) - 1
    return {name: value for name, value in values.items() if value}


def refusal(status: int = 0, index: int = 0, pulses: int = 0) -> Refusal:
    return Refusal(0x12, 0, index, status, pulses)
