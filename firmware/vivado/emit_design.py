"""The top module of the overlay as Vivado's block designs want it, and the numbers that build.tcl works with."""

from __future__ import annotations

from typing import Any

from overlay_pins import PinTable
from overlay_ports import Port

MODULE = "rm_overlay"
"""Module that the block design refers to; pynq finds it by this name."""

_ATTRIBUTES = {
    "clk": (
        "xilinx.com:signal:clock:1.0 clk CLK",
        "XIL_INTERFACENAME clk, ASSOCIATED_BUSIF s_axi, ASSOCIATED_RESET rst",
    ),
    "rst": ("xilinx.com:signal:reset:1.0 rst RST", "XIL_INTERFACENAME rst, POLARITY ACTIVE_HIGH"),
    "irq": ("xilinx.com:signal:interrupt:1.0 irq INTERRUPT", "XIL_INTERFACENAME irq, SENSITIVITY LEVEL_HIGH"),
}


def wrapper(ports: list[Port], note: str) -> str:
    """Verilog: the top module with the attributes by which Vivado knows interfaces (UG994) and widths in figures."""
    lines = [
        f"// {note}",
        "// rm_board for a block design of Vivado: widths in figures, interfaces named. build.tcl gives BUILD_ID.",
    ]
    lines += ["`default_nettype none", f"module {MODULE} #(", "    parameter [31:0] BUILD_ID = 32'h00000000", ") ("]
    declared = [_declaration(port) for port in ports]
    lines += [",\n".join(declared), ");"]
    joined = ",\n".join(f"        .{port.name}({port.name})" for port in ports)
    lines += ["    rm_board #(.BUILD_ID(BUILD_ID)) board (", joined, "    );", "endmodule", "`default_nettype wire"]
    return "\n".join(lines) + "\n"


def _declaration(port: Port) -> str:
    kind = "input  wire" if port.is_input else "output wire"
    width = f"[{port.width - 1}:0] " if port.is_vector else ""
    return "".join(f"    {line}\n" for line in _interface(port)) + f"    {kind} {width}{port.name}"


def _interface(port: Port) -> list[str]:
    if port.name in _ATTRIBUTES:
        info, parameter = _ATTRIBUTES[port.name]
        return [f'(* X_INTERFACE_INFO = "{info}" *)', f'(* X_INTERFACE_PARAMETER = "{parameter}" *)']
    if port.name.startswith("s_axi_"):
        signal = port.name.removeprefix("s_axi_").upper()
        return [f'(* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi {signal}" *)']
    return []


def parameters(values: dict[str, str], ports: list[Port], table: PinTable, overlay: dict[str, Any], note: str) -> str:
    """Tcl: a dictionary for build.tcl. `values` are of the board and of the map."""
    device = overlay["device"]
    entries = {
        **values,
        "part": device["part"],
        "preset": device["preset"],
        "base_address": f"0x{overlay['axi']['base_address']:08X}",
        "module": MODULE,
        "pins": "example" if table.is_example else "board",
    }
    lines = [f"# {note}", "set overlay {"] + [f"    {key} {value}" for key, value in entries.items()]
    lines += ["    ports {"]
    for port in ports:
        if port.is_pin:
            lines.append(
                f"        {port.name} {{{'I' if port.is_input else 'O'} {port.width if port.is_vector else 0}}}"
            )
    return "\n".join([*lines, "    }", "}"]) + "\n"
