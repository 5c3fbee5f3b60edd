"""Constraints of the overlay: pins, and timing at the pins."""

from __future__ import annotations

from typing import Any

from overlay_pins import PinTable
from overlay_ports import Port
from overlay_timing import ChipClock, Input, Level, Output, Timing

FABRIC_CLOCK = "clk_fpga_0"
"""FCLK_CLK0, as the constraints of the IP processing_system7 name it."""

EXAMPLE = "# EXAMPLE: no board is known to be wired so; see the pin file before this goes on hardware."


def pins(ports: list[Port], table: PinTable, io: dict[str, Any], note: str) -> str:
    """Pin and I/O standard of every port."""
    inputs = {bit for port in ports if port.is_input for bit in port.bits}
    lines = [f"# {note}"] + [EXAMPLE] * table.is_example
    lines += ["# Inputs are pulled up: an ADC that is not there does not answer with the zeros around a word.", ""]
    for pin in table.pins:
        kind = "PULLTYPE PULLUP" if pin.port in inputs else f"DRIVE {io['drive_ma']} SLEW {io['slew']}"
        lines.append(f"# {pin.signal}, connector pin {pin.connector}")
        properties = f"PACKAGE_PIN {pin.pin} IOSTANDARD {io['standard']} {kind}"
        lines.append(f"set_property -dict {{{properties}}} [get_ports {{{pin.port}}}]")
    return "\n".join(lines) + "\n"


def timing(relations: Timing, ports: list[Port], delays: dict[str, float], note: str) -> str:
    """Clocks of the chips, and when data must come and go against them."""
    vectors = {port.name for port in ports if port.is_vector}
    lines = [f"# {note}", f"# {FABRIC_CLOCK} comes with the IP processing_system7. Numbers are ns."]
    for clock in relations.clocks:
        lines += _clock(clock)
    for output in relations.outputs:
        lines += _output(output, _ports(output.port, vectors), delays["skew_ns"])
    for line in relations.inputs:
        lines += _input(line, _ports(line.port, vectors), delays["return_ns"])
    for level in relations.levels:
        lines += _level(level, _ports(level.port, vectors), relations.period_ns)
    return "\n".join(lines) + "\n"


def _ports(name: str, vectors: set[str]) -> str:
    return f"[get_ports {{{name}[*]}}]" if name in vectors else f"[get_ports {{{name}}}]"


def _clock(clock: ChipClock) -> list[str]:
    source = f"-source [get_pins -hierarchical -filter {{NAME =~ */{clock.register}/C}}]"
    port = f"[get_ports {{{clock.port}}}]"
    return ["", f"create_generated_clock -name {clock.port} {source} -divide_by {clock.clocks} {port}"]


def _output(output: Output, ports: str, skew_ns: float) -> list[str]:
    clock = f"-clock [get_clocks {output.clock}]" + " -clock_fall" * output.falling
    path = f"-from [get_clocks {FABRIC_CLOCK}] -to {ports}"
    return [
        "",
        f"# {output.port}: clocks from a change until it is taken {output.ahead}, then to a change {output.behind}",
        f"set_output_delay {clock} -max {output.setup_ns + skew_ns:g} {ports}",
        f"set_output_delay {clock} -min {-output.hold_ns - skew_ns:g} {ports}",
        f"set_multicycle_path {output.ahead} -setup -start {path}",
        # The next change, instead of the clock after the one from which set-up is counted.
        f"set_multicycle_path {output.ahead - 1 + output.behind} -hold -start {path}",
    ]


def _input(line: Input, ports: str, return_ns: float) -> list[str]:
    clock = f"-clock [get_clocks {line.clock}]" + " -clock_fall" * line.falling
    path = f"-from {ports} -to [get_clocks {FABRIC_CLOCK}]"
    return [
        "",
        f"# {line.port}: clocks from the edge that changes it until it is taken {line.after}",
        f"set_input_delay {clock} -max {line.delay_ns + return_ns:g} {ports}",
        f"set_input_delay {clock} -min 0 {ports}",
        f"set_multicycle_path {line.after} -setup -end {path}",
        f"set_multicycle_path {line.after - 1} -hold -end {path}",
    ]


def _level(level: Level, ports: str, period_ns: float) -> list[str]:
    return [
        "",
        f"# {level.port}: {level.spare_ns:g} ns to spare",
        f"set_max_delay -datapath_only -from [get_clocks {FABRIC_CLOCK}] -to {ports} {period_ns:g}",
    ]
