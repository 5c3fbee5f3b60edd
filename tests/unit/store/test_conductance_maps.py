from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rmhil.errors import ShapeError
from rmhil.program_report import Outcome, ProgramReport, VerifyReport
from rmhil.store import Run


def program_report(shape: tuple[int, ...], seed: int = 0) -> ProgramReport:
    rng = np.random.default_rng(seed)
    target = rng.uniform(10e-6, 80e-6, shape)
    target.flat[0] = np.nan
    outcome = np.full(shape, Outcome.CONVERGED, dtype=np.int8)
    outcome.flat[0] = Outcome.LEFT_ALONE
    return ProgramReport(
        target=target,
        tolerance=2e-6,
        achieved=target + rng.normal(0, 1e-6, shape),
        believed=target + rng.normal(0, 1e-7, shape),
        pulses={kind: rng.integers(0, 9, shape) for kind in ("form", "set", "reset")},
        reads=rng.integers(1, 20, shape),
        outcome=outcome,
        maybe_pulsed=np.zeros(shape, dtype=np.bool_),
        policy="adaptive",
        provenance="sim(taox180, seed=7)",
        seconds=12.5,
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, command="test")


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5)])
def test_a_program_report_comes_back_to_the_bit(run: Run, shape: tuple[int, ...]) -> None:
    report = program_report(shape)
    run.save_map("program", report)
    loaded = run.load_map("program")
    for name, expected in (
        ("target", report.target),
        ("achieved", report.achieved),
        ("believed", report.believed),
        ("error", report.error),
        ("form_pulses", report.pulses["form"]),
        ("reset_pulses", report.pulses["reset"]),
        ("reads", report.reads),
        ("outcome", report.outcome),
        ("maybe_pulsed", report.maybe_pulsed),
    ):
        np.testing.assert_array_equal(loaded[name].values, expected.reshape(loaded[name].shape), err_msg=name)


def test_units_coordinates_and_provenance_travel_with_the_file(run: Run) -> None:
    run.save_map("program", program_report((2, 3)), bl=[5, 9], sl=[64, 65, 66], stage="learn")
    loaded = run.load_map("program")
    assert loaded["achieved"].attrs["units"] == "S"
    assert loaded["bl"].values.tolist() == [5, 9]
    assert loaded["sl"].values.tolist() == [64, 65, 66]
    assert loaded["array"].values.tolist() == [0]
    assert loaded.attrs["provenance"] == "sim(taox180, seed=7)"
    assert loaded.attrs["tolerance"] == 2e-6
    assert loaded.attrs["stage"] == "learn"
    assert "out_of_pulses" in loaded["outcome"].attrs["flag_meanings"].split()


def test_a_verify_report_keeps_what_was_within(run: Run) -> None:
    report = VerifyReport(
        target=np.array([[10e-6, 20e-6]]),
        tolerance=1e-6,
        achieved=np.array([[10.5e-6, 22e-6]]),
        status=np.zeros((1, 2), dtype=np.int8),
        provenance="sim",
        seconds=0.1,
    )
    run.save_map("verify", report)
    loaded = run.load_map("verify")
    assert loaded["within"].values.tolist() == [[[1, 0]]]
    assert "compliance" in loaded["status"].attrs["flag_meanings"].split()


def test_a_plain_map_is_kept_under_the_same_labels(run: Run) -> None:
    run.save_map("read", {"conductance": np.full((3, 2), 4e-5), "provenance": "sim"}, sl=[0, 7])
    loaded = run.load_map("read")
    assert dict(loaded.sizes) == {"array": 1, "bl": 3, "sl": 2}
    assert loaded["conductance"].attrs["units"] == "S"


def test_saving_again_replaces_the_map(run: Run) -> None:
    run.save_map("read", {"conductance": np.full((3, 2), 1e-5)})
    run.save_map("read", {"conductance": np.full((3, 2), 2e-5)})
    assert run.map_names() == ["read"]
    assert float(run.load_map("read")["conductance"].max()) == 2e-5


def test_what_is_no_map_is_refused(run: Run) -> None:
    with pytest.raises(ShapeError, match="at least one map"):
        run.save_map("x", {"seconds": 1.0})
    with pytest.raises(ShapeError, match="conductance"):
        run.save_map("x", {"conductance": np.zeros(4)})
    with pytest.raises(ShapeError, match="bl numbers"):
        run.save_map("x", {"conductance": np.zeros((4, 2))}, bl=[1])
    with pytest.raises(ShapeError, match="reads"):
        run.save_map("x", {"conductance": np.zeros((4, 2)), "reads": np.zeros((4, 3))})


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
import numpy as np, xarray as xr
from rmhil.conductance_maps import DIMENSIONS, write

labelled = xr.Dataset({"achieved": (DIMENSIONS, np.random.default_rng(0).random((1, 64, 64)))})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # bytes; the map takes 40,000
try:
    write(labelled, Path(sys.argv[1]))
except OSError:
    print("refused")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
def test_a_map_for_which_the_disk_has_no_room_does_not_crash_the_process(tmp_path: Path) -> None:
    """Unwritable, HDF5's own file would take the process with it when it is collected."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, tmp_path / "map.nc"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
