"""`program` with what is known of the population: learnt first, or from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmhil.store import Run
from rmhil.write_verify import Population
from tests.unit.cli.conftest import SIZE, CommandLine


def test_a_pilot_is_learnt_on_cells_of_the_map_and_kept_with_the_run(command_line: CommandLine, target: Path) -> None:
    programmed = command_line.json("program", target, *command_line.small, "--pilot", 16)
    assert programmed["pilot"]["cells"] == 16
    kept = command_line.runs[-1] / "population.json"
    assert Population.load(kept).pilot_pulses == programmed["pilot"]["pulses"] > 0
    run = Run.open("latest", command_line.folder / "runs")
    ledger = run.ledger()
    assert ledger is not None
    given = programmed["pulses"]["set"] + programmed["pulses"]["reset"] + programmed["pilot"]["pulses"]
    assert ledger.counts.set_pulses + ledger.counts.reset_pulses == given
    noted = run.steps()[-1].detail["pilot"]
    assert noted == programmed["pilot"]
    assert noted["learnt_here"]
    assert noted["form_pulses"] + programmed["pulses"]["form"] == ledger.counts.form_pulses
    assert noted["form_pulses"] > 0


def test_a_population_of_an_earlier_run_is_taken_up(command_line: CommandLine, target: Path) -> None:
    command_line("program", target, *command_line.small, "--pilot", 16)
    kept = command_line.runs[-1] / "population.json"
    again = command_line.json("program", target, *command_line.again, "--population", kept)
    assert again["pilot"]["cells"] == 16
    assert not again["pilot"]["learnt_here"]
    assert "learnt on 16 cells" in command_line("program", target, *command_line.again, "--population", kept)


def test_a_population_of_another_window_is_refused_by_name_before_anything_is_driven(
    command_line: CommandLine, target: Path
) -> None:
    command_line("program", target, *command_line.small, "--pilot", 16)
    kept, other = command_line.runs[-1] / "population.json", command_line.folder / "other.json"
    Population.load(kept).model_copy(update={"conductance_max": 40e-6, "provenance": "another chip"}).save(other)
    said = command_line("program", target, *command_line.small, "--population", other, code=2)
    assert "conductance_max = 4e-05 S (learnt on another chip), but 8e-05 S" in said
    assert len(command_line.runs) == 1


def test_a_tolerance_finer_than_one_reading_can_tell_is_noted(command_line: CommandLine, target: Path) -> None:
    fine = command_line.json("program", target, *command_line.small, "--tolerance", 0.15e-6)
    assert fine["converged_outside"] > 0
    usual = command_line.json("program", target, *command_line.small, "--tolerance", 2e-6)
    assert usual["converged_outside"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pilot", 16, "--population", "some.json"), "exclude one another"),
        (("--pilot", 16, "--policy", "incremental"), "--pilot needs --policy adaptive"),
        (("--population", "nowhere.json"), "nowhere.json"),
        (("--pilot", SIZE**2 + 1), "pilot cells"),
    ],
)
def test_knowledge_that_makes_no_sense_is_refused_before_anything_is_driven(
    command_line: CommandLine, target: Path, options: tuple[object, ...], said: str
) -> None:
    assert said in command_line("program", target, *command_line.small, *options, code=2)
    assert command_line.runs == []


def test_a_target_that_is_refused_costs_no_pilot(command_line: CommandLine) -> None:
    in_microsiemens = command_line.save("micro.npy", np.full((SIZE, SIZE), 40.0))
    assert "target" in command_line("program", in_microsiemens, *command_line.small, "--pilot", 16, code=2)
    assert command_line.runs == []
