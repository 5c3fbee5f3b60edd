"""Ports of the RTL's top module, read from its source: the pins of the FPGA are those that are no bus signal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PORT = re.compile(r"^\s*(input|output)\s+(?:wire|reg)\s+(?:\[(.+?)-1:0\]|\[(\d+):0\])?\s*(\w+)\s*,?\s*(?://.*)?$")

INSIDE = ("clk", "rst", "irq")
"""Ports that end in the FPGA, apart from those of the bus."""


class OverlayError(ValueError):
    """An overlay that cannot be made from these sources."""


@dataclass(frozen=True)
class Port:
    """One port of the top module.

    Attributes:
        is_input: into the FPGA.
        width: bits.
        is_vector: declared with a range, even if of one bit.
    """

    name: str
    is_input: bool
    width: int
    is_vector: bool

    @property
    def is_pin(self) -> bool:
        """Whether it goes to a pin."""
        return self.name not in INSIDE and not self.name.startswith("s_axi_")

    @property
    def bits(self) -> list[str]:
        """Names of its bits, as Vivado has them."""
        return [f"{self.name}[{bit}]" for bit in range(self.width)] if self.is_vector else [self.name]


def read_ports(source: Path, numbers: dict[str, int]) -> list[Port]:
    """Ports of a module, in their order.

    Args:
        source: one module, a port a line.
        numbers: values of the `RM_BOARD_` macros that widths are given by.

    Raises:
        OverlayError: a line of the port list is none, or its width is not a number of the board.
    """
    text = source.read_text()
    found = re.search(r"\)\s*\(\n(.*?)\n\);", text, re.S)
    if found is None:
        raise OverlayError(f"{source.name} has no port list")
    lines = [line for line in found[1].splitlines() if line.strip() and not line.strip().startswith("//")]
    return [_port(source.name, line, numbers) for line in lines]


def _port(source: str, line: str, numbers: dict[str, int]) -> Port:
    found = _PORT.match(line)
    if found is None:
        raise OverlayError(f"{source}: not a port: {line.strip()}")
    direction, count, last, name = found.groups()
    if count is None:
        width = 1 if last is None else int(last) + 1
    else:
        macro = count.strip().removeprefix("`RM_BOARD_")
        if macro not in numbers:
            raise OverlayError(f"{source}: width of {name} is {count}, no number of the board")
        width = numbers[macro]
    return Port(name, direction == "input", width, (count or last) is not None)
