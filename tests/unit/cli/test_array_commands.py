"""`program`, `verify`, `read` and `mvm` on a small simulated array."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rmhil.cli.app import app
from rmhil.store import Run
from tests.unit.cli.conftest import SIZE, CommandLine

TOLERANCE = 2e-6
"""S, the default of the commands."""


def test_a_programmed_map_is_there_in_the_next_command(command_line: CommandLine, target: Path) -> None:
    programmed = command_line.json("program", target, *command_line.small)
    assert programmed["cells"] == SIZE**2
    assert programmed["converged_fraction"] > 0.9
    verified = command_line.json("verify", target, *command_line.again, "--averages", 8)
    assert verified["within_fraction"] > 0.9
    assert verified["run"] == programmed["run"]


def test_a_run_keeps_everything_that_was_done(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    command_line("verify", target, *command_line.again)
    command_line("read", *command_line.again)
    command_line("read", *command_line.again)
    run = Run.open("latest", command_line.folder / "runs")
    assert run.status == "complete"
    assert run.map_names() == ["program", "verify", "read", "read-2"]
    assert [step.kind for step in run.steps()] == ["program", "verify", "read", "read"]
    ledger = run.ledger()
    assert ledger is not None
    kept = run.load_map("program")
    given = sum(int(kept[f"{kind}_pulses"].sum()) for kind in ("form", "set", "reset"))
    assert ledger.counts.pulses == given > 0
    assert ledger.counts.reads >= 4 * SIZE**2
    assert run.record.command.startswith("rmhil program")
    run.close()


def test_the_journal_says_what_each_command_was_asked_for(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    command_line("verify", target, *command_line.again, "--averages", 2)
    command_line("read", *command_line.again, "--region", "0:2,0:3")
    command_line("mvm", command_line.save("volts.npy", np.full(SIZE, 0.1)), *command_line.again)
    programmed, verified, read, mvm = (step.detail for step in Run.open("latest", command_line.folder / "runs").steps())
    assert programmed["target"] == verified["target"] == target.as_posix()
    assert programmed["policy"] == "adaptive"
    assert verified["averages"] == 2
    assert read["region"] == "0:2,0:3"
    assert mvm["voltages"].endswith("volts.npy")
    for name, detail in {"program": programmed, "verify": verified, "read": read, "mvm": mvm}.items():
        assert detail["command"].startswith(f"rmhil {name} ")


def test_two_commands_never_work_on_one_run_at_once(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    with Run.open("latest", command_line.folder / "runs") as run:
        said = command_line("program", target, *command_line.again, code=2)
        assert f"process {os.getpid()} of" in said
        assert "works on this run" in said
        assert command_line.json("info", *command_line.again)["maps"] == ["program"]  # reading needs no lock
        assert [step.kind for step in run.steps()] == ["program"]
    command_line("program", target, *command_line.again)


def test_nothing_to_program_is_no_success(command_line: CommandLine) -> None:
    nothing = command_line.save("nothing.npy", np.full((SIZE, SIZE), np.nan))
    assert "no cells to program" in command_line("program", nothing, *command_line.small)
    assert command_line.json("program", nothing, *command_line.again)["converged_fraction"] is None
    assert "no cells to verify" in command_line("verify", nothing, *command_line.again)
    assert command_line.json("verify", nothing, *command_line.again)["within_fraction"] is None


def test_a_new_array_is_not_taken_for_the_one_that_was_programmed(command_line: CommandLine, target: Path) -> None:
    fresh = CliRunner().invoke(app, ["read", *map(str, command_line.small)])
    assert "new array with virgin cells" in fresh.stderr
    assert "--run latest" in fresh.stderr
    state = command_line.runs[0] / "chip-state.npz"
    kept = command_line.folder / "kept.toml"
    kept.write_text(f"n_bl = {SIZE}\nn_sl = {SIZE}\nseed = 7\nstate = '{state.as_posix()}'\n")
    for arguments in (
        ["program", target, *command_line.small, "--json"],
        ["read", *command_line.again, "--json"],
        ["read", "--config", kept, "--out", command_line.folder / "runs", "--json"],
    ):
        done = CliRunner().invoke(app, [str(part) for part in arguments])
        assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize("shape", [(0, SIZE), (1, 0, SIZE), (0,)])
def test_an_empty_batch_is_refused_before_anything_is_opened(command_line: CommandLine, shape: tuple[int, ...]) -> None:
    volts = command_line.save("volts.npy", np.zeros(shape))
    said = command_line("mvm", volts, "--run", "nowhere", code=2)
    assert "at least one vector" in said


def test_a_state_that_cannot_be_kept_hides_no_error_and_loses_no_counts(
    command_line: CommandLine, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sim_backend.backend.SimBackend.save_state", fail)
    said = command_line("program", target, *command_line.small, "--json", code=2)
    assert "chip-state.npz: cannot be written: No space left" in said
    run = Run.open("latest", command_line.folder / "runs")
    assert run.status == "failed"
    ledger = run.ledger()
    assert ledger is not None
    assert ledger.counts.pulses > 0
    bad = command_line.save("bad.npy", np.full((SIZE, SIZE), 1.0))
    done = CliRunner().invoke(app, ["program", str(bad), *map(str, command_line.small), "--json"])
    assert "error: target" in done.stderr


def test_cells_in_tolerance_are_not_pulsed_again(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small, "--tolerance", 1e-6)
    again = command_line.json("program", target, *command_line.again, "--tolerance", 4e-6)
    assert again["pulses"]["form"] + again["pulses"]["set"] + again["pulses"]["reset"] <= 2 * again["outcomes"]["stuck"]


def test_the_same_seed_gives_the_same_run(command_line: CommandLine, target: Path) -> None:
    first, second = (command_line.json("program", target, *command_line.small) for _ in range(2))
    assert first.pop("run") != second.pop("run")
    assert first == second


def test_the_help_says_that_erasing_takes_pulses_of_its_own(command_line: CommandLine) -> None:
    shown = command_line("program", "--help")
    assert "erasing apart" in " ".join(shown.replace("│", " ").split())
    assert "beyond" in shown


def test_nan_in_the_target_leaves_cells_alone(command_line: CommandLine) -> None:
    wanted = np.full((SIZE, SIZE), np.nan)
    wanted[2, 3] = 40e-6
    report = command_line.json("program", command_line.save("one.npy", wanted), *command_line.small)
    assert report["cells"] == 1
    assert report["outcomes"]["left_alone"] == SIZE**2 - 1


def test_a_region_takes_files_of_its_own_shape(command_line: CommandLine) -> None:
    region = ("--region", "2:5,:4")
    wanted = command_line.save("part.npy", np.full((3, 4), 50e-6))
    assert command_line.json("program", wanted, *command_line.small, *region)["cells"] == 12
    result = command_line.folder / "map.npy"
    command_line("read", *command_line.again, *region, "--to", result)
    assert np.load(result).shape == (3, 4)
    kept = Run.open("latest", command_line.folder / "runs").load_map("program")
    assert kept["bl"].values.tolist() == [2, 3, 4]
    assert kept["sl"].values.tolist() == [0, 1, 2, 3]


def test_mvm_gives_the_currents_of_the_programmed_map(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    volts = command_line.save("volts.npy", np.full((2, SIZE), [[0.1], [-0.2]]))
    out = command_line.folder / "currents.npy"
    result = command_line.json("mvm", volts, *command_line.again, "--to", out)
    currents = np.load(out)
    np.testing.assert_allclose(currents, result["currents_amperes"])
    ideal = np.load(volts) @ np.load(target)
    # lines, tolerance and converters together stay well below a tenth here: 8 BLs, 250 ohm of routing
    np.testing.assert_allclose(currents, ideal, rtol=0.1, atol=1e-6)


def test_cells_that_fail_are_named(command_line: CommandLine) -> None:
    some = ("--cell", "1,2", "--cell", "4,4", "--max-pulses", 1, "--tolerance", 1e-11)
    assert command_line.json("program", 40e-6, *some, *command_line.small)["failed_cells"] == [[0, 1, 2], [0, 4, 4]]
    assert "0/1/2, 0/4/4" in command_line("program", 60e-6, *some, *command_line.again)


def test_text_and_json_go_to_stdout_alone(command_line: CommandLine, target: Path) -> None:
    shown = command_line("program", target, *command_line.small)
    assert "within 2 uS" in shown
    assert "sim(taox180, seed=7" in shown


def bad_inputs() -> dict[str, tuple[np.ndarray, tuple[str, ...], str]]:
    good = np.full((SIZE, SIZE), 40e-6)
    infinite, outside = good.copy(), good.copy()
    infinite[0, 0], outside[0, 0] = np.inf, 200e-6
    return {
        "wrong shape": (good[:, 1:], (), "name the part of the array"),
        "infinite": (infinite, (), "infinite"),
        "outside the window": (outside, (), "target of cell (0, 0, 0), the first of 1 outside, = 0.0002 S, allowed"),
        "negative tolerance": (good, ("--tolerance", "-1e-6"), "tolerance"),
        "tolerance that is no number": (good, ("--tolerance", "nan"), "tolerance"),
        "unknown policy": (good, ("--policy", "magic"), "unknown policy 'magic'"),
        "region beyond the array": (good, ("--region", "0:99,0:8"), "region: end of the BLs = 99, allowed 1 to"),
        "region of another form": (good, ("--region", "all"), "region 'all'"),
        "empty region": (good, ("--region", "3:3,0:8"), "no BL"),
        "text": (np.array(["a"]), (), "real numbers"),
        "complex": (good + 1j, (), "real numbers"),
    }


@pytest.mark.parametrize("case", list(bad_inputs()))
def test_a_bad_target_is_refused_and_leaves_nothing_behind(command_line: CommandLine, case: str) -> None:
    values, options, complaint = bad_inputs()[case]
    said = command_line("program", command_line.save("bad.npy", values), *command_line.small, *options, code=2)
    assert complaint in said
    assert command_line.runs == []


@pytest.mark.parametrize(
    ("volts", "complaint"),
    [
        (np.full(SIZE, 0.201), "0.2 V"),
        (np.full(SIZE, np.nan), "NaN"),
        (np.full(SIZE + 1, 0.1), "shape"),
        (np.array([]), "shape"),
    ],
)
def test_bad_voltages_are_refused(command_line: CommandLine, volts: np.ndarray, complaint: str) -> None:
    said = command_line("mvm", command_line.save("volts.npy", volts), *command_line.small, code=2)
    assert complaint in said
    assert command_line.runs == []


def test_a_refused_command_leaves_an_older_run_as_it_was(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    before = Run.open("latest", command_line.folder / "runs")
    text, counted = (before.path / "run.json").read_text(), before.ledger()
    command_line("verify", command_line.save("bad.npy", np.zeros((2, 2))), *command_line.again, code=2)
    after = Run.open("latest", command_line.folder / "runs")
    assert after.record == before.record
    assert (after.path / "run.json").read_text() == text
    assert counted is not None
    assert (after.ledger() or counted).counts == counted.counts
    tried = after.steps()[-1]
    assert tried.kind == "failed"
    assert tried.detail["command"].startswith("rmhil verify")
    assert "ShapeError" in tried.detail["error"]
    assert command_line.json("verify", target, *command_line.again)["within_fraction"] > 0.9


@pytest.mark.parametrize("command", ["program", "verify", "mvm"])
def test_a_missing_or_foreign_file_is_refused(command_line: CommandLine, command: str) -> None:
    assert "no file" in command_line(command, "nowhere.npy", *command_line.small, code=2)
    foreign = command_line.folder / "foreign.npy"
    foreign.write_text("not an array")
    assert "not a readable .npy file" in command_line(command, foreign, *command_line.small, code=2)
    truncated = command_line.save("short.npy", np.zeros((SIZE, SIZE)))
    truncated.write_bytes(truncated.read_bytes()[:-9])
    assert "not a readable .npy file" in command_line(command, truncated, *command_line.small, code=2)
    pickled = command_line.folder / "pickled.npy"
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    assert "not a readable .npy file" in command_line(command, pickled, *command_line.small, code=2)
    assert command_line.runs == []


def test_an_unknown_backend_lists_those_installed(command_line: CommandLine, target: Path) -> None:
    said = command_line("program", target, "--backend", "dream", code=2)
    assert "unknown backend 'dream'" in said
    assert "sim" in said


def test_a_bad_configuration_is_refused(command_line: CommandLine, target: Path) -> None:
    assert "no configuration file" in command_line("program", target, "--config", "nowhere.toml", code=2)
    command_line.config.write_text("n_bit_lines = 8\n")
    assert "n_bit_lines" in command_line("program", target, *command_line.small, code=2)


def test_a_run_says_which_array_it_is_on(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    said = command_line("read", *command_line.again, "--seed", 3, code=2)
    assert "--seed cannot be given with --run" in said


def test_a_later_change_of_the_configuration_file_changes_nothing(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small)
    command_line.config.write_text("n_bl = 4\n")
    assert command_line.json("verify", target, *command_line.again)["cells"] == SIZE**2


class TestDamagedRun:
    @pytest.fixture(autouse=True)
    def _programmed(self, command_line: CommandLine, target: Path) -> None:
        command_line("program", target, *command_line.small)
        self.run = command_line.runs[0]

    def test_no_such_run(self, command_line: CommandLine) -> None:
        said = command_line("read", "--run", "nowhere", "--out", command_line.folder / "runs", code=2)
        assert "no run directory nowhere" in said

    def test_a_damaged_record(self, command_line: CommandLine) -> None:
        (self.run / "run.json").write_text("{")
        assert "run.json" in command_line("read", *command_line.again, code=2)

    @pytest.mark.parametrize("damage", [{"options": 5}, {"config": 5}])
    def test_a_damaged_choice_of_the_backend(self, command_line: CommandLine, damage: dict[str, object]) -> None:
        record = json.loads((self.run / "run.json").read_text())
        record["config"]["backend"] |= damage
        (self.run / "run.json").write_text(json.dumps(record))
        assert f"damaged at 'config.backend.{next(iter(damage))}'" in command_line("read", *command_line.again, code=2)

    def test_a_damaged_state_of_the_cells(self, command_line: CommandLine) -> None:
        state = self.run / "chip-state.npz"
        state.write_bytes(state.read_bytes()[:50])
        assert "chip-state" in command_line("read", *command_line.again, code=2)

    def test_a_missing_state_never_becomes_a_virgin_array(self, command_line: CommandLine) -> None:
        (self.run / "chip-state.npz").unlink()
        assert "is missing" in command_line("read", *command_line.again, code=2)

    def test_a_damaged_ledger(self, command_line: CommandLine) -> None:
        (self.run / "ledger.json").write_text("[]")
        assert "ledger.json" in command_line("read", *command_line.again, code=2)

    def test_another_chip_than_the_run_was_made_on(self, command_line: CommandLine) -> None:
        text = (self.run / "run.json").read_text()
        (self.run / "run.json").write_text(text.replace("sim(taox180, seed=7", "zc706#12"))
        assert "made on zc706#12" in command_line("read", *command_line.again, code=2)
