"""The command: load an overlay, or load it and run the daemon."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from rmhil_board.errors import BoardError
from rmhil_board.manifest import Manifest, read_manifest
from rmhil_board.overlay import load
from rmhil_board.registers import Time
from rmhil_board.supervisor import Supervisor

DAEMON = Path("/usr/local/sbin/rmhild")


def main(words: list[str] | None = None, clock: Time | None = None) -> int:
    """Run the command; the exit status: 0, or 1 with a message on standard error.

    Args:
        words: arguments, of the process where None.
        clock: where time comes from, the system's where None.
    """
    arguments = _parse(sys.argv[1:] if words is None else words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        _run(arguments, clock or Time())
    except BoardError as error:
        logging.getLogger("rmhil_board").error("%s", error)
        return 1
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    """Arguments; `options` are those of the daemon, behind `--`."""
    parser = argparse.ArgumentParser(prog="rmhil_board", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    load_command = commands.add_parser("load", help="load and check an overlay")
    run_command = commands.add_parser(
        "run",
        help="load and check an overlay, and run the daemon until SIGTERM",
        usage="rmhil_board run [-h] [--daemon DAEMON] bitstream -- options of rmhild, as --tcp 0.0.0.0:4711",
    )
    for command in (load_command, run_command):
        command.add_argument("bitstream", type=Path, help="NAME.bit, with NAME.hwh and NAME.json beside it")
    run_command.add_argument("--daemon", type=Path, default=DAEMON, help=f"the program rmhild (default {DAEMON})")
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.options = words[end + 1 :]
    if arguments.command == "load" and arguments.options:
        parser.error("load starts no daemon: options behind -- belong to run")
    return arguments


def _run(arguments: argparse.Namespace, clock: Time) -> None:
    manifest = read_manifest(arguments.bitstream)
    loaded = load(manifest, clock)
    if arguments.command == "run":
        supervisor = Supervisor(_daemon(arguments, manifest), loaded.registers, clock)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop())
        supervisor.run()


def _daemon(arguments: argparse.Namespace, manifest: Manifest) -> list[str]:
    """Command line of the daemon: its registers are where the overlay has them."""
    return [str(arguments.daemon), *arguments.options, f"/dev/mem@{manifest.base_address:#x}"]
