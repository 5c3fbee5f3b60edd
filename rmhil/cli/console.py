"""What the commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rmhil.cli.signals import stop_if_asked, stopping
from rmhil.plain import plain
from rmhil.program_report import Progress as ProgressCall


def output_console() -> Console:
    """Results go here; made on each call, so that a redirected stdout is respected."""
    return Console(highlight=False)


def error_console() -> Console:
    """Messages and progress go here."""
    return Console(stderr=True, highlight=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(plain(content), indent=2))


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """Print names and values in two columns."""
    table = Table(
        title=escape(title), title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(escape(name), escape(str(value)))
    output_console().print(table)


STOPPING = "stopping after this step; Ctrl-C stops at once"
"""Shown from the request to stop until the step has ended."""


class _Stopping(ProgressColumn):
    """Says that the request to stop was heard."""

    def render(self, task: Task) -> Text:
        """The text, or nothing."""
        return Text(STOPPING if stopping() else "", style="bold red")


@contextmanager
def progress_bar(title: str = "", *, shown: bool = True) -> Iterator[ProgressCall]:
    """A bar on stderr, fed by calls `(done, total, text)`; it appears with the first one.

    Each call also ends the work if Ctrl-C asked for that and went unheard.

    Args:
        title: in front of the text of each call.
        shown: False draws nothing.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
        _Stopping(),
    )
    bar = Progress(*columns, console=error_console(), disable=not shown)
    task = bar.add_task("", total=1, start=True)

    def report(done: int, total: int, text: str) -> None:
        stop_if_asked()
        bar.start()
        bar.update(
            task,
            completed=done,
            total=max(total, 1),
            description=escape("  ".join(part for part in (title, text) if part)),
        )

    try:
        yield report
    finally:
        bar.stop()
