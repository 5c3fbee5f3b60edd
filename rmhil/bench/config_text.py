"""A bench configuration as the text of its file, with a comment on every key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from rmhil.bench.config import BenchConfig

_HEAD: Final = """\
# A bench of rmhil: `rmhil bench check --config FILE` looks whether it is as described here.
# Keys end with their unit: _v volts, _a amperes, _s seconds, _siemens siemens. What a key means in full:
# docs/reference/bench-configuration.md
"""

_TABLES: Final = {
    "analyser": "the B1500A",
    "analyser.channels": "SMU channels (slots) on the board's analyser lines",
    "board": "the ZC706 with converters and multiplexers",
    "array": "the chip",
    "wiring": "lines, routing and converters between host and array (ohm, V, A, s)",
    "limits": "never exceeded; checked before a byte is sent",
    "lock": "one process owns the bench",
    "paths": "relative ones begin where the command is given",
    "twin": "written by a twin's server: results say that they come from it",
}

_KEYS: Final = {
    "analyser.resource": "VISA name: GPIB0::17::INSTR, TCPIP0::gateway::gpib0,17::INSTR, ..",
    "analyser.library": "@py (pyvisa-py), @ivi (the vendor's), or a path",
    "analyser.patience_s": "for an answer to a query",
    "analyser.serial": "from its label; part of every result's provenance",
    "analyser.channels.bl": "bit line of the selected cell",
    "analyser.channels.sl": "its source line",
    "analyser.channels.wl": "its word line",
    "analyser.channels.inhibit": "holds other bit lines during a RESET; left out: they are open",
    "board.url": "/dev/ttyUSB0, or socket://HOST:PORT",
    "board.baud": "of a device",
    "board.key_file": "shared key; needed where the daemon runs on another machine",
    "board.description": "board description that the overlay was built from",
    "board.link_timeout_s": "of silence, then the daemon switches the outputs off",
    "board.serial": "from its label; part of every result's provenance",
    "array.chip": "its name; wear is counted under it",
    "array.preset": "where the keys below come from if they are left out",
    "array.n_bl": "bit lines bonded",
    "array.n_sl": "source lines bonded",
    "array.conductance_min_siemens": "window of targets",
    "array.pulse_width_s": "that policies use",
    "array.read_voltage_v": "of a verify read",
    "array.read_gate_voltage_v": "on the word line in a verify read, and the board's rail in an MVM",
    "wiring.bl_channels": "BLs of a bank of 64 that are bonded",
    "wiring.sl_channels": "SLs of a bank of 64 that are bonded",
    "wiring.bl_routing_resistance": "ohm, in series with every BL",
    "wiring.sl_routing_resistance": "ohm, in series with every SL",
    "wiring.bl_wire_resistance": "ohm a cell pitch",
    "wiring.sl_wire_resistance": "ohm a cell pitch",
    "limits.read_voltage_v": "across a cell in a read or an MVM",
    "limits.current_a": "largest compliance",
    "limits.pulse_period_min_s": "from one pulse to the next",
    "lock.file": "says who; left out: a file in the system's temporary folder named after the analyser",
    "paths.chips": "of chip files, which keep the wear of each cell",
}


def config_text(config: BenchConfig) -> str:
    """The file; reading it gives the same configuration."""
    return "\n".join([_HEAD.rstrip(), *_table("", config)]) + "\n"


def _table(name: str, model: BaseModel) -> list[str]:
    lines, inner = [], []
    for key in type(model).model_fields:
        value, path = getattr(model, key), f"{name}.{key}".lstrip(".")
        if isinstance(value, BaseModel):
            inner += ["", f"[{path}]  # {_TABLES[path]}", *_table(path, value)]
        elif path not in _TABLES:
            lines.append(_line(key, value, path))
    return [*lines, *inner]


def _line(key: str, value: object, path: str) -> str:
    given = f"# {key} =" if value is None else f"{key} = {_value(value)}"
    comment = _KEYS.get(path)
    return f"{given}  # {comment}" if comment else given


def _value(value: object) -> str:
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)  # a TOML basic string has JSON's escapes
    return repr(value)
