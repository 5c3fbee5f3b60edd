"""The command, the record of pulses, and the pure parts of the published curves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger
from typer.testing import CliRunner

from rmhil import Crossbar
from rmhil.backend import Cells, Operation, Read
from rmhil.cli.app import app
from rmhil.errors import ConfigError, InputFileError, UnknownNameError
from rmhil.measure import retention
from rmhil.measure.numbers import number_rows
from rmhil.measure.pulsing import set_pulses
from sim_backend import SimBackend
from sim_backend.characterise import CURVES, find_curves, program_pictures
from sim_backend.characterise.levels import Levels
from sim_backend.characterise.pattern import letters
from sim_backend.characterise.raw_data import RawData
from sim_backend.characterise.rooms import find_rooms
from sim_backend.fit.pulsing import transact
from sim_backend.fit.recorder import Recorder
from sim_backend.fit.tables import load_table
from sim_backend.presets import TAOX_180

Opener = Callable[..., SimBackend]


@pytest.fixture
def characterise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Runs the command in a folder of its own, into its folder `curves`."""
    monkeypatch.chdir(tmp_path)
    yield lambda *arguments: CliRunner().invoke(app, ["characterise", *arguments, "--seed", "7", "--out", "curves"])
    logger.remove()
    logger.disable("rmhil")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one quick run of three curves."""
    folder = tmp_path_factory.mktemp("measured") / "curves"
    options = ("sweeps", "trajectories", "retention", "--quick", "--seed", "7", "--out", str(folder))
    result = CliRunner().invoke(app, ["characterise", *options])
    assert result.exit_code == 0, result.output
    assert "characterise.html" in result.stdout
    return folder


def test_the_command_writes_pictures_tables_numbers_and_a_page(measured: Path) -> None:
    made = {path.name for path in measured.iterdir()}
    assert made == {
        "characterise.html",
        "characterise.json",
        "retention.csv",
        "retention.png",
        "sweeps.csv",
        "sweeps.png",
        "trajectories-pulses.csv",
        "trajectories.png",
    }
    page = (measured / "characterise.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == 3
    assert "complete" in page
    assert "arXiv 2601.10037" in page
    numbers = json.loads((measured / "characterise.json").read_text(encoding="utf-8"))
    assert list(numbers["curves"]) == ["sweeps", "trajectories", "retention"]
    assert numbers["seed"] == 7
    assert numbers["provenance"] == "sim(taox180, seed=7)"
    assert numbers["curves"]["retention"]["measured"]["levels"] == 17


@pytest.mark.parametrize(
    ("name", "kind"), [("sweeps", "sweeps"), ("trajectories-pulses", "pulses"), ("retention", "retention")]
)
def test_the_tables_are_those_that_a_cell_is_fitted_to(measured: Path, name: str, kind: str) -> None:
    table = load_table(measured / f"{name}.csv", kind)
    assert len(table) > 100
    assert set(table.unused) <= {"array", "bl", "sl", "reading", "target_siemens"}, (
        "where the cell is, and what it was for"
    )


def test_an_unknown_curve_is_refused_before_anything_is_made(characterise: Callable[..., Any], tmp_path: Path) -> None:
    result = characterise("endurence")
    assert result.exit_code == 2
    assert "endurance" in result.stderr
    assert not (tmp_path / "curves").exists()


def test_an_array_that_is_too_small_is_refused_before_a_cell_is_touched(
    characterise: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text("n_bl = 3\nn_sl = 30\n", encoding="utf-8")
    result = characterise("sweeps", "retention", "--quick", "--config", "small.toml")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "the array has 3 bit lines of 30 cells; 4 are needed (sweeps 1, retention 3)" in said
    assert "--quick" in said
    assert not (tmp_path / "curves").exists()


def test_a_small_array_runs_the_curves_that_it_can_hold(characterise: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text("n_bl = 3\nn_sl = 30\n", encoding="utf-8")
    assert characterise("retention", "--quick", "--config", "small.toml").exit_code == 0
    numbers = json.loads((tmp_path / "curves" / "characterise.json").read_text(encoding="utf-8"))
    assert numbers["curves"]["retention"]["measured"]["levels"] == 17


def test_a_level_without_cells_is_named(open_sim: Opener) -> None:
    stuck = TAOX_180.model_copy(update={"name": "stuck", "stuck_share": 0.9})
    array = Crossbar(open_sim(n_bl=1, n_sl=20, preset=stuck.model_dump()))
    with pytest.raises(ConfigError, match=r"no cell could be written to .* uS within 0\.5 uS \(.* of 17 levels"):
        retention.measure_retention(array, lambda *_: None, cells_a_level=1)


def test_a_picture_that_fails_loses_no_data(
    characterise: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(program_pictures, "trajectories_picture", fails)
    result = characterise("trajectories", "--quick")
    assert result.exit_code != 0
    assert len(load_table(tmp_path / "curves" / "trajectories-pulses.csv", "pulses")) > 50
    numbers = json.loads((tmp_path / "curves" / "characterise.json").read_text(encoding="utf-8"))
    assert numbers["status"] == "failed"
    assert numbers["curves"]["trajectories"]["measured"]["adaptive"]["cells"] == 6
    assert not list((tmp_path / "curves").glob("*.part"))


def test_a_folder_that_cannot_be_made_is_refused(characterise: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "curves").write_text("a file", encoding="utf-8")
    result = characterise("trajectories", "--quick")
    assert result.exit_code == 2
    assert "cannot be made" in result.stderr


def test_an_interrupt_keeps_the_curves_that_are_done(
    characterise: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "measure_retention", interrupted)
    result = characterise("retention", "trajectories", "--quick")
    assert result.exit_code == 130
    numbers = json.loads((tmp_path / "curves" / "characterise.json").read_text(encoding="utf-8"))
    assert numbers["status"] == "interrupted"
    assert list(numbers["curves"]) == ["trajectories"]
    assert (tmp_path / "curves" / "trajectories.png").is_file()


ROOMS = {name: curve.room for name, curve in CURVES.items()}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("size", [(128, 128), (512, 512), (32, 32), (64, 40)])
def test_curves_share_no_cell_and_each_has_what_it_needs(open_sim: Opener, size: tuple[int, int], quick: bool) -> None:
    array = Crossbar(open_sim(n_bl=size[0], n_sl=size[1]))
    taken = np.zeros(size, dtype=int)
    for name, part in find_rooms(array, ROOMS, list(CURVES), quick=quick).items():
        assert part.shape[0] >= ROOMS[name].lines
        assert part.shape[1] >= ROOMS[name].width
        assert part.shape[0] * part.shape[1] >= (ROOMS[name].cells if not quick else ROOMS[name].quick_cells or 1)
        taken[np.ix_(part.bl, part.sl)] += 1
    assert taken.max() == 1


def test_a_curve_has_the_same_cells_whichever_are_wanted_where_there_is_room_for_all(open_sim: Opener) -> None:
    array = Crossbar(open_sim(n_bl=128, n_sl=128))
    every = find_rooms(array, ROOMS, list(CURVES), quick=False)
    for name in CURVES:
        (alone,) = find_rooms(array, ROOMS, [name], quick=False).values()
        assert alone.bl.tolist() == every[name].bl.tolist()
    assert every["pattern"].shape == (32, 64), "the letters are as large as there is room for"


@pytest.mark.parametrize(
    ("size", "wanted", "message"),
    [
        ((8, 34), ["retention"], None),
        ((7, 34), ["retention"], r"7 bit lines of 34 cells; 8 are needed \(retention 8\)"),
        ((9, 28), ["pattern"], None),
        ((9, 27), ["pattern"], "'pattern' needs 28 source lines; the array has 27"),
        ((8, 28), ["pattern"], r"9 are needed \(pattern 9\)"),
        ((1, 4), ["sweeps"], None),
    ],
)
def test_each_curve_asks_for_its_own_needs_only(
    open_sim: Opener, size: tuple[int, int], wanted: list[str], message: str | None
) -> None:
    array = Crossbar(open_sim(n_bl=size[0], n_sl=size[1]))
    if message is None:
        assert list(find_rooms(array, ROOMS, wanted, quick=False)) == wanted
    else:
        with pytest.raises(ConfigError, match=message):
            find_rooms(array, ROOMS, wanted, quick=False)


def test_curves_are_found_by_name_in_their_own_order() -> None:
    assert list(find_curves([])) == list(CURVES)
    assert list(find_curves(["retention", "sweeps"])) == ["sweeps", "retention"]
    with pytest.raises(UnknownNameError, match="curve 'letters'"):
        find_curves(["letters"])


def test_a_recorder_keeps_every_pulse_and_what_was_read(open_sim: Opener, tmp_path: Path) -> None:
    backend = open_sim(n_bl=2, n_sl=3)
    recorder = Recorder(backend)
    array = Crossbar(recorder)
    array.form()
    cells = Cells.of(0, [0, 1], [1, 2])
    first = recorder.recorded
    read = Read.default(backend.spec)
    given = [
        transact(recorder, cells, set_pulses(recorder.spec, 2, volts), read).conductance for volts in (1.5, 2.0, 2.5)
    ]
    paths = recorder.history(cells, first)
    np.testing.assert_array_equal(np.stack([path[1:] for path in paths], axis=1), np.stack(given))
    table = load_table(recorder.table().write(tmp_path / "pulses.csv"), "pulses")
    own = table.rows(table.cell == "0/1/2")
    assert own["operation"].tolist()[-3:] == [Operation.SET] * 3
    assert set(own["operation"][:-3]) == {Operation.FORM}
    assert own["gate_voltage_v"].tolist()[-3:] == [1.5, 2.0, 2.5]
    assert own["pulse"].tolist() == list(range(len(own)))
    np.testing.assert_allclose(own["conductance_before_siemens"][1:], own["conductance_after_siemens"][:-1])
    assert (recorder.written_at(cells) > 0).all()


def test_a_recorder_without_pulses_has_an_empty_table(open_sim: Opener) -> None:
    assert len(Recorder(open_sim(n_bl=2, n_sl=2)).table()) == 0


@pytest.mark.parametrize("shape", [(9, 14), (32, 32), (64, 128)])
@pytest.mark.parametrize("text", ["CL", "UL"])
def test_letters_fill_a_map_without_touching_its_edge(text: str, shape: tuple[int, int]) -> None:
    drawn = letters(text, shape)
    assert drawn.shape == shape
    assert 0.05 < drawn.mean() < 0.5
    assert not drawn[[0, -1]].any()
    assert not drawn[:, [0, -1]].any()


def test_letters_differ_only_in_their_first_one() -> None:
    differs = np.flatnonzero((letters("CL", (32, 32)) != letters("UL", (32, 32))).any(axis=0))
    assert differs.size
    assert differs.max() < 16


def test_letters_need_room() -> None:
    with pytest.raises(ConfigError, match="9 x 14"):
        letters("CL", (8, 14))


def levels(step: float, deviation: float, count: int = 11) -> Levels:
    drawn = np.random.default_rng(0).normal(0.0, deviation, (1, count, 100))
    return Levels(
        cell=np.array(["0/0/0"]),
        gate=np.linspace(1.0, 2.0, count),
        conductance=drawn + step * np.arange(count)[:, None],
        start=np.zeros_like(drawn),
        provenance="test",
    )


def test_levels_far_apart_are_all_counted_and_equal_ones_are_not() -> None:
    assert levels(step=1e-6, deviation=0.05e-6).distinguishable().tolist() == [11]
    assert levels(step=1e-6, deviation=0.05e-6).single_shot().tolist() == [11]
    assert levels(step=0.0, deviation=0.05e-6).distinguishable()[0] <= 2


def test_means_tell_more_levels_apart_than_a_single_set() -> None:
    found = levels(step=1e-6, deviation=0.6e-6)
    assert found.distinguishable().tolist() == [11]
    assert found.single_shot()[0] < 6
    assert found.r_squared()[0] > 0.99


def test_raw_data_are_broadcast_to_rows(tmp_path: Path) -> None:
    data = RawData.of(cell=np.array(["a", "b"])[:, None], volts_v=np.array([0.5, 1.0, 1.5])[None, :], number=7)
    lines = data.write(tmp_path / "raw.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "cell,volts_v,number"
    assert lines[1] == "a,0.5,7"
    assert len(lines) == 7
    with pytest.raises(InputFileError, match="cannot be written"):
        data.write(tmp_path / "no" / "raw.csv")


def test_numbers_are_shown_with_their_units() -> None:
    numbers = {"lrs_siemens_mean": 4e-5, "set_v": 1.25, "open_fraction": 0.5, "cells": 1024, "half": None}
    shown = dict(number_rows(numbers | {"by": {"a": 2.0}}))
    assert shown == {
        "lrs mean": "40 uS",
        "set": "1.25 V",
        "open": "50 %",
        "cells": "1,024",
        "half": "-",
        "by, a": "2",
    }
