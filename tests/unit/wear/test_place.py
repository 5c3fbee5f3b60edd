from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rmhil.errors import RunDirectoryError
from rmhil.store import Run
from rmhil.wear import chip_file, chip_file_of
from rmhil.wear.place import CHIPS_VARIABLE
from sim_backend import SimBackend
from tests.held_array import HeldArray, HeldBackend


class Named(HeldBackend):
    """A backend that knows its chip."""

    chip_id = "Wafer 3 / die 07"
    chip_folder: Path | None = None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs", command="test")


@pytest.fixture(autouse=True)
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CHIPS_VARIABLE, str(tmp_path / "chips"))
    return tmp_path / "chips"


def test_a_simulated_array_is_counted_where_it_is_kept(run: Run, open_sim: Callable[..., SimBackend]) -> None:
    assert chip_file(open_sim(), run) == run.path / "chip-wear.sqlite"


def test_a_chip_that_names_itself_is_counted_under_its_name(run: Run, chips: Path, tmp_path: Path) -> None:
    backend = Named(HeldArray())
    path = chip_file(backend, run)
    assert path.parent == chips
    assert path.name.startswith("wafer-3-die-07-")
    backend.chip_folder = tmp_path / "elsewhere"
    assert chip_file(backend, run) == tmp_path / "elsewhere" / path.name


def test_any_other_chip_is_counted_under_the_provenance_of_its_backend(run: Run, chips: Path) -> None:
    one, other = (chip_file(HeldBackend(HeldArray(name=name)), run) for name in ("zc706#1", "zc706#2"))
    assert one.parent == other.parent == chips
    assert one != other


def test_names_that_look_alike_as_files_are_told_apart(run: Run) -> None:
    paths = {chip_file(HeldBackend(HeldArray(name=name)), run) for name in ("a b", "a-b", "A b")}
    assert len(paths) == 3


def test_without_a_setting_chips_are_in_the_users_data_folder(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(CHIPS_VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert chip_file(HeldBackend(HeldArray()), run).parent == tmp_path / "rmhil" / "chips"


def test_a_run_says_where_it_was_counted_and_may_be_moved(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="worked on no array"):
        chip_file_of(run)
    run.journal.set_chip_file("chip-wear.sqlite")
    run.close()
    moved = run.path.rename(tmp_path / "moved")
    assert chip_file_of(Run.open(moved)) == moved / "chip-wear.sqlite"
