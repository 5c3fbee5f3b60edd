"""Verilog of the register map: macros, the register file, parameters of a board, and numbers of the models."""

from __future__ import annotations

from board_params import DAC_CHIP_CHANNELS, Table, digest, line_order


def defines(table: Table, note: str) -> str:
    """Constants, commands and numbers with names, as macros: an unused one raises no warning."""
    lines = [f"// {note}", "`ifndef RM_MAP_VH", "`define RM_MAP_VH"]
    for name, window in table["windows"].items():
        lines.append(f"`define RM_WINDOW_{name.upper()} 18'h{window['offset']:05X}")
    lines += [f"`define RM_{name} {entry['value']}" for name, entry in table["constants"].items()]
    for command in table["commands"]:
        lines.append(f"`define RM_OP_{command['name']} 8'h{command['opcode']:02X}")
        lines += [f"`define RM_OP_{command['name']}_{f['name']} {_range(f)}" for f in command.get("fields", [])]
    lines += [f"`define RM_COMMAND_{field['name']} {_range(field)}" for field in table["command_word"]["fields"]]
    for name, enum in table["enums"].items():
        bits = 8 if name == "ERROR" else 2 if name in ("ROUTE", "SOURCE", "GATE_SOURCE") else 4
        lines += [f"`define RM_{name}_{entry['name']} {bits}'d{entry['value']}" for entry in enum["values"]]
    return "\n".join([*lines, "`endif", ""])


def _range(field: Table) -> str:
    low, last = field["low"], field["low"] + field["bits"] - 1
    return f"{low}" if field["bits"] == 1 else f"{last}:{low}"


def board(description: Table, numbers: dict[str, int], note: str) -> str:
    """Macros that `rm_board.v` and the models take their parameters from."""
    lines = [f"// {note}", f"// {description['board']['text']}", "`ifndef RM_BOARD_VH", "`define RM_BOARD_VH"]
    lines.append(f"`define RM_BOARD_HASH 32'h{digest(description):08X}")
    lines += [f"`define RM_BOARD_{name} {value}" for name, value in numbers.items()]
    for name, value in (
        ("DAC_SETTLE_NS", description["dac"]["settle_ns"]),
        ("TIA_SETTLE_NS", description["sense"]["tia_settle_ns"]),
    ):
        lines.append(f"`define RM_BOARD_{name} {value}")
    dac = line_order("channel_of_line", description["dac"]["channel_of_line"])
    tia = line_order("tia_of_line", description["sense"]["tia_of_line"])
    lines.append("// Line of each channel, six bits each, channel 0 lowest.")
    lines.append(f"`define RM_BOARD_LINE_OF_DAC {_packed(dac)}")
    lines.append(f"`define RM_BOARD_LINE_OF_TIA {_packed(tia)}")
    lines.append(f"`define RM_BOARD_DAC_CHANNELS {numbers['DAC_CHIPS'] * DAC_CHIP_CHANNELS}")
    return "\n".join([*lines, "`endif", ""])


def _packed(channel_of_line: list[int]) -> str:
    value = sum(line << 6 * channel for line, channel in enumerate(channel_of_line))
    return f"{6 * len(channel_of_line)}'h{value:096X}"


def models(chips: Table, checks: list[Table], note: str) -> str:
    """Limits of the chips and numbers of the checks, as macros."""
    lines = [f"// {note}", "`ifndef RM_MODELS_VH", "`define RM_MODELS_VH"]
    for chip, entries in chips.items():
        lines += [f"`define {chip.upper()}_{name.upper()} {value}" for name, value in entries.items()]
    lines += [f"`define CHECK_{entry['name']} {number}" for number, entry in enumerate(checks)]
    return "\n".join([*lines, f"`define CHECK_COUNT {len(checks)}", "`endif", ""])


def registers(table: Table, map_hash: int, note: str) -> str:
    """The register file: decoder, storage and read multiplexer."""
    made = [_Register(register) for register in table["registers"]]
    fixed = {"MAGIC": table["map"]["magic"], "MAP_HASH": map_hash}
    ports = [port for register in made if register.name not in fixed for port in register.ports()]
    lines = [
        f"// {note}",
        "// Register file of the board. wr_en and rd_en last one clock each, with the number of a word; known says",
        "// whether the access is allowed. rdata is valid in the clock after rd_en. wp registers give a strobe with",
        "// the value in the clock after the write. Reset: synchronous, active high.",
        "`default_nettype none",
        "module rm_registers (",
        "    input  wire        clk,",
        "    input  wire        rst,",
        "    // From the bus",
        "    input  wire        wr_en,",
        "    input  wire        rd_en,",
        "    input  wire [9:0]  wr_addr,",
        "    input  wire [9:0]  rd_addr,",
        "    input  wire [31:0] wdata,",
        "    output reg  [31:0] rdata,",
        "    output reg         wr_known,",
        "    output reg         rd_known,",
        "    // Fields",
        ",\n".join(f"    {port}" for port in ports),
        ");",
    ]
    writable = ", ".join(register.address for register in made if register.access != "ro")
    readable = ",\n            ".join(register.address for register in made)
    for known, addresses in (("wr", writable), ("rd", readable)):
        lines += [
            "    always @(*) begin",
            f"        case ({known}_addr)",
            f"            {addresses}: {known}_known = 1'b1;",
        ]
        lines += [f"            default: {known}_known = 1'b0;", "        endcase", "    end", ""]
    for register in made:
        lines += register.storage()
    lines += ["    always @(posedge clk) begin", "        if (rd_en) begin", "            case (rd_addr)"]
    for register in made:
        value = f"32'h{fixed[register.name]:08X}" if register.name in fixed else register.word()
        lines.append(f"                {register.address}: rdata <= {value};")
    lines += ["                default: rdata <= 32'h0;", "            endcase", "        end", "    end"]
    return "\n".join([*lines, "endmodule", "`default_nettype wire", ""])


class _Register:
    """One register, as Verilog."""

    def __init__(self, register: Table) -> None:
        self.name: str = register["name"]
        self.low_name = self.name.lower()
        self.access: str = register["access"]
        self.fields: list[Table] = register.get("fields", [{"name": "", "low": 0, "bits": 32}])
        self.reset: int = register.get("reset", 0)
        self.address = f"10'h{register['offset'] // 4:03X}"
        self.has_read_event: bool = register.get("read_event", False)

    def port(self, field: Table) -> str:
        return "_".join(part for part in (self.low_name, field["name"].lower()) if part)

    def ports(self) -> list[str]:
        kind = {"ro": "input  wire", "rw": "output reg ", "wp": "output reg ", "w1c": "output reg "}[self.access]
        made = [f"{kind} {_width(field)} {self.port(field)}" for field in self.fields]
        if self.access == "wp":
            made.append(f"output reg         {self.low_name}_strobe")
        if self.access == "w1c":
            made += [f"input  wire {_width(field)} {self.port(field)}_set" for field in self.fields]
        if self.has_read_event:
            made.append(f"output reg         {self.low_name}_read")
        return made

    def storage(self) -> list[str]:
        hit = f"wr_en && wr_addr == {self.address}"
        body: list[str] = []
        if self.has_read_event:
            body = [f"        {self.low_name}_read <= rd_en && rd_addr == {self.address} && !rst;"]
        if self.access == "rw":
            body.append(f"        if (rst) begin\n{self._assigned(reset=True)}\n        end else if ({hit}) begin")
            body.append(f"{self._assigned(reset=False)}\n        end")
        if self.access == "wp":
            body.append(f"        {self.low_name}_strobe <= {hit} && !rst;")
            body += [f"        {self.port(field)} <= wdata[{_range(field)}];" for field in self.fields]
        if self.access == "w1c":
            for field in self.fields:
                name = self.port(field)
                cleared = f"({{{field['bits']}{{{hit}}}}} & wdata[{_range(field)}])"
                body.append(f"        {name} <= rst ? {field['bits']}'d0 : ({name} & ~{cleared}) | {name}_set;")
        return ["    always @(posedge clk) begin", *body, "    end", ""] if body else []

    def _assigned(self, *, reset: bool) -> str:
        made = []
        for field in self.fields:
            value = (self.reset >> field["low"]) & ((1 << field["bits"]) - 1)
            source = f"{field['bits']}'d{value}" if reset else f"wdata[{_range(field)}]"
            made.append(f"            {self.port(field)} <= {source};")
        return "\n".join(made)

    def word(self) -> str:
        """The 32 bits that a read gives."""
        if self.access == "wp":
            return "32'h0"
        parts: list[str] = []
        free = 32
        for field in sorted(self.fields, key=lambda field: -int(field["low"])):
            gap = free - field["low"] - field["bits"]
            parts += [f"{gap}'h0"] if gap else []
            parts.append(self.port(field))
            free = field["low"]
        parts += [f"{free}'h0"] if free else []
        return f"{{{', '.join(parts)}}}" if len(parts) > 1 else parts[0]


def _width(field: Table) -> str:
    return "       " if field["bits"] == 1 else f"[{field['bits'] - 1}:0]".ljust(7)
