"""The tables of benchmarks/write_verify.py, from its results: on the console, as Markdown, and in the documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

DOCUMENT = Path(__file__).parents[1] / "docs" / "explanation" / "write-verify.md"

BEGIN, END = "<!-- begin: {} -->\n", "<!-- end: {} -->\n"
"""Around a table in the documentation, with its name."""

_WIDTH: Final = 160
"""1: characters of the table on the console, also where that is not a terminal."""

COLUMNS: Final = {
    "population": "population",
    "tolerance_us": "uS",
    "policy": "policy",
    "pulses": "pulses",
    "reads": "reads",
    "cost": "cost",
    "pilot": "pilot",
    "truly": "truly",
    "truly_after_1_s": "after 1 s",
    "stuck": "stuck",
    "fluctuating": "fluct.",
}
_LEFT: Final = ("population", "policy")
_SHARES: Final = ("truly", "truly_after_1_s")

RATIOS: Final = (
    ("adaptive", "incremental-best"),
    ("adaptive", "incremental-best, sure"),
    ("adaptive, no pilot", "incremental-best"),
    ("adaptive, no pilot", "incremental-best, sure"),
)
"""Policies and what they are compared with."""


def rows_of(result: dict[str, Any]) -> list[list[str]]:
    """The rows of one kind of cell at one tolerance, as text."""
    return [[_written(key, row) for key in COLUMNS] for row in result["rows"]]


def measured(results: list[dict[str, Any]]) -> str:
    """What each policy took, as a Markdown table."""
    return markdown(list(COLUMNS.values()), [row for result in results for row in rows_of(result)])


def ratios(results: list[dict[str, Any]]) -> str:
    """Pulses and cost of the adaptive policy over those of the best incremental one, as a Markdown table."""
    header = ["population", "uS", *(f"{one} / {other}" for one, other in RATIOS)]
    lines = []
    for result in results:
        rows = {row["policy"]: row for row in result["rows"]}
        first = result["rows"][0]
        compared = [_ratio(rows[one], rows.get(other)) for one, other in RATIOS]
        lines.append([first["population"], _written("tolerance_us", first), *compared])
    return markdown(header, lines)


def render(results_file: Path, in_docs: bool) -> None:
    """Write the tables beside the results, and into the documentation if asked."""
    results = json.loads(results_file.read_text(encoding="utf-8"))["results"]
    tables = {"measured": measured(results), "ratios": ratios(results)}
    results_file.with_suffix(".md").write_text("\n".join(tables.values()), encoding="utf-8")
    if in_docs:
        text = DOCUMENT.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = placed(text, name, table)
        DOCUMENT.write_text(text, encoding="utf-8")


def placed(text: str, name: str, table: str) -> str:
    """A text with a table put between its two marks."""
    before, rest = text.split(BEGIN.format(name))
    _, after = rest.split(END.format(name))
    return before + BEGIN.format(name) + table + END.format(name) + after


def show(results: list[dict[str, Any]]) -> None:
    """Print what each policy took."""
    table = Table(title="Write-verify of random maps: pulses (SET, RESET) and further reads a cell")
    for key, title in COLUMNS.items():
        table.add_column(title, justify="left" if key in _LEFT else "right", no_wrap=True)
    for result in results:
        rows = rows_of(result)
        for row in rows:
            table.add_row(*row, end_section=row is rows[-1])
    Console(width=_WIDTH).print(table)


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *lines))


def _ratio(one: dict[str, Any], other: dict[str, Any] | None) -> str:
    if other is None:
        return "-"
    return f"{one['pulses'] / other['pulses']:.2f}, {one['cost'] / other['cost']:.2f}"


def _written(key: str, row: dict[str, Any]) -> str:
    if key == "pilot":
        pulses, reads = row["pilot_pulses"], row["pilot_reads"]
        return f"{pulses:.2f} + {reads:.2f}" if pulses else ""
    if key == "policy" and row["policy"].endswith("sure"):
        return f"{row[key]} ({row['settings']['confirm_reads']} reads)"
    value = row[key]
    if isinstance(value, str):
        return value
    if key in _SHARES:
        return f"{int(value * 1e4) / 100:.2f} %"  # rounded down: 100 % is said only of all
    if key in ("tolerance_us", "stuck", "fluctuating"):
        return f"{value:g}" if key == "tolerance_us" else f"{value:.0f}"
    return f"{value:.2f}"
