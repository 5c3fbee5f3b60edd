"""Libraries of the twin: built once for the sources as they are, or refused before anything is started."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from rmhil.errors import BackendUnavailableError, ToolMissingError
from sim_backend.twin import build, start_twin

MAKE = """#!/bin/sh
echo "$@" >> "{calls}"
for word; do case "$word" in
  OUT=*) mkdir -p "${{word#OUT=}}" && touch "${{word#OUT=}}/libboard_sim.so";;
  BUILD=*) mkdir -p "${{word#BUILD=}}/host" && touch "${{word#BUILD=}}/host/librmhild-rtl.so";;
esac; done
"""
"""Makes what make would, and keeps its arguments."""

FAILING = "#!/bin/sh\nmkdir -p half; echo 'syntax error, unexpected endmodule' >&2; exit 2\n"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the firmware, an empty cache, and no programs but those of `put`."""
    copy = tmp_path / "firmware"
    for folder in ("rtl", "sim", "c"):
        shutil.copytree(build.firmware_folder() / folder, copy / folder, ignore=shutil.ignore_patterns("build"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    monkeypatch.setattr(build, "firmware_folder", lambda: copy)
    monkeypatch.setattr(build, "_digest", build._digest.__wrapped__)  # sources change within one process here
    return copy


def put(folder: Path, *programs: str, text: str = "#!/bin/sh\n") -> None:
    for name in programs:
        path = folder / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def tools(folder: Path, make: str = MAKE) -> Path:
    """Programs that do nothing, and a make; the file that notes its calls."""
    put(folder, "verilator", "g++", "cc", "perl")
    put(folder, "make", text=make.format(calls=folder / "calls"))
    for name in ("mkdir", "touch"):
        (folder / "bin" / name).symlink_to(shutil.which(name, path=os.defpath) or f"/bin/{name}")
    return folder / "calls"


@pytest.mark.usefixtures("sources")
def test_missing_programs_are_named_with_their_packages_before_anything_is_started(tmp_path: Path) -> None:
    put(tmp_path, "make", "cc")
    with pytest.raises(ToolMissingError, match=r"apt-get install verilator g\+\+ perl") as caught:
        start_twin()
    assert caught.value.packages == ("verilator", "g++", "perl")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("sources")
def test_a_library_is_made_once_and_then_found_without_any_program(tmp_path: Path) -> None:
    calls = tools(tmp_path)
    made = build.libraries("adc8")
    assert made.board.is_file()
    assert made.daemon.is_file()
    assert "BOARD=adc8" in calls.read_text()
    assert "TRACE=0" in calls.read_text()
    for program in (tmp_path / "bin").iterdir():
        program.unlink()
    assert build.libraries("adc8") == made
    with pytest.raises(ToolMissingError):
        build.libraries("adc64")


@pytest.mark.parametrize(
    ("changed", "made_again"),
    [
        ("rtl/rm_board.v", {"board"}),
        ("c/engine.c", {"daemon"}),
        ("sim/board_sim.h", {"board", "daemon"}),
        ("sim/Makefile", {"board", "daemon"}),
        ("rtl/cell_budget.json", set()),
        ("rtl/rm_board.v~", set()),
        ("c/build/host/rmhild-mem", set()),
    ],
)
def test_a_changed_source_makes_what_is_made_from_it_again(
    changed: str, made_again: set[str], sources: Path, tmp_path: Path
) -> None:
    tools(tmp_path)
    made = build.libraries("adc64").paths
    (sources / changed).parent.mkdir(parents=True, exist_ok=True)
    with (sources / changed).open("a") as file:
        file.write("// changed\n")
    found = build.libraries("adc64").paths
    assert {name for name in made if found[name] != made[name]} == made_again


@pytest.mark.usefixtures("sources")
def test_a_library_with_waves_is_another_one(tmp_path: Path) -> None:
    calls = tools(tmp_path)
    assert build.libraries("adc64", waves=True).board != build.libraries("adc64").board
    assert "TRACE=1" in calls.read_text()


@pytest.mark.usefixtures("sources")
def test_what_the_compiler_says_is_in_the_error_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    tools(tmp_path, FAILING)
    with pytest.raises(BackendUnavailableError, match="unexpected endmodule"):
        build.libraries("adc64")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
