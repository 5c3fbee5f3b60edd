"""The preflight of a bench: one light for each thing that must be right, in the order in which one stands on another.

A check is made when all that it stands on is green or amber, and is passed over otherwise. Nothing is pulsed; cells see
the read voltage at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rmhil.bench import preflight_checks as checks
from rmhil.bench.bench_under_test import BenchUnderTest
from rmhil.bench.lights import Check, Finding, Light
from rmhil.bench.preflight_array import look_at_cells, look_at_lines
from rmhil.bench.remedies import remedy
from rmhil.errors import RmhilError
from rmhil.program_report import Progress

CHECKS = (
    Check("configuration", checks.configuration),
    Check("owner", checks.owner, ("configuration",)),
    Check("analyser link", checks.analyser_link, ("owner",)),
    Check("analyser identity", checks.analyser_identity, ("analyser link",)),
    Check("modules", checks.modules, ("analyser identity",)),
    Check("outputs", checks.outputs, ("modules",)),
    Check("error queue", checks.error_queue, ("outputs",)),
    Check("interlock", checks.interlock, ("outputs",)),
    Check("board link", checks.board_link, ("owner",)),
    Check("board identity", checks.board_identity, ("board link",)),
    Check("map and description", checks.map_and_description, ("board identity",)),
    Check("board state", checks.board_state, ("map and description",)),
    Check("limits", checks.limits, ("modules", "map and description")),
    Check("lines", look_at_lines, ("error queue", "interlock", "board state", "limits")),
    Check("cells", look_at_cells, ("lines",)),
)
"""In order."""


def preflight(path: Path, progress: Progress | None = None) -> Iterator[Finding]:
    """The lights of a bench, each as soon as it is known; the bench is safe and free again at the end.

    Args:
        path: of the configuration.
        progress: told how many lines are tested.
    """
    lights: dict[str, Light] = {}
    with closing(BenchUnderTest(path, progress)) as bench:
        for check in CHECKS:
            finding = _passed_over(check, lights) or _looked_at(check, bench)
            lights[check.name] = finding.light
            yield finding


def ready(findings: Sequence[Finding]) -> bool:
    """Whether nothing is red."""
    return all(finding.light in (Light.GREEN, Light.AMBER) for finding in findings)


def _passed_over(check: Check, lights: dict[str, Light]) -> Finding | None:
    below = [name for name in check.stands_on if lights[name] in (Light.RED, Light.SKIPPED)]
    return Finding(check.name, Light.SKIPPED, f"not looked at: first {', '.join(below)}") if below else None


def _looked_at(check: Check, bench: BenchUnderTest) -> Finding:
    try:
        light, text, hint = check.look(bench)
    except RmhilError as error:
        return Finding(check.name, Light.RED, str(error), remedy(error))
    return Finding(check.name, light, text, hint)
