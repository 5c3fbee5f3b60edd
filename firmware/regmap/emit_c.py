"""C headers of the register map, the boards and the checks."""

from __future__ import annotations

from board_params import Table, digest, line_order


def _guarded(name: str, note: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return f"/* {note} */\n#ifndef {name}\n#define {name}\n\n{body}\n\n#endif\n"


def _field(prefix: str, field: Table) -> list[str]:
    mask = (1 << field["bits"]) - 1
    name = f"{prefix}_{field['name']}"
    return [
        f"#define {name}_SHIFT {field['low']}u /* {field['text']} */",
        f"#define {name}_MASK 0x{mask:X}u",
    ]


def header(table: Table, map_hash: int, note: str) -> str:
    """Addresses, fields, commands and numbers with names: `RM_<register>`, `RM_<register>_<field>_SHIFT` and so on.

    A MASK is that of the field at bit 0.
    """
    lines = [f"#define RM_MAP_MAGIC 0x{table['map']['magic']:08X}u", f"#define RM_MAP_HASH_VALUE 0x{map_hash:08X}u", ""]
    lines += ["/* Windows: byte offsets and sizes. */"]
    for name, window in table["windows"].items():
        lines.append(f"#define RM_WINDOW_{name.upper()} 0x{window['offset']:05X}u /* {window['text']} */")
        lines.append(f"#define RM_WINDOW_{name.upper()}_BYTES 0x{window['bytes']:05X}u")
    lines.append(f"#define RM_MAP_BYTES 0x{1 << table['map']['address_bits']:X}u")
    lines += ["", "/* Constants. */"]
    for name, entry in table["constants"].items():
        value = entry["value"]
        lines.append(f"#define RM_{name} {f'0x{value:X}' if value > 0xFFF else value}u /* {entry['text']} */")
    lines += ["", "/* Registers: byte offsets. */"]
    for register in table["registers"]:
        lines.append(f"#define RM_REG_{register['name']} 0x{register['offset']:03X}u /* {register['text']} */")
        for field in register.get("fields", []):
            lines += _field(f"RM_{register['name']}", field)
    lines += ["", "/* A 16-bit result. */"]
    for field in table["result"]["fields"]:
        lines += _field("RM_RESULT", field)
    lines += ["", "/* Word 0 of a command. */"]
    for field in table["command_word"]["fields"]:
        lines += _field("RM_COMMAND", field)
    lines += ["", "/* Commands; WORD is the word of the slot that holds the field. */"]
    for command in table["commands"]:
        lines.append(f"#define RM_OP_{command['name']} 0x{command['opcode']:02X}u /* {command['text']} */")
        for field in command.get("fields", []):
            lines += _field(f"RM_OP_{command['name']}", field)
            lines.append(f"#define RM_OP_{command['name']}_{field['name']}_WORD {field['word']}u")
    for name, enum in table["enums"].items():
        lines += ["", f"/* {enum['text']}. */"]
        lines += [f"#define RM_{name}_{e['name']} {e['value']}u /* {e['text']} */" for e in enum["values"]]
    return _guarded("RM_MAP_H", note, lines)


def checks(entries: list[Table], note: str) -> str:
    """Names of what the models assert, in the order of their numbers."""
    lines = [f"#define RM_CHECK_COUNT {len(entries)}u", ""]
    lines += [f"#define RM_CHECK_{entry['name']} {number}u" for number, entry in enumerate(entries)]
    for table, key in (("rm_check_names", "name"), ("rm_check_texts", "text")):
        lines += ["", f"static const char *const {table}[RM_CHECK_COUNT] = {{"]
        lines += [f'    "{entry[key]}",' for entry in entries] + ["};"]
    return _guarded("RM_CHECKS_H", note, lines)


def chips(numbers: dict[str, dict[str, int]], note: str) -> str:
    """Limits of the chips, for the simulation harness."""
    lines = []
    for chip, entries in numbers.items():
        lines += [f"#define RM_{chip.upper()}_{name.upper()} {value}u" for name, value in entries.items()]
    return _guarded("RM_CHIPS_H", note, lines)


def board(description: Table, numbers: dict[str, int], note: str) -> str:
    """Numbers of one board, for the simulation harness; the daemon reads them from registers."""
    lines = [f'#define RM_BOARD_NAME "{description["board"]["name"]}"']
    lines.append(f"#define RM_BOARD_HASH_VALUE 0x{digest(description):08X}u")
    lines += [f"#define RM_BOARD_{name} {value}u" for name, value in numbers.items()]
    dac = line_order("channel_of_line", description["dac"]["channel_of_line"])
    tia = line_order("tia_of_line", description["sense"]["tia_of_line"])
    for table, order in (("rm_board_dac_of_line", dac), ("rm_board_tia_of_line", tia)):
        lines += ["", f"static const unsigned char {table}[{len(order)}] = {{"]
        lines += [f"    {', '.join(map(str, order[n : n + 16]))}," for n in range(0, len(order), 16)] + ["};"]
    return _guarded("RM_BOARD_H", note, lines)
