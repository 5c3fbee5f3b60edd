"""The application: the options before the subcommand, and what happens to errors and interrupts."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from loguru import logger

import rmhil
from rmhil.cli import signals
from rmhil.cli.lazy import LazyGroup

_HELP = """Program, read and compute with resistive-memory arrays, and adapt networks on them.

Voltages are in V, currents in A, conductances in S (2e-6 is 2 uS). Every command that touches an array
keeps what it did in a run directory (runs/DATE-TIME); --run latest goes on with the newest one.

Exit codes: 0 done, 1 unexpected error, 2 refused or failed with a message, 130 stopped by Ctrl-C, 143 by SIGTERM
(both with outputs at 0 V).
"""

app = typer.Typer(
    cls=LazyGroup, help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rmhil {rmhil.__version__}")
        raise typer.Exit


def _to_stderr(message: str) -> None:
    """Whatever stderr is at this moment: while a bar or a map is drawn, lines go above it."""
    sys.stderr.write(message)


@app.callback()
def options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Log to stderr; -vv for details.")
    ] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Set up logging for the subcommand."""
    logger.remove()
    level = ("WARNING", "INFO", "DEBUG")[min(verbose, 2)]
    logger.add(_to_stderr, level=level, colorize=sys.stderr.isatty(), backtrace=False, diagnose=False)
    for package in ("rmhil", "sim_backend", "rmhil_examples"):
        logger.enable(package)


def run() -> None:
    """Run the application on the arguments of the process; SIGTERM ends it as safely as Ctrl-C."""
    signals.install()
    app()
