"""Python constants of the register map and of the boards, and the reference page."""

from __future__ import annotations

from board_params import Table, digest


def constants(table: Table, map_hash: int, note: str) -> str:
    """A module with the map's numbers."""
    lines = [f'"""Numbers of the board\'s register map. {note}"""', "", "from __future__ import annotations", ""]
    lines += ["from enum import IntEnum", "from typing import Final, NamedTuple", "", ""]
    lines += ["class Field(NamedTuple):", '    """Bits of a word."""', "", "    low: int", "    bits: int", ""]
    lines += ["    def of(self, word: int) -> int:", '        """Value of the field in a word."""']
    lines += ["        return (word >> self.low) & ((1 << self.bits) - 1)", "", ""]
    lines += ["class Argument(NamedTuple):", '    """Bits of a command; word 0 is the one with the opcode."""', ""]
    lines += ["    word: int", "    low: int", "    bits: int", "", ""]
    lines += [f"MAGIC: Final = 0x{table['map']['magic']:08X}", f"MAP_HASH: Final = 0x{map_hash:08X}"]
    lines += [f"MAP_BYTES: Final = 0x{1 << table['map']['address_bits']:X}", ""]
    for name, entry in table["constants"].items():
        lines += [f"{name}: Final = {entry['value']}", f'"""{_sentence(entry["text"])}"""', ""]
    lines += ["WINDOWS: Final = {"]
    lines += [f'    "{n}": (0x{w["offset"]:05X}, 0x{w["bytes"]:05X}),' for n, w in table["windows"].items()]
    lines += ["}", '"""Byte offset and size."""', ""]
    lines += ["REGISTERS: Final = {"]
    lines += [f'    "{register["name"]}": 0x{register["offset"]:03X},' for register in table["registers"]]
    lines += ["}", '"""Byte offsets."""', "", "FIELDS: Final = {"]
    for register in table["registers"]:
        for field in register.get("fields", []):
            lines.append(f'    "{register["name"]}.{field["name"]}": Field({field["low"]}, {field["bits"]}),')
    lines += [f'    "RESULT.{f["name"]}": Field({f["low"]}, {f["bits"]}),' for f in table["result"]["fields"]]
    lines += [f'    "COMMAND.{f["name"]}": Field({f["low"]}, {f["bits"]}),' for f in table["command_word"]["fields"]]
    lines += ["}", '"""Fields of registers, of a 16-bit result and of word 0 of a command."""', ""]
    lines += ["ARGUMENTS: Final = {"]
    for command in table["commands"]:
        for f in command.get("fields", []):
            lines.append(f'    "{command["name"]}.{f["name"]}": Argument({f["word"]}, {f["low"]}, {f["bits"]}),')
    lines += ["}", '"""Arguments of commands."""', "", ""]
    lines += ["class Opcode(IntEnum):", '    """Commands."""', ""]
    lines += [f"    {command['name']} = 0x{command['opcode']:02X}" for command in table["commands"]]
    for name, enum in table["enums"].items():
        lines += [
            "",
            "",
            f"class {name.title().replace('_', '')}(IntEnum):",
            f'    """{_sentence(enum["text"])}"""',
            "",
        ]
        lines += [f"    {entry['name']} = {entry['value']}" for entry in enum["values"]]
    return "\n".join(lines) + "\n"


def boards(described: list[tuple[Table, dict[str, int]]], note: str) -> str:
    """A module with the board descriptions, as the host compares them with what it finds."""
    lines = [f'"""The boards of firmware/boards. {note}"""', "", "from __future__ import annotations", ""]
    lines += ["from typing import Final", "", "from rmhil.bench.board_description import BoardDescription", ""]
    lines += ["BOARDS: Final = {"]
    for board, numbers in described:
        name, dac = board["board"]["name"], board["dac"]
        values = {
            "name": f'"{name}"',
            "hash": f"0x{digest(board):08X}",
            **{key.lower(): numbers[key] for key in ("N_BL", "N_SL", "ADC_COUNT", "CLOCK_HZ")},
            "dac_span": dac["span_v"],
            "virtual_ground": dac["virtual_ground_v"],
            "read_limit": dac["read_limit_v"],
            **{key.lower(): numbers[key] for key in ("REST_CODE", "LIMIT_CODES", "PULSE_CLOCKS_MIN")},
        }
        lines.append(f'    "{name}": BoardDescription(')
        lines += [f"        {key}={value}," for key, value in values.items()] + ["    ),"]
    return "\n".join([*lines, "}", '"""By name."""']) + "\n"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


_ACCESS = {"ro": "read", "rw": "read, write", "wp": "write is an event", "w1c": "write 1 to clear"}


def page(table: Table, map_hash: int, note: str) -> str:
    """The reference page."""
    lines = ["# Register map", "", note, ""]
    lines += [f"AXI4-Lite, 32 bits, {1 << table['map']['address_bits'] - 10} KiB. Map hash `0x{map_hash:08X}`.", ""]
    lines += ["How the registers are used together: [firmware/regmap](../../firmware/regmap/README.md).", ""]
    lines += ["## Windows", "", "| offset | size | access | window | |", "| --- | --- | --- | --- | --- |"]
    for name, window in table["windows"].items():
        size = f"`0x{window['bytes']:05X}`"
        lines.append(f"| `0x{window['offset']:05X}` | {size} | {window['access']} | {name} | {window['text']} |")
    lines += ["", "## Constants", "", "| name | value | |", "| --- | --- | --- |"]
    lines += [f"| {name} | {entry['value']} | {entry['text']} |" for name, entry in table["constants"].items()]
    lines += ["", "## Registers", "", "| offset | register | access | reset | |", "| --- | --- | --- | --- | --- |"]
    for register in table["registers"]:
        head = f"| `0x{register['offset']:03X}` | {register['name']} | {_ACCESS[register['access']]} "
        lines.append(head + f"| {register.get('reset', '')} | {register['text']} |")
        lines += [_field_row(field) for field in register.get("fields", [])]
    lines += ["", "## Results", "", table["result"]["text"], "", "| bits | field | |", "| --- | --- | --- |"]
    lines += [f"| {_bits(field)} | {field['name']} | {field['text']} |" for field in table["result"]["fields"]]
    lines += ["", "## Commands", "", "| opcode | command, word and bits | field | |", "| --- | --- | --- | --- |"]
    fields = [(0, field) for field in table["command_word"]["fields"]]
    lines.append("| | every command | | |")
    lines += [f"| | {word}: {_bits(field)} | {field['name']} | {field['text']} |" for word, field in fields]
    for command in table["commands"]:
        lines.append(f"| `0x{command['opcode']:02X}` | {command['name']} | | {command['text']} |")
        for field in command.get("fields", []):
            lines.append(f"| | {field['word']}: {_bits(field)} | {field['name']} | {field['text']} |")
    for enum in table["enums"].values():
        lines += ["", f"## {enum['text']}", "", "| value | name | |", "| --- | --- | --- |"]
        lines += [f"| {entry['value']} | {entry['name']} | {entry['text']} |" for entry in enum["values"]]
    return "\n".join(lines) + "\n"


def _bits(field: Table) -> str:
    last = field["low"] + field["bits"] - 1
    return str(last) if field["bits"] == 1 else f"{last}..{field['low']}"


def _field_row(field: Table) -> str:
    return f"| | {_bits(field)} | {field['name']} | | {field['text']} |"
