"""The tables of docs/explanation/a-command-on-its-way.md, from the results of the three benchmarks of the board.

python benchmarks/board_tables.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from write_verify_tables import markdown, placed

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parents[1] / "docs" / "explanation" / "a-command-on-its-way.md"

CLOCKS_PER_US: Final = 100
"""1/us: both board descriptions have a clock of 100 MHz."""


def at_the_pins(timing: dict[str, Any]) -> str:
    """Clocks and microseconds of each stage."""
    rows = ([name, f"{clocks:,.0f}", f"{clocks / CLOCKS_PER_US:.2f}"] for name, clocks in timing["clocks"].items())
    return table(["at the pins", "clocks", "us"], rows)


def in_software(link: dict[str, Any]) -> str:
    """Microseconds a vector of host, link and daemon."""
    kinds = link["stages_us_per_vector"]
    names = next(iter(kinds.values()))
    rows = ([name, *(f"{stages[name]:.2f}" for stages in kinds.values())] for name in names)
    of_board = (
        [name, f"{value:.2f}", *[""] * (len(kinds) - 1)] for name, value in link["board_mvm_us_per_vector"].items()
    )
    return table(["us a vector", *kinds], [*rows, *of_board])


def throughput(link: dict[str, Any]) -> str:
    """Vectors per second by way and kind of data."""
    rows = ([row["way"], row["payload"], f"{row['vectors_per_s']:,.0f}"] for row in link["payloads"])
    return table(["way", "codes", "vectors/s"], rows)


def overhead(link: dict[str, Any]) -> str:
    """By size of the batch."""
    rows = (
        [
            f"{row['batch']:,}",
            f"{row['link_us']:,.1f}",
            f"{row['board_us']:,.1f}",
            f"{100 * row['overhead']:.1f} %",
            f"{row['board_us_two_under_way']:,.1f}",
            f"{100 * row['overhead_two_under_way']:.1f} %",
        ]
        for row in link["batches"]
    )
    heads = ("batch", "link alone", "with a board of 20 us", "overhead", "two under way", "overhead")
    return table(heads, rows)


def simulated(sim: dict[str, Any]) -> str:
    """Simulated MVMs per second of both boards."""
    rows = []
    for name, board in sim["boards"].items():
        for kind, row in board["library"].items():
            share = f"{100 * row['clocks_skipped'] / row['clocks']:.0f} %"
            rows.append([name, kind, f"{1e6 / row['us_wall']:,.0f}", f"{row['us_processor']:,.0f}", share])
        rows.append([name, "the twin, `Board.mvm` over TCP", f"{board['twin']['mvm_per_s']:,.0f}", "", ""])
    return table(["board", "batches", "MVM/s", "us of the processor", "clocks skipped"], rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return markdown(list(heads), [list(row) for row in rows])


def main() -> None:
    """Put all of them in their places."""
    timing, link, sim = (
        json.loads((RESULTS / f"board_{name}.json").read_text(encoding="utf-8")) for name in ("timing", "link", "sim")
    )
    tables = {
        "at the pins": at_the_pins(timing),
        "in software": in_software(link),
        "throughput": throughput(link),
        "overhead": overhead(link),
        "simulated": simulated(sim),
    }
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, made in tables.items():
        text = placed(text, name, made)
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
