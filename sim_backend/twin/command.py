"""`rmhil emulate board` and `rmhil emulate twin`: a twin in this process, until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from rmhil.cli.console import error_console, output_console, print_facts
from rmhil.cli.signals import Terminated
from rmhil.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim_backend.twin.server import Served

_BOARD_PORT = 4711
_HISLIP_PORT = 4880
_SOCKET_PORT = 5025
"""The first is the daemon's usual one, the others are registered for instruments."""

_LINK = "Link"
_ARRAY = "Array"
_RECORD = "Record"

_Tcp = Annotated[
    int | None,
    typer.Option(
        "--tcp", metavar="PORT", min=0, max=65535, rich_help_panel=_LINK, show_default=str(_BOARD_PORT),
        help="Serve the board's link on this port of 127.0.0.1; 0: any.",
    ),
]  # fmt: skip
_Pty = Annotated[
    bool,
    typer.Option(
        "--pty", rich_help_panel=_LINK,
        help="Serve it on a pseudo-terminal, as a serial line would be, in place of TCP.",
    ),
]  # fmt: skip
_Host = Annotated[
    str,
    typer.Option(
        "--host", metavar="ADDRESS", rich_help_panel=_LINK,
        help="Address of this machine to listen on; one that others reach needs --key-file.",
    ),
]  # fmt: skip
_Key = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", rich_help_panel=_LINK,
        help="Key of 16 to 256 bytes that hosts must have, too; readable by you only.",
    ),
]  # fmt: skip
_Hislip = Annotated[
    int,
    typer.Option(
        "--hislip", metavar="PORT", min=0, max=65535, rich_help_panel=_LINK, help="Serve the analyser by HiSLIP there."
    ),
]  # fmt: skip
_Socket = Annotated[
    int,
    typer.Option(
        "--socket", metavar="PORT", min=0, max=65535, rich_help_panel=_LINK, help="Serve it as a plain socket there."
    ),
]  # fmt: skip
_Topology = Annotated[
    str, typer.Option("--topology", metavar="adc64|adc8", rich_help_panel=_ARRAY, help="Board description.")
]
_Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, rich_help_panel=_ARRAY, show_default="0", help="Of the array and all noise."),
]
_Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", rich_help_panel=_ARRAY, show_default="taox180", help="Of the cells: a name, or a TOML file."
    ),
]
_Ideal = Annotated[
    bool, typer.Option("--ideal", rich_help_panel=_ARRAY, help="Leave out noise, spread, lines and quantisation.")
]
_Load = Annotated[
    Path | None,
    typer.Option("--load", metavar="STATE", rich_help_panel=_ARRAY, help="Begin with the array of this state file."),
]
_Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="STATE", rich_help_panel=_RECORD, help="Write the array's state there at the end."),
]
_Wave = Annotated[
    Path | None,
    typer.Option(
        "--wave", metavar="FILE", rich_help_panel=_RECORD,
        help="Write all pins of the board to this VCD file; about 1 MB for each 64 x 64 MVM.",
    ),
]  # fmt: skip
_Bench = Annotated[
    Path | None,
    typer.Option(
        "--bench", metavar="FILE.toml", rich_help_panel=_LINK,
        help="Write its bench configuration there while it runs, for `--backend twin --config FILE.toml`.",
    ),
]  # fmt: skip


def board(
    tcp: _Tcp = None,
    pty: _Pty = False,
    host: _Host = "127.0.0.1",
    key_file: _Key = None,
    topology: _Topology = "adc64",
    seed: _Seed = None,
    preset: _Preset = None,
    ideal: _Ideal = False,
    load: _Load = None,
    save: _Save = None,
    wave: _Wave = None,
) -> None:
    """Serve an emulated board over TCP or a pseudo-terminal.

    The board is the project's own: its Verilog, compiled, with models of the chips around it, the board's daemon, and
    the simulator's array behind. Needs `verilator`, `g++`, `gcc` and `make`; the first call builds it, which takes
    about a minute. One host at a time. The array keeps its state between hosts. Ctrl-C ends it.

    Example: rmhil emulate board --tcp 4711 --load chip.npz
    """
    array = {"seed": seed, "preset": preset, "ideal": ideal, "state": load}
    link = _way(tcp, pty) | {"board_host": host, "key_file": key_file and key_file.absolute()}
    ports = {"hislip_port": None, "socket_port": None}
    _serve(array | link | ports | {"topology": topology}, save, wave, None)


def twin(
    tcp: _Tcp = None,
    pty: _Pty = False,
    hislip: _Hislip = _HISLIP_PORT,
    socket: _Socket = _SOCKET_PORT,
    bench: _Bench = None,
    topology: _Topology = "adc64",
    seed: _Seed = None,
    preset: _Preset = None,
    ideal: _Ideal = False,
    load: _Load = None,
    save: _Save = None,
    wave: _Wave = None,
) -> None:
    """Serve a whole emulated bench: a board, and an analyser that is joined to the cells that the board selects.

    Everything as `rmhil emulate board` has it, and an emulated B1500A with channel 1 at the board's BL line, 2 at SL,
    3 at WL and 4 at the inhibit line. Programs attach to the URL that is printed, or open both as real instruments.

    Example: rmhil emulate twin --seed 7 --bench twin.toml
    """
    array = {"seed": seed, "preset": preset, "ideal": ideal, "state": load}
    _serve(
        array | _way(tcp, pty) | {"topology": topology, "hislip_port": hislip, "socket_port": socket}, save, wave, bench
    )


def _way(tcp: int | None, pty: bool) -> dict[str, Any]:
    if tcp is not None and pty:
        raise ConfigError("--tcp and --pty: the board has one way in, choose one")
    return {"board": "pty"} if pty else {"board": "tcp", "board_port": _BOARD_PORT if tcp is None else tcp}


def _serve(options: Mapping[str, Any], save: Path | None, wave: Path | None, bench: Path | None) -> None:
    from sim_backend.twin.build import libraries
    from sim_backend.twin.server import serving
    from sim_backend.twin.settings import twin_settings

    for name, path in (("--save", save), ("--wave", wave), ("--bench", bench)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"{name}: {path.absolute().parent} is not a folder")
    if bench is not None and bench.exists():
        raise ConfigError(f"--bench: {bench} is there already; name another file")
    given = {name: value for name, value in options.items() if value is not None or name.endswith("_port")}
    settings = twin_settings(given | {"wave_file": wave and wave.absolute()})
    with error_console().status("building the board, once for these sources"):
        built = libraries(settings.topology, waves=settings.with_waves)
    with serving(settings, built) as served, _described(served, bench):
        _wait(served, save, wave)


@contextmanager
def _described(served: Served, path: Path | None) -> Iterator[None]:
    """Keep the configuration in a file; it holds the twin's token, so it is the user's alone, and ends with it."""
    from rmhil.bench.config_text import config_text
    from sim_backend.twin.backend import twin_config
    from sim_backend.twin.client import attach_twin

    if path is None:
        yield
        return
    with attach_twin(str(served.address)) as twin:
        text = config_text(twin_config(twin))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _wait(served: Served, save: Path | None, wave: Path | None) -> None:
    """Say what there is, and wait until somebody wants the end, which may be at once."""
    try:
        _print(served)
        if not served.wait():
            raise BackendUnavailableError("the twin has stopped by itself; -v shows why")
    except Terminated:
        raise
    except KeyboardInterrupt:
        output_console().print("stopped")
    finally:
        if save is not None:
            served.bench.room.save(save)
            output_console().print(f"array: {escape(str(save))}")
        if wave is not None:
            output_console().print(f"waves: {escape(str(wave))}")


def _print(served: Served) -> None:
    facts = served.bench.room.facts()
    shown = {"board": facts["board_url"]}
    if facts["analyser"] is not None:
        channels = ", ".join(f"{line.upper()} {channel}" for line, channel in facts["channels"].items())
        shown |= {"analyser": facts["analyser"], "analyser, socket": facts["analyser_socket"], "channels": channels}
    shown |= {
        "array": f"{facts['n_bl']} x {facts['n_sl']} cells, {facts['identity']}",
        "attach": str(served.address),
    }
    print_facts("emulated bench" if facts["analyser"] is not None else "emulated board", shown)
