"""One self-contained HTML page of a study."""

from __future__ import annotations

from collections.abc import Sequence

from rmhil.report import page
from rmhil.report.canvas import Picture
from rmhil.report.page import Section
from sim_backend.sensitivity.chips import Recipe
from sim_backend.sensitivity.study import Study
from sim_backend.sensitivity.text import HEAD, notes, ppm, rows


def sensitivity_page(
    title: str, status: str, facts: Sequence[str], study: Study, recipe: Recipe, shown: Picture
) -> str:
    """The page.

    Args:
        title: shown at the top.
        status: of the run.
        facts: lines under the title.
        study: what was measured.
        recipe: how chips were made.
        shown: its picture.
    """
    error = study.summary(study.plan.as_it_is, "error").mean
    cards = {
        "accuracy of the float network": f"{study.float_accuracy:.1%}",
        "accuracy on the chip as it is": f"{study.summary(study.plan.as_it_is, 'accuracy').mean:.1%}",
        "error on the chip as it is, of the outputs' variance": f"{ppm(error)} ppm",
        "chips": f"{len(study.seeds)}",
    }
    table = page.table(HEAD, rows(study), numbers=tuple(range(1, len(HEAD))))
    units = page.note(
        "Errors: mean square, in ppm of the variance of the float network's outputs. Accuracies: points of %. Pulses: "
        "SET and RESET, a cell. +-: standard error over the chips."
    )
    sections = [
        Section("What costs accuracy", page.picture(shown)),
        Section("Cause by cause", table + units + "".join(map(page.note, notes(study, recipe)))),
    ]
    return page.page(title, status, facts, cards, sections)
