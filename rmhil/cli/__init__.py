"""The `rmhil` command. Each subcommand is imported when it is called, so that help is quick."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the `rmhil` script."""
    from rmhil.cli.app import run

    run()
