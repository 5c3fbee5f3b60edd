"""`rmhil fit`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from rmhil.cli import lazy
from rmhil.cli.app import app
from sim_backend import open_backend
from sim_backend.fit import fit, pulse_table, read_table
from sim_backend.preset_file import load_preset
from sim_backend.presets import TAOX_180

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    known = lazy.OWN | {"fit": lazy.Source("sim_backend.fit.command", "fit")}
    monkeypatch.setattr(lazy, "sources", lambda: known)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["fit", *map(str, arguments)])


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    level = np.repeat(np.linspace(20e-6, 70e-6, 12), 40)
    noisy = level * (1.0 + 0.01 * generator.standard_normal(level.size))
    cell = np.repeat([f"cell {number}" for number in range(12)], 40)
    table = read_table("made", cell=cell, read=np.tile(np.arange(40), 12), conductance_siemens=noisy)
    return table.write(tmp_path / "reads.csv")


def test_the_preset_is_written_and_opens_chips(run: Run, reads: Path, tmp_path: Path) -> None:
    done = run("--reads", reads, "--out", "mine.toml")
    assert done.exit_code == 0, done.output
    preset = load_preset(tmp_path / "mine.toml")
    assert preset.name == "mine"
    assert preset.read_noise == pytest.approx(0.01, rel=0.1)
    assert preset.set_voltage == TAOX_180.set_voltage
    assert "read_noise" in done.output
    assert "no table of sweeps, pulses, retention" in " ".join(done.output.split())
    with open_backend(preset="mine.toml", n_bl=2, n_sl=2) as backend:
        assert "mine#" in backend.spec.provenance


def test_the_file_says_where_its_values_come_from(run: Run, reads: Path, tmp_path: Path) -> None:
    run("--reads", reads, "--out", "mine.toml", "--no-plots")
    text = (tmp_path / "mine.toml").read_text()
    assert "# read_noise: 95 % from 0.0" in text
    assert "# set_voltage: not determined, as taox180" in text
    assert not (tmp_path / "mine.html").exists()


def test_the_page_shows_data_and_model(run: Run, reads: Path, tmp_path: Path) -> None:
    assert run("--reads", reads, "--out", "mine.toml", "--name", "wafer 7").exit_code == 0
    page = (tmp_path / "mine.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "wafer 7" in page
    assert "Not determined" in page


def test_json_holds_estimates_and_what_was_kept(run: Run, reads: Path) -> None:
    done = run("--reads", reads, "--json", "--no-plots")
    content = json.loads(done.stdout)
    noise = content["estimates"]["read_noise"]
    assert noise["low"] < 0.01 < noise["high"]
    assert content["preset"]["read_noise"] == noise["value"]
    assert "drift_energy" in content["undetermined"]


def test_a_fit_can_start_from_an_earlier_one(run: Run, reads: Path, tmp_path: Path) -> None:
    assert run("--reads", reads, "--out", "first.toml", "--no-plots").exit_code == 0
    text = (tmp_path / "first.toml").read_text()
    (tmp_path / "first.toml").write_text(text.replace("set_voltage = 1.1\n", "set_voltage = 1.23\n"))
    assert run("--reads", reads, "--start", "first.toml", "--out", "second.toml", "--no-plots").exit_code == 0
    assert load_preset(tmp_path / "second.toml").set_voltage == 1.23


def test_nothing_to_fit_is_refused(run: Run) -> None:
    done = run()
    assert done.exit_code == 2
    assert "nothing to fit" in done.output


def test_pulses_without_a_series_resistance_are_refused(run: Run, tmp_path: Path) -> None:
    pulse_table(
        "made", cell=["a", "a"], pulse=[0, 1], operation=1, amplitude_v=1.2, width_s=1e-3, gate_voltage_v=2.0,
        conductance_after_siemens=[1e-5, 4e-5],
    ).write(tmp_path / "p.csv")  # fmt: skip
    done = run("--pulses", "p.csv")
    assert done.exit_code == 2
    assert "no series_ohm in row 2" in " ".join(done.output.split())
    (tmp_path / "p.csv").write_text(
        "cell,pulse,operation,amplitude_v,width_s,gate_voltage_v,conductance_after_siemens,series_ohm\n"
        "a,0,SET,1.2,1e-3,2.0,1e-5,200\n\n\na,1,SET,1.2,1e-3,2.0,4e-5,\n"
    )
    assert "no series_ohm in row 5" in " ".join(run("--pulses", "p.csv").output.split()), "as an editor counts"


def test_a_series_resistance_for_all_rows_will_do(run: Run, reads: Path, tmp_path: Path) -> None:
    pulse_table(
        "made", cell=["a", "a"], pulse=[0, 1], operation=1, amplitude_v=1.2, width_s=1e-3, gate_voltage_v=2.0,
        conductance_after_siemens=[1e-5, 4e-5],
    ).write(tmp_path / "p.csv")  # fmt: skip
    assert run("--pulses", "p.csv", "--reads", reads, "--series", 0, "--no-plots").exit_code == 0


def test_tables_that_determine_nothing_give_no_preset_and_say_what_they_lack(run: Run, tmp_path: Path) -> None:
    pulse_table(
        "made", cell=["a", "a"], pulse=[0, 1], operation=1, amplitude_v=1.2, width_s=1e-3, gate_voltage_v=2.0,
        conductance_after_siemens=[1e-5, 4e-5], series_ohm=200.0,
    ).write(tmp_path / "p.csv")  # fmt: skip
    done = run("--pulses", "p.csv")
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "nothing could be determined from p.csv" in said
    assert "needs SET levels at 3 gate voltages on 8 cells" in said
    assert "temperatures" not in said, "no table could tell those"
    assert not list(tmp_path.glob("cell.*"))


@pytest.mark.parametrize("columns", ["79", "100"])
def test_the_table_of_results_fits_its_terminal(
    run: Run, reads: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = run("--reads", reads, "--no-plots").stdout.splitlines()
    (row,) = (line for line in shown if line.strip().startswith("read_noise"))
    assert len(row) <= int(columns)
    assert "…" not in "".join(shown)
    assert row.split()[-1] == "1"
    assert any(line.startswith("1  repeated reads of 12 cells") for line in shown), "what that number stands for"


@pytest.mark.parametrize("out", ["missing/cell.toml", "folder.toml"])
def test_a_place_that_cannot_be_written_is_refused_before_the_fit(
    run: Run, reads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "folder.toml").mkdir()
    monkeypatch.setattr(fit, "fit_reads", lambda *_: pytest.fail("it was fitted"))
    done = run("--reads", reads, "--out", out)
    assert done.exit_code == 2
    assert f"{out} cannot be written" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reads", "none.csv"), "no file none.csv"),
        (("--reads", "reads.csv", "--out", "cell.json"), "a preset is a .toml file"),
        (("--reads", "reads.csv", "--start", "taox9"), "unknown preset 'taox9'"),
        (("--pulses", "reads.csv"), "no column pulse"),
        (("--reads", "reads.csv", "--name", "taox40"), "name 'taox40' is that of a built-in preset (taox180, taox40)"),
        (("--reads", "reads.csv", "--out", "taox180.toml"), "name 'taox180' is that of a built-in preset"),
        (("--reads", "reads.csv", "--start", "mine.toml", "--name", "mine"), "name 'mine' is that of the preset"),
    ],
)
def test_mistakes_end_in_one_line(
    run: Run, reads: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\n')
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
