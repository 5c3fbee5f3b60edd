"""The capacitance unit: it keeps its DC sweep, which clients set when they connect, and measures nothing."""

from __future__ import annotations

from typing import Final

from sim_backend.b1500a.commands.registry import CHANNEL, OPTIONAL_REAL, SWITCH, Table
from sim_backend.b1500a.errors import NO_MODULE, WRONG_CHANNEL, Refused
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.modules import Kind
from sim_backend.b1500a.parser import one_of, real

TABLE: Final = Table()

_BIAS: Final = real(-100.0, 100.0)
"""V, with a bias unit (B1500A User's Guide)."""

_DELAY: Final = real(0, 65.535, optional=True)


def _units(instrument: Instrument) -> list[int]:
    """Slots of capacitance units.

    Raises:
        Refused: there is none.
    """
    slots = enumerate(instrument.mainframe.slots, 1)
    found = [slot for slot, model in slots if model is not None and model.kind is Kind.CMU]
    if not found:
        raise Refused(NO_MODULE)
    return found


@TABLE.add("WTDCV", takes=(real(0, 655.35), real(0, 65.535), real(0, 1, optional=True), _DELAY, _DELAY))
def timing(instrument: Instrument, *delays: float | None) -> None:
    """Hold and delays of capacitance sweeps (s)."""
    _units(instrument)
    instrument.settings.capacitance_delays = tuple(delay or 0.0 for delay in delays)


@TABLE.add("WDCV", takes=(CHANNEL, one_of(1, 4), _BIAS, _BIAS, one_of(1, 1001), OPTIONAL_REAL))
def sweep(
    instrument: Instrument, channel: int, mode: int, start: float, stop: float, steps: int, compliance: float | None
) -> None:
    """DC bias of capacitance sweeps: mode, start, stop (V), steps."""
    if channel not in _units(instrument):
        raise Refused(WRONG_CHANNEL)
    instrument.settings.capacitance_sweep = (channel, mode, start, stop, steps)


@TABLE.add("ACT", takes=(one_of(0, 2), one_of(1, 1023, optional=True)))
def integration(instrument: Instrument, mode: int, number: int | None) -> None:
    """Integration of the unit: automatic, manual, power-line cycles; and their number."""
    _units(instrument)
    instrument.settings.capacitance_integration = (mode, number or 1)


@TABLE.add("IMP", takes=(one_of(1, 402),))
def parameters(instrument: Instrument, mode: int) -> None:
    """Which pair of parameters the unit would measure."""
    _units(instrument)
    instrument.settings.capacitance_parameters = mode


@TABLE.add("LMN", takes=(SWITCH,))
def monitor(instrument: Instrument, state: int) -> None:
    """Whether the unit would give its own levels as well."""
    _units(instrument)
    instrument.settings.capacitance_monitor = bool(state)
