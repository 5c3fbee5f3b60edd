"""Console blocks of a page of the docs: what is typed, and what the page says comes out.

A comment before a block says what the block itself does not show:

    <!-- console: first terminal -->     it runs on, in a terminal of its own
    <!-- console: exit 2 -->             its last command ends with this exit code
    <!-- console: q at "9 good" -->      on a terminal, where q is pressed once that is shown
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- console: (?P<how>.*?) -->\s*)?^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "$ "
_WORD = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a page.

    Attributes:
        command: as printed.
        output: lines that the page shows below it; `..` stands for what it leaves out.
        how: what a comment says of it; empty: nothing.
        line: of the page, where its block begins.
    """

    command: str
    output: tuple[str, ...]
    how: str
    line: int

    @property
    def words(self) -> set[str]:
        """Words of the output that are no numbers, paths or names made by chance."""
        parts = [part for line in self.output for part in line.split()]
        return {word for part in parts if not _of_this_run(part) for word in _WORD.findall(part)}


def _of_this_run(part: str) -> bool:
    """Whether something is another one in each run."""
    return "://" in part or "::" in part or "/" in part


def typed_in(page: Path) -> Iterator[Typed]:
    """Every command of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("text")) + 1
        commands = _commands(block["text"])
        for number, (command, output) in enumerate(commands, 1):
            yield Typed(command, output, (block["how"] or "") if number == len(commands) else "", line)


def _commands(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Commands of a block with what follows each; `^C` is one as well."""
    nothing, *parts = re.split(rf"^(?:{re.escape(_PROMPT)}|(?=\^C$))", text, flags=re.MULTILINE)
    assert not nothing, "a console block begins with a prompt"
    lines = [part.splitlines() for part in parts]
    return [(first, tuple(rest)) for first, *rest in lines]
