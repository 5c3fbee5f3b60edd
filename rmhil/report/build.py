"""From a run directory to its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger

from rmhil.errors import InputFileError, RunDirectoryError
from rmhil.report import accuracy, conductance, cost, embedding, page
from rmhil.report.canvas import Picture, style
from rmhil.report.page import Section
from rmhil.report.results import JobResults, job_results
from rmhil.units import MICRO

if TYPE_CHECKING:
    import xarray as xr

    from rmhil.cost import CostTable
    from rmhil.ledger import Counts, Ledger
    from rmhil.store import Run

_ADAPTERS = "RM-DLoRA"
_PUBLISHED_WORKLOAD = "face"
"""Workload whose published and exact ratios stand beside those of a workload that was not published."""


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run as one HTML file, and its pictures as PNG files in a folder beside it (`plots_of`).

    Args:
        run: the run; what it does not hold is left out of the report.
        path: the file; None: `report.html` in the run. With a file elsewhere, nothing is written into the run.

    Returns:
        The file.

    Raises:
        RunDirectoryError: a part of the run is damaged, or the report cannot be written into it.
        InputFileError: the report cannot be written elsewhere.
    """
    maps = {name: run.load_map(name) for name in run.map_names()}
    results, ledger = run.results(), run.ledger()
    job = job_results(results)
    tables, workloads = _cost_tables(results, job)
    with style():
        parts = [
            ("Accuracy", _accuracy_pictures(job), _accuracy_html(job)),
            ("Embedding", _embedding_pictures(run, job), ""),
            ("Measurements", _measurement_pictures(run, maps), ""),
            ("Conductance", _map_pictures(maps, job), ""),
        ]
        cost_pictures = [cost.cost_picture(tables, workloads)] if tables else []
    parts.append(("Cost", cost_pictures, _cost_html(tables, workloads)))
    pictures = [shown for _, group, _ in parts for shown in group]
    sections = [
        Section(title, "".join(map(page.picture, group)) + below) for title, group, below in parts if group or below
    ]
    sections += _record_sections(run, ledger)
    title = f"{job.workload}: run {run.name}" if job else f"Run {run.name}"
    text = page.page(title, run.status, _facts(run), _cards(maps, job, ledger), sections)
    return _write(run, path, text, pictures)


def plots_of(run: Run, path: Path | None = None) -> Path:
    """The folder of the pictures: `plots` in the run, or `NAME-plots` beside a file NAME.html elsewhere."""
    return run.path / "plots" if path is None else path.with_name(f"{path.stem}-plots")


def _write(run: Run, path: Path | None, text: str, pictures: list[Picture]) -> Path:
    folder = plots_of(run, path)
    target = run.path / "report.html" if path is None else path
    try:
        folder.mkdir(exist_ok=True)
        for shown in pictures:
            (folder / f"{shown.name}.png").write_bytes(shown.png)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        kind = RunDirectoryError if path is None else InputFileError
        raise kind(f"{target}: the report cannot be written: {error}") from error
    logger.bind(run=run.name).info("report {}", target)
    return target


def _facts(run: Run) -> list[str]:
    record = run.record
    backend = (record.backend or {}).get("provenance", "no backend")
    facts = [f"{backend}", f"$ {record.command}", f"{record.created} to {record.finished or 'now'}"]
    return [*facts, f"Failed: {record.error}"] if record.error else facts


def _cards(maps: dict[str, xr.Dataset], job: JobResults | None, ledger: Ledger | None) -> dict[str, str]:
    cards: dict[str, str] = {}
    points = [(name, point) for name, labelled in maps.items() if (point := conductance.point_of(labelled))]
    if points:
        name, point = points[-1]
        cards[f"of the cells within {point.tolerance:g} uS, map {name}"] = f"{point.converged_fraction:.2%}"
        cards[f"SET and RESET pulses a cell, map {name}"] = f"{point.pulses_per_cell:.1f}"
    if job is not None:
        last = job.stages[-1] if job.stages else ""
        shown = {"kept": "kept classes", "forgotten": "forgotten class", "new": "new class"}
        for key, text in shown.items():
            value = getattr(job.of(_ADAPTERS, last), key)
            if value is not None:
                cards[f"{text}, {_ADAPTERS}, after {last}"] = f"{value:.1%}"
        if job.pulses_after_deployment is not None:
            cards["RM pulses after deployment"] = f"{job.pulses_after_deployment:,}"
    elif ledger is not None:
        cards["RM pulses"] = f"{ledger.counts.pulses:,}"
        cards["cell reads"] = f"{ledger.counts.reads:,}"
    return cards


# Conductance ----------------------------------------------------------------------------------


def _map_pictures(maps: dict[str, xr.Dataset], job: JobResults | None) -> list[Picture]:
    pictures = []
    for name, labelled in maps.items():
        if not conductance.drawn_of(labelled):  # a map of other things than conductances
            continue
        pictures.append(conductance.map_picture(name, labelled))
        if "error" in labelled and "target" in labelled:
            pictures.append(conductance.error_picture(name, labelled))
    programmed = {name: labelled for name, labelled in maps.items() if conductance.point_of(labelled)}
    sweep = _sweep_points(job)
    return [*pictures, conductance.pulses_picture(programmed, sweep)] if programmed or sweep else pictures


def _sweep_points(job: JobResults | None) -> list[conductance.PulsePoint]:
    return [
        conductance.PulsePoint(
            tolerance=entry.tolerance_siemens / MICRO,
            pulses_per_cell=entry.pulses_per_cell,
            policy=entry.policy,
            converged_fraction=entry.converged_fraction,
        )
        for entry in (job.pulses_against_tolerance if job else [])
    ]


def _measurement_pictures(run: Run, maps: dict[str, xr.Dataset]) -> list[Picture]:
    """Of what was measured of cells beyond their conductance."""
    from rmhil.measure.labelled import load_measurement, measurement_names
    from rmhil.measure.pictures import measurement_picture

    measured = maps | {name: load_measurement(run, name) for name in measurement_names(run)}
    found = (measurement_picture(name, labelled) for name, labelled in measured.items())
    return [shown for shown in found if shown is not None]


# The main job ---------------------------------------------------------------------------------


def _accuracy_pictures(job: JobResults | None) -> list[Picture]:
    return [accuracy.groups_picture(job), accuracy.classes_picture(job)] if job and job.methods and job.stages else []


def _accuracy_html(job: JobResults | None) -> str:
    if job is None:
        return ""
    rows = []
    for stage in job.stages:
        for method in job.methods:
            measured = job.of(method, stage)
            shares = [measured.kept, measured.forgotten, measured.new, measured.overall]
            rows.append([stage, method, *("-" if share is None else f"{share:.1%}" for share in shares)])
    head = ["stage", "method", "kept", "forgotten", "new", "overall"]
    parameters = ", ".join(f"{name}: {value:,}" for name, value in job.parameters.items() if isinstance(value, int))
    return page.table(head, rows, numbers=(2, 3, 4, 5)) + (
        page.note(f"Parameters. {parameters}.") if parameters else ""
    )


def _embedding_pictures(run: Run, job: JobResults | None) -> list[Picture]:
    if job is None or "embeddings" not in run.array_names():
        return []
    made = embedding.embedding_picture(run.arrays("embeddings"), job.stages, job.class_names)
    return [] if made is None else [made]


# Cost -----------------------------------------------------------------------------------------


def _cost_tables(results: dict[str, Any] | None, job: JobResults | None) -> tuple[list[CostTable], list[str]]:
    """The tables to draw and the workload of each: the run's own, and the published ones beside it."""
    if job is None or not (results or {}).get("counts"):
        return [], []
    from rmhil.cost import cost_table

    published = cost_table("paper-fit")
    beside = job.workload if job.workload in published.to_dict() else _PUBLISHED_WORKLOAD
    return [cost_table("measured", results), cost_table("exact"), published], [job.workload, beside, beside]


def _cost_html(tables: list[CostTable], workloads: list[str]) -> str:
    if not tables:
        return ""
    rows = [
        (table.preset, entry.workload, entry.quantity, entry.stage, f"{table.text(entry.ratio)}x",
         f"{entry.variant}: {entry.source}" if entry.variant else entry.source)
        for table, workload in zip(tables, workloads, strict=True)
        for entry in table.entries
        if entry.workload == workload
    ]  # fmt: skip
    notes = "".join(page.note(f"{table.preset}: {text}") for table in tables for text in table.notes)
    return (
        page.table(["preset", "workload", "cost of", "stage", "ratio", "where it comes from"], rows, numbers=(4,))
        + notes
    )


# The record -----------------------------------------------------------------------------------


def _record_sections(run: Run, ledger: Ledger | None) -> list[Section]:
    record = run.record
    steps = run.steps()
    sections = [] if ledger is None else [Section("Ledger", _ledger_html(ledger))]
    if steps:
        rows = [(step.id, step.time, step.kind, _short(step.detail)) for step in steps]
        sections.append(Section("Journal", page.table(["step", "time (UTC)", "what", "details"], rows, numbers=(0,))))
    html = page.table(["package", "version"], record.versions.items())
    html += page.folded("configuration", json.dumps(record.config, indent=2))
    if record.backend is not None:
        html += page.folded("backend", json.dumps(record.backend, indent=2))
    seed = "of the backend's settings" if record.seed is None else str(record.seed)
    return [*sections, Section("Configuration and versions", page.note(f"Seed: {seed}") + html)]


def _short(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in detail.items())


def _ledger_html(ledger: Ledger) -> str:
    """Every count that is not zero, in all and since each mark."""
    columns: dict[str, Counts] = {"in all": ledger.counts}
    columns |= {f"since '{name}'": ledger.since(name) for name in ledger.marks}
    named = {title: counts.to_dict() for title, counts in columns.items()}
    rows = [
        [name.replace("_", " "), *(_number(counts[name]) for counts in named.values())]
        for name, value in named["in all"].items()
        if value
    ]
    numbers = tuple(range(1, len(columns) + 1))
    text = "Counted where it happens, in joules (j) and seconds (s). What was never counted is left out."
    return page.table(["event", *columns], rows, numbers=numbers) + page.note(text)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4g}"
