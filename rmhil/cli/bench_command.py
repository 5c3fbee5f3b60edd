"""`rmhil bench`: write down what a bench is, and look whether it is so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from rich.markup import escape

from rmhil.cli import options
from rmhil.cli.console import error_console, output_console, print_json, progress_bar
from rmhil.errors import ConfigError

if TYPE_CHECKING:
    from rmhil.bench.lights import Finding

bench: Final = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
"""Describe a bench in a file (init), and look whether it is as described (check)."""

_FILE = Path("bench.toml")
_RESOURCE: Final = "GPIB0::17::INSTR"
_LIBRARY: Final = "@py"
_BL, _SL, _WL, _INHIBIT = 1, 2, 3, 4
_URL: Final = "socket://192.168.2.99:4711"
_DESCRIPTION: Final = "adc64"
"""Answers that `init` takes where none is given. A chip has no such name: two that shared it would share their wear."""

_RED_EXIT: Final = 2
_COLOURS: Final = {"green": "green", "amber": "yellow", "red": "bold red", "skipped": "dim"}


@bench.callback()
def _group() -> None:
    """Describe a bench in a file (init), and look whether it is as described (check)."""


@bench.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="To write; it must not be there yet.")] = _FILE,
    resource: Annotated[
        str | None, typer.Option("--resource", help="VISA name of the analyser.", show_default=_RESOURCE)
    ] = None,
    library: Annotated[
        str | None, typer.Option("--visa", help="VISA library: `@py`, or `@ivi`.", show_default=_LIBRARY)
    ] = None,
    bl: Annotated[int | None, typer.Option("--bl", help="Channel on the bit line.", show_default=str(_BL))] = None,
    sl: Annotated[int | None, typer.Option("--sl", help="Channel on the source line.", show_default=str(_SL))] = None,
    wl: Annotated[int | None, typer.Option("--wl", help="Channel on the word line.", show_default=str(_WL))] = None,
    inhibit: Annotated[
        int | None,
        typer.Option("--inhibit", help="Channel on the inhibit line; 0: none.", show_default=str(_INHIBIT)),
    ] = None,
    board: Annotated[str | None, typer.Option("--board", help="URL of the board's daemon.", show_default=_URL)] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="File with the daemon's key.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="Board description.", show_default=_DESCRIPTION)
    ] = None,
    chip: Annotated[
        str | None, typer.Option("--chip", help="Name of the chip, which no other has: wear is counted under it.")
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask for what is not given; otherwise take the defaults.")
    ] = True,
) -> None:
    """Write a bench's configuration, with a comment on every key.

    Example: rmhil bench init --resource GPIB0::17::INSTR --board socket://192.168.2.99:4711 --chip die-7
    """
    if file.exists():
        raise ConfigError(f"{file} is there already; it is not overwritten. Name another file, or move it away")
    answers = _Answers(ask)
    content: dict[str, dict[str, Any]] = {
        "analyser": {
            "resource": answers.of("VISA name of the analyser", resource, _RESOURCE),
            "library": answers.of("VISA library", library, _LIBRARY),
            "channels": _channels(answers, bl, sl, wl, inhibit),
        },
        "board": {
            "url": answers.of("URL of the board's daemon", board, _URL),
            "description": answers.of("board description", description, _DESCRIPTION),
        },
        "array": {"chip": answers.name_of_chip(chip), "preset": "taox180"},
    }
    if key_file is not None:
        content["board"]["key_file"] = str(key_file.expanduser().absolute())
    _write(file, content)
    output_console().print(f"wrote {escape(str(file))}; next: rmhil bench check --config {escape(str(file))}")


def _channels(answers: _Answers, bl: int | None, sl: int | None, wl: int | None, inhibit: int | None) -> dict[str, int]:
    wanted = {
        "bl": answers.of("channel on the bit line", bl, _BL),
        "sl": answers.of("channel on the source line", sl, _SL),
        "wl": answers.of("channel on the word line", wl, _WL),
        "inhibit": answers.of("channel on the inhibit line (0: none)", inhibit, _INHIBIT),
    }
    return {line: channel for line, channel in wanted.items() if channel}


Answer = TypeVar("Answer", str, int)


class _Answers:
    """What the options say; the rest is asked for, or is the default."""

    def __init__(self, ask: bool) -> None:
        self._ask = ask

    def of(self, question: str, given: Answer | None, default: Answer) -> Answer:
        """One answer, of the kind of its default."""
        if given is not None or not self._ask:
            return default if given is None else given
        return self._asked(question, type(default), default)

    def name_of_chip(self, given: str | None) -> str:
        """What the chip is called."""
        if given is None and not self._ask:
            raise ConfigError("--chip is missing: with --no-ask it must say what the chip is called")
        return self._asked("name of the chip, which no other has", str) if given is None else given

    def _asked(self, question: str, kind: type[Answer], default: Answer | None = None) -> Answer:
        try:
            return kind(typer.prompt(question, default=default, type=kind, err=True))
        except typer.Abort:
            raise KeyboardInterrupt from None


def _write(file: Path, content: dict[str, dict[str, Any]]) -> None:
    from rmhil.bench.boards import BOARDS
    from rmhil.bench.config import bench_config
    from rmhil.bench.config_text import config_text

    known = BOARDS.get(content["board"]["description"])
    if known is not None:
        content["wiring"] = {"adc_count": known.adc_count}
    config = bench_config(content)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(config_text(config))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error


@bench.command()
def check(
    config: Annotated[Path, typer.Option("--config", metavar="FILE.toml", help="Configuration of the bench.")] = _FILE,
    as_json: options.AsJson = False,
) -> None:
    """Look at everything that must be right before a bench is used: one light each, and what to do about a red one.

    Nothing is pulsed; cells see the read voltage. Exit code 0: nothing is red; 2: something is.

    Example: rmhil bench check --config bench.toml
    """
    from rmhil.bench.preflight import preflight, ready

    found = []
    with progress_bar(shown=not as_json) as progress:
        for finding in preflight(config, progress):
            found.append(finding)
            if not as_json:
                _show(finding)
    fit = ready(found)
    if as_json:
        print_json({"ready": fit, "lights": [_plain(finding) for finding in found]})
    elif not fit:
        error_console().print("[bold red]not ready[/]: see the red lights", soft_wrap=True)
    if not fit:
        raise typer.Exit(_RED_EXIT)


def _show(finding: Finding) -> None:
    light = finding.light.value
    console = output_console()
    head = f"[{_COLOURS[light]}]{light:7}[/] [bold]{finding.check:19}[/]"
    indent = " " * 28
    console.print(f"{head} {escape(finding.text)}".replace("\n", f"\n{indent}"), soft_wrap=True)
    if finding.remedy:
        console.print(f"{indent}[italic]{escape(finding.remedy)}[/]", soft_wrap=True)


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check, "light": finding.light.value, "text": finding.text, "remedy": finding.remedy,
    }  # fmt: skip
