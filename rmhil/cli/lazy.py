"""A command group that imports a subcommand when it is called, not when it is listed.

The line that the group's help shows for a subcommand is the first line of its function's docstring,
taken from the source text without running it.
"""

from __future__ import annotations

import ast
import errno
import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from rmhil.cli.signals import Terminated, pass_over
from rmhil.errors import ConfigError, RmhilError

GROUP = "rmhil.commands"
"""Entry points of this group are subcommands of other packages: functions with typer annotations, or groups."""

ARGUMENTS = "rmhil.arguments"
"""Key of the context's `meta` under which the arguments are found, as typed."""

_REFUSED, _INTERRUPTED, _TERMINATED = 2, 130, 143
"""Exit codes; the last two are 128 + the number of the signal, as in a shell."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the function of a subcommand is.

    Attributes:
        module, function: where it is imported from.
        panel: of the help that lists it.
    """

    module: str
    function: str
    panel: str = "Simulator and examples"

    def short_help(self) -> str:
        """First line of its docstring, without importing its module or the packages around it."""
        package, *inner = self.module.split(".")
        spec = find_spec(package)
        folders = (spec.submodule_search_locations if spec is not None else None) or [""]
        try:
            text = Path(folders[0], *inner).with_suffix(".py").read_text(encoding="utf-8")
        except (OSError, ValueError):  # ValueError: a module in no package
            text = ""
        body = ast.parse(text).body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.FunctionDef) and node.name == self.function:
                return (ast.get_docstring(node) or "").partition("\n")[0]
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == self.function:  # a group
                return _text(following).partition("\n")[0]
        return f"(not found: {self.module}:{self.function})"

    def load(self, name: str) -> Any:  # noqa: ANN401 - the class of commands differs between versions of typer
        """Import the function and make a command of it; a `typer.Typer` is a group of commands already.

        Raises:
            ConfigError: it cannot be imported.
        """
        try:
            function = getattr(importlib.import_module(self.module), self.function)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the command {name!r} ({self.module}) cannot be loaded: {error}") from error
        if isinstance(function, typer.Typer):
            group = typer.main.get_command(function)
            group.name = name
            return group
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
        app.command(name=name)(function)
        return typer.main.get_command(app)


def _text(node: ast.stmt | None) -> str:
    """The string that a statement consists of, as the one below an attribute that says what it is."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


_ARRAY, _CELLS, _RUNS = "Arrays", "Measurements of cells", "Runs, networks and costs"

OWN = {
    "bench": Source("rmhil.cli.bench_command", "bench", _ARRAY),
    "form": Source("rmhil.cli.form_command", "form", _ARRAY),
    "program": Source("rmhil.cli.program_command", "program", _ARRAY),
    "verify": Source("rmhil.cli.verify_command", "verify", _ARRAY),
    "read": Source("rmhil.cli.read_command", "read", _ARRAY),
    "mvm": Source("rmhil.cli.mvm_command", "mvm", _ARRAY),
    "yield": Source("rmhil.cli.yield_command", "measure_yield", _CELLS),
    "sweep": Source("rmhil.cli.sweep_command", "sweep", _CELLS),
    "endurance": Source("rmhil.cli.endurance_command", "endurance", _CELLS),
    "retention": Source("rmhil.cli.retention_command", "retention", _CELLS),
    "info": Source("rmhil.cli.info_command", "info", _RUNS),
    "history": Source("rmhil.cli.history_command", "history", _RUNS),
    "wear": Source("rmhil.cli.wear_command", "wear", _RUNS),
    "export": Source("rmhil.cli.export_command", "export", _RUNS),
    "report": Source("rmhil.cli.report_command", "report", _RUNS),
    "infer": Source("rmhil.cli.infer_command", "infer", _RUNS),
    "cost": Source("rmhil.cli.cost_command", "cost", _RUNS),
}
"""The subcommands of this package, in the order of the help."""


@cache
def sources() -> dict[str, Source]:
    """All subcommands: this package's own first, then those of other packages by name."""
    found = {point.name: Source(point.module, point.attr) for point in entry_points(group=GROUP)}
    return OWN | {name: found[name] for name in sorted(found) if name not in OWN}


class LazyGroup(TyperGroup):
    """The group of all subcommands. Errors of `rmhil` and interrupts end here, in one line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        """Names of all subcommands."""
        return list(sources())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """A stand-in that knows the name and one line of help."""
        source = sources().get(cmd_name)
        return (
            None
            if source is None
            else TyperCommand(name=cmd_name, help=source.short_help(), rich_help_panel=source.panel)
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401
        """The command itself, imported now."""
        self.commands = {name: self.get_command(ctx, name) for name in sources()}  # for "did you mean"
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in and sources()[str(stand_in.name)].load(str(stand_in.name)), rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Remember the arguments as typed, for the record of the run."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the subcommand."""
        from rmhil.cli.console import error_console

        try:
            done = super().invoke(ctx)
        except (RmhilError, OSError) as error:
            if not (said := _refusal(error)):
                raise
            if ctx.params.get("debug"):
                error_console().print_exception()
            error_console().print(f"[bold red]error:[/] {escape(said)}", soft_wrap=True)
            raise typer.Exit(_REFUSED) from None
        except KeyboardInterrupt as interrupt:
            pass_over()
            error_console().print("[bold red]interrupted[/]")
            by_signal = isinstance(interrupt, Terminated) or isinstance(interrupt.__cause__, Terminated)
            raise typer.Exit(_TERMINATED if by_signal else _INTERRUPTED) from None
        pass_over()
        return done


def _refusal(error: RmhilError | OSError) -> str:
    """What to say of an error that is no fault of this program: its own refusals, and those of the file system."""
    if isinstance(error, RmhilError):
        return str(error)
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    return error.strerror or "" if error.errno == errno.ENOSPC else ""
