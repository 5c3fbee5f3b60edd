"""Which pin of the FPGA each port has: a pin file names FMC signals, a table of the ZC706 their pins."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from overlay_ports import OverlayError, Port


@dataclass(frozen=True)
class Pin:
    """A pin of the FPGA that a bit of a port has.

    Attributes:
        port: bit of the port, `dac_sdi[3]`.
        signal: connector and signal, `HPC.LA07_N`.
        pin: ball of the package.
        connector: pin of the connector.
    """

    port: str
    signal: str
    pin: str
    connector: str


@dataclass(frozen=True)
class PinTable:
    """Pins of all ports.

    Attributes:
        is_example: no board is known to be wired so.
    """

    is_example: bool
    pins: tuple[Pin, ...]


def load_pins(path: Path, connectors: Path, ports: list[Port]) -> PinTable:
    """Read a pin file and check it against the ports.

    Raises:
        OverlayError: a port is missing, unknown or of another width, or a signal is unknown or used twice.
    """
    table, fmc = tomllib.loads(path.read_text()), tomllib.loads(connectors.read_text())
    if set(table) != {"example", "ports"} or not isinstance(table["example"], bool):
        raise OverlayError(f"{path.name}: needs `example = true` or `false` and [ports], has {sorted(table)}")
    wanted = {port.name: port for port in ports if port.is_pin}
    if set(table["ports"]) != set(wanted):
        difference = sorted(set(table["ports"]) ^ set(wanted))
        raise OverlayError(f"{path.name}: ports missing or unknown: {', '.join(difference)}")
    pins = [pin for name, port in wanted.items() for pin in _pins_of(path.name, port, table["ports"][name], fmc)]
    seen: dict[str, Pin] = {}
    for pin in pins:
        if pin.pin in seen:
            raise OverlayError(f"{path.name}: {pin.signal} is given to {seen[pin.pin].port} and to {pin.port}")
        seen[pin.pin] = pin
    return PinTable(table["example"], tuple(pins))


def _pins_of(name: str, port: Port, signals: list[str], fmc: dict[str, dict[str, dict[str, str]]]) -> list[Pin]:
    if len(signals) != port.width:
        raise OverlayError(f"{name}: {port.name} has {len(signals)} pins, needs {port.width}")
    pins = []
    for bit, signal in zip(port.bits, signals, strict=True):
        connector, _, line = signal.partition(".")
        entry = fmc.get(connector, {}).get(line)
        if entry is None:
            raise OverlayError(f"{name}: {port.name}: the ZC706 has no FMC signal {signal}")
        pins.append(Pin(bit, signal, entry["pin"], entry["connector"]))
    return pins
