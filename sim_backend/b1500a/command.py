"""`rmhil emulate b1500a`: the emulated analyser on network ports."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from rmhil.cli.console import output_console, print_facts
from rmhil.cli.signals import Terminated
from rmhil.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from sim_backend.b1500a.server import Emulator

_SOCKET_PORT = 5025
_HISLIP_PORT = 4880
"""Registered for instruments: plain text, and HiSLIP."""

_LINK = "Link"
_DEVICE = "Device"
_INSTRUMENT = "Instrument"

_LOOK = 0.5
"""s between two looks whether the emulator still runs."""


def b1500a(
    load: Annotated[
        str,
        typer.Option(
            "--load", metavar="cell|OHM|open", rich_help_panel=_DEVICE, help="What the SMUs are joined to."
        ),
    ] = "cell",
    bl: Annotated[
        int, typer.Option("--bl", metavar="CHANNEL", rich_help_panel=_DEVICE, help="At the bit line, or high side.")
    ] = 1,
    sl: Annotated[
        int,
        typer.Option(
            "--sl", metavar="CHANNEL", min=0, rich_help_panel=_DEVICE, help="At the source line or low side; 0: ground."
        ),
    ] = 2,
    wl: Annotated[
        int, typer.Option("--wl", metavar="CHANNEL", rich_help_panel=_DEVICE, help="At the gate.")
    ] = 3,
    socket: Annotated[
        int | None,
        typer.Option("--socket", metavar="PORT", rich_help_panel=_LINK, help="Serve a plain socket there; 0: any."),
    ] = None,
    hislip: Annotated[
        int | None, typer.Option("--hislip", metavar="PORT", rich_help_panel=_LINK, help="Serve HiSLIP there; 0: any.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", rich_help_panel=_LINK, help="Address to listen on.")
    ] = "127.0.0.1",
    slots: Annotated[
        str | None,
        typer.Option(
            "--slots", metavar="MODEL,...", rich_help_panel=_INSTRUMENT, show_default=False,
            help="Modules from slot 1 on; an empty name is an empty slot.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, rich_help_panel=_INSTRUMENT, help="Of noise, errors and the cell.")
    ] = 0,
    ideal: Annotated[
        bool, typer.Option("--ideal", rich_help_panel=_INSTRUMENT, help="Converters without noise, errors and steps.")
    ] = False,
    real_time: Annotated[
        float,
        typer.Option(
            "--real-time", metavar="FACTOR", min=0.0, rich_help_panel=_INSTRUMENT,
            help="Wait so long for each second of the virtual clock.",
        ),
    ] = 0.0,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", rich_help_panel=_LINK, help="Write the wire log at the end.")
    ] = None,
) -> None:  # fmt: skip
    """Serve an emulated B1500A over a socket and HiSLIP.

    Without --socket and --hislip it serves both, on ports 5025 and 4880; with one of them, only that one. One client
    at a time. The instrument keeps its state between clients. Ctrl-C ends it.

    Example: rmhil emulate b1500a --load 10e3 --socket 5025
    """
    from sim_backend.b1500a.alert import ALERT
    from sim_backend.b1500a.dut.load import Terminals
    from sim_backend.b1500a.modules import DEFAULT_SLOTS
    from sim_backend.b1500a.server import emulate
    from sim_backend.b1500a.timing import Timing

    if socket is None and hislip is None:
        socket, hislip = _SOCKET_PORT, _HISLIP_PORT
    _check_log(log)
    with emulate(
        load,
        slots=DEFAULT_SLOTS if slots is None else [name.strip() for name in slots.split(",")],
        terminals=Terminals(bl=(bl,), sl=(sl,), wl=(wl,)),
        socket=socket,
        hislip=hislip,
        host=host,
        timing=Timing(real_time_factor=real_time),
        seed=seed,
        ideal=ideal,
        alert=ALERT,
    ) as emulator:
        _serve(emulator, log)


def _check_log(log: Path | None) -> None:
    if log is not None and not log.parent.is_dir():
        raise ConfigError(f"--log: {log.parent} is not a folder")


def _serve(emulator: Emulator, log: Path | None) -> None:
    """Say what there is, and wait until somebody wants the end, which may be at once."""
    try:
        print_facts("emulated B1500A", emulator.resources | {"load": emulator.load, "modules": emulator.modules})
        stopped = threading.Event()
        while not stopped.wait(_LOOK):
            if not emulator.running:
                raise BackendUnavailableError("the emulator has stopped by itself; -v shows why")
    except Terminated:
        raise
    except KeyboardInterrupt:
        output_console().print("stopped")
    finally:
        if log is not None and emulator.running:
            emulator.save_log(log)
            output_console().print(f"wire log: {escape(str(log))}")
