"""The public B1500 drivers of QCoDeS and PyMeasure, unchanged, against the emulator.

They live in an environment of their own, which `make clients` builds in `.venv-clients`; RMHIL_CLIENTS names another
one's interpreter, and makes its absence a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sim_backend.b1500a import DEFAULT_SLOTS, emulate

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "clients"
OHMS = 10e3
SHARE = 0.05
"""1: what a current may be off."""

FLOOR = 1e-8
"""A: what a current of zero may be off."""

QCODES_SLOTS = tuple("" if name == "B1525A" else name for name in DEFAULT_SLOTS)
"""QCoDeS opens no mainframe with a pulse generator in it."""

TRANSPORTS = ("SOCKET", "HiSLIP")


@pytest.fixture(scope="module")
def interpreter() -> Path:
    named = os.environ.get("RMHIL_CLIENTS")
    path = Path(named) if named else ROOT / ".venv-clients" / "bin" / "python"
    if not path.exists():
        (pytest.fail if named else pytest.skip)(f"no environment of public drivers at {path}: `make clients` builds it")
    return path


def worked(interpreter: Path, script: str, transport: str, slots: tuple[str, ...]) -> dict[str, Any]:
    """What a public driver saw; all outputs are open afterwards."""
    with emulate(f"{OHMS:g}", slots=slots) as emulator:
        command = [str(interpreter), str(SCRIPTS / script), emulator.resources[transport]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert not any(output.closed for output in emulator.outputs().values())
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def near(current: float, volts: float) -> bool:
    return current == pytest.approx(volts / OHMS, rel=SHARE, abs=FLOOR)


def refused_rightly(seen: dict[str, Any]) -> None:
    assert "200" in seen["closed"]
    assert "120" in seen["too high"]
    assert "100" in seen["unknown"]
    assert "Undefined GPIB command." in seen["unknown"]


UP_AND_DOWN = [0.2 * step for step in range(11)] + [0.2 * step for step in range(10, -1, -1)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_pymeasure_measures_a_resistor(interpreter: Path, transport: str) -> None:
    seen = worked(interpreter, "pymeasure_client.py", transport, DEFAULT_SLOTS)
    assert seen["identity"].split(",")[1] == "B1500A"
    names = {"1": "HRSMU", "2": "HRSMU", "3": "HRSMU", "4": "MPSMU", "5": "SPGU", "9": "MFCMU"}
    assert seen["modules"] == names
    assert float(seen["forced"]) == 1.0
    assert near(seen["spot"][0][3], 1.0)
    assert near(seen["spot"][1][3], -1.0)
    sources = [one for one in seen["sweep"] if one[2] == "Voltage Output (V)"]
    currents = [one for one in seen["sweep"] if one[2] == "Current Measurement (A)"]
    assert [one[3] for one in sources] == pytest.approx(UP_AND_DOWN)
    assert [one[0].strip() for one in sources] == ["W"] * 21 + ["E"]
    for number, volts in enumerate(UP_AND_DOWN):
        assert near(currents[2 * number][3], volts)
        assert near(currents[2 * number + 1][3], -volts)
    assert len(seen["sampling"]) == 14
    assert all(near(one[3], 0.5 if one[1] == "SMU1" else -0.5) for one in seen["sampling"])
    assert seen["period"] == pytest.approx(1e-4)
    assert seen["errors"] == "none"
    refused_rightly(seen)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_qcodes_measures_a_resistor(interpreter: Path, transport: str) -> None:
    seen = worked(interpreter, "qcodes_client.py", transport, QCODES_SLOTS)
    assert seen["identity"]["model"] == "B1500A"
    kinds = {"1": "KeysightB1517A", "2": "KeysightB1517A", "3": "KeysightB1517A", "4": "KeysightB1511B"}
    assert seen["modules"] == kinds | {"9": "KeysightB1520A"}
    assert seen["enabled"] == [True, True, False]
    high, low, volts = seen["spot"]
    assert near(high, 1.0)
    assert near(low, -1.0)
    assert volts == pytest.approx(1.0, rel=SHARE)
    assert seen["delays"] == [0.001, 0.05]
    forced, first, second = seen["sweep"]
    assert forced == pytest.approx(UP_AND_DOWN)
    assert all(near(current, volts) for current, volts in zip(first, forced, strict=True))
    assert all(near(current, -volts) for current, volts in zip(second, forced, strict=True))
    assert seen["statuses"] == "N" * 22
    assert len(seen["sampling"]) == 7
    assert all(near(current, 0.5) for current in seen["sampling"])
    assert seen["errors"] == '+0,"No Error."'
    refused_rightly(seen)
    assert seen["ranges"] == 0, "the driver expects a blank that the instrument does not send"
