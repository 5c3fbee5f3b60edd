"""Options that several commands share, with one text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

_TARGET = "Array"
_RUN = "Run directory"

BackendName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--backend", metavar="NAME", rich_help_panel=_TARGET, show_default="sim",
        help="Backend that holds the array; `rmhil info` lists those installed.",
    ),
]  # fmt: skip
ConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", rich_help_panel=_TARGET, help="Settings of the backend."),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option("--seed", min=0, rich_help_panel=_TARGET, help="Seed of a simulated array, over that of the file."),
]
Region: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--region", metavar="BL,SL", rich_help_panel=_TARGET,
        help="Only these lines, each as START:STOP (STOP is the first one left out) or one number, e.g. 0:64,0:32. "
        "Files then have this shape.",
    ),
]  # fmt: skip
CellNames: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--cell", metavar="BL,SL", rich_help_panel=_TARGET, show_default=False,
        help="Only this cell, e.g. 3,5; once for each. With several arrays: ARRAY,BL,SL.",
    ),
]  # fmt: skip
MaskFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--mask", metavar="FILE.npy", rich_help_panel=_TARGET,
        help="Only the cells where this file is true, or 1; of the shape of the array, or of --region.",
    ),
]  # fmt: skip
Live: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--live/--no-live", show_default="on a terminal", help="Show the map of the array while its cells are pulsed."
    ),
]  # fmt: skip
RunToReopen: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="RUN", rich_help_panel=_RUN,
        help="Go on with the array of this run: its directory, its name, or `latest`.",
    ),
]  # fmt: skip
RunToRead: TypeAlias = Annotated[
    str,
    typer.Option("--run", metavar="RUN", rich_help_panel=_RUN, help="A run: its directory, its name, or `latest`."),
]
OutDirectory: TypeAlias = Annotated[
    Path, typer.Option("--out", metavar="DIR", rich_help_panel=_RUN, help="Folder of all runs; made when missing.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Averages: TypeAlias = Annotated[int, typer.Option("--averages", min=1, help="Readings averaged for one value.")]
Tolerance: TypeAlias = Annotated[
    float, typer.Option("--tolerance", metavar="SIEMENS", help="Largest deviation from the target, in S.")
]
ResultFile: TypeAlias = Annotated[
    Path | None, typer.Option("--to", metavar="FILE.npy", help="Also write the result to this file.")
]

RUNS = Path("runs")
"""Default folder of all runs."""
