"""The page and the numbers of a characterisation: one self-contained HTML file, one JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rmhil.measure.numbers import number_rows
from rmhil.plain import plain
from rmhil.report import page
from rmhil.report.canvas import Picture
from rmhil.report.page import Section
from rmhil.units import Seconds
from rmhil.whole_files import write_text
from sim_backend.characterise.curves import Curve

PAGE, NUMBERS = "characterise.html", "characterise.json"
"""Files beside the pictures and the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was measured of one curve.

    Attributes:
        curve: title and source.
        summary: its numbers.
        pictures: in order.
        files: names of its tables.
        seconds: it took, of this machine's time.
    """

    curve: Curve[Any]
    summary: dict[str, Any]
    pictures: list[Picture]
    files: list[str]
    seconds: Seconds


def write_page(folder: Path, parts: Mapping[str, Part], facts: Mapping[str, Any]) -> None:
    """Write what there is so far; later calls write it anew.

    Args:
        folder: where to; it exists.
        parts: by name of the curve.
        facts: `provenance`, `command`, `seed` and `status` (`running`, `complete`, `interrupted` or `failed`).
    """
    versions = {name: version(name) for name in ("rmhil", "numpy", "torch")}
    record = {
        **facts,
        "versions": versions | {"python": platform.python_version()},
        "curves": {name: _record(part) for name, part in parts.items()},
    }
    write_text(folder / NUMBERS, json.dumps(plain(record), indent=2) + "\n")
    lines = [facts["provenance"], f"$ {facts['command']}", "Every curve is measured through the seam, as on a bench."]
    sections = [_section(part) for part in parts.values()]
    write_text(folder / PAGE, page.page("Characterisation", facts["status"], lines, {}, sections))


def _record(part: Part) -> dict[str, Any]:
    return {
        "published": part.curve.published,
        "measured": part.summary,
        "files": part.files,
        "wall_s": round(part.seconds, 2),
    }


def _section(part: Part) -> Section:
    rows = list(number_rows(part.summary))
    html = page.note(f"Published: {part.curve.published}") + "".join(map(page.picture, part.pictures))
    html += f"<details><summary>Numbers</summary>{page.table(['number', 'value'], rows, numbers=(1,))}</details>"
    files = ", ".join(part.files)
    return Section(part.curve.title, html + page.note(f"Raw data: {files}. Measured in {part.seconds:.1f} s."))
