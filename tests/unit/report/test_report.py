"""The report holds what the run holds, in one file."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from rmhil.errors import RunDirectoryError
from rmhil.ledger import Counts, Ledger
from rmhil.program_report import Outcome, ProgramReport
from rmhil.report import write_report
from rmhil.report.conductance import error_picture, map_picture, point_of
from rmhil.report.cost import _times
from rmhil.report.results import job_results
from rmhil.store import Run

STAGES = ["learn", "unlearn", "continual"]
METHODS = ["digital float", "RM-DLoRA", "full rewrite"]
CLASSES = ["zero", "one", "two"]


def program_report(shape: tuple[int, ...] = (8, 6), tolerance: float = 2e-6) -> ProgramReport:
    rng = np.random.default_rng(0)
    target = rng.uniform(10e-6, 80e-6, shape)
    target.flat[0] = np.nan
    outcome = np.full(shape, Outcome.CONVERGED, dtype=np.int8)
    outcome.flat[:2] = Outcome.LEFT_ALONE, Outcome.STUCK
    achieved = target + rng.uniform(-tolerance, tolerance, shape)
    achieved.flat[1] = 3 * target.flat[1]
    return ProgramReport(
        target=target,
        tolerance=tolerance,
        achieved=achieved,
        believed=achieved,
        pulses={kind: rng.integers(0, 9, shape) for kind in ("form", "set", "reset")},
        reads=rng.integers(1, 20, shape),
        outcome=outcome,
        maybe_pulsed=np.zeros(shape, dtype=np.bool_),
        policy="adaptive",
        provenance="sim(taox180, seed=7)",
        seconds=12.5,
    )


def main_job() -> dict[str, Any]:
    def accuracy(stage: str) -> dict[str, Any]:
        per_class = {"zero": 0.9, "one": 0.8 if stage == "learn" else 0.0, "two": 0.7 if stage == "continual" else None}
        return {
            "kept": 0.9,
            "forgotten": per_class["one"],
            "new": per_class["two"],
            "overall": 0.6,
            "per_class": per_class,
        }

    counts: dict[str, Any] = {}
    for stage in STAGES:
        counts[f"RM-DLoRA/{stage}"] = Counts(training_steps=10, parameter_updates=1000, sram_bits_written=32_000)
        counts[f"full rewrite/{stage}"] = Counts(
            training_steps=10, parameter_updates=9000, set_pulses=900, pulse_energy=1e-6, reads=900, read_energy=1e-9
        )
        counts[f"RM-DLoRA/{stage}/inference"] = Counts(
            mvms=10, passes=10, analog_macs=900, dac_conversions=90, adc_conversions=90, array_energy=1e-9,
            dac_time=1e-3, tia_time=1e-3, lora_macs=100, sram_bits_read=3200,
        )  # fmt: skip
        counts[f"digital float/{stage}/inference"] = Counts(digital_macs=900)
    return {
        "workload": "digits",
        "stages": STAGES,
        "methods": METHODS,
        "class_names": CLASSES,
        "accuracy": {method: {stage: accuracy(stage) for stage in STAGES} for method in METHODS},
        "counts": {key: value.to_dict() for key, value in counts.items()},
        "parameters": {"backbone": 5148, "rank 6": 1404},
        "pulses_after_deployment": 0,
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return programming_run(tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run of one programming, and its page."""
    made = programming_run(tmp_path_factory.mktemp("runs"))
    return made, write_report(made).read_text(encoding="utf-8")


def programming_run(root: Path) -> Run:
    made = Run.create(root, command="rmhil demo <now>", seed=7, config={"tolerance": 2e-6})
    made.save_map("program", program_report())
    made.step("program", cells=47)
    made.save_ledger(Ledger())
    made.finish()
    return made


def plots(run: Run) -> set[str]:
    return {path.stem for path in (run.path / "plots").glob("*.png")}


def pictures(page: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


def test_a_report_on_programming_shows_maps_errors_and_pulses(reported: tuple[Run, str]) -> None:
    run, page = reported
    assert plots(run) == {"map-program", "error-program", "pulses"}
    assert len(pictures(page)) == 3
    for text in ("sim(taox180, seed=7)", "97.87%", "Journal", "Ledger", "tolerance", "numpy", "complete"):
        assert text in page


def test_a_report_on_a_main_job_shows_everything(run: Run) -> None:
    run.save_results(main_job())
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 12)
    run.save_arrays("embeddings", labels=labels, **{stage: rng.normal(size=(36, 5)) for stage in STAGES})
    page = write_report(run).read_text(encoding="utf-8")
    assert plots(run) == {"map-program", "error-program", "pulses", "accuracy", "classes", "embedding", "cost"}
    for text in ("RM-DLoRA", "RM pulses after deployment", "paper-fit", "36.68x", "measured", "9x", "rank 6: 1,404"):
        assert text in page, text


def test_the_page_needs_no_other_file(reported: tuple[Run, str]) -> None:
    page = reported[1]
    assert not re.findall(r'(?:src|href)=(?!"data:)', page)
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    for data in pictures(page):
        assert data.startswith(b"\x89PNG")


def test_what_a_user_typed_is_text_never_markup(reported: tuple[Run, str]) -> None:
    assert "demo &lt;now&gt;" in reported[1]
    assert "<now>" not in reported[1]


def test_an_empty_run_has_a_report_too_wherever_it_is_wanted(tmp_path: Path) -> None:
    empty = Run.create(tmp_path, command="rmhil info")
    elsewhere = tmp_path / "elsewhere.html"
    assert write_report(empty, elsewhere) == elsewhere
    assert "Configuration and versions" in elsewhere.read_text(encoding="utf-8")


def test_a_report_elsewhere_writes_nothing_into_the_run(run: Run, tmp_path: Path) -> None:
    before = {path.name for path in run.path.iterdir()}
    write_report(run, tmp_path / "elsewhere.html")
    assert {path.name for path in run.path.iterdir()} == before
    assert {path.stem for path in (tmp_path / "elsewhere-plots").glob("*.png")} >= {"map-program", "pulses"}


def test_the_cards_are_of_the_last_programming_and_name_it(run: Run) -> None:
    run.save_map("program-2", program_report(tolerance=1e-6))
    page = write_report(run).read_text(encoding="utf-8")
    assert "of the cells within 1 uS, map program-2" in page
    assert "of the cells within 2 uS" not in page


def test_maps_of_one_conductance_are_shown_as_they_are(run: Run) -> None:
    run.save_map("read", {"conductance": np.full((2, 4, 3), 4e-5)})
    assert map_picture("read", run.load_map("read")).png.startswith(b"\x89PNG")


def test_of_many_arrays_only_the_first_are_drawn_and_the_caption_says_so(run: Run) -> None:
    run.save_map("many", {"conductance": np.full((9, 4, 3), 4e-5)})
    assert "5 more array(s)" in map_picture("many", run.load_map("many")).caption


def test_a_map_without_any_value_is_drawn(run: Run) -> None:
    run.save_map("nothing", {"target": np.full((2, 2), np.nan), "achieved": np.full((2, 2), np.nan), "tolerance": 1e-6})
    nothing = run.load_map("nothing")
    assert map_picture("nothing", nothing).png.startswith(b"\x89PNG")
    assert "0 cells" in error_picture("nothing", nothing).caption


def test_cells_left_alone_are_grey_and_cells_in_tolerance_pale(run: Run) -> None:
    shown = imread(io.BytesIO(map_picture("program", run.load_map("program")).png))
    assert shown.ndim == 3
    blank = np.array([0xE4, 0xE6, 0xEA]) / 255
    assert (np.abs(shown[..., :3] - blank).max(axis=-1) < 0.01).sum() > 100


def test_the_pulse_point_of_a_map_counts_only_cells_that_were_asked_for(run: Run) -> None:
    report = program_report()
    point = point_of(run.load_map("program"))
    assert point is not None
    assert point.tolerance == pytest.approx(2.0)
    assert point.pulses_per_cell == pytest.approx(report.pulses_per_cell())
    assert point.converged_fraction == pytest.approx(report.converged_fraction())


@pytest.mark.parametrize(
    ("ratio", "text"), [(36.6812, "36.68x"), (186966.2, "186,966x"), (0.08, "12.5x more"), (1, "1x")]
)
def test_a_ratio_of_any_size_is_readable(ratio: float, text: str) -> None:
    assert _times(ratio) == text


def test_damaged_results_are_named() -> None:
    broken = main_job() | {"accuracy": {"RM-DLoRA": {"learn": {"kept": "high"}}}}
    with pytest.raises(RunDirectoryError, match="kept"):
        job_results(broken)


def test_damaged_counts_are_named(run: Run) -> None:
    run.save_results(main_job() | {"counts": {"RM-DLoRA/unlearn": {"set_pulses": "many"}}})
    with pytest.raises(RunDirectoryError, match="counts"):
        write_report(run)


def test_no_global_state_of_pyplot_is_touched(run: Run) -> None:
    code = (
        "import sys; from rmhil.store import Run; from rmhil.report import conductance, build\n"
        "conductance.map_picture('program', Run.open(sys.argv[1]).load_map('program'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(run.path)], check=True)
