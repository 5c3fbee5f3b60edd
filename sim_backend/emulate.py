"""`rmhil emulate`: instruments that are emulated, for anyone's client."""

from __future__ import annotations

from typing import Final

import typer

from sim_backend.b1500a.command import b1500a
from sim_backend.twin.command import board, twin

emulate: Final = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
"""Serve an emulated instrument to anyone's client, until Ctrl-C."""

emulate.command(name="b1500a")(b1500a)
emulate.command(name="board")(board)
emulate.command(name="twin")(twin)


@emulate.callback()
def _group() -> None:
    """Serve an emulated instrument to anyone's client, until Ctrl-C."""
