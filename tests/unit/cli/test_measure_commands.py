"""`form`, `sweep`, `endurance`, `retention`, `yield`, `history` and `export` on a small simulated array."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from rmhil.measure.labelled import load_measurement, measurement_names
from rmhil.store import Run
from rmhil.wear import WearBudget, WearFile, chip_file_of
from tests.unit.cli.conftest import SIZE, CommandLine


def newest(command_line: CommandLine) -> Run:
    return Run.open("latest", command_line.folder / "runs")


@pytest.fixture(scope="module")
def formed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on an array of which three cells were formed."""
    line = CommandLine(tmp_path_factory.mktemp("formed"))
    line("form", "--cell", "3,5", "--cell", "3,6", "--cell", "0,0", *line.small)
    return line.folder


@pytest.fixture
def formed(command_line: CommandLine, formed_once: Path) -> CommandLine:
    """The same in the folder of this test."""
    shutil.copytree(formed_once, command_line.folder, dirs_exist_ok=True)
    return command_line


def test_form_forms_the_cells_named_and_no_others(command_line: CommandLine) -> None:
    done = command_line.json("form", "--region", "0:2,0:3", *command_line.small)
    assert done["conducting"] == done["cells"] == done["formed_now"] == 6
    assert 2.2 <= done["form_v_mean"] <= 4.5
    assert done["failed_cells"] == []
    run = newest(command_line)
    kept = run.load_map("form")
    assert kept["conductance"].shape == (1, 2, 3)
    assert (kept["form_voltage"].values >= 2.2).all()
    assert (run.path / "plots" / "form.png").is_file()
    virgin = np.flatnonzero(command_line_read(command_line).reshape(-1) < 0.5e-6)
    assert len(virgin) == SIZE**2 - 6
    assert command_line.json("form", "--region", "0:2,0:3", *command_line.again)["form_pulses"] == 0


def command_line_read(command_line: CommandLine) -> np.ndarray:
    path = command_line.folder / "all.npy"
    command_line("read", *command_line.again, "--to", path)
    return np.load(path)


def test_cells_that_do_not_form_are_named(command_line: CommandLine) -> None:
    done = command_line.json("form", "--cell", "1,2", "--cell", "4,4", "--max-pulses", 1, *command_line.small)
    assert done["failed_cells"] == [[0, 1, 2], [0, 4, 4]]
    assert "0/1/2, 0/4/4" in command_line(
        "form", "--cell", "1,2", "--cell", "4,4", "--max-pulses", 1, *command_line.again
    )


def test_sweeps_are_kept_drawn_and_exported(formed: CommandLine) -> None:
    done = formed.json("sweep", "--cell", "3,5", "--sweeps", 2, "--step", 0.2, *formed.again)
    assert done["sweeps"] == 2
    assert 0.6 < done["set_v_mean"] < 1.6
    run = newest(formed)
    assert measurement_names(run) == ["sweep"]
    assert (run.path / "plots" / "sweep.png").is_file()
    assert [step.kind for step in run.steps()][-1] == "sweep"
    formed("export", "sweep", "--to", "sweep.csv", "--out", formed.folder / "runs")
    with Path("sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["cell"] for row in rows} == {"0/3/5"}
    assert float(rows[-1]["sl_v"]) == pytest.approx(0.2)
    assert "sweep" in formed("info", *formed.again)


def test_endurance_wears_only_cells_that_were_named(formed: CommandLine) -> None:
    assert "name them by --cell" in formed("endurance", "--cycles", 3, *formed.again, code=2)
    done = formed.json("endurance", "--cell", "0,0", "--cycles", 5, *formed.again)
    assert done["cycles"] == 5
    life = formed.json("history", "0,0", "--out", formed.folder / "runs")
    assert life["pulses"]["set"] == 5
    assert 5 <= life["pulses"]["reset"] <= 9
    assert life["cycles"] == (life["pulses"]["set"] + life["pulses"]["reset"]) / 2


def test_more_cycles_than_are_left_are_refused_before_a_pulse(formed: CommandLine) -> None:
    with WearFile.open(chip_file_of(newest(formed))) as chip:
        chip.set_budget(WearBudget(cycles=12))
    formed("endurance", "--cell", "3,5", "--cycles", 10, *formed.again)
    before = formed.json("history", "3,5", "--out", formed.folder / "runs")["pulses"]
    said = formed("endurance", "--cell", "3,5", "--cycles", 2, *formed.again, code=2)
    assert "cell 0/3/5 has had" in said
    assert "of 24" in said
    assert formed.json("history", "3,5", "--out", formed.folder / "runs")["pulses"] == before


def test_retention_writes_levels_or_reads_cells_as_they_are(formed: CommandLine) -> None:
    cells = ("--cell", "3,5", "--cell", "3,6", "--cell", "0,0")
    written = formed.json("retention", "--levels", 3, "--duration", 10, *cells, *formed.again)
    assert written["levels"] == 3
    assert written["last_reading_s"] >= 10
    found = formed.json("retention", "--duration", 10, *cells, *formed.again)
    assert found["levels"] == 0
    assert measurement_names(newest(formed)) == ["retention", "retention-2"]
    kept = load_measurement(newest(formed), "retention-2")
    np.testing.assert_allclose(np.sort(kept["conductance"].values[0]), np.linspace(10e-6, 80e-6, 3), atol=3e-6)
    assert "exclude one another" in formed("retention", "30e-6", "--levels", 2, *formed.again, code=2)


def test_yield_says_which_cells_work(command_line: CommandLine) -> None:
    done = command_line.json("yield", "--region", "0:2,:", *command_line.small)
    assert done["cells"] == 2 * SIZE
    assert done["working_fraction"] > 0.9
    run = newest(command_line)
    meanings = run.load_map("yield")["state"].attrs["flag_meanings"].split()
    assert meanings[:4] == ["left_alone", "working", "not_formed", "stuck_low"]
    assert (run.path / "plots" / "yield.png").is_file()
    written = command_line.json("report", "latest", "--out", command_line.folder / "runs")
    assert any(plot.endswith("yield.png") for plot in written["plots"])


@pytest.mark.parametrize(
    ("command", "options", "complaint"),
    [
        ("form", ("--cell", "9,0"), "BL = 9"),
        ("yield", ("--region", "0:9,0:1"), "region"),
        ("sweep", ("--cell", "1,1", "--region", "0:1,0:1"), "--cell cannot be given"),
        ("endurance", ("--mask", "nowhere.npy"), "no file"),
        ("retention", ("--cell", "1"), "expected BL,SL"),
        ("read", ("--region", "all"), "region 'all'"),
    ],
)
def test_a_bad_choice_of_cells_is_refused_and_leaves_nothing_behind(
    command_line: CommandLine, command: str, options: tuple[str, ...], complaint: str
) -> None:
    assert complaint in command_line(command, *options, *command_line.small, code=2)
    assert command_line.runs == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("sweep", "--set-stop", 5), "set_stop = 5 V"),
        (("sweep", "--gate", 9), "wl"),
        (("endurance", "--region", ":,:", "--reset", 4), "RESET amplitude = 4 V"),
        (("retention", "200e-6"), "target"),
        (("retention", "--levels", 65), "levels = 65"),
        (("yield", "--low", 70e-6, "--high", 20e-6), "low level"),
        (("read", "--to", "map.xlsx"), "the ending says the format"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_driven(
    command_line: CommandLine, arguments: tuple[object, ...], complaint: str
) -> None:
    assert complaint in command_line(*arguments, *command_line.small, code=2)
    assert command_line.runs == []


def test_program_takes_one_number_for_cells_and_masks(command_line: CommandLine) -> None:
    mask = command_line.save("mask.npy", np.eye(SIZE, dtype=bool))
    assert command_line.json("program", "40e-6", "--mask", mask, *command_line.small)["cells"] == SIZE
    assert command_line.json("verify", "40e-6", "--mask", mask, *command_line.again)["within"] >= SIZE - 1
    assert "cell 0/2/2" in command_line("read", "--cell", "2,2", *command_line.again)


def test_export_lists_what_there_is(formed: CommandLine) -> None:
    said = formed("export", "sweep", "--to", "x.csv", "--out", formed.folder / "runs", code=2)
    assert "there are: form" in said
    formed("export", "form", "--variable", "form_voltage", "--to", "volts.npy", "--out", formed.folder / "runs")
    assert np.load("volts.npy").shape == (2, 3)


def test_history_shows_each_pulse_with_its_reading(formed: CommandLine) -> None:
    shown = formed("history", "3,5", "--out", formed.folder / "runs", "--to", "life.csv")
    assert "FORM" in shown
    with Path("life.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    life = formed.json("history", "3,5", "--out", formed.folder / "runs")
    assert len(rows) == len(life["events"])
    assert sum(row["operation"] == "form" for row in rows) == life["pulses"]["form"]
    assert float(rows[-1]["conductance_siemens"]) > 1e-6
