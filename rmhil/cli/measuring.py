"""What the commands that measure share: what was measured is kept, drawn and shown, however the work ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.session import Session, at_the_end, free_name
from rmhil.measure.numbers import number_rows

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.report.canvas import Picture

PLOTS = "plots"
"""Folder of a run that holds its pictures."""


class Measured(Protocol):
    """What a measurement comes to."""

    def summary(self) -> dict[str, Any]:
        """Its numbers, with units in their names."""

    def dataset(self) -> xr.Dataset:
        """Its data, with units."""


M = TypeVar("M", bound=Measured)


class Kept:
    """What was kept of a measurement.

    Attributes:
        name: under which it is in the run.
        summary: its numbers; empty if nothing was measured.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.summary: dict[str, Any] = {}


@contextmanager
def kept(
    work: Session, kind: str, measured: Callable[[], M | None], draw: Callable[[str, M], Picture]
) -> Iterator[Kept]:
    """Keep what was measured inside, whether the work ends by itself or is broken off: data first, then the picture.

    Args:
        work: the session.
        kind: of the measurement; the name is the next free one.
        measured: what there is so far; None: nothing.
        draw: makes the picture under a name.
    """
    from rmhil.measure.labelled import measurement_names

    found = Kept(free_name(kind, measurement_names(work.run)))
    with at_the_end(lambda: _keep(work, found, measured(), draw)):
        yield found


def _keep(work: Session, found: Kept, measured: M | None, draw: Callable[[str, M], Picture]) -> None:
    if measured is None:
        return
    from rmhil.measure.labelled import keep_measurement

    keep_measurement(work.run, found.name, measured.dataset())
    found.summary = measured.summary()
    work.step(measurement=found.name, **found.summary)
    draw_into(work, partial(draw, found.name, measured))


def draw_into(work: Session, draw: Callable[[], Picture]) -> None:
    """Draw a picture, in the style of the reports, into the run."""
    from rmhil.report.canvas import style
    from rmhil.whole_files import write_bytes

    with style():
        picture = draw()
    write_bytes(work.run.directory(PLOTS) / f"{picture.name}.png", picture.png)


def show(work: Session, found: Kept, as_json: bool) -> None:
    """Print the numbers of a measurement, and where its data and its picture are."""
    if as_json:
        print_json({"run": work.run.path, "provenance": work.backend.spec.provenance, "measurement": found.name}
                   | found.summary)  # fmt: skip
        return
    output_console().print(work.header, soft_wrap=True)
    places = {"data": f"measurements/{found.name}.nc", "picture": f"{PLOTS}/{found.name}.png", "run": work.run.path}
    print_facts("", dict(number_rows(found.summary)) | places)
