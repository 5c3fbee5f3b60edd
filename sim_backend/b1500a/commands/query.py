"""What the instrument says of itself: identity, modules, errors, status, and checks of its outputs."""

from __future__ import annotations

from typing import Final

from sim_backend.b1500a.commands.registry import Table
from sim_backend.b1500a.errors import text_of
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_NEAR_ZERO: Final = 2.0
"""V, within which `WZ?` takes an output to be at zero."""


@TABLE.add("*IDN?")
def identity(instrument: Instrument) -> None:
    """Maker, model, number, firmware."""
    instrument.buffers.answer(instrument.identity)


@TABLE.add("UNT?", takes=(one_of(0, 1, optional=True),))
def modules(instrument: Instrument, mode: int | None) -> None:
    """Modules of all slots; 1 adds the mainframe."""
    own = ";B1500A,0" if mode else ""
    instrument.buffers.answer(instrument.mainframe.inventory + own)


@TABLE.add("*OPC?")
def completed(instrument: Instrument) -> None:
    """1: commands are done one after the other."""
    instrument.buffers.answer("1")


@TABLE.add("*RST", storable=False)
def reset(instrument: Instrument) -> None:
    """First state of everything but programs and errors."""
    instrument.reset()


@TABLE.add("*TST?", "*CAL?", takes=(one_of(0, 11, optional=True),))
def self_test(instrument: Instrument, slot: int | None) -> None:
    """0: passed. Outputs are open meanwhile, and errors are forgotten."""
    instrument.calibrate()
    instrument.errors.clear()
    instrument.buffers.answer("0")


@TABLE.add("DIAG?", takes=(one_of(1, 7),))
def diagnosis(instrument: Instrument, item: int) -> None:
    """0: passed; the interlock tests (6, 7) pass if the lid is as they ask."""
    instrument.errors.clear()
    wrong = (item == 6 and instrument.interlock_closed) or (item == 7 and not instrument.interlock_closed)
    instrument.buffers.answer("2" if wrong else "0")


@TABLE.add("*STB?")
def status_byte(instrument: Instrument) -> None:
    """Status byte before this answer."""
    instrument.buffers.answer(str(instrument.status))


@TABLE.add("*SRE", takes=(one_of(0, 255),))
def service_mask(instrument: Instrument, mask: int) -> None:
    """Bits that ask for service."""
    instrument.settings.service_mask = mask & ~64


@TABLE.add("*SRE?")
def query_service_mask(instrument: Instrument) -> None:
    """Bits that ask for service."""
    instrument.buffers.answer(str(instrument.settings.service_mask))


@TABLE.add("ERRX?", takes=(one_of(0, 1, optional=True),))
def next_error(instrument: Instrument, mode: int | None) -> None:
    """Oldest error: code and text, or the code alone."""
    instrument.buffers.answer(instrument.errors.next_with_text(with_text=not mode))


@TABLE.add("ERR?", takes=(one_of(0, 1, optional=True),))
def error_codes(instrument: Instrument, mode: int | None) -> None:
    """Four codes, or one; the queue is empty afterwards."""
    instrument.buffers.answer(instrument.errors.next_codes(1 if mode else 4))


@TABLE.add("EMG?", takes=(one_of(0, 9999),))
def error_text(instrument: Instrument, code: int) -> None:
    """Text of a code."""
    instrument.buffers.answer(text_of(code))


@TABLE.add("NUB?")
def data_count(instrument: Instrument) -> None:
    """Data that wait to be read."""
    instrument.buffers.answer(str(instrument.buffers.data_count))


@TABLE.add("WZ?", takes=(real(0, optional=True),))
def outputs_at_zero(instrument: Instrument, timeout: float | None) -> None:
    """0 if all outputs are within 2 V of zero; otherwise 1, after the time-out (s)."""
    near = instrument.largest_output <= _NEAR_ZERO
    if not near:
        instrument.wait(timeout or 0.0)
    instrument.buffers.answer("0" if near else "1")


@TABLE.add("LIM?", takes=(one_of(1, 2),))
def query_limits(instrument: Instrument, kind: int) -> None:
    """Largest output voltage (1) or current (2)."""
    instrument.buffers.answer(f"{instrument.settings.output_limits['V' if kind == 1 else 'I']:g}")


@TABLE.add("INTLKVTH?")
def query_interlock_threshold(instrument: Instrument) -> None:
    """Voltage above which the interlock is needed."""
    instrument.buffers.answer(f"{instrument.settings.interlock_threshold:g}")
