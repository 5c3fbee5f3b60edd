"""The board's own program with pynq, unchanged, on a Zynq whose FPGA is the Verilated board.

pynq pins numpy below 2, so it lives in an environment of its own, which `make board-env` builds in `.venv-board`;
RMHIL_BOARD names another one's interpreter, and makes its absence a failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmhil.bench import board_map as rm
from rmhil.bench.link import Link
from tests.daemons import build_daemon
from tests.firmware.board import build
from tests.firmware.overlay import VIVADO, numbers_of, rehearse
from tests.integration.board_program.handoff import handoff

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "board_program"
BASE = 0x43C00000

WRITE_ONLY = {"COMMAND_HEAD", "CONTROL", "WATCHDOG_KICK"}
"""Registers that events are written to; they read as zero."""


@pytest.fixture(scope="module")
def interpreter() -> Path:
    named = os.environ.get("RMHIL_BOARD")
    path = Path(named) if named else ROOT / ".venv-board" / "bin" / "python"
    if not path.exists():
        (pytest.fail if named else pytest.skip)(f"no environment with pynq at {path}: `make board-env` builds it")
    return path


@pytest.fixture(scope="module")
def library() -> Path:
    return build("adc8")


def overlay(folder: Path, *, clock_hz: int = 100_000_000, base: int = BASE, **entries: object) -> Path:
    """An overlay as a rehearsed build leaves it, with a hand-off that pynq can read; manifest entries replaced."""
    folder.mkdir(parents=True)
    assert "open_run" in rehearse("adc8", folder)
    bitstream = folder / "rmhil_adc8.bit"
    manifest = json.loads(bitstream.with_suffix(".json").read_text())
    manifest |= {"pins": "board", "build_id": "0x00000000", **entries}
    bitstream.with_suffix(".json").write_text(json.dumps(manifest))
    bitstream.with_suffix(".hwh").write_text(handoff("rm_overlay", clock_hz, base, rm.MAP_BYTES))
    return bitstream


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "firmware" / "board"), "PYTHONDONTWRITEBYTECODE": "1"}


def script(interpreter: Path, name: str, *words: str) -> tuple[Any, str]:
    """What a script printed as JSON, and what went to standard error."""
    command = [str(interpreter), str(SCRIPTS / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_registers_through_mmio_are_those_of_the_map(interpreter: Path, library: Path, tmp_path: Path) -> None:
    seen, _ = script(interpreter, "registers.py", str(library), str(overlay(tmp_path / "overlay")))
    numbers = numbers_of("adc8")
    assert set(seen["readable"]) == set(rm.REGISTERS)
    assert {name for name, value in seen["readable"].items() if value == 0} >= WRITE_ONLY
    assert seen["readable"]["MAGIC"] == rm.MAGIC
    assert seen["readable"]["MAP_HASH"] == rm.MAP_HASH
    assert seen["readable"]["CLOCK_HZ"] == numbers["CLOCK_HZ"]
    assert rm.FIELDS["CHANNELS.ADC"].of(seen["readable"]["CHANNELS"]) == numbers["ADC_COUNT"]
    assert rm.FIELDS["INPUT_LIMITS.REST_CODE"].of(seen["readable"]["INPUT_LIMITS"]) == numbers["REST_CODE"]
    assert seen["written"] == {"WATCHDOG_MS": 500, "IRQ_ENABLE": 0xF}
    assert all(seen["refusals"].values()), seen["refusals"]
    assert (seen["unkeyed"], seen["armed"]) == (rm.State.DISARMED, rm.State.READY)


def test_an_overlay_is_loaded_and_what_does_not_fit_is_refused(
    interpreter: Path, library: Path, tmp_path: Path
) -> None:
    right = overlay(tmp_path / "right")
    example = overlay(tmp_path / "example", pins="example")
    other_map = overlay(tmp_path / "map", map_hash="0x12345678")
    moved = overlay(tmp_path / "moved", base=0x40000000)
    other_build = overlay(tmp_path / "build", build_id="0xDEADBEEF")
    slow = overlay(tmp_path / "slow", clock_hz=50_000_000)
    damaged = overlay(tmp_path / "damaged")
    damaged.with_suffix(".json").write_text("{}")
    incomplete = overlay(tmp_path / "incomplete")
    incomplete.with_suffix(".hwh").unlink()
    paths = [right, example, other_map, moved, other_build, slow, damaged, incomplete]
    seen, said = script(interpreter, "program.py", str(library), json.dumps([["load", str(path)] for path in paths]))
    loaded = {path: bool(downloads) for path, (_, downloads) in zip(paths, seen, strict=True)}
    # The FPGA is configured only after files were compared; identity and clock need the configured FPGA.
    assert [path for path in paths if loaded[path]] == [right, other_build, slow]
    assert [status for status, _ in seen] == [0, 1, 1, 1, 1, 1, 1, 1]
    for message in (
        "INFO rmhil_adc8.bit at 0x43c00000, build 00000000, 100.00 MHz",
        "the example pins of adc8 are no board's",
        f"register map 0x12345678, this program is for {rm.MAP_HASH:#010x}",
        "rmhil_adc8.hwh has the registers in 0x40000 bytes at 0x40000000",
        "at 0x43c00000: BUILD_ID is 0x0, not 0xdeadbeef",
        "the board's clock runs at 50.00 MHz, made for 100 MHz",
        "rmhil_adc8.json is not a manifest of an overlay: KeyError('board')",
        "rmhil_adc8.hwh is missing",
    ):
        assert message in said


def test_without_an_fpga_or_without_pynq_it_says_so(interpreter: Path, tmp_path: Path) -> None:
    bitstream = overlay(tmp_path / "overlay")
    seen, said = script(interpreter, "program.py", "none", json.dumps([["load", str(bitstream)]]))
    assert seen == [[1, []]]
    assert "pynq finds no FPGA" in said
    command = [sys.executable, "-m", "rmhil_board", "load", str(bitstream)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 1
    assert "this Python has no pynq" in done.stderr


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """The daemon on memory, for a board that is named by its address; it leaves its command line behind."""
    command = " ".join(build_daemon("host"))
    path = tmp_path / "rmhild"
    path.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\nexec {command} "$1" "$2"\n')
    path.chmod(0o755)
    return path


def test_it_runs_the_daemon_until_it_is_told_to_stop(
    interpreter: Path, library: Path, daemon: Path, tmp_path: Path
) -> None:
    words = ["run", str(overlay(tmp_path / "overlay")), "--daemon", str(daemon), "--", "--tcp", "127.0.0.1:0"]
    command = [str(interpreter), str(SCRIPTS / "program.py"), str(library), json.dumps([words])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        announced = process.stdout.readline().split() or pytest.fail(process.stderr.read())
        assert announced[0] == "tcp"
        with Link(f"socket://{announced[1]}") as link:
            assert link.welcome.map_hash == rm.MAP_HASH
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
    assert json.loads(out.splitlines()[-1])[0][0] == 0, said
    assert (tmp_path / "words").read_text().split() == ["--tcp", "127.0.0.1:0", f"/dev/mem@{BASE:#x}"]
    assert "the board is DISARMED, outputs off" in said


def test_a_daemon_that_keeps_ending_is_given_up(interpreter: Path, library: Path, tmp_path: Path) -> None:
    bitstream = overlay(tmp_path / "overlay")
    lines = [["run", str(bitstream), "--daemon", path] for path in ("/bin/false", str(tmp_path / "missing"))]
    seen, said = script(interpreter, "program.py", str(library), json.dumps(lines))
    assert [status for status, _ in seen] == [1, 1]
    assert said.count("started /bin/false") == 4
    assert "/bin/false ended 4 times in 60 s, last with status 1" in said
    assert "missing cannot be started: No such file or directory" in said
    assert said.count("INFO the board is DISARMED, outputs off\n") == 2


def test_a_rehearsed_build_and_the_register_map_have_one_address() -> None:
    assert f"base_address 0x{BASE:08X}" in (VIVADO / "generated" / "adc8" / "overlay.tcl").read_text()
