"""One batch and one change of route at the pins, drawn from a wave dump of the Verilated board.

    python benchmarks/board_timing.py     # some seconds; a minute where the board that writes dumps must be built first

Writes docs/images/board-timing.png and benchmarks/results/board_timing.json, the clocks of each stage. They are
counted, not timed: the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from board_sim import CALLBACK, Rig, declared
from matplotlib.axes import Axes
from provenance import provenance
from rich.console import Console
from rich.table import Table
from vcd import Wave, read_waves

from rmhil.bench import board_map as rm
from rmhil.bench.boards import BOARDS
from rmhil.report import canvas
from sim_backend.twin.build import libraries
from sim_backend.twin.native import CHANNELS

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "board-timing.png"
RESULTS = Path(__file__).parent / "results" / "board_timing.json"

TOPOLOGY: Final = "adc64"
CLOCK_NS: Final = 10
BL, OTHER_BL, SL = 5, 6, 9
"""Lines of the cell that is routed, and one that is not."""
PULSE_CLOCKS: Final = 400
ADC_CODE: Final = 0x0D53
"""What the first ADC samples: bits of both kinds."""

CLOCK: Final = "TOP.clk"
_BOARD: Final = "TOP.board_model.board"
SIGNALS: Final = {
    "write": f"{_BOARD}.s_axi_bvalid",
    "phase": f"{_BOARD}.sequencer.phase",
    "drive": f"{_BOARD}.mvm.drive",
    "dac_cs_n": f"{_BOARD}.dac_cs_n",
    "dac_sclk": f"{_BOARD}.dac_sclk",
    "dac_sdi": f"{_BOARD}.dac_sdi",
    "dac_level": "TOP.dac_level",
    "adc_cs_n": f"{_BOARD}.adc_cs_n",
    "adc_dclock": f"{_BOARD}.adc_dclock",
    "adc_dout": f"{_BOARD}.adc_dout",
    "held": f"{_BOARD}.adc.held",
    "result": f"{_BOARD}.result_halves",
    "irq": "TOP.irq",
    "route": f"{_BOARD}.router.state",
    "srclk": f"{_BOARD}.sr_srclk",
    "rclk": f"{_BOARD}.sr_rclk",
    "bl_closed": "TOP.bl_closed",
    "bl_a": "TOP.bl_a",
    "bl_b": "TOP.bl_b",
    "sl_closed": "TOP.sl_closed",
    "sl_a": "TOP.sl_a",
    "sl_b": "TOP.sl_b",
    "gate": "TOP.gate",
}
"""Names in the dump."""

PHASES: Final = {5: "check", 6: "DACs to rest", 7: "route", 8: "batch", 9: "pulse", 12: "done"}
"""States of rm_sequencer; it waits for a command in the one that is not named."""
DRIVES: Final = {1: "load", 2: "hold", 3: "update", 4: "settle", 5: "ready", 6: "rest", 7: "last"}
"""States of the driving side of rm_mvm."""
ROUTES: Final = {2: "open all", 3: "dead", 4: "new addresses", 5: "dead", 6: "close", 7: "dead"}
"""States of rm_route."""
BL_SOURCES: Final = {0: "DAC", 1: "ground", 2: "analyser", 3: "inhibit"}
SL_SOURCES: Final = {0: "TIA", 1: "ground", 2: "analyser", 3: "inhibit"}
"""What a closed multiplexer joins a line to."""

HEIGHT: Final = 0.62
"""Of a lane; the next one is 1 further."""
COLOUR_OF: Final = {
    name: canvas.COLOURS[number % len(canvas.COLOURS)]
    for number, name in enumerate(("batch", "load", "settle", "analyser", "update", "DAC", "dead", "TIA", "pulse"))
}
"""Of a box; others are grey."""

CONSOLE = Console(width=110)


@dataclass(frozen=True, slots=True)
class Dump:
    """One run.

    Attributes:
        waves: by the keys of `SIGNALS`.
        begin, end: ns.
    """

    waves: dict[str, Wave]
    begin: int
    end: int

    def us(self, time: float) -> float:
        """Of a time in ns, from the begin."""
        return (time - self.begin) / 1000


def dumps(folder: Path) -> tuple[Dump, Dump]:
    """A batch of two vectors, and a cell that is routed and pulsed afterwards."""
    board = Rig(declared(libraries(TOPOLOGY, waves=True).board), TOPOLOGY)
    board.set_array(CALLBACK(lambda _, __, inputs: inputs.__setitem__(0, float(ADC_CODE))))
    rest, limit = BOARDS[TOPOLOGY].rest_code, BOARDS[TOPOLOGY].limit_codes
    codes = np.repeat(np.array([[rest + limit], [rest - limit]], np.uint16), CHANNELS, axis=1)
    with board.dumped(folder / "batch.vcd"):
        board.run(codes)
    board.step(1000)
    with board.dumped(folder / "cell.vcd"):
        board.command(rm.Opcode.ROUTE_CELL, BL | SL << 16)
        board.command(rm.Opcode.PULSE, PULSE_CLOCKS)
        board.step(100)
    board.close()
    return read(folder / "batch.vcd"), read(folder / "cell.vcd")


def read(path: Path) -> Dump:
    """A dump from its first to its last time."""
    waves = read_waves(path, {*SIGNALS.values(), CLOCK})
    clock = waves[CLOCK].times
    return Dump({key: waves[name] for key, name in SIGNALS.items()}, clock[0], clock[-1])


# Stages --------------------------------------------------------------------------------------------------------------


def stages(batch: Dump, cell: Dump) -> dict[str, float]:
    """Clocks of each stage, from the dumps alone."""
    waves = batch.waves
    writes = waves["write"].changes_to(1)
    frames = waves["dac_cs_n"].changes_to(0)
    cs_falls, cs_rises = (waves["adc_cs_n"].changes_to(value) for value in (0, 1))
    loads, updates, settles, readies = (waves["drive"].changes_to(value) for value in (1, 3, 4, 5))
    held = waves["held"].changes_to(1)
    written = [start for start, _, value in waves["result"].steps(batch.end) if value]
    (interrupt,) = waves["irq"].changes_to(1)
    routes = cell.waves["route"]
    opened, closed = routes.changes_to(2)[0], routes.changes_to(0)[0]
    gate = cell.waves["gate"]
    pulse_on, pulse_off = gate.changes_to(1)[0], gate.changes_to(0)[-1]
    ns = {
        "a vector's inputs over the bus": (writes[64] - writes[0]) / 2,
        "doorbell to the first DAC frame": frames[0] - writes[-1],
        "from one DAC frame to the next, codes fetched": frames[1] - frames[0],
        "eight frames of a vector, all lanes": updates[0] - loads[0],
        "the frame that updates all outputs": settles[0] - updates[0],
        "settling": readies[0] - settles[0],
        "a conversion": cs_falls[1] - cs_falls[0],
        "from its begin until the inputs are held": held[0] - cs_falls[0],
        "inputs held to outputs updated": settles[1] - held[0],
        "end of the word to the last result in memory": written[-1] - cs_rises[-1],
        "begin of the last conversion to the interrupt": interrupt - cs_falls[-1],
        "doorbell to interrupt, two vectors": interrupt - writes[-1],
        "a change of route": closed - opened,
        "the pulse": pulse_off - pulse_on,
    }
    return {name: value / CLOCK_NS for name, value in ns.items()}


# Lanes ---------------------------------------------------------------------------------------------------------------


def draw_level(axes: Axes, y: float, dump: Dump, wave: Wave) -> None:
    """A signal of one bit."""
    times = [dump.us(time) for time in (*wave.times, dump.end)]
    values = [y + HEIGHT * value for value in (*wave.values, wave.values[-1])]
    axes.step(times, values, where="post", color=canvas.INK, linewidth=0.7)


def draw_boxes(axes: Axes, y: float, dump: Dump, wave: Wave, names: Mapping[int, str], label_us: float) -> None:
    """A signal of states: what is not named is left blank, what is shorter than `label_us` has no label."""
    for start, stop, value in wave.steps(dump.end):
        if value not in names:
            continue
        left, width, name = dump.us(start), (stop - start) / 1000, names[value]
        colour = COLOUR_OF.get(name, canvas.GREY)
        axes.broken_barh([(left, width)], (y, HEIGHT), facecolor=colour + "55", edgecolor=colour, linewidth=0.6)
        if width >= label_us:
            axes.text(left + width / 2, y + HEIGHT / 2, name, ha="center", va="center", fontsize=7, clip_on=True)


def draw_volts(axes: Axes, y: float, dump: Dump, levels: Wave) -> None:
    """The output of a DAC: the whole read range around the virtual ground."""
    rest, limit = BOARDS[TOPOLOGY].rest_code, BOARDS[TOPOLOGY].limit_codes
    times = [dump.us(time) for time in (*levels.times, dump.end)]
    scaled = [y + HEIGHT * (0.5 + (value - rest) / limit / 2) for value in (*levels.values, levels.values[-1])]
    axes.axhline(y + HEIGHT / 2, color=canvas.BLANK, linewidth=0.8, zorder=0)
    axes.step(times, scaled, where="post", color=canvas.COLOURS[1], linewidth=1.3)


def draw_bits(axes: Axes, y: float, dump: Dump, clock: Wave, data: Wave) -> None:
    """What is taken with each falling clock."""
    for time in clock.changes_to(0):
        axes.text(dump.us(time), y, str(data.at(time)), ha="center", va="bottom", fontsize=8, clip_on=True)


def sources(dump: Dump, line: str, number: int) -> Wave:
    """What a line is joined to: 0 to 3, or 4 while it is open."""
    parts = {name: dump.waves[f"{line}_{name}"].bits(number, 1) for name in ("closed", "a", "b")}
    times = sorted({time for wave in parts.values() for time in wave.times})
    joined = Wave()
    for time in times:
        closed, a, b = (wave.at(time) for wave in parts.values())
        joined.add(time, 2 * b + a if closed else 4)
    return joined


Lane = tuple[str, Callable[[Axes, float], None]]


def level(name: str, dump: Dump, wave: Wave) -> Lane:
    """A lane with a signal of one bit."""
    return name, lambda axes, y: draw_level(axes, y, dump, wave)


def boxes(name: str, dump: Dump, wave: Wave, names: Mapping[int, str], label_us: float) -> Lane:
    """A lane with states."""
    return name, lambda axes, y: draw_boxes(axes, y, dump, wave, names, label_us)


def draw(axes: Axes, title: str, lanes: Sequence[Lane], begin: float, end: float) -> None:
    """Lanes from top to bottom, from one time (us) to another."""
    for number, (_, drawn) in enumerate(lanes):
        drawn(axes, float(len(lanes) - 1 - number))
    axes.set_yticks([len(lanes) - 1 - n + HEIGHT / 2 for n in range(len(lanes))], [name for name, _ in lanes])
    axes.set_ylim(-0.3, len(lanes) - 0.1)
    axes.set_xlim(begin, end)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=canvas.BLANK, linewidth=0.5)
    axes.spines["left"].set_visible(False)
    axes.set_title(title, loc="left")
    axes.set_xlabel("us")


def batch_lanes(dump: Dump) -> list[Lane]:
    """From the bus to the interrupt."""
    waves = dump.waves
    volts = waves["dac_level"].bits(0, 32)
    return [
        level("bus: writes", dump, waves["write"]),
        boxes("command", dump, waves["phase"], PHASES, 3.0),
        boxes("vectors driven", dump, waves["drive"], DRIVES, 1.5),
        level("DAC lane 0, CS", dump, waves["dac_cs_n"].bits(0, 1)),
        ("DAC 0, output", lambda axes, y: draw_volts(axes, y, dump, volts)),
        level("ADCs, CS", dump, waves["adc_cs_n"]),
        level("ADCs, DCLOCK", dump, waves["adc_dclock"]),
        level("inputs held", dump, waves["held"]),
        level("ADC 0, DOUT", dump, waves["adc_dout"].bits(0, 1)),
        level("results to memory", dump, waves["result"].any_bit()),
        level("interrupt", dump, waves["irq"]),
    ]


def frame_lanes(dump: Dump) -> list[Lane]:
    """The pins of one lane."""
    clock, data = dump.waves["dac_sclk"], dump.waves["dac_sdi"].bits(0, 1)
    return [
        level("CS", dump, dump.waves["dac_cs_n"].bits(0, 1)),
        level("SCLK", dump, clock),
        level("SDI", dump, data),
        ("taken", lambda axes, y: draw_bits(axes, y, dump, clock, data)),
    ]


def cell_lanes(dump: Dump) -> list[Lane]:
    """Break before make."""
    waves = dump.waves
    return [
        boxes("command", dump, waves["phase"], PHASES, 3.0),
        boxes("router", dump, waves["route"], ROUTES, 2.5),
        level("SRCLK", dump, waves["srclk"]),
        level("RCLK: latch", dump, waves["rclk"]),
        boxes(f"BL {BL}", dump, sources(dump, "bl", BL), BL_SOURCES, 2.0),
        boxes(f"BL {OTHER_BL}", dump, sources(dump, "bl", OTHER_BL), BL_SOURCES, 2.0),
        boxes(f"SL {SL}", dump, sources(dump, "sl", SL), SL_SOURCES, 2.0),
        level("word-line gate", dump, waves["gate"]),
    ]


def picture(batch: Dump, cell: Dump) -> bytes:
    """All of it."""
    first_frame = batch.us(batch.waves["dac_cs_n"].changes_to(0)[0])
    with canvas.style():
        made = canvas.figure(10.0, 10.0)
        top, middle, bottom = made.subplots(3, 1, height_ratios=[11, 4.6, 8.4])
        until = batch.us(batch.waves["irq"].changes_to(1)[0]) + 1.0
        draw(top, "A batch of two vectors, 64 ADCs", batch_lanes(batch), 0.0, until)
        title = "The first DAC frame: write, 000, address 8 (channel 0), then the code"
        draw(middle, title, frame_lanes(batch), first_frame - 0.02, first_frame + 0.55)
        draw(bottom, f"Cell (BL {BL}, SL {SL}) to the analyser, and a pulse", cell_lanes(cell), 0.0, cell.us(cell.end))
        return canvas.png(made)


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, draw, count, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=PICTURE, help="PNG to write")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        batch, cell = dumps(Path(folder))
    counted = stages(batch, cell)
    table = Table("stage", "clocks", "us")
    for name, clocks in counted.items():
        table.add_row(name, f"{clocks:,.0f}", f"{clocks * CLOCK_NS / 1000:.2f}")
    CONSOLE.print(table)
    options.picture.write_bytes(picture(batch, cell))
    content = provenance("board_timing.py", ("rmhil", "matplotlib"), argv) | {"board": TOPOLOGY, "clocks": counted}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    CONSOLE.print(f"written to {options.picture} and {options.out}")


if __name__ == "__main__":
    main()
