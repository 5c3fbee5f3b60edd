"""`rmhil emulate b1500a`, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pyvisa

COMMAND = (str(Path(sys.executable).with_name("rmhil")), "emulate", "b1500a")


def started(*options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """The process, and its resource strings by transport."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    )
    assert process.stdout is not None
    found = {}
    for line in process.stdout:
        name, _, value = line.strip().partition(" ")
        if "TCPIP0" in value:
            found[name] = value.strip()
        if name == "modules":
            break
    return process, found


def test_the_group_and_its_command_are_listed() -> None:
    for arguments, line in ((("--help",), "emulate"), (("emulate", "--help"), "b1500a")):
        done = subprocess.run([COMMAND[0], *arguments], capture_output=True, text=True, timeout=60, check=True)
        assert any(line in one and "Serve an emulated" in one for one in done.stdout.splitlines())


def test_it_serves_until_ctrl_c_and_keeps_the_wire_log(tmp_path: Path) -> None:
    log = tmp_path / "wire.txt"
    process, resources = started("--load", "10e3", "--socket", "0", "--log", str(log))
    assert list(resources) == ["SOCKET"]
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(resources["SOCKET"], read_termination="\r\n", write_termination="\r\n") as session:
        assert session.query("*OPC?") == "1"
    manager.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "stopped" in out
    assert "> *OPC?" in log.read_text()


def test_sigterm_ends_it_as_everywhere() -> None:
    process, resources = started("--load", "open", "--socket", "0", "--hislip", "0")
    assert set(resources) == {"SOCKET", "HiSLIP"}
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--load", "banana"), "load 'banana'"),
        (("--slots", "B1517A,XYZ"), "unknown module 'XYZ'"),
        (("--bl", "2"), "a channel is named twice"),
        (("--log", "/no/such/folder/log.txt"), "/no/such/folder is not a folder"),
    ],
)
def test_nonsense_is_refused_in_one_line(options: tuple[str, ...], message: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--socket", "0", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")
