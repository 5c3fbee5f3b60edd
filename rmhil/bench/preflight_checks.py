"""The checks of configuration, instruments and limits; those of the array are in `preflight_array`."""

from __future__ import annotations

from typing import Final

from rmhil.backend import Limits
from rmhil.bench.bench_under_test import BenchUnderTest
from rmhil.bench.board_errors import BoardMismatchError
from rmhil.bench.board_map import State
from rmhil.bench.config import load_bench_config
from rmhil.bench.errors import InterlockError, ModuleMissingError, OutputsUnknownError, WrongInstrumentError
from rmhil.bench.flex.facts import INTERLOCK_VOLTAGE
from rmhil.bench.instruments import open_analyser, open_board
from rmhil.bench.lights import Light, Seen
from rmhil.bench.link_errors import BoardVersionError
from rmhil.bench.ownership import BenchLock
from rmhil.bench.startup import module_facts
from rmhil.errors import OutOfRangeError

_ANALYSER: Final = "analyser"
_BOARD: Final = "board"


def configuration(bench: BenchUnderTest) -> Seen:
    """The file is there and makes sense."""
    bench.config = load_bench_config(bench.path)
    array, twin = bench.config.array, bench.config.twin
    kind = "" if twin is None else f", a twin: {twin.identity}"
    return Seen(Light.GREEN, f"{bench.path}: chip {array.chip}, {array.n_bl} x {array.n_sl} cells{kind}")


def owner(bench: BenchUnderTest) -> Seen:
    """Nobody else works on the bench."""
    bench.lock = BenchLock.of(bench.config)
    bench.lock.take()
    bench.opened.callback(bench.lock.release)
    return Seen(Light.GREEN, f"this process, by {bench.lock.path}")


def analyser_link(bench: BenchUnderTest) -> Seen:
    """VISA opens the resource, and something answers."""
    name = bench.config.analyser.resource
    try:
        bench.analyser = bench.opened.enter_context(open_analyser(bench.config))
    except (WrongInstrumentError, ModuleMissingError, OutOfRangeError, OutputsUnknownError) as error:
        bench.trouble[_ANALYSER] = error
        return Seen(Light.GREEN, f"{name} answers")
    lock = "locked for others" if bench.analyser.locked else "no lock of VISA here: the lock file is the only one"
    return Seen(Light.GREEN, f"{name} answers; {lock}")


def analyser_identity(bench: BenchUnderTest) -> Seen:
    """It is a B1500A."""
    trouble = bench.trouble.get(_ANALYSER)
    if isinstance(trouble, WrongInstrumentError):
        raise trouble
    return Seen(Light.GREEN, "a B1500A" if trouble else str(bench.analyser.identity))


def modules(bench: BenchUnderTest) -> Seen:
    """Every channel is an SMU that may do what the limits allow."""
    trouble = bench.trouble.get(_ANALYSER)
    if isinstance(trouble, ModuleMissingError | OutOfRangeError):
        raise trouble
    channels = bench.config.analyser.channels.by_line
    if trouble:
        return Seen(Light.GREEN, "SMUs where the channels are")
    listed = ", ".join(f"{line.upper()} {slot}: {bench.analyser.modules[slot]}" for line, slot in channels.items())
    if "inhibit" not in channels:
        text = "a channel on the inhibit line (analyser.channels.inhibit) keeps other bit lines from following a RESET"
        return Seen(Light.AMBER, f"{listed}; no inhibit line", text)
    return Seen(Light.GREEN, listed)


def outputs(bench: BenchUnderTest) -> Seen:
    """All outputs are off, by the instrument's own word."""
    if _ANALYSER in bench.trouble:
        raise bench.trouble[_ANALYSER]
    bench.analyser.zero_verified()
    bench.analyser.switch_off()
    return Seen(Light.GREEN, "at 0 V, all switches open")


def error_queue(bench: BenchUnderTest) -> Seen:
    """The instrument has nothing to complain of."""
    bench.analyser.check_errors()
    left = bench.analyser.left_over
    if left:
        listed = "; ".join(str(report) for report in left)
        return Seen(Light.AMBER, f"empty now; it held {listed}", "somebody's earlier errors: nothing to do if known")
    return Seen(Light.GREEN, "empty")


def interlock(bench: BenchUnderTest) -> Seen:
    """It is not needed, and the instrument does not ask for it."""
    if bench.analyser.asks_for_interlock():
        raise InterlockError("*STB?", [])
    return Seen(Light.GREEN, f"not needed: no limit is above {INTERLOCK_VOLTAGE:g} V")


def board_link(bench: BenchUnderTest) -> Seen:
    """The daemon answers, and the board is free."""
    table = bench.config.board
    try:
        bench.board = bench.opened.enter_context(open_board(bench.config))
    except (BoardVersionError, BoardMismatchError) as error:
        bench.trouble[_BOARD] = error
    return Seen(Light.GREEN, f"{table.url} answers")


def board_identity(bench: BenchUnderTest) -> Seen:
    """The daemon speaks this protocol."""
    trouble = bench.trouble.get(_BOARD)
    if isinstance(trouble, BoardVersionError):
        raise trouble
    return Seen(Light.GREEN, "the protocol is this one" if trouble else str(bench.board.identity))


def map_and_description(bench: BenchUnderTest) -> Seen:
    """Register map and board description are those that this software knows."""
    if _BOARD in bench.trouble:
        raise bench.trouble[_BOARD]
    found = bench.board.identity
    return Seen(Light.GREEN, f"map {found.map_hash:08x}, description {found.name} {found.board_hash:08x}")


def board_state(bench: BenchUnderTest) -> Seen:
    """The board sets its chips up and switches off again; all lines stay open."""
    before = bench.board.status()
    bench.board.arm()
    bench.board.safe()
    after = bench.board.status()
    if before.state is State.FAULT:
        return Seen(Light.AMBER, f"it was in {before}; now {after}", "its cause is gone; look why if you do not know")
    return Seen(Light.GREEN, f"armed and off again: {after}")


def limits(bench: BenchUnderTest) -> Seen:
    """What may be driven, beside what is usual and what the modules could."""
    given, usual = bench.config.limits.limits, Limits()
    text = (
        f"SET {given.set_voltage:g} V, RESET {given.reset_voltage:g} V, FORM {given.form_voltage:g} V, gate "
        f"{given.gate_voltage:g} V, {1e3 * given.current:g} mA, read {given.read_voltage:g} V"
    )
    above = [
        name
        for name in ("set_voltage", "reset_voltage", "form_voltage", "gate_voltage", "current")
        if getattr(given, name) > getattr(usual, name)
    ]
    if above:
        return Seen(Light.AMBER, text, f"above the usual: {', '.join(above)}; lower it unless the chip needs it")
    reach = [module_facts(model) for model in bench.analyser.modules.values()]
    volts = max((volts for row in reach if row is not None for _, volts in row.envelope), default=0.0)
    return Seen(Light.GREEN, f"{text}; the modules could {volts:g} V")
