"""The overlay's sources for tests: the generator, and Tcl run without Vivado."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.firmware.board import FIRMWARE, GENERATED, require_tool

sys.path.insert(0, str(FIRMWARE / "regmap"))
sys.path.insert(0, str(FIRMWARE / "vivado"))

import board_params
import overlay_ports
import overlay_timing

VIVADO = FIRMWARE / "vivado"
STUBS = Path(__file__).parent / "vivado"
BOARDS = ("adc64", "adc8")


def numbers_of(board: str) -> dict[str, int]:
    """What the RTL is made with on a board."""
    return board_params.parameters(board_params.load_board(FIRMWARE / "boards" / f"{board}.toml"), chips())


def chips() -> overlay_timing.Chips:
    """Numbers of the chips' data sheets."""
    found: overlay_timing.Chips = board_params.load_chips(FIRMWARE / "models" / "chips.toml")
    return found


def ports_of(board: str) -> list[overlay_ports.Port]:
    """Ports of the RTL's top module on a board."""
    return overlay_ports.read_ports(FIRMWARE / "rtl" / "rm_board.v", numbers_of(board))


def run_tcl(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Tcl script."""
    path = folder / "script.tcl"
    path.write_text(script)
    return subprocess.run([require_tool("tclsh"), str(path)], capture_output=True, text=True, timeout=60)


def registers_of(board: str, folder: Path) -> list[str]:
    """Paths of the design's flip-flops as Vivado names them, from a netlist of the overlay's top module."""
    sources = [*sorted((FIRMWARE / "rtl").glob("*.v")), GENERATED / "rm_registers.v"]
    sources.append(VIVADO / "generated" / board / "rm_overlay.v")
    includes = f"-I{FIRMWARE / 'rtl'} -I{GENERATED} -I{GENERATED / 'boards' / board}"
    netlist = folder / "netlist.json"
    read = f"read_verilog {includes} {' '.join(map(str, sources))}"
    script = f"{read}; hierarchy -top rm_overlay; proc; flatten; opt_clean; write_json {netlist}"
    subprocess.run([require_tool("yosys"), "-q", "-p", script], check=True, capture_output=True, text=True)
    module = json.loads(netlist.read_text())["modules"]["rm_overlay"]
    driven = {bit for cell in module["cells"].values() if "dff" in cell["type"] for bit in cell["connections"]["Q"]}
    names = (name for name, net in module["netnames"].items() if not net["hide_name"] and set(net["bits"]) <= driven)
    return [f"overlay_i/board/inst/{name.replace('.', '/')}_reg" for name in names]


@dataclass(frozen=True)
class Constraints:
    """What constraint files say, by port.

    Attributes:
        properties: each property and every value that it was given.
        clocks: of the chips, by name: clocks of the fabric in a period, and port.
        delays: (input or output, clock, edge, max or min) and ns.
        multicycles: (setup or hold, start or end) and clocks.
        levels: ns.
    """

    properties: dict[str, dict[str, list[str]]]
    clocks: dict[str, tuple[int, str]]
    delays: dict[str, dict[tuple[str, str, str, str], float]]
    multicycles: dict[str, dict[tuple[str, str], int]]
    levels: dict[str, float]

    @property
    def timed(self) -> list[str]:
        """Ports with timing, each as often as it has a clock, a delay or a level."""
        return [port for _, port in self.clocks.values()] + list(self.delays) + list(self.levels)


def read_constraints(texts: list[str], ports: list[str], registers: list[str], folder: Path) -> Constraints | str:
    """Run XDC texts; what they say, or the error that they end with."""
    lists = f"set ports {{{' '.join(f'{{{port}}}' for port in ports)}}}\nset registers {{{' '.join(registers)}}}\n"
    stub = f"source {STUBS / 'constraints.tcl'}\n"
    done = run_tcl(stub + lists + "\n".join(texts), folder)
    if done.returncode != 0:
        return done.stderr
    found = Constraints({}, {}, {}, {}, {})
    for kind, name, *words in (line.split("\t") for line in done.stdout.splitlines()):
        if kind == "property":
            found.properties.setdefault(name, {}).setdefault(words[0], []).append(words[1])
        elif kind == "clock":
            found.clocks[name] = (int(words[0]), words[1])
        elif kind == "multicycle":
            found.multicycles.setdefault(name, {})[words[0], words[1]] = int(words[2])
        elif kind == "level":
            found.levels[name] = float(words[0])
        else:
            found.delays.setdefault(name, {})[kind, words[0], words[1], words[2]] = float(words[3])
    return found


def rehearse(
    board: str,
    out: Path,
    *,
    changes: dict[str, tuple[str, str]] | None = None,
    setting: str = "",
    words: str | None = None,
) -> str:
    """Run build.tcl with commands that stand for Vivado's; the commands that it gave, or the error that it ended with.

    Args:
        board: name of a description.
        out: folder of the build.
        changes: of a script, by its name: text and what stands there instead.
        setting: Tcl that is run before.
        words: arguments of the script, instead of those for the board.
    """
    out.mkdir(parents=True, exist_ok=True)
    here = _changed(out, changes) if changes else VIVADO
    declared = " ".join(
        f"{port.name} {'I' if port.is_input else 'O'} {port.width if port.is_vector else 0}" for port in ports_of(board)
    )
    script = f"source {STUBS / 'objects.tcl'}\nsource {STUBS / 'project.tcl'}\n"
    script += f"set module_name rm_overlay\nset module_ports {{{declared}}}\n{setting}\n"
    arguments = f"{board} {out} 0xC0FFEE01" if words is None else words
    script += f"set argv {{{arguments}}}\nsource {here / 'build.tcl'}\nputs $taken\n"
    done = run_tcl(script, out)
    return done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr


def _changed(out: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """A copy of the scripts with changes, in a folder that has the other sources around it."""
    firmware = out / "firmware"
    (firmware / "vivado").mkdir(parents=True)
    for name in ("rtl", "regmap"):
        (firmware / name).symlink_to(FIRMWARE / name)
    (firmware / "vivado" / "generated").symlink_to(VIVADO / "generated")
    for path in VIVADO.glob("*.tcl"):
        text = path.read_text()
        if path.name in changes:
            old, new = changes[path.name]
            assert len(re.findall(re.escape(old), text)) == 1, f"{old} is not once in {path.name}"
            text = text.replace(old, new)
        (firmware / "vivado" / path.name).write_text(text)
    return firmware / "vivado"
