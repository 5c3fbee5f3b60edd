"""What starts, waits and ends: XE, PA, WS, AB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sim_backend.b1500a.commands.multi import multi_spot, multi_sweep
from sim_backend.b1500a.commands.pulse import pulsed_spot, pulsed_sweep
from sim_backend.b1500a.commands.registry import Table
from sim_backend.b1500a.commands.sampling import sampling
from sim_backend.b1500a.commands.sweep import spot, staircase
from sim_backend.b1500a.errors import NOT_SET_UP, Refused
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_RUNS: Final[dict[int, Callable[[Instrument, Sequence[int]], None]]] = {
    1: spot,
    2: staircase,
    3: pulsed_spot,
    4: pulsed_sweep,
    10: sampling,
    16: staircase,
    27: multi_spot,
    28: multi_sweep,
}
"""By the mode of `MM`."""


@TABLE.add("XE")
def execute(instrument: Instrument) -> None:
    """Run the measurement that `MM` names."""
    if instrument.settings.measurement is None:
        raise Refused(NOT_SET_UP)
    mode, channels = instrument.settings.measurement
    for channel in channels:
        instrument.live_smu(channel)
    _RUNS[mode](instrument, channels)


@TABLE.add("PA", "PAX", takes=(real(-99.9999, 99.9999, optional=True),))
def pause(instrument: Instrument, seconds: float | None) -> None:
    """Wait so many seconds; without a time, or a negative one, for an event."""
    if seconds is None or seconds < 0:
        instrument.waiting_for_event = True
    else:
        instrument.wait(seconds)


@TABLE.add("WS", "WSX", takes=(one_of(1, 2, optional=True),))
def wait_for_trigger(instrument: Instrument, mode: int | None) -> None:
    """Wait for a trigger."""
    instrument.waiting_for_event = True


@TABLE.add("AB", storable=False)
def abort(instrument: Instrument) -> None:
    """End a wait; measurements have ended before the next command is looked at."""
    instrument.waiting_for_event = False
