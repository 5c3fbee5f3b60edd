"""From an open link to a known instrument: who answers, what it holds, and nothing left over from anybody before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loguru import logger

from rmhil.bench.errors import (
    BusHeldError,
    ChannelError,
    InstrumentNotFoundError,
    InterlockError,
    LinkDroppedError,
    ModuleMissingError,
    ReportedError,
    SilenceError,
    WrongInstrumentError,
)
from rmhil.bench.flex.data import Data
from rmhil.bench.flex.facts import ERROR_QUEUE_LENGTH, MODULES, Cause, ModuleRow
from rmhil.bench.flex.messages import CurrentRange
from rmhil.bench.flex.reports import Report, read_report, worst
from rmhil.bench.limits import CURRENT_MAX, AnalyserWiring, require
from rmhil.bench.session import DATA_FORMAT, Session

_MODEL: Final = "B1500A"
_EMPTY_SLOT: Final = "0"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers `*IDN?`, and where."""

    maker: str
    model: str
    serial: str
    firmware: str
    resource: str

    def __str__(self) -> str:
        return f"{self.model} ({self.maker}, firmware {self.firmware}) at {self.resource}"


def identify(session: Session) -> Identity:
    """Who is at the other end.

    Raises:
        InstrumentNotFoundError: nobody is.
        BusHeldError: somebody is, and does not answer.
        WrongInstrumentError: it is no B1500A.
    """
    try:
        answer = _first_answer(session)
    except SilenceError as error:
        raise BusHeldError(session.name, f"opened, but {error}") from error
    except LinkDroppedError as error:
        if _was_closed(error):
            raise BusHeldError(session.name, f"opened, and closed again by the other end ({error})") from error
        raise InstrumentNotFoundError(session.name, str(error), session.seen()) from error
    fields = [field.strip() for field in answer.split(",")]
    if len(fields) != 4 or fields[1] != _MODEL:
        raise WrongInstrumentError(session.name, answer)
    maker, model, serial, firmware = fields
    return Identity(maker, model, serial, firmware, session.name)


def _was_closed(error: LinkDroppedError) -> bool:
    """Whether the other end took the connection first: it is there, and serves somebody else."""
    below = error.__cause__.__cause__ if error.__cause__ is not None else None
    return isinstance(below, ConnectionResetError | BrokenPipeError)


def _first_answer(session: Session) -> str:
    """The answer to `*IDN?`: at the first try, or after whatever was under way has been ended."""
    session.clear()
    try:
        answer = session.ask("*IDN?")
    except SilenceError:
        answer = ""
    if _MODEL in answer:
        return answer
    session.storing = True  # a program may have been left open: END closes it, and is an error otherwise
    session.recover()
    return session.ask("*IDN?")


def discover(session: Session) -> dict[int, str]:
    """Model of each module, by slot; empty slots are left out."""
    entries = session.ask("UNT? 0").split(";")
    models = [entry.split(",")[0].strip() for entry in entries]
    return {slot: model for slot, model in enumerate(models, 1) if model not in ("", _EMPTY_SLOT)}


def module_facts(model: str) -> ModuleRow | None:
    """What is known of a module; None of one that is not known."""
    return MODULES.get(model.split("/")[0])


def check_modules(modules: dict[int, str], wiring: AnalyserWiring) -> None:
    """Refuse wiring that the mainframe cannot serve.

    Raises:
        ModuleMissingError: a wired channel is no SMU.
        OutOfRangeError: a wired channel may not do, as a module, what the wiring allows it.
    """
    listed = [f"{slot}: {model}" for slot, model in modules.items()]
    for channel, limits in wiring.channels.items():
        facts = module_facts(modules.get(channel, ""))
        if facts is None or facts.kind != "SMU":
            raise ModuleMissingError(channel, listed)
        largest = max((amperes for amperes, volts in facts.envelope if volts >= limits.voltage), default=0.0)
        require(f"current limit of channel {channel} at {limits.voltage:g} V", limits.current, 0.0, largest, "A")


def check_range(modules: dict[int, str], channel: int, ranging: CurrentRange) -> None:
    """Refuse a current range that a channel's module does not have.

    Raises:
        OutOfRangeError: it does not.
    """
    facts = module_facts(modules[channel])
    if ranging.code and facts is not None:
        low, high = facts.lowest_current_range, CURRENT_MAX
        require(f"current range of channel {channel}", ranging.full_scale, low, high, "A")


def settle(session: Session) -> list[Report]:
    """Forget what the last user set; then no calibration that opens outputs, and the time before each datum.

    Returns:
        What the last user left in the error queue, which is empty now.
    """
    session.send("DZ")
    session.send("*RST")
    left = take_reports(session)
    if left:
        logger.info("{}: left in its error queue: {}", session.name, "; ".join(str(report) for report in left))
    session.send("CM 0", "AZ 0", "TSC 1", f"FMT {DATA_FORMAT},0")
    return left


def take_reports(session: Session) -> list[Report]:
    """Everything in the error queue, oldest first; it is empty afterwards."""
    found: list[Report] = []
    for _ in range(2 * ERROR_QUEUE_LENGTH):
        answer = session.ask("ERRX?")
        report = read_report(answer)
        if report is None:
            found.append(Report(-1, f"ERRX? answers {answer!r}"))
        elif report.code == 0:
            break
        else:
            found.append(report)
    return found


def report_error(sent: str, reports: Sequence[Report], data: Data | None = None) -> ReportedError:
    """The error that reports ask for, by what can be done about them."""
    kinds = {Cause.INTERLOCK: InterlockError, Cause.CHANNEL: ChannelError}
    return kinds.get(worst(reports), ReportedError)(sent, reports, data)
