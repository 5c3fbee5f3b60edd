"""Which channel is joined to which terminal, and what a load is called on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rmhil.errors import ConfigError
from sim_backend.b1500a.dut.loop import GROUND, OPEN
from sim_backend.b1500a.network import Network, Point, Source, Sources

if TYPE_CHECKING:
    from rmhil.units import Seconds

GROUND_UNIT = 0
"""Number that stands for the mainframe's ground unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminals:
    """Channels joined to the terminals of a device; several at one terminal take turns.

    Attributes:
        bl: of the bit line, the high side of a two-terminal device.
        sl: of the source line, the low side; `GROUND_UNIT` is always at 0 V.
        wl: of the gate.
    """

    bl: tuple[int, ...] = (1,)
    sl: tuple[int, ...] = (2,)
    wl: tuple[int, ...] = (3,)

    def __post_init__(self) -> None:
        named = [*self.bl, *self.sl, *self.wl]
        if len(set(named)) < len(named):
            raise ConfigError(f"terminals: a channel is named twice in BL {self.bl}, SL {self.sl}, WL {self.wl}")


def driven(channels: tuple[int, ...], sources: Sources) -> tuple[int | None, Source]:
    """The channel that drives a terminal and its source; an open one where all switches are open."""
    for channel in channels:
        if channel in sources:
            return channel, sources[channel]
    return None, GROUND if GROUND_UNIT in channels else OPEN


def floating(sources: Sources) -> dict[int, Point]:
    """Points of channels that nothing is joined to: no current; a current source runs into its limit."""
    return {channel: _open_point(source) for channel, source in sources.items()}


def _open_point(source: Source) -> Point:
    if source.kind == "V":
        return Point(source.value, 0.0, False)
    limited = source.value != 0.0
    return Point(source.limit if source.value > 0 else -source.limit if limited else 0.0, 0.0, limited)


class OpenLoad:
    """Nothing is joined to any channel."""

    def solve(self, sources: Sources, integration: Seconds) -> dict[int, Point]:
        """Voltages without currents."""
        return floating(sources)

    def elapse(self, sources: Sources, seconds: Seconds) -> None:
        """Nothing happens to nothing."""

    def describe(self) -> str:
        """`open`."""
        return "open"


def load_of(text: str, terminals: Terminals | None = None, *, seed: int = 0) -> Network:
    """A network by name: `open`, `cell`, or a resistance in ohm such as `10e3`.

    Raises:
        ConfigError: it is none of them.
    """
    from sim_backend.b1500a.dut.resistor import Resistor

    terminals = terminals or Terminals()
    if text == "open":
        return OpenLoad()
    if text == "cell":
        from sim_backend.b1500a.dut.cell import CellNetwork

        return CellNetwork.single(terminals, seed=seed)
    try:
        return Resistor(float(text), terminals)
    except ValueError as error:
        raise ConfigError(f"load {text!r}: `open`, `cell`, or a resistance in ohm above 0 is needed") from error
